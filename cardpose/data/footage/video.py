"""Reads video with PyAV (FFmpeg): frames as a player shows them, with true timestamps."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from cardpose.common.errors import InputError
from cardpose.common.images import check_megapixels
from cardpose.data.footage.container import damaged, frame_rate, opened
from cardpose.data.footage.truncation import indexed_frames, missing_frames, read_through


@dataclass(frozen=True)
class VideoInfo:
    """The properties of a video, known before any frame is converted.

    Args:
        num_frames: frames that a player shows; frame indices run from 0 to num_frames - 1. For a truncated file,
            the number in its container.
        width, height: pixels of a shown frame, with the rotation applied.
        rate: average frames a second.
        duration: seconds.
        rotation: degrees clockwise by which a stored frame is turned to be shown: 0, 90, 180 or 270.
    """

    path: Path
    num_frames: int
    width: int
    height: int
    rate: float
    duration: float
    rotation: int


@dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Args:
        index: position from 0.
        timestamp: seconds since the first frame.
        image: (H, W, 3) uint8 RGB as shown.
        focal: focal length in longer sides, from the EXIF data of a photograph.
        damaged: whether the decoder had to fill in a part of it, since the file is damaged there.
    """

    index: int
    timestamp: float
    image: np.ndarray
    focal: float | None = None
    damaged: bool = False


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Quarter turns clockwise, 0 to 3, that show a stored frame upright, and whether to mirror it before.

    From the display matrix: (a, b) is where the stored x axis goes and (c, d) where y goes, x right, y down
    (QuickTime File Format, "Matrices"). Mirroring x first leaves (c, d) as the turn made it.
    """
    try:
        if Type.DISPLAYMATRIX not in frame.side_data:
            return 0, False
    except ValueError:  # side data of a kind that PyAV does not know beside it
        return round(-frame.rotation / 90) % 4, False
    a, b, _, c, d = np.frombuffer(bytes(frame.side_data[Type.DISPLAYMATRIX]), np.int32)[:5].astype(float)
    return round(math.atan2(-c, d) / (math.pi / 2)) % 4, a * d - b * c < 0


def _upright(image: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    """The stored image (H, W, 3) as it is shown, contiguous."""
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, -turns))


def has_video(path: Path) -> bool:
    """Whether FFmpeg finds a video stream of which a frame can be decoded."""
    try:
        with opened(path, threads=1) as (container, stream):
            return next(container.decode(stream), None) is not None
    except InputError:
        return False


def probe(path: str | Path, *, whole: bool = True) -> VideoInfo:
    """Describe a video; decodes one frame, and reads the whole file only if its container has no index.

    Args:
        whole: raise if it is truncated.

    Raises:
        InputError: the file is missing, empty, truncated, no video, or without a frame.
    """
    path = Path(path)
    with opened(path, threads=1) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise InputError(f"{path}: holds no frame: remove it or record it again")
        num_frames = indexed_frames(path, stream, whole=whole)
        if num_frames == 0:
            read = read_through(path)
            missing = missing_frames(path, container, stream, read)
            if missing and whole:
                raise damaged(path, f"it breaks off after {read.frames} frames, about {missing} are missing")
            num_frames = read.frames + missing
        turns, _ = _orientation(first)
        width, height = _shown_size(path, first, stream)
        rate = frame_rate(stream)
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / av.time_base
        else:
            duration = num_frames / rate if rate else 0.0
    return VideoInfo(path, num_frames, width, height, rate, duration, 90 * turns)


def iterate(
    path: str | Path, stride: int = 1, indices: Collection[int] | None = None
) -> Iterator[VideoFrame]:
    """Yield every `stride`-th frame, or the frames at `indices`, in ascending order.

    Every frame up to the last requested one is decoded, since frames depend on one another; only the requested ones are
    converted to RGB, which costs more than decoding a small frame.

    Args:
        stride: keep frames 0, stride, 2 * stride and so on; ignored if `indices` are given.

    Raises:
        InputError: the file is missing, empty, truncated or no video, or an index is past its end.
    """
    path = Path(path)
    if stride < 1:
        raise InputError(f"stride={stride}: give a whole number of at least 1")
    wanted = None if indices is None else frozenset(indices)
    if wanted is not None and not wanted:
        return
    if wanted is not None and min(wanted) < 0:
        raise InputError(f"{path}: no frame {min(wanted)}, frames count from 0: correct the index")
    last = None if wanted is None else max(wanted)
    index, start = -1, None
    with opened(path) as (container, stream):
        screen = _Screen(path, stream)
        for index, frame in enumerate(container.decode(stream)):
            time = frame.time if frame.time is not None else index / (frame_rate(stream) or 1)
            start = time if start is None else start
            screen.note(frame)
            if (index in wanted) if wanted is not None else (index % stride == 0):
                yield VideoFrame(index, time - start, screen.show(frame), damaged=frame.is_corrupt)
            if index == last:
                return
        _check_end(path, container, stream, index + 1, last)


def _shown_size(path: Path, frame: av.VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Width and height in square pixels, upright.

    Raises:
        InputError: more megapixels than an image may have; a header can ask for any shape of the pixels.
    """
    width = max(1, round(frame.width * float(stream.sample_aspect_ratio or 1)))
    check_megapixels(path, width, frame.height)
    turns, _ = _orientation(frame)
    return (frame.height, width) if turns % 2 else (width, frame.height)


class _Screen:
    """Shows frames as a player does: upright, in square pixels, and all of the first one's size.

    A frame of another size, after a cut or a turn of the phone, is fitted in between black bars.
    """

    def __init__(self, path: Path, stream: VideoStream) -> None:
        self._path, self._stream, self._size = path, stream, (0, 0)
        self._reformatter = VideoReformatter()

    def note(self, frame: av.VideoFrame) -> None:
        """Take the size of the first frame."""
        self._size = self._size if any(self._size) else _shown_size(self._path, frame, self._stream)

    def show(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        turns, mirrored = _orientation(frame)
        width, height = _shown_size(self._path, frame, self._stream)
        scale = min(self._size[0] / width, self._size[1] / height)
        width, height = max(1, round(scale * width)), max(1, round(scale * height))
        stored = (width, height) if turns % 2 else (height, width)  # rows, columns
        rgb = self._reformatter.reformat(
            frame, width=stored[1], height=stored[0], format="rgb24"
        ).to_ndarray()
        image = _upright(rgb, turns, mirrored)
        left, top = (self._size[0] - width) // 2, (self._size[1] - height) // 2
        if not (left or top):
            return image
        shown = np.zeros((self._size[1], self._size[0], 3), np.uint8)
        shown[top : top + height, left : left + width] = image
        return shown


def _check_end(
    path: Path, container: InputContainer, stream: VideoStream, decoded: int, last: int | None
) -> None:
    """Raise where decoding ended before the container's own count or length, or before a wanted frame."""
    if decoded == 0:
        raise InputError(f"{path}: holds no frame: remove it or record it again")
    indexed = indexed_frames(path, stream)
    if decoded < indexed or (not indexed and missing_frames(path, container, stream, read_through(path))):
        raise damaged(path, f"only the first {decoded} frames can be decoded")
    if last is not None:
        raise InputError(
            f"{path}: no frame {last}, the video has {decoded} (0 to {decoded - 1}): correct the index"
        )
