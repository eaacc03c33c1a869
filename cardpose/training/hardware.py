"""The precision, memory format and allocator settings that are fastest on this machine, and the Trainer."""

import ctypes
import logging
import os
import sys
from inspect import signature
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from cardpose.common.errors import InputError
from cardpose.common.threads import cores

log = logging.getLogger(__name__)

BF16 = "bf16-mixed"
FULL = "32-true"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`, https://man7.org/linux/man-pages/man3/mallopt.3.html."""
_SYNC_BUFFERS = next(  # torch 2.13 renamed it
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in signature(DistributedDataParallel).parameters
)


def on_gpu(accelerator: str) -> bool:
    """Whether a Lightning `accelerator` name means a CUDA device on this machine."""
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def choose_precision(accelerator: str) -> str:
    """bf16 autocast if the device has native bf16 arithmetic, else float32.

    On a CPU without such instructions (AVX-512 BF16 or AMX) bf16 is emulated and slower than float32.
    """
    if on_gpu(accelerator):
        return BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else FULL
    if accelerator in ("auto", "cpu"):
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return BF16 if native else FULL
    return FULL


def choose_memory_format(name: str) -> torch.memory_format:
    """The memory format of images and weights; "auto" is channels_last.

    oneDNN and cuDNN compute convolutions in channels-last and would have to reorder other tensors.
    `python -m cardpose.bench benchmarks=[step]` compares the choices on a machine.

    Raises:
        InputError: an unknown name.
    """
    formats = {
        "auto": torch.channels_last,
        "channels_last": torch.channels_last,
        "contiguous": torch.contiguous_format,
    }
    if name not in formats:
        raise InputError(f"trainer.memory_format={name}: choose {', '.join(formats)}")
    return formats[name]


def keep_freed_memory() -> bool:
    """Let glibc keep the memory of freed tensors, in this process from now on; returns whether it does.

    By default it gives a block above 32 MB, one large feature map of a batch, back to the system, which then clears
    every page of the next one. Environment variables MALLOC_... or GLIBC_TUNABLES leave everything as it is.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        log.debug("MALLOC_... or GLIBC_TUNABLES is set: freed memory goes back to the system as they say")
        return False
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # another C library
        return False
    return bool(libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, -1))


def make_trainer(
    *, precision: str = "auto", accelerator: str = "auto", strategy: str = "auto", **kwargs: Any
) -> Trainer:
    """A Lightning Trainer.

    Args:
        precision: "auto" is resolved by `choose_precision`.
        accelerator: one of Lightning's names.
        strategy: "auto" for one device, "ddp" (DistributedDataParallel) for any number.
        kwargs: further arguments of Lightning's Trainer.

    Raises:
        InputError: an unknown strategy, several devices without "ddp", or an option that needs one device.
    """
    keep_freed_memory()
    if precision == "auto":
        precision = choose_precision(accelerator)
    if strategy not in ("auto", "ddp"):
        raise InputError(f"trainer.strategy={strategy}: choose auto, or ddp for several devices")
    plan = DDPStrategy(**{_SYNC_BUFFERS: False}) if strategy == "ddp" else "auto"  # see CardposeModule
    trainer = Trainer(
        precision=precision,
        accelerator=accelerator,
        strategy=plan,
        use_distributed_sampler=False,  # the data module has its own
        **kwargs,
    )
    if strategy == "auto" and trainer.world_size > 1:
        raise InputError(f"trainer: {trainer.world_size} devices need trainer=ddp or trainer.strategy=ddp")
    if trainer.overfit_batches and trainer.world_size > 1:
        raise InputError("trainer.overfit_batches is for one device: set trainer.devices=1")
    return trainer


def describe() -> dict[str, str | int]:
    """The machine, for results: processor, usable cores, torch threads, GPU or "none", torch version."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
    }


def _processor() -> str:
    """Model name and the widest instruction set that torch uses."""
    name = "unknown"
    try:
        with open("/proc/cpuinfo") as lines:
            name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
