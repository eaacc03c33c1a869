"""Procedural textures: card backs and tables. All in RGB."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from cardpose.synth.records import Back, Packet, Table
from cardpose.synth.rendering import prints
from cardpose.synth.rendering.prints import printed_tile
from cardpose.synth.sampling import pictures

BACK_PX_PER_MM = 6.0
TILE_SIZE = 1024
TILE_PX_PER_MM = 3.0
TILE_LEVELS = 6
VARIANTS = 4
"""Tiles per kind of table that a process caches; each clip uses one at another position and angle."""

Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Coordinates in cells from the card's middle -> 0 (ground) to 1 (figure); point-symmetric, as backs are."""


def smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, in between a smooth step."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _cell(u: np.ndarray) -> np.ndarray:
    """Signed offset from the centre of the cell, -0.5 to 0.5."""
    return u - np.round(u)


def lattice(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Crossing diagonals with a dot in each diamond."""
    lines = np.minimum(np.abs(_cell(u + v)), np.abs(_cell(u - v)))
    dots = np.hypot(_cell(u + 0.5), _cell(v))
    return np.maximum(1 - smooth(lines, 0.06, 0.12), 1 - smooth(dots, 0.14, 0.2))


def rings(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Two concentric rings in each cell, interlocked with the neighbours'."""
    radius = np.hypot(_cell(u), _cell(v))
    return 1 - smooth(np.minimum(np.abs(radius - 0.22), np.abs(radius - 0.5)), 0.035, 0.09)


def weave(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Woven bands of three threads."""
    over = (np.round(u) + np.round(v)) % 2 == 0
    along = np.where(over, _cell(u), _cell(v))
    across = np.where(over, _cell(v), _cell(u))
    threads = 0.5 + 0.5 * np.cos(6 * np.pi * across)
    return threads * (1 - smooth(np.abs(along), 0.4, 0.5))


def petals(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Flowers of eight petals, with small stars where four cells meet."""
    x, y = _cell(u), _cell(v)
    flower = np.hypot(x, y) - 0.3 - 0.1 * np.cos(8 * np.arctan2(y, x))
    star = np.abs(_cell(u + 0.5)) + np.abs(_cell(v + 0.5))
    return np.maximum(1 - smooth(np.abs(flower), 0.04, 0.1), 1 - smooth(star, 0.1, 0.18))


def stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Zigzag bands."""
    wave = v + 2 * (np.abs(_cell(u + 0.25)) - 0.25)
    return 1 - smooth(np.abs(_cell(wave)), 0.2, 0.28)


def diamonds(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A chequerboard turned by 45 degrees."""
    a, b = (u + v) / 2, (u - v) / 2
    edge = np.minimum(0.25 - np.abs(_cell(a)), 0.25 - np.abs(_cell(b)))
    other = np.minimum(0.25 - np.abs(_cell(a + 0.5)), 0.25 - np.abs(_cell(b + 0.5)))
    return smooth(np.maximum(edge, other), -0.03, 0.03)


def scales(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Overlapping arcs, mirrored about the card's middle."""
    height = np.abs(v)
    row = np.floor(2 * height)
    x, y = _cell(u + 0.5 * (row % 2)), height - row / 2
    radius = np.minimum(np.hypot(x, y), np.hypot(np.abs(x) - 0.5, y - 0.5) + 0.12)
    return 1 - smooth(np.abs(_cell(4 * radius)), 0.12, 0.3)


def rays(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Rays from the card's middle."""
    return smooth(np.sin(16 * np.arctan2(v, u)) * np.minimum(1, np.hypot(u, v)), -0.2, 0.2)


def dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A dot in every cell and where four cells meet."""
    return 1 - smooth(
        np.minimum(np.hypot(_cell(u), _cell(v)), np.hypot(_cell(u + 0.5), _cell(v + 0.5))), 0.1, 0.2
    )


FAMILIES: dict[str, Pattern] = {
    "lattice": lattice,
    "rings": rings,
    "weave": weave,
    "petals": petals,
    "stripes": stripes,
    "diamonds": diamonds,
    "scales": scales,
    "rays": rays,
    "dots": dots,
}
"""Adding a new family of backs: write a function as above; add its name here and to `families` of a conf/scene file."""


def card_back(back: Back, packet: Packet, px_per_mm: float = BACK_PX_PER_MM) -> np.ndarray:
    """A printed back (height, width, 3) float32, 0 to 1, with +y of the world up."""
    w, h = round(packet.width * px_per_mm), round(packet.height * px_per_mm)
    x = ((np.arange(w, dtype=np.float32) + 0.5) * packet.width / w - packet.width / 2)[None]
    y = ((np.arange(h, dtype=np.float32) + 0.5) * packet.height / h - packet.height / 2)[:, None]
    # Distance in mm from the white border inwards.
    depth = np.minimum(packet.width / 2 - np.abs(x), packet.height / 2 - np.abs(y)) - back.border
    figure = FAMILIES[back.family](*np.broadcast_arrays(x / back.pitch, y / back.pitch))
    printed = back.contrast * np.where(depth > 2.0, figure, 0)
    printed = np.maximum(printed, back.contrast * ((depth > 0.7) & (depth < 1.1)))  # a light line as frame
    if back.medallion:
        printed = _medallion(printed, back, *np.broadcast_arrays(x, y))
    ink = smooth(depth, -0.08, 0.08) * (1 - printed)
    return (packet.paper + ink[..., None] * (back.colour - packet.paper)).astype(np.float32)


def _medallion(printed: np.ndarray, back: Back, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Put a rosette in the middle of a print (h, w), 0 to 1; `x` and `y` in mm from there."""
    radius, angle = np.hypot(x, y) / back.medallion, np.arctan2(y, x)
    rosette = smooth(np.cos(8 * angle) * np.sin(3 * np.pi * radius), -0.2, 0.2)
    return np.where(radius < 1, back.contrast * np.where(radius > 0.9, 1.0, rosette), printed)


def wear_edges(card: np.ndarray, back: Back, packet: Packet) -> np.ndarray:
    """Rub off the ink along the edge of a top card (height, width, 3), 0 to 1, by an irregular width."""
    if back.wear == 0:
        return card
    h, w = card.shape[:2]
    x = np.abs((np.arange(w) + 0.5) / w - 0.5) * packet.width
    y = np.abs((np.arange(h) + 0.5) / h - 0.5)[:, None] * packet.height
    depth = np.minimum(packet.width / 2 - x, packet.height / 2 - y)
    reach = back.wear * cv2.resize(back.scuffs, (w, h), interpolation=cv2.INTER_CUBIC)
    bare = 1 - smooth(depth - reach, -0.2, 0.2)
    return (card + bare[..., None] * (0.9 * packet.paper - card)).astype(np.float32)


def periodic_noise(
    rng: np.random.Generator, size: int, low: float, high: float, stretch: float = 1.0
) -> np.ndarray:
    """Tiling noise (size, size) of mean 0, standard deviation 1 and wavelengths from `low` to `high` pixels.

    `stretch` elongates it along x.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    frequency = np.hypot(np.fft.rfftfreq(size)[None] * stretch, np.fft.fftfreq(size)[:, None])
    band = np.exp(-((frequency * low) ** 2)) - np.exp(-((frequency * high) ** 2))
    noise = np.fft.irfft2(spectrum * band, (size, size))
    return (noise / noise.std()).astype(np.float32)


def fleece(rng: np.random.Generator) -> np.ndarray:
    """Soft tufts, lit from the side."""
    height = periodic_noise(rng, TILE_SIZE, 3, 10, stretch=0.8)
    return np.roll(height, 2, 0) - height + 0.5 * periodic_noise(rng, TILE_SIZE, 8, 60)


def felt(rng: np.random.Generator) -> np.ndarray:
    """Fine fibres without direction."""
    return periodic_noise(rng, TILE_SIZE, 1.5, 5) + 0.4 * periodic_noise(rng, TILE_SIZE, 20, 120)


def wood(rng: np.random.Generator) -> np.ndarray:
    """Grain along x: pores and year rings, bent by slow noise."""
    bend = periodic_noise(rng, TILE_SIZE, 60, 400, stretch=6)
    y = np.arange(TILE_SIZE)[:, None] / TILE_SIZE
    years = np.sin(2 * np.pi * (14 * y + 0.8 * bend))
    return 0.8 * years + 0.7 * periodic_noise(rng, TILE_SIZE, 2, 14, stretch=14)


def paper(rng: np.random.Generator) -> np.ndarray:
    """Almost plain."""
    return 0.25 * periodic_noise(rng, TILE_SIZE, 2, 300)


def plain(rng: np.random.Generator) -> np.ndarray:
    """Lacquer or plastic, almost without texture."""
    return 0.08 * periodic_noise(rng, TILE_SIZE, 100, 500)


def marble(rng: np.random.Generator) -> np.ndarray:
    """Clouds crossed by veins."""
    bend = periodic_noise(rng, TILE_SIZE, 40, 500)
    veins = np.abs(np.sin(2.2 * bend + 0.5 * periodic_noise(rng, TILE_SIZE, 8, 60)))
    return 0.6 * bend - 1.6 * np.exp(-14 * veins)


def cloth(rng: np.random.Generator) -> np.ndarray:
    """Woven threads at right angles, uneven."""
    y, x = np.mgrid[:TILE_SIZE, :TILE_SIZE] * (2 * np.pi * 128 / TILE_SIZE)
    threads = np.sin(x) * np.cos(y) + 0.4 * np.sin(x + y)
    return 0.8 * threads * (1 + 0.4 * periodic_noise(rng, TILE_SIZE, 6, 40)) + 0.5 * periodic_noise(
        rng, TILE_SIZE, 3, 12
    )


TABLES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "fleece": fleece,
    "felt": felt,
    "wood": wood,
    "paper": paper,
    "plain": plain,
    "marble": marble,
    "cloth": cloth,
}
"""Adding a new table: write a function that returns tiling noise of standard deviation about 1; add its name here and
to `kinds` of a conf/scene file."""


@cache
def table_tiles(kind: str, variant: int) -> tuple[np.ndarray, ...]:
    """A tiling surface as a mip map, uint8 around 128: TILE_SIZE pixels wide, then half as wide, ...

    Source: L. Williams, Pyramidal Parametrics, SIGGRAPH 1983.
    """
    noise = TABLES[kind](np.random.default_rng(variant))
    return _levels(np.clip(0.5 + 0.2 * noise, 0, 1))


@cache
def picture_tiles(path: str) -> tuple[np.ndarray, ...]:
    """A picture as a surface, as `table_tiles` but RGB; mirrored, so that it tiles."""
    half = cv2.resize(pictures.read(path), (TILE_SIZE // 2,) * 2, interpolation=cv2.INTER_AREA)
    wide = np.concatenate([half, half[:, ::-1]], 1)
    return _levels(np.concatenate([wide, wide[::-1]], 0))


@cache
def _printed_tiles(variant: int) -> tuple[np.ndarray, ...]:
    return _levels(printed_tile(variant, TILE_SIZE) / np.float32(255))


def printed_tiles(seed: int) -> tuple[np.ndarray, ...]:
    """One of the printed surfaces, as `table_tiles` but RGB."""
    return _printed_tiles(seed % prints.VARIANTS)


def _levels(tile: np.ndarray) -> tuple[np.ndarray, ...]:
    levels = [np.ascontiguousarray(tile, np.float32)]
    for _ in range(TILE_LEVELS - 1):
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    # As bytes, four times as much fits into the processor's cache.
    return tuple(np.round(255 * level).astype(np.uint8) for level in levels)


def table_colours(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """RGB (3,) of the table where its texture is 0 and where it is 1."""
    colour = _wooden(table.colour) if table.kind == "wood" else table.colour
    return colour * (1 - table.contrast), colour * (1 + table.contrast)


def _wooden(colour: np.ndarray) -> np.ndarray:
    """A brown of the brightness of `colour`."""
    return np.array([0.9, 0.66, 0.45]) * (0.35 + 0.6 * colour.max())
