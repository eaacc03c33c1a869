"""Video in and out, by PyAV (FFmpeg): upright frames with true timestamps; H.264 for browsers."""

import math
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file

_BT709 = 1
_NARROW = 128
"""Pixels of width below which x264's AVX-512 code gives other bytes now and then (x264 core of PyAV 18.1)."""
_TEXT = "tty"  # FFmpeg films any .txt file as a terminal would show it
_TICKS = 90_000
"""Ticks a second of the written files: exact for 24, 25, 30, 50, 60 and 30000/1001 frames a second."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video is, before any frame is converted.

    Args:
        path: the file.
        num_frames: frames that a player shows; frame indices run from 0 to num_frames - 1. Where the file breaks
            off, what its container promises.
        width, height: pixels of a shown frame, so with the rotation applied.
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
    """One frame: position from 0, seconds since the first frame, and (H, W, 3) uint8 RGB as shown."""

    index: int
    timestamp: float
    image: np.ndarray


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and the stream that a player shows; a fault of the file becomes an `InputError` that names it."""
    if not path.is_file():
        raise InputError(f"{path}: no such video file: check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty: copy it again from its source")
    try:
        with av.open(str(path)) as container:
            # Not simply the first one: that may be a cover picture or a thumbnail.
            stream = container.streams.best("video")
            if stream is None or container.format.name == _TEXT:
                raise InputError(f"{path}: holds no video stream: remove it or choose another file")
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise _damaged(path, error.strerror or "cannot be decoded") from error


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: not a whole video ({what}): copy or record it again")


def _indexed_frames(path: Path, stream: VideoStream, *, whole: bool = True) -> int:
    """Frames shown according to the container's index, without reading them; 0 where it has no full index.

    An MP4 has an entry for every frame, also for those that its edit list hides (a clip trimmed on a phone). `whole`
    refuses a file that ends before its last frame.
    """
    entries = list(stream.index_entries)
    if not stream.frames or len(entries) < stream.frames:
        return 0
    if whole and max(entry.pos + entry.size for entry in entries) > path.stat().st_size:
        raise _damaged(path, "the file ends before its last frame")
    return sum(not entry.is_discard for entry in entries)


def _demuxed_frames(container: InputContainer, stream: VideoStream) -> int:
    """Frames counted by reading the file through once, without decoding."""
    return sum(packet.size > 0 and not packet.is_discard for packet in container.demux(stream))


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Quarter turns clockwise, 0 to 3, that show a stored frame upright, and whether to mirror it before.

    From the display matrix: (a, b) is where the stored x axis goes and (c, d) where y goes, x right, y down
    (QuickTime File Format, "Matrices"). Mirroring x first leaves (c, d) as the turn made it.
    """
    if Type.DISPLAYMATRIX not in frame.side_data:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(frame.side_data[Type.DISPLAYMATRIX]), np.int32)[:5].astype(float)
    return round(math.atan2(-c, d) / (math.pi / 2)) % 4, a * d - b * c < 0


def _upright(image: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    """The stored image (H, W, 3) as it is shown, contiguous."""
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, -turns))


def probe(path: str | Path, *, whole: bool = True) -> VideoInfo:
    """Describe a video; decodes one frame, and reads the file through only where its container has no index.

    Args:
        path: the video.
        whole: refuse one that is truncated.

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
            container.seek(0)
            num_frames = _demuxed_frames(container, stream)
        turns, _ = _orientation(first)
        width, height = (first.height, first.width) if turns % 2 else (first.width, first.height)
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

    Every frame up to the last wanted one is decoded, since frames depend on one another; only the wanted ones
    are converted to RGB, which costs more than the decoding of a small frame.

    Args:
        path: the video.
        stride: keep frames 0, stride, 2 * stride and so on; ignored where `indices` are given.
        indices: the frames to keep, in any order.

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
    reformatter = VideoReformatter()
    index, start = -1, None
    with _opened(path) as (container, stream):
        for index, frame in enumerate(container.decode(stream)):
            time = frame.time if frame.time is not None else index / float(stream.guessed_rate or 1)
            start = time if start is None else start
            if (index in wanted) if wanted is not None else (index % stride == 0):
                rgb = reformatter.reformat(frame, format="rgb24").to_ndarray()
                yield VideoFrame(index, time - start, _upright(rgb, *_orientation(frame)))
            if index == last:
                return
        _check_end(path, stream, index + 1, last)


