"""Whether a file is an image or a video, by its content and not by its suffix.

`predict`, `subsample`, `convert` and `export` all use it, so that a file that one of them reads is read by all.
"""

from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.images import read_header
from cardpose.data.footage.video import has_video

_FILMS = ("GIF",)
"""Image formats that FFmpeg plays if they contain more than one image."""


class Kind(Enum):
    """The content of a file."""

    PICTURE = "picture"
    VIDEO = "video"
    OTHER = "other"


def kind_of(path: Path) -> Kind:
    """Inspect a file. An animated GIF is a video; other pictures of several pages are pictures, see `pages_note`."""
    try:
        header = read_header(path)
    except InputError:
        return Kind.VIDEO if has_video(path) else Kind.OTHER
    return Kind.VIDEO if header.format in _FILMS and header.pages > 1 else Kind.PICTURE


def pages_note(path: Path) -> str:
    """A line about a picture of which only the first page is read, or "".

    Raises:
        InputError: the file is no image.
    """
    pages = read_header(path).pages
    return (
        f"{path}: holds {pages} pictures, only the first is read: split it to use the others"
        if pages > 1
        else ""
    )


def sort_out(paths: Iterable[Path]) -> dict[Kind, list[Path]]:
    """Files by their kind, each list in the order given; hidden files are left out."""
    kinds: dict[Kind, list[Path]] = {kind: [] for kind in Kind}
    for path in paths:
        if not path.name.startswith("."):
            kinds[kind_of(path)].append(path)
    return kinds


def left_out(folder: Path, others: Iterable[Path], most: int = 5) -> str:
    """A line that names the files of a folder that cannot be read as footage, or "".

    >>> left_out(Path("clips"), [Path("clips/notes.txt")])
    'clips: left out 1 file that is neither picture nor video: notes.txt'
    """
    names = [path.name for path in others]
    if not names:
        return ""
    files = "1 file that is" if len(names) == 1 else f"{len(names)} files that are"
    shown = ", ".join(names[:most]) + (", ..." if len(names) > most else "")
    return f"{folder}: left out {files} neither picture nor video: {shown}"
