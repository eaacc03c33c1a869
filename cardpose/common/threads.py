"""Cores that there are, and threads that torch and OpenCV use of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


def cores() -> int:
    """Cores that this process may use; where the system does not tell, those of the machine.

    Fewer where OMP_NUM_THREADS says so, as it does for each of several jobs of one machine (launcher=joblib).
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(there, int(share)) if share.isdecimal() and int(share) > 0 else there


def processes_here() -> int:
    """Processes on this machine that share its cores to train one model, as their launcher tells: 1 where none does.

    SLURM's tasks have cores of their own.
    """
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def share_cores() -> None:
    """Leave a core to reading and writing: on few cores, threads of the network that wait for each other cost more."""
    torch.set_num_threads(max(1, cores() - 1))
    cv2.setNumThreads(1)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """torch, and every backend that is opened inside, computes on one thread; afterwards torch on as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