def _check_end(path: Path, stream: VideoStream, decoded: int, last: int | None) -> None:
    """ErrorHandler where decoding ended before the container's own count, or before a wanted frame."""
    if decoded == 0:
        raise InputError(f"{path}: holds no frame: remove it or record it again")
    if decoded < _indexed_frames(path, stream):
        raise _damaged(path, f"only the first {decoded} frames can be decoded")
    if last is not None:
        raise InputError(
            f"{path}: no frame {last}, the video has {decoded} (0 to {decoded - 1}): correct the index"
        )


class VideoWriter:
    """Write an MP4 with H.264, 4:2:0, BT.709 and its index in front, which browsers play while it loads.

    A context manager. The file appears under its name only when the block ends well; after an exception
    nothing is left. One thread and no B-frames: the same frames give the same bytes on any number of cores,
    and uneven timestamps are kept to 1/90000 s.

    Args:
        path: the file to write; its folder is made where it is missing.
        width, height: even numbers of pixels.
        rate: frames a second, used for frames without a timestamp and for how long the last one is shown.
        crf: x264's constant quality, 0 to 51, lower is better and larger.
        preset: x264's speed, "ultrafast" to "veryslow".

    Raises:
        InputError: an odd size, a rate that is not positive, a full disk or a forbidden folder.

    >>> with VideoWriter("clip.mp4", 640, 480, rate=30) as writer:  # doctest: +SKIP
    ...     for image in images:
    ...         writer.write(image)
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        rate: float | Fraction,
        *,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        self.path = Path(path)
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise InputError(
                f"{self.path}: H.264 wants an even width and height, got {width}x{height}: change the size"
            )
        if not rate > 0:
            raise InputError(f"{self.path}: rate is {rate}: give a positive number of frames a second")
        self.width, self.height = width, height
        self.rate = Fraction(rate).limit_denominator(1001)
        self._options = {"crf": str(crf), "preset": preset}
        if width < _NARROW:
            self._options["x264-params"] = "asm=0"
        self._count = 0
        self._last_pts = -1
        self._reformatter = VideoReformatter()
        self._stack = ExitStack()

    def __enter__(self) -> "VideoWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(replace_file(self.path))
            self._container = stack.enter_context(
                av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
            )
            self._stream = self._container.add_stream("libx264", rate=self.rate, options=self._options)
            context = self._stream.codec_context
            context.width, context.height, context.pix_fmt = self.width, self.height, "yuv420p"
            context.time_base = Fraction(1, _TICKS)
            context.thread_count, context.max_b_frames = 1, 0
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = ColorRange.MPEG
            self._stack = stack.pop_all()
        return self

    def write(self, image: np.ndarray, timestamp: float | None = None) -> None:
        """Append (height, width, 3) uint8 RGB at `timestamp` seconds, by default at its index / rate.

        Raises:
            ValueError: another shape or type, or a timestamp that does not lie after the one before.
        """
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            raise ValueError(f"want uint8 ({self.height}, {self.width}, 3), got {image.dtype} {image.shape}")
        pts = round((self._count / self.rate if timestamp is None else timestamp) * _TICKS)
        if pts <= self._last_pts:
            raise ValueError(
                f"frame {self._count}: timestamp {pts / _TICKS} s is not after {self._last_pts / _TICKS} s"
            )
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = self._reformatter.reformat(
            rgb, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = pts, Fraction(1, _TICKS)
        frame.duration = round(_TICKS / self.rate)
        self._container.mux(self._stream.encode(frame))
        self._last_pts = pts
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is not None:
                self._stack.__exit__(kind, error, trace)
            elif self._count == 0:
                raise InputError(f"{self.path}: no frame was written: ask for at least one")
            else:
                self._container.mux(self._stream.encode(None))
