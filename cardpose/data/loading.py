"""The worker processes of the data loaders."""

import gc
import multiprocessing
import random
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import torch

from cardpose.common.errors import InputError

SHARED_MEMORY = Path("/dev/shm")
PREFETCHED = 2
"""Batches that a worker loads ahead."""


def choose_num_workers(cores: int, gpu: bool) -> int:
    """Worker processes per loader. With a GPU one per core but one, at most 8; without, half the cores, at most 4.

    >>> choose_num_workers(2, gpu=False), choose_num_workers(16, gpu=False), choose_num_workers(16, gpu=True)
    (1, 4, 8)
    """
    return max(1, min(8, cores - 1) if gpu else min(4, cores // 2))


def check_shared_memory(num_workers: int, batch_bytes: int) -> None:
    """Check that workers can pass their batches on; containers may have little shared memory, or none.

    Raises:
        InputError: they cannot.
    """
    if num_workers == 0:
        return
    needed = PREFETCHED * num_workers * batch_bytes
    try:
        torch.empty(1).share_memory_()
        multiprocessing.Lock()
        enough = not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free >= needed
    except (OSError, RuntimeError):
        enough = False
    if not enough:
        raise InputError(
            f"data.num_workers={num_workers}: the workers need {max(needed / 1e6, 1):.0f} MB of shared memory, which "
            f"{SHARED_MEMORY} does not have: set data.num_workers=0, or give the container more (docker run --shm-size)"
        )


def seed_worker(worker: int) -> None:
    """Seed the global generators of a worker, keep OpenCV from starting threads, and ignore Ctrl-C.

    A forked worker shares memory with its parent until one of them writes to it. The garbage collector writes to every
    object that it visits, including each frame's label, so the existing objects are excluded from it.
    """
    gc.freeze()
    seed = torch.initial_seed() % 2**32
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it, and finishes its batch
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (a library may still use the global generator)
    cv2.setNumThreads(0)
