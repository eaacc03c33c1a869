"""Light and shadow on the table."""

from functools import cache

import cv2
import numpy as np

from cardpose.synth.records import Light, Packet, Table
from cardpose.synth.rendering.box import outline, placed
from cardpose.synth.rendering.textures import VARIANTS, periodic_noise, smooth

LIGHT_MAP_SIZE = 1024
"""Pixels of 1 mm, with the packet in the middle."""


def light_map(packet: Packet | None, table: Table, light: Light) -> np.ndarray:
    """Light on the table (LIGHT_MAP_SIZE, LIGHT_MAP_SIZE) float32: folds, shadow and ambient occlusion.

    1 is the flat table without shadow. Rows run along +y of the world. Without a packet there is no shadow.
    """
    lit = 1 + 0.5 * table.folds * _folds(table.texture_seed % VARIANTS)
    if packet is None:
        return lit
    half = _shadow_reach(packet, light)
    window = slice(LIGHT_MAP_SIZE // 2 - half, LIGHT_MAP_SIZE // 2 + half)
    direct, ambient = 1 - _shadow(packet, light, 2 * half), 1 - _occlusion(packet, 2 * half)
    lit[window, window] *= light.ambient * ambient + (1 - light.ambient) * direct
    return lit


@cache
def _folds(variant: int) -> np.ndarray:
    """Large-scale shading (LIGHT_MAP_SIZE, LIGHT_MAP_SIZE) float32 of mean 0 that fades to 0 at the border."""
    small = periodic_noise(np.random.default_rng(variant), 256, 12, 60)
    folds = cv2.resize(small, (LIGHT_MAP_SIZE, LIGHT_MAP_SIZE), interpolation=cv2.INTER_CUBIC)
    away = np.abs(np.linspace(-1, 1, LIGHT_MAP_SIZE))
    fade = 1 - smooth(np.maximum(away[:, None], away), 0.7, 1.0)  # the edge pixels are repeated outside
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
