"""Whether a video file ends before its recording did, as far as its container states it."""

import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from cardpose.data.footage.container import damaged, frame_rate, opened

_TOLERATED = 0.1
"""Seconds by which a stream may end before the duration in its header without counting as truncated."""
_TELLING = {"matroska", "flv", "asf", "mxf"}
"""Formats whose header has the duration. For MPEG streams FFmpeg takes it from the last timestamp in the file."""
_DURATION = re.compile(r"(\d{1,9}):(\d\d?):(\d\d?(?:\.\d+)?)", re.ASCII)
"""Of a track of Matroska: 00:00:02.000000000."""
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""Identifier of ASF's File Properties Object (ASF specification 1.20, section 3.2)."""


class ReadThrough(NamedTuple):
    """A file that was read to its end without decoding.

    Args:
        frames: of the video stream.
        end: seconds at which the last frame ends.
        last: seconds at which the last packet of any stream ends.
        gap: the longest time between two frames, in seconds.
        cut: whether the index has a frame beyond the end of the file.
    """

    frames: int
    end: float
    last: float
    gap: float
    cut: bool


def indexed_frames(path: Path, stream: VideoStream, *, whole: bool = True) -> int:
    """Number of shown frames according to the container's index, without reading them; 0 without a complete index.

    An MP4 has an entry for every frame, also for those that its edit list hides (a clip trimmed on a phone). With
    `whole`, a file that ends before its last frame is an error.
    """
    entries = list(stream.index_entries)
    if not stream.frames or len(entries) < stream.frames:
        return 0
    if whole and _is_cut(path, stream):
        raise damaged(path, "the file ends before its last frame")
    return sum(not entry.is_discard for entry in entries)


def _is_cut(path: Path, stream: VideoStream) -> bool:
    size = path.stat().st_size
    return any(entry.pos + entry.size > size for entry in stream.index_entries)


def read_through(path: Path) -> ReadThrough:
    """Read a file through, without decoding; once, until it changes."""
    status = path.stat()
    return _read_through(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _read_through(path: Path, size: int, modified: int) -> ReadThrough:
    frames, last = 0, 0.0
    times: list[float] = []
    with opened(path) as (container, stream):
        end = 1 / rate if (rate := frame_rate(stream)) else 0.0
        for packet in container.demux():
            if packet.pts is None or packet.time_base is None:
                frames += packet.stream is stream and packet.size > 0 and not packet.is_discard
                continue
            finish = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            last = max(last, finish)
            if packet.stream is stream and not packet.is_discard:
                frames += packet.size > 0
                times.append(float(packet.pts * packet.time_base))
                end = max(end, finish)
        times.sort()
        gap = max((after - before for before, after in pairwise(times)), default=0.0)
        return ReadThrough(frames, end, max(last, end), gap, _is_cut(path, stream))


def missing_frames(path: Path, container: InputContainer, stream: VideoStream, read: ReadThrough) -> int:
    """About how many frames are missing at the end of a file without a complete index, according to its headers."""
    if stream.frames > read.frames:  # AVI's header
        return stream.frames - read.frames
    missing = _promised_seconds(container, stream, read)
    rate = frame_rate(stream)
    if missing > max(_TOLERATED, 1.5 * read.gap):
        return max(round(missing * rate), 1)
    formats = container.format.name.split(",")
    size = path.stat().st_size
    if "asf" in formats and (promised := _asf_bytes(path)) > size:
        return max(round(read.frames * (promised / size - 1)), 1)
    return int(read.cut or ("gif" in formats and not _has_trailer(path)))


def _promised_seconds(container: InputContainer, stream: VideoStream, read: ReadThrough) -> float:
    """Seconds by which a file ends before the duration in a header that was written with the complete file."""
    if tagged := _DURATION.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tagged.groups())
        return 3600 * hours + 60 * minutes + seconds - read.end
    if container.duration is not None and _TELLING & set(container.format.name.split(",")):
        start = (container.start_time or 0) / av.time_base if "matroska" not in container.format.name else 0.0
        return container.duration / av.time_base + start - read.last
    return 0.0


def _asf_bytes(path: Path) -> int:
    """The size of the complete file in ASF's header; 0 if it is not there, or the recording was a broadcast."""
    with path.open("rb") as file:
        head = file.read(4096)
    place = head.find(_ASF_FILE)
    return 0 if place < 0 else int.from_bytes(head[place + 40 : place + 48], "little")


def _has_trailer(path: Path) -> bool:
    """Whether a GIF ends with its trailer (GIF89a, section 27), apart from padding."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 512))
        return file.read().rstrip(b"\0\r\n").endswith(b";")
