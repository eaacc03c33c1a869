"""Opens a video file: the stream that a player shows, its rate, and errors that name the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from cardpose.common.errors import InputError
from cardpose.common.images import check_megapixels

_TEXT = "tty"  # FFmpeg renders any .txt file as a terminal would show it
_FASTEST = 1000
"""Frames a second of the fastest cameras that a stream may claim; pictures and tapes claim the ticks of their clock."""


@contextmanager
def opened(path: Path, threads: int = 0) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and the stream that a player shows; a damaged file becomes an `InputError` that names it.

    Args:
        threads: of the decoder, each of which takes a frame before the first one comes out; 0 for one per core.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such video file: check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty: copy it again from its source")
    try:
        with av.open(str(path), metadata_errors="replace") as container:  # titles in other encodings
            if _is_picture(path, container):
                raise InputError(f"{path}: no video, and no picture that can be read: save it as PNG or JPEG")
            # Not simply the first one: that may be a cover picture or a thumbnail.
            stream = container.streams.best("video")
            if stream is None or container.format.name == _TEXT or _is_cover(stream):
                raise InputError(f"{path}: holds no video stream: remove it or choose another file")
            if stream.codec_context is None:
                raise InputError(
                    f"{path}: FFmpeg has no decoder for this video: convert it to MP4 with H.264"
                )
            check_megapixels(path, stream.codec_context.width, stream.codec_context.height)
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            yield container, stream
    except av.FFmpegError as error:
        raise damaged(path, error.strerror or "cannot be decoded") from error
    except IndexError as error:  # of PyAV
        raise damaged(path, "a stream begins in the middle of the file") from error


def _is_picture(path: Path, container: InputContainer) -> bool:
    """Whether FFmpeg would play a picture, or one inside a document, as a video of one frame."""
    name = container.format.name
    if name == "mjpeg":  # also what contains a JPEG somewhere, such as a PDF
        with path.open("rb") as file:
            return file.read(2) != b"\xff\xd8"
    return name in ("image2", "ico") or name.endswith("_pipe")


def _is_cover(stream: VideoStream) -> bool:
    """Whether a stream is the picture attached to music."""
    return bool(stream.disposition & Disposition.attached_pic)


def damaged(path: Path, what: str) -> InputError:
    """The error for a video that cannot be read to its end."""
    return InputError(f"{path}: not a whole video ({what}): copy or record it again")


def frame_rate(stream: VideoStream) -> float:
    """Average frames a second; 0 if unknown."""
    rates = (float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate)
    return next((rate for rate in rates if 0 < rate <= _FASTEST), 0.0)
