"""Files that are whole or absent: written under a temporary name beside their place, then renamed."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardpose.common.errors import InputError

_MENDS = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
    errno.EFBIG: "raise the limit on file sizes or choose another folder",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOENT: "choose a folder that you may write to",
    errno.ENOTDIR: "choose a folder, a part of this path is a file",
    errno.EEXIST: "choose a folder, a part of this path is a file",
}


@contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into an `InputError` that names `path`."""
    try:
        yield
    except OSError as error:
        mend = _MENDS.get(error.errno or 0)
        if mend is None:
            raise
        raise InputError(f"{path}: {os.strerror(error.errno or 0)}: {mend}") from error


def _partial(path: Path) -> Path:
    """A hidden sibling of `path`: renaming stays on one file system, and other processes choose others."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; rename it to `path` at the end, or remove it after an exception.

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
    """Wait until a file's bytes, or a folder's names, are on the disk and outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder to fill; rename it to `path` at the end, or remove it after an exception.

    Raises:
        InputError: `path` exists already and is not an empty folder, the disk is full, or the parent may not
            be written to.
    """
    path = Path(path).absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: exists already and is not empty: choose a new folder or remove it")
    temporary = _partial(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
