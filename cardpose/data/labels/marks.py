"""The corners of a frame during labelling, some of which may not be placed yet."""

import hashlib
import json
from typing import Any, Literal

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, NOT_LABELLED, NUM_CORNERS, Annotation

Mark = tuple[float, float, int]
"""x, y in source pixels and visibility: 2 visible, 1 hidden, 0 absent (then at 0, 0)."""
Marks = tuple[Mark | None, ...]
"""One per corner in the order of `packet.CORNERS`; None is not placed yet."""
State = Literal["empty", "draft", "done"]

NO_MARKS: Marks = (None,) * NUM_CORNERS
ABSENT: Mark = (0.0, 0.0, NOT_LABELLED)


def state(marks: Marks) -> State:
    """How far a frame is labelled; a label ("done") has every corner placed or absent.

    >>> state(NO_MARKS), state((ABSENT,) + NO_MARKS[1:]), state((ABSENT,) * 8)
    ('empty', 'draft', 'done')
    """
    placed = sum(mark is not None for mark in marks)
    return "done" if placed == NUM_CORNERS else "draft" if placed else "empty"


def revision(marks: Marks) -> str:
    """A short hash of the marks."""
    return hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:16]


def parse_marks(value: Any, width: int, height: int, where: str) -> Marks:
    """Marks from JSON: a list of eight, each null or [x, y, visibility] inside the image.

    Coordinates are rounded to the nearest float32, as in annotations.json.

    Raises:
        InputError: anything else; `where` begins the message.

    >>> parse_marks([[1.1, 2, 2], [9, 9, 0], None, None, None, None, None, None], 64, 48, "a")[:3]
    ((1.1, 2.0, 2), (0.0, 0.0, 0), None)
    """
    if not isinstance(value, list) or len(value) != NUM_CORNERS:
        raise InputError(f"{where}: want a list of {NUM_CORNERS} corners in the order of cardpose")
    return tuple(
        _parse_mark(mark, width, height, f"{where}: {name}")
        for mark, name in zip(value, CORNERS, strict=True)
    )


def _parse_mark(value: Any, width: int, height: int, where: str) -> Mark | None:
    if value is None:
        return None
    numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
    if not numbers or len(value) != 3 or value[2] not in (0, 1, 2):
        raise InputError(f"{where}: want null or [x, y, visibility 0, 1 or 2], got {value!r:.60}")
    x, y, seen = value
    if seen == NOT_LABELLED:
        return ABSENT
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):  # NaN and infinity too
        raise InputError(f"{where}: ({x!r:.20}, {y!r:.20}) lies outside the {width}x{height} image")
    return _exact(x), _exact(y), int(seen)


def _exact(value: float) -> float:
    return float(str(np.float32(value)))


def marks_of(annotation: Annotation) -> Marks:
    """The marks of a label; a corner without coordinates is absent."""
    return tuple(
        (_exact(x), _exact(y), int(seen)) if seen != NOT_LABELLED else ABSENT
        for (x, y), seen in zip(annotation.corners, annotation.visibility, strict=True)
    )


def arrays(marks: Marks) -> tuple[np.ndarray, np.ndarray]:
    """Corners (8, 2) float32, NaN if absent or not placed, and visibility (8,) int8, 0 there."""
    placed = [mark if mark is not None and mark[2] != NOT_LABELLED else (np.nan, np.nan, 0) for mark in marks]
    table = np.array(placed, np.float64)
    return table[:, :2].astype(np.float32), table[:, 2].astype(np.int8)
