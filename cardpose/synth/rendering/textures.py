"""Procedural textures: card backs, tables, and light and shadow on the table. All in RGB."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from cardpose.synth.records import Back, Light, Packet, Table
from cardpose.synth.rendering.box import outline, placed
from cardpose.synth.sampling import pictures

BACK_PX_PER_MM = 6.0
TILE_SIZE = 1024
TILE_PX_PER_MM = 3.0
TILE_LEVELS = 6
VARIANTS = 4
"""Tiles per kind of table that a process caches; each clip uses one at another position and angle."""
LIGHT_MAP_SIZE = 1024
"""Pixels of 1 mm, with the packet in the middle."""

Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Coordinates in cells from the card's middle -> 0 (ground) to 1 (figure); point-symmetric, as backs are."""


def _smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _cell(u: np.ndarray) -> np.ndarray:
    """Signed offset from the centre of the cell, -0.5 to 0.5."""
    return u - np.round(u)


def lattice(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Crossing diagonals with a dot in each diamond."""
    lines = np.minimum(np.abs(_cell(u + v)), np.abs(_cell(u - v)))
    dots = np.hypot(_cell(u + 0.5), _cell(v))
    return np.maximum(1 - _smooth(lines, 0.06, 0.12), 1 - _smooth(dots, 0.14, 0.2))


def rings(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Two concentric rings in each cell, interlocked with the neighbours'."""
    radius = np.hypot(_cell(u), _cell(v))
    return 1 - _smooth(np.minimum(np.abs(radius - 0.22), np.abs(radius - 0.5)), 0.035, 0.09)


def weave(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Woven bands of three threads."""
    over = (np.round(u) + np.round(v)) % 2 == 0
    along = np.where(over, _cell(u), _cell(v))
    across = np.where(over, _cell(v), _cell(u))
    threads = 0.5 + 0.5 * np.cos(6 * np.pi * across)
    return threads * (1 - _smooth(np.abs(along), 0.4, 0.5))


def petals(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Flowers of eight petals, with small stars where four cells meet."""
    x, y = _cell(u), _cell(v)
    flower = np.hypot(x, y) - 0.3 - 0.1 * np.cos(8 * np.arctan2(y, x))
    star = np.abs(_cell(u + 0.5)) + np.abs(_cell(v + 0.5))
    return np.maximum(1 - _smooth(np.abs(flower), 0.04, 0.1), 1 - _smooth(star, 0.1, 0.18))


def stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Zigzag bands."""
    wave = v + 2 * (np.abs(_cell(u + 0.25)) - 0.25)
    return 1 - _smooth(np.abs(_cell(wave)), 0.2, 0.28)


def diamonds(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A chequerboard turned by 45 degrees."""
    a, b = (u + v) / 2, (u - v) / 2
    edge = np.minimum(0.25 - np.abs(_cell(a)), 0.25 - np.abs(_cell(b)))
    other = np.minimum(0.25 - np.abs(_cell(a + 0.5)), 0.25 - np.abs(_cell(b + 0.5)))
    return _smooth(np.maximum(edge, other), -0.03, 0.03)


FAMILIES: dict[str, Pattern] = {
    "lattice": lattice,
    "rings": rings,
    "weave": weave,
    "petals": petals,
    "stripes": stripes,
    "diamonds": diamonds,
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
    ink = _smooth(depth, -0.08, 0.08) * (1 - printed)
    return (packet.paper + ink[..., None] * (back.colour - packet.paper)).astype(np.float32)


def wear_edges(card: np.ndarray, back: Back, packet: Packet) -> np.ndarray:
    """Rub off the ink along the edge of a top card (height, width, 3), 0 to 1, by an irregular width."""
    if back.wear == 0:
        return card
    h, w = card.shape[:2]
    x = np.abs((np.arange(w) + 0.5) / w - 0.5) * packet.width
    y = np.abs((np.arange(h) + 0.5) / h - 0.5)[:, None] * packet.height
    depth = np.minimum(packet.width / 2 - x, packet.height / 2 - y)
    reach = back.wear * cv2.resize(back.scuffs, (w, h), interpolation=cv2.INTER_CUBIC)
    bare = 1 - _smooth(depth - reach, -0.2, 0.2)
    return (card + bare[..., None] * (0.9 * packet.paper - card)).astype(np.float32)


def _periodic_noise(
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
    height = _periodic_noise(rng, TILE_SIZE, 3, 10, stretch=0.8)
    return np.roll(height, 2, 0) - height + 0.5 * _periodic_noise(rng, TILE_SIZE, 8, 60)


def felt(rng: np.random.Generator) -> np.ndarray:
    """Fine fibres without direction."""
    return _periodic_noise(rng, TILE_SIZE, 1.5, 5) + 0.4 * _periodic_noise(rng, TILE_SIZE, 20, 120)


def wood(rng: np.random.Generator) -> np.ndarray:
    """Grain along x: pores and year rings, bent by slow noise."""
    bend = _periodic_noise(rng, TILE_SIZE, 60, 400, stretch=6)
    y = np.arange(TILE_SIZE)[:, None] / TILE_SIZE
    years = np.sin(2 * np.pi * (14 * y + 0.8 * bend))
    return 0.8 * years + 0.7 * _periodic_noise(rng, TILE_SIZE, 2, 14, stretch=14)


def paper(rng: np.random.Generator) -> np.ndarray:
    """Almost plain."""
    return 0.25 * _periodic_noise(rng, TILE_SIZE, 2, 300)


def plain(rng: np.random.Generator) -> np.ndarray:
    """Lacquer or plastic, almost without texture."""
    return 0.08 * _periodic_noise(rng, TILE_SIZE, 100, 500)


def marble(rng: np.random.Generator) -> np.ndarray:
    """Clouds crossed by veins."""
    bend = _periodic_noise(rng, TILE_SIZE, 40, 500)
    veins = np.abs(np.sin(2.2 * bend + 0.5 * _periodic_noise(rng, TILE_SIZE, 8, 60)))
    return 0.6 * bend - 1.6 * np.exp(-14 * veins)


def cloth(rng: np.random.Generator) -> np.ndarray:
    """Woven threads at right angles, uneven."""
    y, x = np.mgrid[:TILE_SIZE, :TILE_SIZE] * (2 * np.pi * 128 / TILE_SIZE)
    threads = np.sin(x) * np.cos(y) + 0.4 * np.sin(x + y)
    return 0.8 * threads * (1 + 0.4 * _periodic_noise(rng, TILE_SIZE, 6, 40)) + 0.5 * _periodic_noise(
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


def light_map(packet: Packet, table: Table, light: Light) -> np.ndarray:
    """Light on the table (LIGHT_MAP_SIZE, LIGHT_MAP_SIZE) float32: folds, shadow and ambient occlusion.

    1 is the flat table without shadow. Rows run along +y of the world.
    """
    lit = 1 + 0.5 * table.folds * _folds(table.texture_seed % VARIANTS)
    half = _shadow_reach(packet, light)
    window = slice(LIGHT_MAP_SIZE // 2 - half, LIGHT_MAP_SIZE // 2 + half)
    direct, ambient = 1 - _shadow(packet, light, 2 * half), 1 - _occlusion(packet, 2 * half)
    lit[window, window] *= light.ambient * ambient + (1 - light.ambient) * direct
    return lit


@cache
def _folds(variant: int) -> np.ndarray:
    """Large-scale shading (LIGHT_MAP_SIZE, LIGHT_MAP_SIZE) float32 of mean 0 that fades to 0 at the border."""
    small = _periodic_noise(np.random.default_rng(variant), 256, 12, 60)
    folds = cv2.resize(small, (LIGHT_MAP_SIZE, LIGHT_MAP_SIZE), interpolation=cv2.INTER_CUBIC)
    away = np.abs(np.linspace(-1, 1, LIGHT_MAP_SIZE))
    fade = 1 - _smooth(np.maximum(away[:, None], away), 0.7, 1.0)  # the edge pixels are repeated outside
    return (folds * fade).astype(np.float32)


def _shadow_reach(packet: Packet, light: Light) -> int:
    """Distance in mm from the middle of the light map, along either axis, up to which the packet blocks light."""
    slope = np.abs(light.direction[:2]).max() / light.direction[2]
    blur = max(0.6 + light.softness * packet.thickness, 2 + 0.7 * packet.thickness)
    reach = np.hypot(packet.width, packet.height) / 2 + slope * packet.thickness + 4 * blur
    return min(int(np.ceil(reach)) + 8, LIGHT_MAP_SIZE // 2)


def _footprint(packet: Packet, shift: np.ndarray, size: int) -> np.ndarray:
    """The packet's outline, moved by `shift` mm, on the central (size, size) of the light map; 0 or 1, float32."""
    points, _ = outline(packet.width, packet.height, packet.radius)
    shape = placed(points, packet.offsets[:1], packet.turns[:1])[0] + shift + (size - 1) / 2
    canvas = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(canvas, np.round(shape * 16).astype(np.int32), 1.0, cv2.LINE_8, 4)
    return canvas


def _shadow(packet: Packet, light: Light, size: int) -> np.ndarray:
    """Share of the main light that the packet blocks: the outline at several heights, blurred more from higher up."""
    slope = -light.direction[:2] / light.direction[2]
    shadow = np.zeros((size, size), np.float32)
    for height in np.linspace(0.15, 1, 6) * packet.thickness:
        foot = _footprint(packet, slope * height, size)
        blurred = cv2.GaussianBlur(foot, (0, 0), 0.6 + light.softness * height)
        np.maximum(shadow, blurred, out=shadow)
    return shadow


def _occlusion(packet: Packet, size: int) -> np.ndarray:
    """Share of the ambient light that the packet blocks close to its foot."""
    foot = _footprint(packet, np.zeros(2), size)
    near, wide = (
        cv2.GaussianBlur(foot, (0, 0), 1.2),
        cv2.GaussianBlur(foot, (0, 0), 2 + 0.7 * packet.thickness),
    )
    return 0.45 * near + 0.5 * wide
