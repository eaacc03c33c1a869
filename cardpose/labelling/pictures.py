"""Frames as picture files for the browser: image files as they are, frames of videos extracted once into a cache."""

import hashlib
import threading
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import list_frames, read_image, write_image
from cardpose.common.packet import FrameId
from cardpose.data.footage.video import iterate
from cardpose.data.labels.tables import FRAMES


class Pictures:
    """Picture files of a dataset folder's frames; thread-safe.

    Args:
        root: the dataset folder. Symlinks that point outside of it are refused.
        frames: the frames that will be requested.
        cache: folder for frames of videos, as JPEG; reused by later sessions.

    Raises:
        InputError: footage is missing or outside the folder.
    """

    def __init__(self, root: Path, frames: Iterable[FrameId], cache: Path) -> None:
        self._root = root.resolve()
        wanted: dict[str, set[int]] = {}
        for video, index in frames:
            wanted.setdefault(video, set()).add(index)
        self._loose: dict[str, dict[int, Path]] = {}
        self._videos: dict[str, _VideoFrames] = {}
        for video, indices in wanted.items():
            path = self._inside(root / video)
            if video.startswith(f"{FRAMES}/"):
                self._loose[video] = list_frames(path)
            else:
                self._videos[video] = _VideoFrames(path, indices, cache / "label")

    def file(self, key: FrameId) -> Path:
        """The picture of a frame; waits until it is extracted from its video.

        Raises:
            InputError: the frame does not exist.
        """
        video, index = key
        if video in self._videos:
            return self._videos[video].file(index)
        if index not in self._loose[video]:
            raise InputError(f"{self._root / video}: has no frame {index}: put it back")
        return self._inside(self._loose[video][index])

    def image(self, key: FrameId) -> np.ndarray:
        """(H, W, 3) uint8 RGB.

        Raises:
            InputError: the frame does not exist, or its file is not an image.
        """
        return read_image(self.file(key))

    def size(self, key: FrameId) -> tuple[int, int]:
        """Width and height in pixels; raises as `image`."""
        height, width = self.image(key).shape[:2]
        return width, height

    def _inside(self, path: Path) -> Path:
        """Return `path` if it exists and no symlink points outside of the folder."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self._root):
            raise InputError(f"{path}: symlink points outside the dataset folder: replace it with a copy")
        if not resolved.exists():
            raise InputError(f"{path}: does not exist: put it there or remove its row from videos.csv")
        return path


class _VideoFrames:
    """The requested frames of one video, all extracted in one pass on the first request."""

    def __init__(self, path: Path, wanted: Collection[int], cache: Path) -> None:
        status = path.stat()
        identity = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
        self._path, self._wanted = path, wanted
        self._folder = cache / hashlib.sha256(identity.encode()).hexdigest()[:32]
        self._changed = threading.Condition()
        self._extracting = False
        self._problem: InputError | None = None

    def file(self, index: int) -> Path:
        """The picture of a frame; waits until it is extracted.

        Raises:
            InputError: the video has no such frame, or cannot be read.
        """
        picture = self._folder / f"{index}.jpg"
        with self._changed:
            if not picture.is_file() and not self._extracting:
                self._extracting, self._problem = True, None
                threading.Thread(target=self._extract, daemon=True).start()
            self._changed.wait_for(lambda: picture.is_file() or not self._extracting)
        if not picture.is_file():
            raise self._problem or InputError(f"{self._path}: has no frame {index}: correct frame_index")
        return picture

    def _extract(self) -> None:
        try:
            missing = [index for index in self._wanted if not (self._folder / f"{index}.jpg").is_file()]
            for frame in iterate(self._path, indices=missing):
                write_image(self._folder / f"{frame.index}.jpg", frame.image)
                with self._changed:
                    self._changed.notify_all()
        except InputError as error:
            self._problem = error
        finally:
            with self._changed:
                self._extracting = False
                self._changed.notify_all()
