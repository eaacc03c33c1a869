"""What the machine computes fastest is detected, and can be forced."""

import os
import platform
import resource
from pathlib import Path

import pytest
import torch

from cardpose.common.errors import InputError
from cardpose.common.threads import cores
from cardpose.training import hardware


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a GPU and without bf16 instructions."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return monkeypatch


def test_a_cpu_without_bf16_computes_in_float32(cpu: pytest.MonkeyPatch) -> None:
    assert hardware.choose_precision("auto") == hardware.choose_precision("cpu") == "32-true"


@pytest.mark.parametrize("instructions", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_a_cpu_with_bf16_uses_it(cpu: pytest.MonkeyPatch, instructions: str) -> None:
    cpu.setattr(torch.cpu, instructions, lambda: True)
    assert hardware.choose_precision("auto") == "bf16-mixed"


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_is_asked_too(cpu: pytest.MonkeyPatch, supported: bool, precision: str) -> None:
    cpu.setattr(torch.cuda, "is_available", lambda: True)
    cpu.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert hardware.choose_precision("gpu") == precision


def test_precision_can_be_forced() -> None:
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    assert hardware.make_trainer(precision="bf16-mixed", **options).precision == "bf16-mixed"


def test_memory_formats_have_names() -> None:
    assert hardware.choose_memory_format("auto") == torch.channels_last
    assert hardware.choose_memory_format("contiguous") == torch.contiguous_format
    with pytest.raises(
        InputError, match=r"trainer\.memory_format=nhwc: choose auto, channels_last, contiguous"
    ):
        hardware.choose_memory_format("nhwc")


def test_the_machine_is_described_for_figures() -> None:
    about = hardware.describe()
    assert set(about) == {"processor", "cores", "threads", "gpu", "torch"}
    assert int(about["cores"]) >= 1


def test_a_share_of_the_cores_is_all_that_a_job_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = cores()
    for share, expected in (
        ("1", 1),
        ("1,2", 1),
        ("4096", there),
        ("0", there),
        ("", there),
        ("many", there),
    ):
        monkeypatch.setenv("OMP_NUM_THREADS", share)
        assert cores() == expected


def huge_pages() -> bool:
    """Whether the kernel gives every program pages of 2 MB, so that there are few of them to clear."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.is_file() and "[always]" in setting.read_text()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or huge_pages(), reason="of glibc, with small pages")
def test_large_tensors_take_the_memory_of_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]:
        monkeypatch.delenv(name)
    assert hardware.keep_freed_memory()
    numbers, pages = 2**24, 2**26 // resource.getpagesize()  # 64 MB
    for _ in range(20):  # the first few lie in other places
        torch.empty(numbers).fill_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(numbers).fill_(1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < pages / 10


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_a_users_choice_of_memory_is_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    assert not hardware.keep_freed_memory()
