"""Colours and surfaces around the packet of a rendered strip."""

import cv2
import numpy as np

FINE = 16
"""Rows a nominal card while drawing."""


def smooth(rng: np.random.Generator, shape: tuple[int, int], knots: tuple[int, int]) -> np.ndarray:
    """Smooth normal noise (h, w) float32 with this many knots along each axis."""
    field = rng.standard_normal((max(2, knots[0]), max(2, knots[1])), dtype=np.float32)
    return cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)


def colour(rng: np.random.Generator, value: tuple[float, float], saturation: float) -> np.ndarray:
    """(3,) float32 RGB of a brightness within `value`."""
    return np.clip(rng.uniform(*value) * (1 + saturation * rng.uniform(-1, 1, 3)), 0.01, 1.3).astype(
        np.float32
    )


def surface(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) float32, a table or a card seen from above: plain, woven, striped or printed."""
    h, w = shape
    own = colour(rng, (0.05, 0.95), rng.choice([0.1, 0.5]))
    kind, strength = rng.integers(6), np.float32(rng.uniform(0.02, 0.5))
    light = np.ones((h, w), np.float32)
    if kind == 1:  # stripes along the cards, as wood and the pattern of a back
        light = np.exp(strength * smooth(rng, (h, w), (int(h / rng.uniform(3, 60)), 2)))
    elif kind == 2:  # cloth
        light = np.exp(0.5 * strength * smooth(rng, (h, w), (max(2, h // 5), w)))
    elif kind == 3:  # regular lines, at a pitch of their own
        y = np.arange(h, dtype=np.float32)[:, None] + np.float32(rng.normal(0, 8)) * np.linspace(
            -1, 1, w, dtype=np.float32
        )
        wave = np.sin(y * np.float32(2 * np.pi / np.exp(rng.uniform(np.log(0.4), np.log(6))) / FINE))
        light = np.exp(strength * wave * np.clip(0.4 + smooth(rng, (h, w), (3, 3)), 0, 1))
    elif kind == 4:  # print in two colours
        mask = smooth(rng, (h, w), (max(2, h // 20), max(2, w // 6))) > 0
        return np.where(mask[..., None], own, colour(rng, (0.1, 1.0), 0.4))
    elif kind == 5:  # light that falls off
        light = (
            np.exp(strength * 2 * np.linspace(rng.normal(), rng.normal(), h, dtype=np.float32))[:, None]
            * light
        )
    return light[..., None] * own
