"""Available cores, and the threads that torch and OpenCV use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


def cores() -> int:
    """Number of cores that this process may use; if the system does not report it, those of the machine.

    Limited by OMP_NUM_THREADS, which is set for each of several jobs on one machine (launcher=joblib).
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(there, int(share)) if share.isdecimal() and int(share) > 0 else there


def processes_here() -> int:
    """Number of processes on this machine that share its cores to train one model, as set by torchrun; otherwise 1.

    SLURM's tasks have cores of their own.
    """
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def share_cores() -> None:
    """Leave one core for reading and writing; on few cores this is faster than a thread of the network on each."""
    torch.set_num_threads(max(1, cores() - 1))
    cv2.setNumThreads(1)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Run torch, and every backend that is opened in the block, on one thread; restores torch's number afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
