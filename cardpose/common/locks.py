"""Folders that one command at a time works in. A lock ends with the last process that holds it, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.files import write_errors


@contextmanager
def wait_for(lock: Path) -> Iterator[int]:
    """Wait until no other process holds the lock, and hold it.

    Yields a file descriptor: a process that inherits it holds the lock for as long as it lives. So a training whose
    parent was killed keeps its folder to itself until it ends.

    Args:
        lock: a file of its own; its folder exists.
    """
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


@contextmanager
def only_command(lock: Path, taken: str) -> Iterator[int]:
    """Hold the lock, or refuse; see `wait_for`.

    Args:
        lock: a file of its own; its folder is made.
        taken: what is said where another command holds it.

    Raises:
        InputError: another command holds it, or the folder may not be written to.
    """
    with write_errors(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(taken) from None
        yield file.fileno()


def is_held(lock: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
