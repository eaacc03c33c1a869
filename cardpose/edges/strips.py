"""Cut the visible sides of a packet out of the source frame.

A strip runs along the cards, its rows across them. Where a card of `CARD_MM` lies straight, it is `ROWS` rows high,
whatever its height in the source.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM
from cardpose.edges.levelling import apply_level, find_level
from cardpose.geometry.box_fit import BoxFit

CARD_MM = 0.30
"""Nominal thickness of a card; packets have 0.26 to 0.35 mm."""
ROWS = 6
"""Rows of a strip a nominal card."""
COLUMNS = 24
"""Columns of a strip; a column is the mean of the source pixels along 2.3 to 3.3 mm of the edge."""
NARROW = 4
"""Columns that are levelled and then averaged to one of the strip."""
MARGIN_MM = 4.0
"""Above and below the box: its corners are off by up to two pixels of the network's image."""
LEVEL_MM = 5.0
"""Further above and below, read only to level the lines."""
_ROUNDED_MM = 4.5  # at each end of a side, the rounded corner of a card and a little more
_MAX_THICKNESS = 45.0  # mm, 104 loose cards and more
LEAST_FACING = 0.15
"""Cosine between the normal of a side and the view, below which it is seen too much from beside."""
_SIDES = (
    (0.0, CARD_WIDTH_MM / 2, CARD_HEIGHT_MM),
    (math.pi / 2, CARD_HEIGHT_MM / 2, CARD_WIDTH_MM),
    (math.pi, CARD_WIDTH_MM / 2, CARD_HEIGHT_MM),
    (-math.pi / 2, CARD_HEIGHT_MM / 2, CARD_WIDTH_MM),
)  # direction of the normal from above, its distance from the middle and the length of the side, mm


class Side(NamedTuple):
    """Where a side of a packet is in the frame.

    Args:
        quad: (4, 2) source pixels of the corners of strip and `LEVEL_MM` around it, clockwise from the upper left.
        pitch: source pixels a nominal card.
        thickness: mm, from the geometry.
    """

    quad: np.ndarray
    pitch: float
    thickness: float


class Strip(NamedTuple):
    """A side of a packet, levelled.

    Args:
        image: (rows, COLUMNS, 3) float32 RGB, 0 to 255; rows are even.
        seen: (COLUMNS,) bool, the columns that lie inside the frame from top to bottom.
        pitch: source pixels a nominal card, from the geometry.
        ends: (2,) rows between which the geometry expects the packet.
    """

    image: np.ndarray
    seen: np.ndarray
    pitch: float
    ends: np.ndarray


def find_sides(box: BoxFit[np.ndarray], size: tuple[int, int], focal: float) -> list[Side]:
    """The sides that face the camera, the one with the highest pitch first; empty where the corners fit no box.

    Args:
        box: of one frame, fitted with this focal length.
        size: width and height of the source frame.
        focal: focal length in longer sides of the frame.
    """
    thickness = float(box.thickness[0])
    if not -2 < thickness < _MAX_THICKNESS:  # NaN where nothing is determined
        return []
    thickness = max(thickness, CARD_MM)
    rotation, translation = box.rotation[0], box.translation[0]
    zoom, middle = max(size) * focal, (np.array(size) - 1) / 2

    def project(points: np.ndarray) -> np.ndarray:
        seen = points @ rotation.T + translation
        return zoom * seen[:, :2] / np.maximum(seen[:, 2:], 1.0) + middle

    margin = MARGIN_MM + LEVEL_MM
    up, down = np.array([0, 0, margin]), np.array([0, 0, -thickness - margin])
    sides = []
    for turn, out, length in _SIDES:
        normal = np.array([np.cos(turn), np.sin(turn), 0.0])
        place = normal * out - np.array([0, 0, thickness / 2])
        view = rotation @ place + translation
        if -(rotation @ normal) @ view / np.linalg.norm(view) < LEAST_FACING:
            continue
        half = np.array([-normal[1], normal[0], 0.0]) * (length / 2 - _ROUNDED_MM)
        flat = normal * out
        quad = project(np.stack([flat - half + up, flat + half + up, flat + half + down, flat - half + down]))
        pitch = float(np.linalg.norm(np.diff(project(np.stack([place, place - [0, 0, CARD_MM]])), axis=0)))
        sides.append(Side(quad, pitch, thickness))
    return sorted(sides, key=lambda side: -side.pitch)


def cut_strip(image: np.ndarray, side: Side) -> Strip:
    """Cut a side out of the source frame (H, W, 3) uint8 RGB.

    Sampled at the source's resolution or above, then levelled and averaged down, so that no source row is skipped.
    """
    quad, pitch = side.quad, side.pitch
    columns = COLUMNS * NARROW
    spare = round(LEVEL_MM / CARD_MM * ROWS)
    rows = 2 * round((side.thickness + 2 * MARGIN_MM) / CARD_MM * ROWS / 2)
    length = max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))
    wide, tall = max(1, int(np.ceil(length / columns))), max(1, int(np.ceil(pitch / ROWS)))
    # OpenCV addresses at most 32767 pixels a side.
    shape = np.minimum(np.array([columns * wide, (rows + 2 * spare) * tall]), 32000)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * shape - 0.5
    warp = cv2.getPerspectiveTransform(quad.astype(np.float32), corners.astype(np.float32))
    fine = cv2.warpPerspective(
        image, warp, shape.tolist(), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    # Along the cards first: a strip's columns slope by less than a row each.
    narrow = cv2.resize(fine.astype(np.float32), (columns, int(shape[1])), interpolation=cv2.INTER_AREA)
    ends = np.array([MARGIN_MM, MARGIN_MM + side.thickness]) / CARD_MM * ROWS
    coarse = cv2.resize(narrow, (columns, rows + 2 * spare), interpolation=cv2.INTER_AREA)
    level = find_level(coarse, ends + spare)
    narrow = apply_level(narrow, level, shape[1] / (rows + 2 * spare))
    strip = cv2.resize(narrow, (COLUMNS, rows + 2 * spare), interpolation=cv2.INTER_AREA)[spare:-spare]
    # Where the upper and the lower border of the levelled strip are in the frame.
    borders = np.array([spare, spare + rows])
    borders = (borders[:, None] + level.at(borders)) / (rows + 2 * spare)
    share = np.broadcast_to((np.arange(columns) + 0.5) / columns, borders.shape)
    points = cv2.perspectiveTransform(
        (np.stack([share, borders], 2) * shape - 0.5).reshape(1, -1, 2), np.linalg.inv(warp)
    ).reshape(2, columns, 2)
    limit = np.array(image.shape[1::-1]) - 1
    seen = ((points >= 0) & (points <= limit)).all((0, 2)).reshape(COLUMNS, NARROW).all(1)
    return Strip(strip, seen, pitch, ends)


def reduce_columns(image: np.ndarray) -> np.ndarray:
    """Average every `NARROW` columns of a levelled image (rows, COLUMNS * NARROW, 3)."""
    return cv2.resize(image, (COLUMNS, len(image)), interpolation=cv2.INTER_AREA)
