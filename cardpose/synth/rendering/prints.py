"""Printed and laid surfaces in colour: dots, checks, flowers, planks, tiles, terrazzo; and sheets on a table."""

from collections.abc import Callable, Sequence
from functools import cache

import cv2
import numpy as np

from cardpose.synth.records import Patch

PRINTED = "printed"
"""Kind of table whose texture is one of `PRINTS`."""
VARIANTS = 72
"""Printed tiles that a process caches; each clip uses one at another position, angle and tint."""

Colours = np.ndarray
"""(5, 3) uint8 RGB: the ground and four inks."""


def dots(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Dots in rows, every other row shifted."""
    size = len(tile)
    number = int(rng.integers(6, 48)) // 2 * 2
    step, share = size / number, rng.uniform(0.15, 0.45)
    for row in range(number):
        for column in range(number):
            x, y = (column + 0.5 * (row % 2)) * step, row * step
            _disc(tile, x, y, share * step, colours[1 + row * column % 2])


def checks(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Crossing bands, as on a table cloth."""
    number = int(rng.integers(3, 28)) * 2
    bands = np.arange(len(tile)) * number // len(tile) % 2
    tile[:] = colours[bands[:, None] + bands[None]]


def stripes(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Parallel bands of several widths."""
    ends = np.sort(rng.integers(0, len(tile), int(rng.integers(4, 40))))
    tile[:] = colours[np.searchsorted(ends, np.arange(len(tile))) % len(ends) % 5]


def flowers(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Scattered flowers of five to eight petals."""
    for _ in range(int(rng.integers(10, 60))):
        (x, y), radius = rng.uniform(0, len(tile), 2), rng.uniform(15, 60)
        petals, turn, ink = int(rng.integers(5, 9)), rng.uniform(0, 6), colours[int(rng.integers(1, 4))]
        for angle in turn + 2 * np.pi * np.arange(petals) / petals:
            _disc(tile, x + radius * np.cos(angle), y + radius * np.sin(angle), 0.55 * radius, ink)
        _disc(tile, x, y, 0.5 * radius, colours[4])


def tiles(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Tiles or planks of uneven brightness, with joints."""
    size = len(tile)
    rows, columns = int(rng.integers(1, 7)), int(rng.integers(1, 7))
    shift, joint = rng.random() < 0.5, int(rng.integers(1, 9))
    for row in range(rows):
        for column in range(-1, columns):
            left = int((column + 0.5 * (row % 2) * shift) * size / columns)
            shade = colours[1] * rng.uniform(0.75, 1.0)
            top = int(row * size / rows)
            box = (left + joint, top + joint), (int(left + size / columns) - 1, int(top + size / rows) - 1)
            cv2.rectangle(tile, *box, shade.tolist(), -1)


def terrazzo(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Chips of stone of several sizes."""
    largest = rng.uniform(4, 28)
    for _ in range(int(rng.integers(200, 1200))):
        centre, radii = rng.uniform(0, len(tile), 2), largest * rng.uniform(0.2, 1, 5)
        angles = np.sort(rng.uniform(0, 2 * np.pi, 5))
        chip = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        _polygon(tile, chip, colours[int(rng.integers(1, 5))])


def blotches(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Smooth areas of five colours with soft borders, as of stone, camouflage or a faded cloth."""
    cells = 2 ** int(rng.integers(2, 6))
    noise = rng.random((cells, cells)).astype(np.float32)
    wide = cv2.resize(
        np.tile(noise, (3, 3)),
        None,
        fx=len(tile) / cells,
        fy=len(tile) / cells,
        interpolation=cv2.INTER_CUBIC,
    )
    inner = wide[len(tile) : 2 * len(tile), len(tile) : 2 * len(tile)]
    place = np.clip(inner, 0, 1) * (len(colours) - 1)
    low = np.minimum(place.astype(int), len(colours) - 2)
    part = np.clip((place - low - 0.5) * rng.uniform(1, 12) + 0.5, 0, 1)[..., None]
    tile[:] = colours[low] * (1 - part) + colours[low + 1] * part


def lines(tile: np.ndarray, colours: Colours, rng: np.random.Generator) -> None:
    """Straight lines in all directions: scratches, veins, writing."""
    for _ in range(int(rng.integers(10, 120))):
        start, angle = rng.uniform(0, len(tile), 2), rng.uniform(0, 2 * np.pi)
        end = start + rng.uniform(20, 500) * np.array([np.cos(angle), np.sin(angle)])
        across = rng.uniform(0.5, 5) * np.array([-np.sin(angle), np.cos(angle)])
        _polygon(
            tile,
            np.stack([start - across, end - across, end + across, start + across]),
            colours[int(rng.integers(1, 5))],
        )


PRINTS: tuple[Callable[[np.ndarray, Colours, np.random.Generator], None], ...] = (
    dots,
    checks,
    stripes,
    flowers,
    tiles,
    tiles,
    terrazzo,
    blotches,
    lines,
)


def _disc(tile: np.ndarray, x: float, y: float, radius: float, ink: np.ndarray) -> None:
    for dx, dy in _around(np.array([[x - radius, y - radius], [x + radius, y + radius]]), len(tile)):
        centre = round(16 * (x + dx)), round(16 * (y + dy))
        cv2.circle(tile, centre, max(1, round(16 * radius)), ink.tolist(), -1, cv2.LINE_AA, 4)


def _polygon(tile: np.ndarray, points: np.ndarray, ink: np.ndarray) -> None:
    for shift in _around(points, len(tile)):
        cv2.fillPoly(tile, [np.round(16 * (points + shift)).astype(np.int32)], ink.tolist(), cv2.LINE_AA, 4)


def _around(points: np.ndarray, size: int) -> list[tuple[int, int]]:
    """The shifts by whole tiles at which a shape with these points touches the tile."""
    low, high = points.min(0), points.max(0)
    return [
        (dx, dy)
        for dx in (-size, 0, size)
        for dy in (-size, 0, size)
        if low[0] + dx < size and high[0] + dx >= 0 and low[1] + dy < size and high[1] + dy >= 0
    ]


@cache
def printed_tile(variant: int, size: int) -> np.ndarray:
    """(size, size, 3) uint8 RGB, tiling."""
    rng = np.random.default_rng([7, variant])
    hue, spread = rng.uniform(0, 180), rng.choice([6.0, 30.0, 90.0])
    hsv = np.stack(
        [(hue + rng.normal(0, spread, 5)) % 180, rng.uniform(0, 230, 5), rng.uniform(40, 255, 5)], 1
    )
    colours = cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0]
    tile = np.empty((size, size, 3), np.uint8)
    tile[:] = colours[0]
    PRINTS[variant % len(PRINTS)](tile, colours, rng)
    noise = rng.normal(0, rng.uniform(1, 14), (size, size, 1))
    return np.clip(tile + noise, 0, 255).astype(np.uint8)


def draw_patches(canvas: np.ndarray, patches: Sequence[Patch], scale: np.ndarray, shift: np.ndarray) -> None:
    """Paint patches over `canvas` (h, w, 4) uint8 RGBA, at `scale` * outline + `shift` in pixels."""
    for patch in patches:
        parts = [(1.0, patch.colour), (patch.inlay_share, patch.inlay)]
        for share, ink in parts:
            middle = patch.outline.mean(0)
            points = scale * (middle + share * (patch.outline - middle)) + shift
            rgba = (*np.clip(255 * ink, 0, 255).tolist(), 255)
            if share:
                cv2.fillConvexPoly(canvas, np.round(16 * points).astype(np.int32), rgba, cv2.LINE_AA, 4)
