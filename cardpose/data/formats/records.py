"""A label as another tool's file contains it, a frame exported to such a tool, and what a format can store."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, NOT_LABELLED, NUM_CORNERS, Annotation
from cardpose.data.formats.names import flat_name


@dataclass(frozen=True)
class Label:
    """The label of one image.

    Args:
        image: its path or address as in the file.
        where: file and place in it, which begins error messages.
        corners: (8, 2) float64, cardpose's pixels, NaN if not labelled; order of `CORNERS`.
        visibility: (8,) int8, 0, 1 or 2.
        size: width and height of the image in pixels, None if the file does not contain it.
        cards: the packet's count, None if unknown.
        video, frame_index: if the file contains them; video is a path relative to the file, or None.
        timestamp: seconds from the start of the video, NaN if unknown.
        subset: folder that the tool puts the images of a subset into, such as "train"; "" if it has none.
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
    subset: str = ""

    @property
    def empty(self) -> bool:
        """Whether no corner is labelled."""
        return not (self.visibility != NOT_LABELLED).any()


@dataclass(frozen=True)
class Labels:
    """The content of a file.

    Args:
        labels: in the order of the file.
        base: the folder that image paths are relative to.
        notes: a line for everything that was skipped.
        extract: writes the images that the file itself contains to a folder, at the paths of the labels.
    """

    labels: tuple[Label, ...]
    base: Path
    notes: tuple[str, ...] = ()
    extract: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Shot:
    """A frame exported to another tool.

    Args:
        image: its path relative to the exported folder, with forward slashes; a video if the tool labels videos.
        video, frame_index: the frame of the dataset folder.
        annotation: its label, None if there is none yet.
    """

    image: str
    video: str
    frame_index: int
    annotation: Annotation | None


class Hidden(Enum):
    """Treatment of a corner that is hidden and has coordinates."""

    KEPT = "kept"
    AS_VISIBLE = "as visible"
    DROPPED = "dropped"


def in_images(video: str, frame_index: int, suffix: str) -> str:
    """Path of an exported image for tools that expect all images in one folder."""
    return f"images/{flat_name(video, frame_index, suffix)}"


@dataclass(frozen=True)
class Format:
    """How another tool's labels are read and written, and what they can store.

    Args:
        read: file, or folder that contains it -> its labels; raises `InputError`.
        write: (folder, shots) writes the labels beside the images, which exist already.
        place: (video, frame_index, suffix) -> path of the image relative to the folder.
        hidden: what happens to hidden corners.
        cards: whether it stores the count.
        videos: whether the tool labels videos directly.
        times: whether it stores the timestamp of a frame.
        jpeg: whether it accepts JPEG only.
    """

    read: Callable[[Path], Labels]
    write: Callable[[Path, Sequence[Shot]], None]
    place: Callable[[str, int, str], str] = in_images
    hidden: Hidden = Hidden.KEPT
    cards: bool = False
    videos: bool = False
    times: bool = False
    jpeg: bool = False


def blank() -> tuple[np.ndarray, np.ndarray]:
    """Corners (8, 2), NaN, and visibility (8,), 0, of a frame without a label."""
    return np.full((NUM_CORNERS, 2), np.nan), np.full(NUM_CORNERS, NOT_LABELLED, np.int8)


def one_packet(found: Sequence[Label]) -> tuple[list[Label], int]:
    """The labels of one image without empty second ones, and how many those are.

    Several labels with corners remain: they are an error of the file.
    """
    full = [label for label in found if not label.empty]
    kept = full or list(found[:1])
    return kept, len(found) - len(kept)


def counted(left: Mapping[str, int]) -> list[str]:
    """A line for each text with its count, where that is not 0.

    >>> counted({"left out {} images": 2, "left out {} rows": 0})
    ['left out 2 images']
    """
    return [text.format(count) for text, count in left.items() if count]


def corner_index(name: object, where: str) -> int:
    """The index of a corner by its name.

    Raises:
        InputError: no corner has this name; `where` begins the message.
    """
    if name not in CORNERS:
        raise InputError(f"{where}: {name!r:.60} is no corner: rename it to one of {', '.join(CORNERS)}")
    return CORNERS.index(str(name))


def find_columns(names: Sequence[object], where: str) -> tuple[list[int], list[str]]:
    """The position of each corner in a list of keypoint names, and the names that are no corners.

    Raises:
        InputError: a corner is missing or occurs twice.
    """
    for corner in CORNERS:
        if names.count(corner) != 1:
            raise InputError(
                f"{where}: names {corner} {names.count(corner)} times: name each of {', '.join(CORNERS)} once"
            )
    return [names.index(corner) for corner in CORNERS], [str(n) for n in names if n not in CORNERS]
