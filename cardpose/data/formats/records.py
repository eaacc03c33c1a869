"""A label as another tool's file holds it, a frame laid out for such a tool, and what a format can hold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, HIDDEN, NOT_LABELLED, NUM_CORNERS, Annotation


@dataclass(frozen=True)
class Label:
    """The label of one image.

    Args:
        image: its path or address as the file gives it.
        where: file and place in it, which opens messages.
        corners: (8, 2) float64, cardpose's pixels, NaN where not labelled; order of `CORNERS`.
        visibility: (8,) int8, 0, 1 or 2.
        size: width and height of the image in pixels, None where the file does not tell.
        cards: the packet's count, None where unknown.
        video, frame_index: where the file itself names them; video is a path relative to the file, or None.
        timestamp: seconds from the video's start, NaN where unknown.
    """

    image: str
    where: str
    corners: np.ndarray
    visibility: np.ndarray
    size: tuple[int, int] | None = None
    cards: int | None = None
    video: str | None = None
    frame_index: int | None = None
    timestamp: float = math.nan


@dataclass(frozen=True)
class Labels:
    """What a file holds.

    Args:
        labels: in the order of the file.
        base: the folder that the images' paths start from.
        notes: a line for everything that was left out.
    """

    labels: tuple[Label, ...]
    base: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shot:
    """A frame laid out for another tool.

    Args:
        image: its path relative to the folder that is written, with forward slashes; a video where the tool labels
            videos.
        video, frame_index: which frame of the dataset folder it is.
        annotation: its label, None where there is none yet.
    """

    image: str
    video: str
    frame_index: int
    annotation: Annotation | None


class Hidden(Enum):
    """What becomes of a corner that is hidden and has coordinates."""

    KEPT = "kept"
    AS_VISIBLE = "as visible"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Format:
    """How another tool's labels are read and written, and what they can hold.

    Args:
        read: file, or folder with it, -> its labels; raises `InputError`.
        write: (folder, shots) writes the labels beside the images that lie there.
        place: (video, frame_index, suffix) -> where the image lies, relative to the folder.
        hidden: what becomes of hidden corners.
        cards: whether there is a place for the count.
        videos: whether the tool labels videos as they are.
        times: whether there is a place for a frame's time.
        jpeg: whether it takes JPEG alone.
    """

    read: Callable[[Path], Labels]
    write: Callable[[Path, Sequence[Shot]], None]
    place: Callable[[str, int, str], str]
    hidden: Hidden
    cards: bool
    videos: bool = False
    times: bool = False
    jpeg: bool = False


def blank() -> tuple[np.ndarray, np.ndarray]:
    """Corners (8, 2) and visibility (8,) of a frame without a label, to be filled in."""
    return np.full((NUM_CORNERS, 2), np.nan), np.full(NUM_CORNERS, NOT_LABELLED, np.int8)


def corner_index(name: object, where: str) -> int:
    """The position of a corner by its name.

    Raises:
        InputError: no corner is called so; `where` opens the message.
    """
    if name not in CORNERS:
        raise InputError(f"{where}: {name!r:.60} is no corner: rename it to one of {', '.join(CORNERS)}")
    return CORNERS.index(str(name))


def find_columns(names: Sequence[object], where: str) -> tuple[list[int], list[str]]:
    """Where each of the eight corners stands in a list of keypoints, and the names of the others.

    Raises:
        InputError: a corner is missing or named twice.
    """
    for corner in CORNERS:
        if names.count(corner) != 1:
            raise InputError(
                f"{where}: names {corner} {names.count(corner)} times: name each of {', '.join(CORNERS)} once"
            )
    return [names.index(corner) for corner in CORNERS], [str(n) for n in names if n not in CORNERS]


def count_hidden(annotations: Sequence[Annotation]) -> int:
    """Corners that are hidden and have coordinates."""
    return sum(int((annotation.visibility == HIDDEN).sum()) for annotation in annotations)
