"""The packet's geometry: outlines of its cards, its eight corners, their names, which of them can be seen."""

from functools import cache

import numpy as np

from cardpose.common.packet import CORNERS, HIDDEN, NOT_LABELLED, VISIBLE
from cardpose.synth.rendering.camera import Camera

ARC_FACETS = 5
"""Flat facets to a rounded corner."""
SIDE_FACETS = 3
"""Facets to a straight side, so that its tone can vary along it."""
FACETS = 4 * (ARC_FACETS + SIDE_FACETS)
"""Facets, and points, of an outline."""

# In the packet's own frame, counter-clockwise from above: (-x, -y), (+x, -y), (+x, +y), (-x, +y).
_SIGNS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
_CORNER_WORDS = (("lower", "left"), ("lower", "right"), ("upper", "right"), ("upper", "left"))
_SLOTS = np.array([[CORNERS.index(f"{a}_{b}_{side}") for side in ("face", "back")] for a, b in _CORNER_WORDS])


@cache
def outline(width: float, height: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Outline of a card with rounded corners, counter-clockwise from above, centred on the origin.

    Returns:
        points (P, 2) in mm; outward normals (P, 2) of the facets from point i to point i + 1.
    """
    half = np.array([width, height]) / 2
    points: list[np.ndarray] = []
    for i, signs in enumerate(_SIGNS):
        angles = np.pi * (1 + i / 2) + np.linspace(0, np.pi / 2, ARC_FACETS + 1)
        arc = signs * (half - radius) + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        if points:
            points.extend(_between(points[-1], arc[0]))
        points.extend(arc)
    points.extend(_between(points[-1], points[0]))
    closed = np.array(points)
    edges = np.roll(closed, -1, 0) - closed
    normals = np.stack([edges[:, 1], -edges[:, 0]], 1)
    return closed, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _between(start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    return [start + (end - start) * k / SIDE_FACETS for k in range(1, SIDE_FACETS)]


def placed(points: np.ndarray, offsets: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """A card's points (P, 2) -> n cards' (n, P, 2), moved by `offsets` (n, 2), turned by `turns` (n,) rad."""
    cos, sin = np.cos(turns), np.sin(turns)
    rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    return np.einsum("nij,pj->npi", rotation, points) + offsets[:, None]


def apexes(width: float, height: float) -> np.ndarray:
    """(4, 2) corners of a card as if it were not rounded: where its straight edges would meet."""
    return _SIGNS * np.array([width, height]) / 2


def box_corners(
    width: float, height: float, thickness: float, offsets: np.ndarray, turns: np.ndarray
) -> np.ndarray:
    """World corners (4, 2, 3) of a packet, around it; on the bottom card (face), then the top (back)."""
    bottom, top = placed(apexes(width, height), offsets[[0, -1]], turns[[0, -1]])
    return np.stack(
        [np.pad(bottom, ((0, 0), (0, 1))), np.pad(top, ((0, 0), (0, 1)), constant_values=thickness)], 1
    )


def corner_facings(corners: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Which corners of a box (4, 2, 3) a camera at `position` sees past the box itself: (4, 2) bool.

    A corner of a convex body is seen when at least one of its faces is turned to the camera. The face on the
    table never is.
    """
    bottom = corners[:, 0]
    edges = np.roll(bottom, -1, 0) - bottom
    normals = np.stack([edges[:, 1], -edges[:, 0], np.zeros(4)], 1)
    sides = np.einsum("ij,ij->i", position - bottom, normals) > 0  # side i runs from corner i to corner i + 1
    either = sides | np.roll(sides, 1)
    above = position[2] > corners[0, 1, 2]
    return np.stack([either, either | above], 1)


def label(corners: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a box (4, 2, 3) as an annotator with X-ray eyes would label them.

    Upper is the short edge farther up in the image; left and right follow, since the names run clockwise.

    Returns:
        corners (8, 2) float32 in pixels, order of `CORNERS`, NaN outside the image; visibility (8,) int8.
    """
    points = camera.project(corners)  # (4, 2, 2)
    facing = corner_facings(corners, camera.position)
    near, far = points[:2, :, 1].mean(), points[2:, :, 1].mean()
    turn = 0 if near >= far else 2  # half a turn swaps the short edges and, with them, left and right
    slots = np.roll(_SLOTS, turn, 0)
    limits = np.array([camera.width, camera.height]) - 0.5
    inside = np.all((points >= -0.5) & (points < limits), -1)
    named, visibility = np.full((len(CORNERS), 2), np.nan, np.float32), np.zeros(len(CORNERS), np.int8)
    named[slots] = np.where(inside[..., None], points, np.nan)
    visibility[slots] = np.where(inside, np.where(facing, VISIBLE, HIDDEN), NOT_LABELLED)
    return named, visibility
