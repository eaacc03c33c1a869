"""Reads video with PyAV (FFmpeg): frames as a player shows them, with true timestamps."""

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from cardpose.common.errors import InputError

_TEXT = "tty"  # FFmpeg renders any .txt file as a terminal would show it
_TOLERATED = 0.5
"""Seconds by which a stream may end before the duration in its header without counting as truncated."""
_SOUND_BEYOND = 1.0
"""Seconds by which the sound of a complete recording may continue after its last frame."""


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
    """One frame: position from 0, seconds since the first frame, and (H, W, 3) uint8 RGB as shown; the focal
    length in longer sides where a photograph says it."""

    index: int
    timestamp: float
    image: np.ndarray
    focal: float | None = None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and the stream that a player shows; a damaged file becomes an `InputError` that names it."""
    if not path.is_file():
        raise InputError(f"{path}: no such video file: check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty: copy it again from its source")
    try:
        with av.open(str(path), metadata_errors="replace") as container:  # titles in other encodings
            # Not simply the first one: that may be a cover picture or a thumbnail.
            stream = container.streams.best("video")
            if stream is None or container.format.name == _TEXT:
                raise InputError(f"{path}: holds no video stream: remove it or choose another file")
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise _damaged(path, error.strerror or "cannot be decoded") from error
    except IndexError as error:  # of PyAV
        raise _damaged(path, "a stream begins in the middle of the file") from error


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: not a whole video ({what}): copy or record it again")


def _indexed_frames(path: Path, stream: VideoStream, *, whole: bool = True) -> int:
    """Number of shown frames according to the container's index, without reading them; 0 without a complete index.

    An MP4 has an entry for every frame, also for those that its edit list hides (a clip trimmed on a phone). With
    `whole`, a file that ends before its last frame is an error.
    """
    entries = list(stream.index_entries)
    if not stream.frames or len(entries) < stream.frames:
        return 0
    if whole and max(entry.pos + entry.size for entry in entries) > path.stat().st_size:
        raise _damaged(path, "the file ends before its last frame")
    return sum(not entry.is_discard for entry in entries)


def _demuxed_frames(path: Path) -> tuple[int, float]:
    """Frames counted by reading the file through once, without decoding, and the time in seconds at which they end."""
    frames, end = 0, 0.0
    with _opened(path) as (container, stream):
        for packet in container.demux(stream):
            frames += packet.size > 0 and not packet.is_discard
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return frames, end


def _promised_seconds(container: InputContainer, stream: VideoStream) -> float:
    """The end of the stream according to a header that was written with the complete file; 0 without such a header.

    For MPEG streams FFmpeg takes the duration from the last timestamp in the file, which is no such header.
    """
    if tagged := stream.metadata.get("DURATION"):  # Matroska, for each track: 00:00:02.000000000
        hours, minutes, seconds = (float(part) for part in tagged.split(":"))
        return 3600 * hours + 60 * minutes + seconds
    if container.duration is not None and {"matroska", "flv", "asf"} & set(container.format.name.split(",")):
        sound = (
            _SOUND_BEYOND if len(container.streams) > 1 else 0.0
        )  # the duration is that of the longest stream
        return container.duration / av.time_base - sound
    return 0.0


def _missing_frames(container: InputContainer, stream: VideoStream, frames: int, end: float) -> int:
    """About how many frames are missing at the end of a file without a complete index, according to its headers.

    Args:
        frames: number of frames in the file.
        end: of the last one, in seconds.
    """
    if stream.frames > frames:  # AVI's header
        return stream.frames - frames
    missing = _promised_seconds(container, stream) - end
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return max(round(missing * rate), 1) if missing > _TOLERATED else 0


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
        with _opened(path) as (container, stream):
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
    with _opened(path) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise InputError(f"{path}: holds no frame: remove it or record it again")
        num_frames = _indexed_frames(path, stream, whole=whole)
        if num_frames == 0:
            num_frames, end = _demuxed_frames(path)
            missing = _missing_frames(container, stream, num_frames, end)
            if missing and whole:
                raise _damaged(path, f"it breaks off after {num_frames} frames, about {missing} are missing")
            num_frames += missing
        turns, _ = _orientation(first)
        width, height = _shown_size(first, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
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
    index, start, time = -1, None, 0.0
    with _opened(path) as (container, stream):
        screen = _Screen(stream)
        for index, frame in enumerate(container.decode(stream)):
            time = frame.time if frame.time is not None else index / float(stream.guessed_rate or 1)
            start = time if start is None else start
            screen.note(frame)
            if (index in wanted) if wanted is not None else (index % stride == 0):
                yield VideoFrame(index, time - start, screen.show(frame))
            if index == last:
                return
        _check_end(path, container, stream, index + 1, time, last)


def _shown_size(frame: av.VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Width and height in square pixels, upright."""
    width = round(frame.width * float(stream.sample_aspect_ratio or 1))
    turns, _ = _orientation(frame)
    return (frame.height, width) if turns % 2 else (width, frame.height)


class _Screen:
    """Shows frames as a player does: upright, in square pixels, and all of the first one's size.

    A frame of another size, after a cut or a turn of the phone, is fitted in between black bars.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream, self._size = stream, (0, 0)
        self._reformatter = VideoReformatter()

    def note(self, frame: av.VideoFrame) -> None:
        """Take the size of the first frame."""
        self._size = self._size if any(self._size) else _shown_size(frame, self._stream)

    def show(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        turns, mirrored = _orientation(frame)
        width, height = _shown_size(frame, self._stream)
        scale = min(self._size[0] / width, self._size[1] / height)
        width, height = round(scale * width), round(scale * height)
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
    path: Path, container: InputContainer, stream: VideoStream, decoded: int, end: float, last: int | None
) -> None:
    """Raise where decoding ended before the container's own count or length, or before a wanted frame.

    `end` is the time in seconds of the last decoded frame.
    """
    if decoded == 0:
        raise InputError(f"{path}: holds no frame: remove it or record it again")
    indexed = _indexed_frames(path, stream)
    end += 1 / float(stream.average_rate or stream.guessed_rate or 1)
    if decoded < indexed or (not indexed and _missing_frames(container, stream, decoded, end)):
        raise _damaged(path, f"only the first {decoded} frames can be decoded")
    if last is not None:
        raise InputError(
            f"{path}: no frame {last}, the video has {decoded} (0 to {decoded - 1}): correct the index"
        )
