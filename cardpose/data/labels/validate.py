"""The rules that every label follows, whatever file it came from; each error names the place and how to fix it."""

from collections.abc import Iterable

import numpy as np

from cardpose.common.errors import ErrorHandler, InputError, raise_error
from cardpose.common.json_files import side
from cardpose.common.packet import (
    CORNERS,
    HIDDEN,
    MAX_CARDS,
    NOT_LABELLED,
    NUM_CORNERS,
    VISIBLE,
    Annotation,
    FrameId,
)

_FRAMES = 10**9
"""More than a video has."""
_VISIBILITIES = (NOT_LABELLED, HIDDEN, VISIBLE)


def parse_cards(value: object, where: str) -> int | None:
    """A count from a table cell or from JSON: a whole number from 1 to 104; empty and null mean unknown.

    >>> parse_cards("52", "videos.csv row 2"), parse_cards("", "videos.csv row 3")
    (52, None)

    Raises:
        InputError: anything else; `where` begins the message.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= MAX_CARDS):
        raise InputError(
            f"{where}: cards is {text!r:.60}: write a whole number from 1 to {MAX_CARDS}, or nothing"
        )
    return int(text)


def check_annotation(annotation: Annotation, where: str) -> None:
    """Check one label: frame, size, shapes, finite corners inside the image, visibility and count.

    A corner with visibility 1 or 2 has coordinates, one with 0 has none (NaN). The image extends half a pixel beyond
    its outermost pixel centres.

    Raises:
        InputError: a rule is broken; `where` begins the message.
    """
    check_frame(annotation.frame_index, annotation.width, annotation.height, where)
    if annotation.corners.shape != (NUM_CORNERS, 2) or annotation.visibility.shape != (NUM_CORNERS,):
        raise InputError(f"{where}: {len(annotation.corners)} corners: label exactly {NUM_CORNERS}")
    for name, (x, y), seen in zip(CORNERS, annotation.corners, annotation.visibility, strict=True):
        _check_corner(name, float(x), float(y), int(seen), annotation, where)
    parse_cards(annotation.cards, where)


def check_frame(index: int, width: int, height: int, where: str) -> None:
    """Check index and size of a frame.

    Raises:
        InputError: one cannot be; `where` begins the message.
    """
    if not 0 <= index < _FRAMES:
        raise InputError(f"{where}: frame_index is {index!r:.20}: frames count from 0")
    side(width, "width", where)
    side(height, "height", where)


def _check_corner(name: str, x: float, y: float, seen: int, annotation: Annotation, where: str) -> None:
    if seen not in _VISIBILITIES:
        raise InputError(
            f"{where}: visibility of {name} is {seen}: write 0 (not labelled), 1 (hidden) or 2 (visible)"
        )
    if seen == NOT_LABELLED:
        if not (np.isnan(x) and np.isnan(y)):
            raise InputError(
                f"{where}: {name} has coordinates but visibility 0: write 1 (hidden) or 2 (visible)"
            )
    elif not (np.isfinite(x) and np.isfinite(y)):
        raise InputError(f"{where}: {name} is ({x}, {y}): label it again or give it visibility 0")
    elif not (-0.5 <= x <= annotation.width - 0.5 and -0.5 <= y <= annotation.height - 0.5):
        raise InputError(
            f"{where}: {name} at ({x:g}, {y:g}) lies outside the "
            f"{annotation.width}x{annotation.height} image: move it inside or give it visibility 0"
        )


def check_unique(
    annotations: Iterable[Annotation], where: str, on_error: ErrorHandler = raise_error
) -> list[Annotation]:
    """The labels without a second one of the same frame, which is an error; `where` begins the message."""
    seen: dict[FrameId, Annotation] = {}
    for annotation in annotations:
        if annotation.frame_id in seen:
            video, index = annotation.frame_id
            on_error(InputError(f"{where}: frame {index} of {video} is labelled twice: remove one label"))
        seen.setdefault(annotation.frame_id, annotation)
    return list(seen.values())
