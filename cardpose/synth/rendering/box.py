"""The packet's geometry: the outlines of its cards, and its eight corners, their names and visibility."""

from functools import cache

import numpy as np

from cardpose.common.packet import CORNERS, HIDDEN, NOT_LABELLED, VISIBLE
from cardpose.synth.rendering.camera import Camera

ARC_FACETS = 5
"""Flat facets per rounded corner."""
SIDE_FACETS = 3
"""Facets per straight side, so that the tone can vary along it."""
FACETS = 4 * (ARC_FACETS + SIDE_FACETS)
"""Facets, and points, of an outline (P)."""

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
    # Arc by arc, with the straight side before each.
    half = np.array([width, height]) / 2
    points: list[np.ndarray] = []
    for i, signs in enumerate(_SIGNS):
        angles = np.pi * (1 + i / 2) + np.linspace(0, np.pi / 2, ARC_FACETS + 1)
        arc = signs * (half - radius) + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        if points:
            points.extend(_between(points[-1], arc[0]))
        points.extend(arc)
    points.extend(_between(points[-1], points[0]))
    # The outward normal of an edge is its direction turned by -90 degrees.
    closed = np.array(points)
    edges = np.roll(closed, -1, 0) - closed
    normals = np.stack([edges[:, 1], -edges[:, 0]], 1)
    return closed, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _between(start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    return [start + (end - start) * k / SIDE_FACETS for k in range(1, SIDE_FACETS)]


def placed(points: np.ndarray, offsets: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Points (P, 2) of a card -> of n cards (n, P, 2), turned by `turns` (n,) rad and moved by `offsets` (n, 2)."""
    cos, sin = np.cos(turns), np.sin(turns)
    rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    return np.einsum("nij,pj->npi", rotation, points) + offsets[:, None]


def apexes(width: float, height: float) -> np.ndarray:
    """(4, 2) corners of a card without rounding: the intersections of its straight edges."""
    return _SIGNS * np.array([width, height]) / 2


def box_corners(
    width: float, height: float, thickness: float, offsets: np.ndarray, turns: np.ndarray
) -> np.ndarray:
    """World corners (4, 2, 3) in mm: around the packet, then of the bottom card (face) and the top card (back)."""
    bottom, top = placed(apexes(width, height), offsets[[0, -1]], turns[[0, -1]])
    return np.stack(
        [np.pad(bottom, ((0, 0), (0, 1))), np.pad(top, ((0, 0), (0, 1)), constant_values=thickness)], 1
    )


def corner_facings(corners: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(4, 2) bool: which corners of a box (4, 2, 3) the box itself does not hide from a camera at `position` (3,).

    A corner of a convex body is visible if at least one of its faces is turned to the camera. The face on the table
    never is.
    """
    bottom = corners[:, 0]
    edges = np.roll(bottom, -1, 0) - bottom
    normals = np.stack([edges[:, 1], -edges[:, 0], np.zeros(4)], 1)
    sides = np.einsum("ij,ij->i", position - bottom, normals) > 0  # side i runs from corner i to corner i + 1
    adjacent = sides | np.roll(sides, 1)
    above = position[2] > corners[0, 1, 2]
    return np.stack([adjacent, adjacent | above], 1)


def label(corners: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Name the projected corners of a box (4, 2, 3) and determine their visibility.

    Upper is the short edge higher up in the image; left and right follow, since the names run clockwise.

    Returns:
        corners (8, 2) float32 in pixels, order of `CORNERS`, NaN outside the image; visibility (8,) int8.
    """
    points = camera.project(corners)  # (4, 2, 2)
    facing = corner_facings(corners, camera.position)
    near, far = points[:2, :, 1].mean(), points[2:, :, 1].mean()
    turn = 0 if near >= far else 2  # half a turn swaps the short edges, and left and right with them
    slots = np.roll(_SLOTS, turn, 0)
    # Corners outside the image are not labelled.
    limits = np.array([camera.width, camera.height]) - 0.5
    inside = np.all((points >= -0.5) & (points < limits), -1)
    named, visibility = np.full((len(CORNERS), 2), np.nan, np.float32), np.zeros(len(CORNERS), np.int8)
    named[slots] = np.where(inside[..., None], points, np.nan)
    visibility[slots] = np.where(inside, np.where(facing, VISIBLE, HIDDEN), NOT_LABELLED)
    return named, visibility
