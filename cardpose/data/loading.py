"""The processes that load: how many, and what each does first."""

import gc
import random
import signal

import cv2
import numpy as np
import torch


def choose_num_workers(cores: int, gpu: bool) -> int:
    """Worker processes for loading: on a GPU machine one per core but one, at most 8; else half the cores,
    since the network computes on the same ones.

    >>> choose_num_workers(2, gpu=False), choose_num_workers(16, gpu=False), choose_num_workers(16, gpu=True)
    (1, 4, 8)
    """
    return max(1, min(8, cores - 1) if gpu else min(4, cores // 2))


def seed_worker(worker: int) -> None:
    """Seed what a worker process could draw from, keep its OpenCV from starting threads, leave Ctrl-C alone.

    A forked worker shares the memory of the process that it came from as long as neither writes to it. The garbage
    collector would write to every object that it looks at, each frame's label among them, so it is to look at none
    of those.
    """
    gc.freeze()
    seed = torch.initial_seed() % 2**32
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle, and it ends its batch
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (a library may still use the global generator)
    cv2.setNumThreads(0)
