"""Where the model runs, in which number format, and what the machine has to offer.

In: the names a user may give. Out: a device, a precision, the context that applies it, and counts of cores and bytes
that respect a container's limits.
"""

import contextlib
import os
import resource
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import torch

from fs4cli.errors import ResourceError

Precision = Literal["fp32", "bf16", "fp16"]
"""The number format of the network's work."""


def choose_device(name: str) -> torch.device:
    """The device that `name` means on this machine.

    Args:
        name: `auto` (a GPU if there is one, else the CPU), `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        ResourceError: There is no such device; the message lists those there are.
    """
    present = _list_devices()
    if name == "auto":
        best = present[-1] if len(present) == 1 or present[-1] == "mps" else "cuda:0"
        return torch.device(best)
    if name == "cuda" and "cuda:0" in present:
        return torch.device("cuda:0")
    if name in present:
        return torch.device(name)
    raise ResourceError(
        f"no device `{name}` on this machine",
        details=(f"there is: {', '.join(present)}",),
        hints=("choose one of these, or `auto`",),
    )


def _list_devices() -> list[str]:
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def choose_precision(name: str, device: torch.device) -> Precision:
    """The number format of the network's work; weights and losses stay fp32.

    Args:
        name: `fp32`, `bf16` or `fp16` is taken as it is. `auto` is bf16 where the hardware computes it (newer NVIDIA
            GPUs; CPUs with AVX512-BF16 or AMX), fp16 on other NVIDIA GPUs, fp32 on everything else.
        device: Where the network runs.

    Raises:
        ValueError: `name` is none of these.
    """
    match name:
        case "fp32" | "bf16" | "fp16":
            return name
        case "auto" if device.type == "cuda":
            with torch.cuda.device(device):  # it asks the current one, and GPUs of one machine may differ
                return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        case "auto":
            return "bf16" if device.type == "cpu" and _cpu_computes_bf16() else "fp32"
    raise ValueError(f"precision must be auto, fp32, bf16 or fp16, not {name!r}")


def _cpu_computes_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    # the kernel's list of flags rather than torch.cpu._is_avx512_bf16_supported, which is private
    try:
        text = cpuinfo.read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return bool({"avx512_bf16", "amx_bf16"} & set(flags.split()))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager:
    """A context in which matrix products and convolutions run in `precision`; nothing changes for fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had no room; torch says so in several ways, and only on GPUs by a class of its own."""
    signs = ("out of memory", "DefaultCPUAllocator", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in signs)


def describe_device(device: torch.device) -> str:
    """One line for a log: what computes, and how much of it there is."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GB)"
    if device.type == "cpu":
        cores = usable_cores()
        return f"cpu ({cores} {'core' if cores == 1 else 'cores'}, {torch.backends.cpu.get_cpu_capability()})"
    return str(device)


def peak_memory(device: torch.device) -> int:
    """Most bytes held at once: by torch on a GPU since its start, by this process in main memory otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def usable_cores(root: Path = Path("/")) -> int:
    """Cores this process may keep busy: its CPU set, cut by a container's quota (rounded up); at least 1.

    Args:
        root: Where `proc` and `sys` lie; tests draw their own.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _control_groups(root, "cpu"):
        quota, period = (
            _read_words(folder / "cpu.max")
            or (_read_words(folder / "cpu.cfs_quota_us")[:1] + _read_words(folder / "cpu.cfs_period_us")[:1])
            or ("max", "1")
        )
        if quota.isdigit() and int(quota) > 0:  # "max" and "-1" say: no limit
            cores = min(cores, -(-int(quota) // int(period)))
    return max(cores, 1)


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes of main memory this process may fill: the machine's, or a container's limit if that is less.

    Args:
        root: Where `proc` and `sys` lie; tests draw their own.
    """
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _control_groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            words = _read_words(folder / name)
            if words and words[0].isdigit():
                limit = min(limit, int(words[0]))
    return limit


def _control_groups(root: Path, controller: str) -> list[Path]:
    """The folders of this process's control group and of all above it, cgroup v2 and v1."""
    top = root / "sys/fs/cgroup"
    folders = []
    for line in _read_lines(root / "proc/self/cgroup") or ["0::/"]:
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = top / controllers if controllers else top
        if controllers and not mount.exists():
            mount = top / controller
        parts = [part for part in place.split("/") if part not in ("", "..")]
        folders += [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return folders


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _read_words(path: Path) -> tuple[str, ...]:
    return tuple(" ".join(_read_lines(path)).split())


def device_memory(device: torch.device) -> int:
    """Bytes that work on `device` may fill: the GPU's own, or main memory as `memory_limit` counts it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_limit()
