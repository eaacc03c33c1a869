"""Whether a file is an image or a video, by its content and not by its suffix.

`predict`, `subsample`, `convert`, `export` and `synthesize` all use it, so that a file that one of them reads is read
by all.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.file_names import printable
from cardpose.common.images import is_image_name, read_header
from cardpose.data.footage.video import has_video

_ANIMATIONS = ("GIF",)
"""Image formats that FFmpeg plays if they contain more than one image."""


_VIDEO_NAMES = re.compile(
    r"\.(3g[2p]|asf|avi|divx|dv|f4v|flv|h26[45]|hevc|m2ts?|m[24]v|mjpeg|mkv|mov|mp4|mpe?g|mpe|mts|mxf|og[mv]|qt|rm|rmvb|ts"
    r"|vob|webm|wmv|y4m)",
    re.IGNORECASE,
)
"""Suffixes of videos, for damaged files only; the system's own table differs between computers."""


class Kind(Enum):
    """The content of a file."""

    PICTURE = "picture"
    VIDEO = "video"
    OTHER = "other"


def kind_of(path: Path) -> Kind:
    """Inspect a file.

    An animated GIF is a video; other pictures of several pages are pictures. The name decides for a damaged file, so
    that its reader names what is wrong with it.
    """
    try:
        header = read_header(path)
    except InputError:
        if has_video(path):
            return Kind.VIDEO
        if is_image_name(path):
            return Kind.PICTURE
        return Kind.VIDEO if _VIDEO_NAMES.fullmatch(path.suffix) else Kind.OTHER
    return Kind.VIDEO if header.format in _ANIMATIONS and header.pages > 1 else Kind.PICTURE


def pages_note(path: Path) -> str:
    """A line about an image file of several pictures, or ""."""
    try:
        header = read_header(path)
    except InputError:
        return ""
    if header.pages == 1:
        return ""
    if header.format in _ANIMATIONS:
        return f"{path}: an animation of {header.pages} pictures, read as a video"
    return f"{path}: holds {header.pages} pictures, only the first is read: split it to use the others"


def sort_out(paths: Iterable[Path]) -> dict[Kind, list[Path]]:
    """Files by their kind, each list in the order given; hidden files are left out."""
    kinds: dict[Kind, list[Path]] = {kind: [] for kind in Kind}
    for path in paths:
        if not path.name.startswith("."):
            kinds[kind_of(path) if path.is_file() else Kind.OTHER].append(path)
    return kinds


def taken(folder: Path, number: int, others: Sequence[Path], most: int = 5) -> str:
    """A line about how many files of a folder were taken, and which were not.

    >>> taken(Path("clips"), 2, [Path("clips/notes.txt")])
    'clips: took 2 files, left out 1: notes.txt'
    """
    line = f"{folder}: took {number} file{'' if number == 1 else 's'}"
    if not others:
        return line
    names = [printable(path.name) + ("/" if path.is_dir() else "") for path in others]
    shown = ", ".join(names[:most]) + (", ..." if len(names) > most else "")
    return f"{line}, left out {len(names)}: {shown}"
