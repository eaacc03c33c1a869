"""Writes H.264 video with PyAV (FFmpeg) for browsers, the same bytes on any number of cores."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file

_BT709 = 1
_NARROW = 128
"""Width in pixels below which x264's AVX-512 code is not deterministic (x264 core of PyAV 18.1)."""
_TICKS = 90_000
"""Ticks a second of the written files: exact for 24, 25, 30, 50, 60 and 30000/1001 frames a second."""


class VideoWriter:
    """Write an MP4 with H.264, 4:2:0, BT.709 and its index in front, which browsers play while it loads.

    A context manager. The file appears only when the block ends without an exception. One thread and no B-frames: the
    same frames give the same bytes on any number of cores, and uneven timestamps are kept to 1/90000 s.

    Args:
        path: the file to write; its folder is created.
        width, height: even numbers of pixels.
        rate: frames a second, used for frames without a timestamp and for the duration of the last one.
        crf: x264's constant quality, 0 to 51, lower is better and larger.
        preset: x264's speed, "ultrafast" to "veryslow".

    Raises:
        InputError: an odd size, a rate that is not positive, a full disk, or a folder without write permission.

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
                f"{self.path}: H.264 needs an even width and height, got {width}x{height}: change the size"
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
