"""What a loader's worker costs."""

import gc
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from cardpose.benchmarks.memory import memory_of
from cardpose.common.packet import Annotation
from cardpose.data.loading import seed_worker

FRAMES = 100_000


def own_memory(frozen: bool, result: Connection) -> None:
    """What a forked process has copied, in MB, after its garbage collector has looked at everything."""
    if frozen:
        seed_worker(0)
    gc.collect()
    result.send(memory_of(multiprocessing.current_process().pid).own)


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="this system does not tell a process's pages"
)
def test_a_worker_copies_no_labels() -> None:
    corners, visibility = np.zeros((8, 2), np.float32), np.full(8, 2, np.int8)
    labels = [Annotation("a", i, 0.0, 4, 4, corners, visibility, 9) for i in range(FRAMES)]
    context = multiprocessing.get_context("fork")
    own = {}
    for frozen in (True, False):
        reader, writer = context.Pipe(duplex=False)
        worker = context.Process(target=own_memory, args=(frozen, writer))
        worker.start()
        own[frozen] = reader.recv()
        worker.join()
    assert own[False] - own[True] > 100 * len(labels) / 2**20, (
        "a collection copies the labels' pages: 100 bytes each"
    )
