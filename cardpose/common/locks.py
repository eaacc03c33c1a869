"""Locks of folders that one command at a time works in, released when the last process that holds them ends.

The locks of the package filelock cannot be inherited by a child process.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.files import write_errors

log = logging.getLogger(__name__)


@contextmanager
def wait_for(lock: Path, waiting: str = "") -> Iterator[int]:
    """Wait until no other process holds the lock, and hold it.

    Yields a file descriptor: a process that inherits it holds the lock as long as it runs, so that a training whose
    parent was killed keeps its folder until it ends.

    Args:
        lock: a separate file in an existing folder.
        waiting: logged if another process holds it.
    """
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                log.info(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


@contextmanager
def only_command(lock: Path, taken: str) -> Iterator[int]:
    """Hold the lock, see `wait_for`, or raise if another command holds it.

    Args:
        lock: a separate file, whose folder is created.
        taken: the message if another command holds it.

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


@contextmanager
def only_command_in(folder: Path, taken: str) -> Iterator[None]:
    """Hold an existing folder itself, without a file in it, or raise if another command holds it.

    Args:
        folder: must exist.
        taken: the message if another command holds it.

    Raises:
        InputError: another command holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(taken) from None
        yield
    finally:
        os.close(handle)


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
