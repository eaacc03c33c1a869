"""Available cores, and the threads that networks and OpenCV use."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2

_chosen: int | None = None  # by `share_cores` while torch was not loaded


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


def share_cores(processes: int = 1) -> None:
    """Leave one core for reading and writing; on few cores this is faster than a thread of the network on each.

    Does not load torch: `load_torch` passes the number to it.

    Args:
        processes: that work at the same time; each gets its share of the cores.
    """
    global _chosen
    _chosen = max(1, cores() // processes - 1)
    if "torch" in sys.modules:
        load_torch().set_num_threads(_chosen)
    cv2.setNumThreads(1)


def load_torch() -> Any:
    """The module torch, whose import takes seconds; it gets the threads of an earlier `share_cores`."""
    loaded = "torch" in sys.modules
    import torch

    if not loaded and _chosen:
        torch.set_num_threads(_chosen)
    return torch


def network_threads() -> int:
    """Threads of a network that is opened now: torch's number where torch is loaded."""
    return load_torch().get_num_threads() if "torch" in sys.modules else _chosen or cores()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Run torch, and every backend that is opened in the block, on one thread; restores torch's number afterwards."""
    torch = load_torch()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
