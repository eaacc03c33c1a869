"""The frame cache: every wanted frame at the training size, decoded once, memory-mapped afterwards.

One folder per cache, `<cache folder>/<key>/`, with `images.npy`, `to_source.npy` and, for people,
`about.json`. The key is a hash of all that made it, footage included, so a changed video or size is another
cache and nothing is ever cleared by hand. Caches of the past stay until `make clean`.
"""

import errno
import hashlib
import json
import logging
import mmap
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import IO, Protocol, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cardpose.common.errors import InputError
from cardpose.geometry.letterbox import letterbox

log = logging.getLogger(__name__)

_T = TypeVar("_T")

FORMAT_VERSION = 1
"""Part of the key; raise it when `letterbox` or the files change."""

FrameId = tuple[str, int]
"""Name of the video and index of the frame in it."""

_WINDOW = 65536
"""Linux brings in a mapped file by aligned windows of so many bytes; a multiple of every page size."""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # disk full, quota reached, file size limit
_MEND = "set paths.cache to a folder elsewhere"


class FrameSource(Protocol):
    """What the cache needs of a dataset folder."""

    @property
    def root(self) -> Path: ...

    def read_frames(self, video: str, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]: ...

    def fingerprint(self, video: str) -> str: ...


class FrameCache:
    """A finished cache. Opens its files on first use in each process and pickles as a path only.

    Args:
        path: folder of the cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def images(self) -> np.memmap:
        """(N, H, W, 3) uint8 RGB, a read-only memory map."""
        return np.load(self.path / "images.npy", mmap_mode="r")

    @cached_property
    def to_source(self) -> np.ndarray:
        """(N, 2, 3) float32, maps (x, y, 1) in pixels of the cached image to source pixels."""
        return np.load(self.path / "to_source.npy")

    def frame(self, row: int) -> np.ndarray:
        """A copy of image `row`, (H, W, 3) uint8 RGB.

        What was read of the map leaves this process's memory again: otherwise all frames would count as its own in
        time, for those who watch it, such as a cluster's scheduler. The system keeps them as long as it has room.
        """
        images = self.images
        image = np.array(images[row])
        if isinstance(images.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            start = images.offset % mmap.ALLOCATIONGRANULARITY + row * image.nbytes
            first, last = start // _WINDOW * _WINDOW, -(-(start + image.nbytes) // _WINDOW) * _WINDOW
            images.base.madvise(mmap.MADV_DONTNEED, first, min(last, len(images.base)) - first)
        return image

    def __len__(self) -> int:
        return len(self.to_source)

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}


def cache_key(footage: FrameSource, wanted: Sequence[FrameId], size: tuple[int, int]) -> str:
    """Hash of everything that decides the cache's content: 16 hexadecimal digits."""
    videos = list(dict.fromkeys(video for video, _ in wanted))
    recipe = {
        "version": FORMAT_VERSION,
        "root": str(Path(footage.root).resolve()),
        "size": list(size),
        "wanted": [list(frame) for frame in wanted],
        "footage": {video: footage.fingerprint(video) for video in videos},
    }
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]


