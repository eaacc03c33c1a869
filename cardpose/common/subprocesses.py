"""A command in a child process that is stopped together with this process."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import parent_process
from types import FrameType
from typing import Any

TERMINATED = 128 + signal.SIGTERM
INTERRUPTED = 130
"""Exit code after Ctrl-C, as in a shell."""

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def end_with_parent(number: int = signal.SIGINT) -> None:
    """Have Linux send this process a signal when its parent ends; elsewhere it outlives a parent that is killed."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(number))


def start_worker() -> None:
    """Set up a process of a pool: its parent handles Ctrl-C, and it does not outlive a parent that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(signal.SIGTERM)
    parent = parent_process()
    if parent is None or os.getppid() != parent.pid:  # killed while this worker was starting
        os._exit(1)


@contextmanager
def job_of_worker() -> Iterator[None]:
    """End a worker of a pool at a `SystemExit` in the block; joblib's workers would go on."""
    try:
        yield
    except SystemExit:
        if parent_process() is not None:
            os._exit(TERMINATED)
        raise


@contextmanager
def starting_workers() -> Iterator[None]:
    """Keep Ctrl-C from processes that start inside the block until their `start_worker` ignores it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def call(words: Sequence[str], **options: Any) -> tuple[int, bool]:
    """Run a command and return its exit code, and whether Ctrl-C was pressed meanwhile.

    The terminal sends Ctrl-C to the command as well; this process waits until the command has ended. SIGTERM ends both.
    If this process is killed, the command gets Ctrl-C.

    Args:
        options: of `subprocess.Popen`.

    Raises:
        SystemExit: SIGTERM.
    """
    pressed: list[int] = []
    terminated: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def end(number: int, frame: FrameType | None) -> None:
        terminated.append(number)  # no exception: Python ignores one in the callbacks of a fork
        for process in started:
            process.kill()

    with handling(signal.SIGINT, lambda number, _: pressed.append(number)), handling(signal.SIGTERM, end):
        started.append(subprocess.Popen(words, **{"preexec_fn": end_with_parent, **options}))
        if terminated:
            started[0].kill()
        code = started[0].wait()
    if terminated:
        raise SystemExit(TERMINATED)
    return code, bool(pressed) or code in (INTERRUPTED, -signal.SIGINT)


@contextmanager
def handling(number: signal.Signals, handler: Any) -> Iterator[None]:
    """Handle a signal with `handler` inside the block."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
