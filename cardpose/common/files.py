"""Files and folders written atomically: under a temporary name in the same folder, then renamed."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.file_names import shortened

CHOOSE = "choose another folder"
ENVIRONMENT = {
    errno.ENOSPC: "free some space or {}",
    errno.EDQUOT: "free some space or {}",
    errno.EFBIG: "raise the limit on file sizes or {}",
    errno.EACCES: "{}, you may not write to this one",
    errno.EPERM: "{}, you may not write to this one",
    errno.EROFS: "{}, you may not write to this one",
    errno.ENOTDIR: "{}, a part of this path is a file",
    errno.EISDIR: "{}, this path is a folder",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "{}, this path is a link to itself",
    errno.EIO: "{}, this disk has a fault",
}
"""Errors of the system that are no fault of the program, and how to fix them."""
_FIXES = {
    **ENVIRONMENT,
    errno.ENOENT: "{}, you may not write to this one",
    errno.EEXIST: "{}, a part of this path is a file",
    errno.ENOTEMPTY: "{}, another command wrote to this one meanwhile",
}


def environment_error(error: OSError) -> InputError | None:
    """The full disk, missing permission or the like that an error is about; None for any other error.

    >>> environment_error(OSError(errno.ENOSPC, "No space left on device", "a.csv"))
    InputError('a.csv: No space left on device: free some space or choose another folder')
    """
    code = error.errno or 0
    if code not in ENVIRONMENT:
        return None
    denied = code in (errno.EACCES, errno.EPERM)  # to read or to write
    fix = "choose another path, or change its permissions" if denied else ENVIRONMENT[code].format(CHOOSE)
    return InputError(f"{error.filename or 'the disk'}: {os.strerror(code)}: {fix}")


def check_is_file(path: Path) -> None:
    """Raise an `InputError` for a pipe, a socket or a device, of which reading may never end; a folder passes."""
    try:
        mode = path.stat().st_mode
    except OSError:  # the reader reports the cause
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: is a pipe or a device: give a file")


def is_zip(path: str | Path) -> bool:
    """As `zipfile.is_zipfile`; True, too, for a damaged archive of which that function of Python 3.11 is an error."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return True


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


@contextmanager
def temporary_sibling(path: Path, folder: bool) -> Iterator[Path]:
    """Make a hidden file or folder beside `path`, on the same file system, that is removed at the end.

    It is locked meanwhile. What killed processes left of `path` has no lock, and is removed first.
    """
    name = shortened(path.name, 40)
    _remove_litter(path.parent, re.escape(name))
    temporary = path.with_name(f".{name}.{os.getpid()}.partial")
    handle = _make_locked(temporary, folder)
    try:
        yield temporary
    finally:
        os.close(handle)
        _remove(temporary)


def _make_locked(path: Path, folder: bool) -> int:
    """Make an empty file or folder and lock it; again where another command took it for litter before the lock."""
    while True:
        _remove(path)
        path.mkdir() if folder else path.touch()
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


def _remove_litter(folder: Path, name: str) -> list[str]:
    """Remove what killed processes left of the paths whose names match the pattern; returns the names."""
    removed = []
    for left in os.scandir(folder):
        found = re.fullmatch(rf"\.({name})\.\d+\.partial", left.name)
        if found and (handle := _lock(left.path)) is not None:
            _remove(Path(left.path))  # while it is locked: nobody takes it for their own
            os.close(handle)
            removed.append(found[1])
    return removed


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A folder for files that are needed in the block only; what killed processes left of it is removed first.

    Args:
        name: equal in every run of one command.

    Raises:
        InputError: the disk is full, or TMPDIR may not be written to.
    """
    path = Path(tempfile.gettempdir(), f"cardpose_{os.getuid()}_{name}")
    with ExitStack() as stack:
        with write_errors(path.parent, "set TMPDIR to another folder"):
            folder = stack.enter_context(temporary_sibling(path, folder=True))
            folder.chmod(0o700)
        yield folder


def _lock(path: str) -> int | None:
    """The handle of a file or folder that is locked now; None if a process uses it, or this cannot be determined."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to; at the end it is renamed to `path`, or removed after an exception.

    Raises:
        InputError: the disk is full, or the folder may not be written to.
    """
    path = Path(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_sibling(path, folder=False) as temporary:
            yield temporary
            os.replace(temporary, path)


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
    with write_errors(path, choose):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_sibling(path, folder=True) as temporary:
            yield temporary
            os.replace(temporary, path)


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def numbered(wanted: str | Path) -> Iterator[Path]:
    """The path, then with _2, _3, ... behind its name, without end."""
    yield Path(wanted)
    yield from (Path(f"{wanted}_{number}") for number in count(2))


def numbered_folder(wanted: str | Path) -> Path:
    """Make a folder; its name gets a number if the wanted one exists. No two processes get the same."""
    Path(wanted).parent.mkdir(parents=True, exist_ok=True)
    for folder in numbered(wanted):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError


@contextmanager
def filled_folder(path: str | Path | None, stem: str) -> Iterator[tuple[Path, Path]]:
    """Yield the path of a folder, and where to write its files: they get their names when all are complete.

    In a folder that has files already, those of the same names are replaced and all others stay.

    Args:
        path: of the folder; None for a new one, `<stem>_<time>`.
        stem: of the new one.

    Raises:
        InputError: `path` is a file, the disk is full, or the folder may not be written to.
    """
    if path is None:
        with write_errors(Path(stem).parent):
            _remove_litter_of_times(Path(stem))
            folder = numbered_folder(f"{stem}_{datetime.now():%Y-%m-%d_%H-%M-%S}")
    else:
        folder = Path(path)
    if folder.is_dir() and any(folder.iterdir()):
        with write_errors(folder), temporary_sibling(folder / "files", folder=True) as partial:
            yield folder, partial
            _move_files(partial, folder)
        return
    try:
        with new_folder(folder) as partial:
            yield folder, partial
    except BaseException:
        if path is None:
            with suppress(OSError):
                folder.rmdir()
        raise


def _move_files(source: Path, folder: Path) -> None:
    names = [path.relative_to(source) for path in source.rglob("*") if not path.is_dir()]
    for path in (folder / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise InputError(f"{path}: is a folder in the place of a file: {CHOOSE}")
    for name in names:
        os.replace(source / name, folder / name)


def _remove_litter_of_times(stem: Path) -> None:
    """Remove what killed processes left of the folders `<stem>_<time>`."""
    if not stem.parent.is_dir():
        return
    for name in _remove_litter(stem.parent, rf"{re.escape(stem.name)}_[\d_-]+"):
        with suppress(OSError):  # it has files
            stem.with_name(name).rmdir()