def open_or_build(
    footage: FrameSource,
    wanted: Sequence[FrameId],
    size: tuple[int, int],
    folder: Path,
    progress: bool = True,
) -> FrameCache:
    """Open the cache of these frames, building it first where it does not exist.

    A cache appears by one rename, so a folder of the right name is always whole. The builder holds a lock: a
    second run that wants the same cache waits and then opens it; what a killed builder left is removed by
    the next one.

    Args:
        footage: where the frames come from.
        wanted: the frames; those of one video stand together, in ascending order.
        size: (H, W) of the cached images.
        folder: parent of all caches; made where missing.
        progress: show a bar where the terminal allows it.

    Raises:
        InputError: the folder cannot be written or is full, a frame cannot be read, or the footage changed
            meanwhile.
    """
    key = cache_key(footage, wanted, size)
    path = Path(folder) / key
    if path.is_dir():
        return FrameCache(path)
    with _enough_space(Path(folder), len(wanted) * size[0] * size[1] * 3):
        _make_folder(path.parent)
        with _lock(path.with_suffix(".lock")):
            if not path.is_dir():
                _build(footage, wanted, size, path, progress)
    return FrameCache(path)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock file; say so when another process holds it. The kernel frees it when its holder dies."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another run is building the frame cache %s, waiting for it", path.stem)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make_folder(folder: Path) -> None:
    forbidden: OSError | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise
        forbidden = error
    if forbidden or not os.access(folder, os.W_OK):
        reason = forbidden.strerror if forbidden else "no permission"
        raise InputError(f"{folder}: no frame cache can be written here ({reason}): {_MEND}") from forbidden


@contextmanager
def _enough_space(folder: Path, num_bytes: int) -> Iterator[None]:
    """Turn a full disk into one line for the user."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        needed = f"the frame cache needs {num_bytes / 1e6:.0f} MB"
        raise InputError(f"{folder}: the disk is full, {needed}: free some space or {_MEND}") from error


def _build(
    footage: FrameSource, wanted: Sequence[FrameId], size: tuple[int, int], path: Path, progress: bool
) -> None:
    """Write the cache beside `path` and rename it; the caller holds the lock."""
    megabytes = len(wanted) * size[0] * size[1] * 3 / 1e6
    log.info("building the frame cache: %d frames, %.0f MB, %s", len(wanted), megabytes, path)
    partial = path.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a builder that was killed
    try:
        partial.mkdir()
        frames = _fitted(footage, wanted, size)
        _write(partial, _with_progress(frames, len(wanted), progress), len(wanted), size)
        about = {
            "root": str(footage.root),
            "size": list(size),
            "frames": len(wanted),
            "version": FORMAT_VERSION,
        }
        (partial / "about.json").write_text(json.dumps(about, indent=1))
        if cache_key(footage, wanted, size) != path.name:
            raise InputError(f"{footage.root}: the footage changed while its frames were read: start again")
        os.replace(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _fitted(
    footage: FrameSource, wanted: Sequence[FrameId], size: tuple[int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The wanted frames in order, letterboxed, one at a time."""
    for video, frames in groupby(wanted, key=lambda frame: frame[0]):
        indices = [index for _, index in frames]
        for expected, (index, image) in zip(indices, footage.read_frames(video, indices), strict=True):
            if index != expected:
                raise ValueError(f"{video}: read frame {index} where {expected} was expected, out of order")
            yield letterbox(image, size)


def _write(
    folder: Path, frames: Iterator[tuple[np.ndarray, np.ndarray]], count: int, size: tuple[int, int]
) -> None:
    """Write images.npy and to_source.npy.

    Plain writes, not through a memory map: there a full disk is a SIGBUS that kills the process, here an
    OSError.
    """
    to_source = []
    with open(folder / "images.npy", "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *size, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        for image, affine in frames:
            file.write(image.data)
            to_source.append(affine)
        _sync(file)
    with open(folder / "to_source.npy", "wb") as file:
        np.save(file, np.stack(to_source))
        _sync(file)


def _sync(file: IO[bytes]) -> None:
    """Wait until the content is on the disk, so that the rename never publishes an empty file after a power
    cut."""
    file.flush()
    os.fsync(file.fileno())


def _with_progress(items: Iterator[_T], total: int, enabled: bool) -> Iterator[_T]:
    """Pass the items on under a bar with rate and time left, on a terminal only."""
    console = Console(stderr=True)
    columns = (
        TextColumn("frame cache"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (enabled and console.is_terminal)) as bar:
        yield from bar.track(items, total=total)


class _RateColumn(ProgressColumn):
    """Frames per second; rich's own speed columns count bytes."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f} frames/s")
