import contextlib
import os
from pathlib import Path

import pytest
import torch

from fs4cli.errors import ResourceError
from fs4cli.model import device as module
from fs4cli.model.device import (
    autocast,
    choose_device,
    choose_precision,
    describe_device,
    memory_limit,
    peak_memory,
    usable_cores,
)

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Makes torch see another machine."""

    def make(*, gpus: int = 0, mps: bool = False, bf16: bool = False, flags: str = ""):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return make


@pytest.mark.parametrize(
    ("gpus", "mps", "name", "chosen"),
    [
        (0, False, "auto", "cpu"),
        (2, False, "auto", "cuda:0"),
        (0, True, "auto", "mps"),
        (2, False, "cuda", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (2, False, "cpu", "cpu"),
        (0, True, "mps", "mps"),
    ],
)
def test_a_name_means_a_device_of_this_machine(machine, gpus, mps, name, chosen):
    machine(gpus=gpus, mps=mps)

    assert choose_device(name) == torch.device(chosen)


@pytest.mark.parametrize(
    ("gpus", "name", "present"),
    [
        (0, "cuda", "cpu"),
        (1, "cuda:1", "cpu, cuda:0"),
        (1, "mps", "cpu, cuda:0"),
        (0, "gpu", "cpu"),
        (1, "cuda:x", "cpu, cuda:0"),
    ],
)
def test_a_device_that_is_not_there_is_an_error_that_lists_those_that_are(machine, gpus, name, present):
    machine(gpus=gpus)
    with pytest.raises(ResourceError, match=f"no device `{name}`") as raised:
        choose_device(name)

    assert raised.value.details == (f"there is: {present}",)


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_computes_in_the_best_format_it_has(machine, bf16, expected):
    machine(gpus=1, bf16=bf16)

    assert choose_precision("auto", torch.device("cuda:0")) == expected


@pytest.mark.parametrize(
    ("cpuinfo", "has_it"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags : fpu amx_bf16 amx_tile", True),
        ("flags : fpu avx2 avx512f", False),
        ("Features : fp asimd", False),
        ("", False),
    ],
)
def test_a_cpu_computes_bf16_only_where_its_flags_say_so(tmp_path, cpuinfo, has_it):
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)

    assert module._cpu_computes_bf16(file) == has_it
    assert not module._cpu_computes_bf16(tmp_path / "missing")


@pytest.mark.parametrize(("has_it", "expected"), [(True, "bf16"), (False, "fp32")])
def test_a_cpu_takes_bf16_if_it_computes_it(monkeypatch, has_it, expected):
    monkeypatch.setattr(module, "_cpu_computes_bf16", lambda: has_it)

    assert choose_precision("auto", CPU) == expected
    assert choose_precision("auto", torch.device("mps")) == "fp32"


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_a_precision_that_is_named_is_taken(name):
    assert choose_precision(name, CPU) == name


def test_an_unknown_precision_is_the_callers_mistake():
    with pytest.raises(ValueError, match="not 'fp8'"):
        choose_precision("fp8", CPU)


@pytest.mark.parametrize(
    ("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_products_are_computed_in_the_precision_and_weights_stay_fp32(precision, kind):
    layer = torch.nn.Linear(4, 4)
    with autocast(CPU, precision):
        product = layer(torch.ones(2, 4))

    assert product.dtype == kind
    assert layer.weight.dtype == torch.float32


def make_machine(root: Path, group: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # one and a half: rounded up
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),  # the one above binds
        ("4:cpu,cpuacct:/\n", {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "400000", "cpu/x/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("1:name=systemd:/\n", {}, 8),
    ],
)
def test_a_containers_quota_limits_the_cores(tmp_path, monkeypatch, group, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)

    assert usable_cores(make_machine(tmp_path, group, files)) == cores


def test_without_a_container_the_cpu_set_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)

    assert usable_cores(tmp_path) == 3


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "1048576\n"}, 1048576),
        ("0::/a/b\n", {"a/memory.max": "2097152", "a/b/memory.max": "max"}, 2097152),
        ("9:memory:/a\n", {"memory/a/memory.limit_in_bytes": "1048576"}, 1048576),
        ("0::/\n", {"memory.max": "max"}, None),
        ("9:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),  # v1 for: no limit
    ],
)
def test_a_containers_limit_counts_if_it_is_below_the_machines_memory(tmp_path, group, files, limit):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert memory_limit(make_machine(tmp_path, group, files)) == (limit or machine)


def test_peak_memory_is_in_bytes():
    held = torch.ones(2**26)  # 256 MB

    assert held.sum() == 2**26
    assert 2**28 < peak_memory(CPU) < 2**36


def test_a_device_is_described_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 1)

    assert describe_device(CPU) == f"cpu (1 core, {torch.backends.cpu.get_cpu_capability()})"
    assert describe_device(torch.device("mps")) == "mps"
