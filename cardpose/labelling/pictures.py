"""The frames as picture files that a browser shows: loose frames as they lie, those of videos cut out once."""

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
    """Picture files of a dataset folder's frames; safe for several threads.

    Args:
        root: the dataset folder. A link that leads out of it is refused.
        frames: those that are asked for.
        cache: folder for the frames of videos, as JPEG; they stay there for the next time.

    Raises:
        InputError: footage is missing, or lies outside the folder.
    """

    def __init__(self, root: Path, frames: Iterable[FrameId], cache: Path) -> None:
        self._root = root.resolve()
        wanted: dict[str, set[int]] = {}
        for video, index in frames:
            wanted.setdefault(video, set()).add(index)
        self._loose: dict[str, dict[int, Path]] = {}
        self._films: dict[str, _Film] = {}
        for video, indices in wanted.items():
            path = self._inside(root / video)
            if video.startswith(f"{FRAMES}/"):
                self._loose[video] = list_frames(path)
            else:
                self._films[video] = _Film(path, indices, cache / "label")

    def file(self, key: FrameId) -> Path:
        """The picture of a frame; waits where it is still to be cut out of its video.

        Raises:
            InputError: there is none.
        """
        video, index = key
        if video in self._films:
            return self._films[video].file(index)
        if index not in self._loose[video]:
            raise InputError(f"{self._root / video}: has no frame {index}: put it back")
        return self._inside(self._loose[video][index])

    def image(self, key: FrameId) -> np.ndarray:
        """(H, W, 3) uint8 RGB.

        Raises:
            InputError: there is none, or its file is no image.
        """
        return read_image(self.file(key))

    def size(self, key: FrameId) -> tuple[int, int]:
        """Width and height in pixels, as `image` raises."""
        height, width = self.image(key).shape[:2]
        return width, height

    def _inside(self, path: Path) -> Path:
        """The path, if it is there and no link leads out of the folder."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self._root):
            raise InputError(f"{path}: leads out of the dataset folder: copy what it links to in its place")
        if not resolved.exists():
            raise InputError(f"{path}: is not on disk: put it there or remove its row of videos.csv")
        return path


class _Film:
    """The wanted frames of one video, all cut out in one go when the first is asked for."""

    def __init__(self, path: Path, wanted: Collection[int], cache: Path) -> None:
        status = path.stat()
        about = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
        self._path, self._wanted = path, wanted
        self._folder = cache / hashlib.sha256(about.encode()).hexdigest()[:32]
        self._changed = threading.Condition()
        self._cutting = False
        self._problem: InputError | None = None

    def file(self, index: int) -> Path:
        picture = self._folder / f"{index}.jpg"
        with self._changed:
            if not picture.is_file() and not self._cutting:
                self._cutting, self._problem = True, None
                threading.Thread(target=self._cut, daemon=True).start()
            self._changed.wait_for(lambda: picture.is_file() or not self._cutting)
        if not picture.is_file():
            raise self._problem or InputError(f"{self._path}: has no frame {index}: correct frame_index")
        return picture

    def _cut(self) -> None:
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
                self._cutting = False
                self._changed.notify_all()
