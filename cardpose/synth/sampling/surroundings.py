"""Draws what surrounds a packet: things on the table, sheets under it, and the room beyond its edge."""

from collections.abc import Callable

import numpy as np

from cardpose.synth.records import Patch, Prism
from cardpose.synth.sampling.draws import colour

_ANY_HUE = 0.0, 360.0
# Length, width and height in mm; how round: 0 a box, 1 a cylinder; how dark: highest brightness of its colour.
_OBJECTS = {
    "phone": ((140, 162), (68, 80), (7, 10), 0, 0.25),
    "book": ((150, 290), (100, 210), (4, 45), 0, 1.0),
    "card box": ((88, 94), (62, 68), (15, 24), 0, 1.0),
    "pencil": ((90, 190), (5, 9), (5, 9), 0, 1.0),
    "die": ((11, 20), (11, 20), (11, 20), 0, 1.0),
    "remote": ((120, 200), (35, 55), (15, 25), 0, 0.5),
    "chip": ((30, 44), (30, 44), (3, 14), 1, 1.0),
    "mug": ((70, 95), (70, 95), (75, 115), 1, 1.0),
    "plate": ((150, 260), (150, 260), (8, 25), 1, 1.0),
}


def sample_object(rng: np.random.Generator, place: Callable[[float], np.ndarray]) -> Prism:
    """One thing on the table.

    Args:
        place: the radius in mm of a thing -> (3,) a place for its centre.
    """
    kinds = list(_OBJECTS.values())
    long, wide, high, is_round, brightness = kinds[int(rng.integers(len(kinds)))]
    length, width, height = rng.uniform(*long), rng.uniform(*wide), rng.uniform(*high)
    outline = _ellipse(length, length, 28) if is_round else _rectangle(length, width)
    centre = place(float(np.hypot(length, width)) / 2)[:2]
    top = Patch(
        _turned(outline, rng.uniform(0, 2 * np.pi)) + centre,
        colour(rng, _ANY_HUE, (0.0, 0.95), (0.05, brightness)),
        colour(rng, _ANY_HUE, (0.0, 0.8), (0.05, 1.0)),
        rng.uniform(0.4, 0.95) if rng.random() < 0.7 else 0.0,
    )
    pages = rng.random() < 0.3
    side = colour(rng, (30, 60), (0.0, 0.2), (0.6, 0.95)) if pages else 0.85 * top.colour
    return Prism(top, height, side)


def sample_sheets(rng: np.random.Generator) -> tuple[Patch, ...]:
    """One to three sheets of paper, place mats or cloths, under or beside the packet."""
    return tuple(
        Patch(
            _turned(_rectangle(*rng.uniform(70, 420, 2)), rng.uniform(0, 2 * np.pi)) + rng.normal(0, 110, 2),
            colour(rng, _ANY_HUE, (0.0, 0.9) if rng.random() < 0.5 else (0.0, 0.08), (0.1, 1.0)),
            colour(rng, _ANY_HUE, (0.0, 0.9), (0.05, 1.0)),
            rng.uniform(0.5, 0.95) if rng.random() < 0.4 else 0.0,
        )
        for _ in range(int(rng.integers(1, 4)))
    )


def sample_room(rng: np.random.Generator) -> tuple[Patch, ...]:
    """Furniture, frames and windows, in shares of the image."""
    return tuple(
        Patch(
            _turned(_rectangle(*rng.uniform(0.03, 0.6, 2)), rng.normal(0, 0.12))
            + rng.uniform(0, 1, 2) * (1, 0.6),
            colour(rng, _ANY_HUE, (0.0, 0.5), (0.03, 1.1)),
            colour(rng, _ANY_HUE, (0.0, 0.5), (0.03, 1.1)),
            rng.uniform(0.3, 0.95) if rng.random() < 0.5 else 0.0,
        )
        for _ in range(int(rng.integers(1, 9)))
    )


def _rectangle(length: float, width: float) -> np.ndarray:
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (length, width) / 2


def _ellipse(length: float, width: float, points: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(points) / points
    return np.stack([np.cos(angle), np.sin(angle)], 1) * (length, width) / 2


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])
