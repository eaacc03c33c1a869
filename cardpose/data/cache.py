"""The frame cache: every required frame at the training size, decoded once, then memory-mapped.

One folder per cache, `<cache folder>/<key>/`, with `images.npy`, `to_source.npy` and, for people, `about.json`. The key
is a hash of everything that determines the content, including the footage: a changed video or size gives another cache,
and no cache has to be cleared by hand. Old caches stay until `make clean`.
"""

import hashlib
import json
import logging
import mmap
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import new_folder, sync, write_errors
from cardpose.common.locks import wait_for
from cardpose.common.packet import FrameId
from cardpose.common.progress import ProgressBar
from cardpose.data.footage.folder import DatasetFolder
from cardpose.geometry.letterbox import letterbox

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
"""Part of the key; raise it when `letterbox` or the files change."""

_WINDOW = 65536
"""Linux reads a mapped file in aligned windows of this many bytes; a multiple of every page size."""


class FrameCache:
    """A finished cache. Opens its files on first use in each process; pickles as a path only.

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

        The pages that were read are released from this process; otherwise all frames would eventually count as its
        memory, for example in a cluster's scheduler. The operating system still caches them while it has room.
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


def cache_key(footage: DatasetFolder, wanted: Sequence[FrameId], size: tuple[int, int]) -> str:
    """Hash of everything that determines the content of the cache: 16 hexadecimal digits."""
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
    footage: DatasetFolder, wanted: Sequence[FrameId], size: tuple[int, int], folder: Path
) -> FrameCache:
    """Open the cache of these frames, or build it if it does not exist.

    A cache appears by one rename, so a folder with its name is always complete. The builder holds a lock: a second
    process that needs the same cache waits and then opens it; the next builder removes what a killed one left.

    Args:
        footage: the source of the frames.
        wanted: the frames; those of one video are adjacent, in ascending order.
        size: (H, W) of the cached images.
        folder: parent folder of all caches, created if it is missing.

    Raises:
        InputError: the folder cannot be written or the disk is full, a frame cannot be read, or the footage changed
            meanwhile.
    """
    key = cache_key(footage, wanted, size)
    path = Path(folder) / key
    if path.is_dir():
        return FrameCache(path)
    megabytes = len(wanted) * size[0] * size[1] * 3 / 1e6
    choose = f"set paths.cache to a folder for a frame cache of {megabytes:.0f} MB"
    with write_errors(folder, choose):
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"another run is building the frame cache {key}, waiting for it"
        with wait_for(path.with_suffix(".lock"), waiting):
            if not path.is_dir():
                log.info("building the frame cache: %d frames, %.0f MB, %s", len(wanted), megabytes, path)
                with new_folder(path, choose) as partial:
                    _write(partial, footage, wanted, size)
                    if cache_key(footage, wanted, size) != key:
                        raise InputError(
                            f"{footage.root}: the footage changed while it was read: start again"
                        )
    return FrameCache(path)


def _letterboxed(
    footage: DatasetFolder, wanted: Sequence[FrameId], size: tuple[int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The frames in order, with their affine maps to source pixels."""
    for video, frames in groupby(wanted, key=lambda frame: frame[0]):
        indices = [index for _, index in frames]
        for expected, (index, image) in zip(indices, footage.read_frames(video, indices), strict=True):
            if index != expected:
                raise ValueError(f"{video}: read frame {index} where {expected} was expected, out of order")
            yield letterbox(image, size)


def _write(folder: Path, footage: DatasetFolder, wanted: Sequence[FrameId], size: tuple[int, int]) -> None:
    """Write the files and sync them to disk.

    Images are written sequentially, not through a memory map: there a full disk is a SIGBUS that kills the process,
    here an OSError.
    """
    to_source = []
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(wanted), *size, 3)}
    with open(folder / "images.npy", "wb") as file, ProgressBar("frame cache", len(wanted)) as bar:
        np.lib.format.write_array_header_1_0(file, header)
        for image, affine in _letterboxed(footage, wanted, size):
            file.write(image.data)
            to_source.append(affine)
            bar.advance()
    np.save(folder / "to_source.npy", np.stack(to_source))
    about = {"root": str(footage.root), "size": list(size), "frames": len(wanted), "version": FORMAT_VERSION}
    (folder / "about.json").write_text(json.dumps(about, indent=1))
    for name in ("images.npy", "to_source.npy"):
        sync(folder / name)
