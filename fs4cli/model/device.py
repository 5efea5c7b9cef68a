"""Where the model runs, in which number format, and what the machine has to offer.

In: the names a user may give. Out: a device, a precision, the context that applies it, and what the device has.
"""

import contextlib
import resource
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import torch
from threadpoolctl import threadpool_limits

from fs4cli.errors import ResourceError
from fs4cli.machine import memory_limit, usable_cores

Precision = Literal["fp32", "bf16", "fp16"]
"""The number format of the network's work."""


def choose_device(name: str) -> torch.device:
    """The device that `name` means on this machine; torch works on no more cores than a container's quota leaves.

    Args:
        name: `auto` (a GPU if there is one, else the CPU), `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        ResourceError: There is no such device; the message lists those there are.
    """
    # more threads than cores wait for each other many times over
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
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


def keep_to_one_core() -> None:
    """What the calling thread computes from now on is not divided among cores: OpenMP counts for each thread anew.

    For threads that work side by side, each on an image of its own: a small map is too little to be divided.
    """
    torch.get_num_threads()  # torch sets its own number where a thread first asks for it: before, not after
    threadpool_limits(1, user_api="openmp")


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


def device_memory(device: torch.device) -> int:
    """Bytes that work on `device` may fill: the GPU's own, or main memory as `memory_limit` counts it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_limit()
