"""Small random draws shared by all parts of a scene."""

import colorsys

import numpy as np

from cardpose.synth.sampling import pictures
from cardpose.synth.sampling.distributions import Range


def draw(rng: np.random.Generator, limits: Range) -> float:
    """One number, uniform in [low, high]."""
    return float(rng.uniform(*limits))


def colour(rng: np.random.Generator, hues: Range, saturation: Range, value: Range) -> np.ndarray:
    """(3,) RGB, 0 to 1; hues in degrees."""
    hue = draw(rng, hues) / 360 % 1
    return np.array(colorsys.hsv_to_rgb(hue, draw(rng, saturation), draw(rng, value)))


def one_to_three(rng: np.random.Generator) -> int:
    """1, 2 or 3."""
    return int(rng.integers(1, 4))


def one_of(rng: np.random.Generator, folder: str | None, share: float) -> str | None:
    """The path of a random picture of the folder with probability `share`, else None."""
    chance, place = rng.random(2)
    if folder is None or chance >= share:
        return None
    paths = pictures.find(folder)
    return paths[int(place * len(paths))]
