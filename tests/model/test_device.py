import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fs4cli.errors import ResourceError
from fs4cli.model import device as module
from fs4cli.model.device import (
    autocast,
    choose_device,
    choose_precision,
    describe_device,
    keep_to_one_core,
    peak_memory,
)

CPU = torch.device("cpu")


def test_a_thread_that_keeps_to_one_core_leaves_the_others_theirs():
    before = torch.get_num_threads()

    def count() -> int:
        keep_to_one_core()
        torch.ones(64, 64) @ torch.ones(64, 64)  # torch may set its number when it first works in a thread
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(count).result() == 1
    assert torch.get_num_threads() == before


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


def test_torch_works_on_no_more_cores_than_a_quota_leaves(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "usable_cores", lambda: 1)
    try:
        choose_device("cpu")
        assert torch.get_num_threads() == 1
        monkeypatch.setattr(module, "usable_cores", lambda: 64)
        choose_device("cpu")
        assert torch.get_num_threads() == 1  # fewer threads are somebody's choice
    finally:
        torch.set_num_threads(before)


def test_peak_memory_is_in_bytes():
    held = torch.ones(2**26)  # 256 MB

    assert held.sum() == 2**26
    assert 2**28 < peak_memory(CPU) < 2**36


def test_a_device_is_described_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 1)

    assert describe_device(CPU) == f"cpu (1 core, {torch.backends.cpu.get_cpu_capability()})"
    assert describe_device(torch.device("mps")) == "mps"
