"""Files and folders written atomically: under a temporary name in the same folder, then renamed."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from glob import escape
from itertools import count
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.file_names import shortened

CHOOSE = "choose another folder"
_FIXES = {
    errno.ENOSPC: "free some space or {}",
    errno.EDQUOT: "free some space or {}",
    errno.EFBIG: "raise the limit on file sizes or {}",
    errno.EACCES: "{}, you may not write to this one",
    errno.EPERM: "{}, you may not write to this one",
    errno.EROFS: "{}, you may not write to this one",
    errno.ENOENT: "{}, you may not write to this one",
    errno.ENOTDIR: "{}, a part of this path is a file",
    errno.EEXIST: "{}, a part of this path is a file",
    errno.ENAMETOOLONG: "give it a shorter name",
}


@contextmanager
def write_errors(path: str | Path, choose: str = CHOOSE) -> Iterator[None]:
    """Turn a full disk or a folder without write permission into an `InputError` that names `path`.

    Args:
        path: what is written.
        choose: how to choose another folder, for the message.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        if code not in _FIXES:
            raise
        raise InputError(f"{path}: {os.strerror(code)}: {_FIXES[code].format(choose)}") from error


def _partial(path: Path) -> Path:
    """A hidden sibling of `path`: on the same file system, and another one for each process."""
    return path.with_name(f".{shortened(path.name, 40)}.{os.getpid()}.partial")


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to; at the end it is renamed to `path`, or removed after an exception.

    Raises:
        InputError: the disk is full, or the folder may not be written to.
    """
    path = Path(path)
    temporary = _partial(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def sync(path: str | Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on disk and survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def new_folder(path: str | Path, choose: str = CHOOSE) -> Iterator[Path]:
    """Yield a temporary folder to fill; at the end it is renamed to `path`, or removed after an exception.

    Args:
        path: the folder.
        choose: how to choose another folder, for messages.

    Raises:
        InputError: `path` exists and is not an empty folder, the disk is full, or the parent may not be written to.
    """
    path = Path(path).absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: exists already and is not empty: choose a new folder or remove it")
    temporary = _partial(path)
    with write_errors(path, choose):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_partial(path: Path) -> None:
    """Remove what killed processes left of `path`; the caller ensures that no other process is writing it."""
    for left in path.parent.glob(f".{escape(shortened(path.name, 40))}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def numbered_folder(stem: str) -> Path:
    """A path `<stem>_<time>` that does not exist, with a number behind it where there is one already."""
    wanted = f"{stem}_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    names = (Path(wanted + (f"_{number}" if number > 1 else "")) for number in count(1))
    return next(path for path in names if not path.exists())
