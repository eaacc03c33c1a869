"""Renders the table."""

import cv2
import numpy as np

from cardpose.synth.records import Clip, Table
from cardpose.synth.rendering.camera import Camera, scaling
from cardpose.synth.rendering.lighting import LIGHT_MAP_SIZE, light_map
from cardpose.synth.rendering.prints import PRINTED, draw_patches
from cardpose.synth.rendering.textures import (
    TILE_LEVELS,
    TILE_PX_PER_MM,
    TILE_SIZE,
    VARIANTS,
    picture_tiles,
    printed_tiles,
    table_colours,
    table_tiles,
)

_GRID = 4  # slowly varying maps are computed at every fourth pixel
_EDGE_SOFTNESS = 3.0  # pixels of transition at the table's edge


class Surface:
    """Draws the table of one clip: a tiling texture, light and shadow, its far edge and the wall behind."""

    def __init__(self, clip: Clip) -> None:
        self.table = clip.table
        self.depth_blur = clip.sensor.depth_blur
        table = clip.table
        self.coloured = table.picture is not None or table.kind == PRINTED
        if table.picture:
            self.levels = picture_tiles(table.picture)
        elif table.kind == PRINTED:
            self.levels = printed_tiles(table.texture_seed)
        else:
            self.levels = table_tiles(table.kind, table.texture_seed % VARIANTS)
        self.tint = 255 * (1 if table.picture else _tint(table))
        self.sheets = self._sheets() if table.sheets else None
        self.room = self._room(clip) if table.room else None
        self.tile_to_table = _tile_to_table(clip.table.texture_seed)
        self.light = light_map(None if clip.empty else clip.packet, clip.table, clip.light)
        dark, bright = table_colours(clip.table)
        self.mix = 255 * np.stack([bright - dark, dark, clip.table.wall], 1)  # (RGB, [texture, light, wall])

    def draw(self, camera: Camera) -> np.ndarray:
        """(height, width, 3) float32 RGB; 255 is a white surface without shadow."""
        size = camera.width, camera.height
        plane = camera.plane(0)
        level, beyond = self._grids(camera, plane)
        texture = self._texture(plane, level, size)
        # Light and shadow, from the map of 1 mm pixels.
        shift = np.eye(3)
        shift[:2, 2] = (LIGHT_MAP_SIZE - 1) / 2
        light = cv2.warpPerspective(
            self.light,
            plane @ np.linalg.inv(shift),
            size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        # Beyond the edge: no table, the wall instead.
        beyond = cv2.resize(beyond, size, interpolation=cv2.INTER_LINEAR)
        behind = np.clip(beyond / _EDGE_SOFTNESS + 0.5, 0, 1)
        light *= 1 - behind
        wall = behind if self.room is None else 0 * behind
        if self.coloured:
            image = texture * (self.tint * light[..., None])
            image += wall[..., None] * self.mix[:, 2].astype(np.float32)
        else:
            image = cv2.transform(cv2.merge([texture * light, light, wall]), self.mix)
        if self.sheets is not None:
            paper = cv2.warpPerspective(
                self.sheets, plane @ np.linalg.inv(shift), size, flags=cv2.INTER_LINEAR
            )
            image += light[..., None] * paper[..., :3] - (paper[..., 3:] * np.float32(1 / 255)) * image
        if self.room is not None:
            image += behind[..., None] * self.room
        return image

    def _sheets(self) -> np.ndarray:
        """(LIGHT_MAP_SIZE, LIGHT_MAP_SIZE, 4) uint8 RGBA, weighted by its coverage: the sheets, as the light map."""
        canvas = np.zeros((LIGHT_MAP_SIZE, LIGHT_MAP_SIZE, 4), np.uint8)
        draw_patches(canvas, self.table.sheets, np.ones(2), np.full(2, (LIGHT_MAP_SIZE - 1) / 2))
        return canvas

    def _room(self, clip: Clip) -> np.ndarray:
        """(height, width, 3) float32: the wall, brighter towards one side, with what stands in front of it."""
        rng = np.random.default_rng(self.table.texture_seed)
        canvas = np.zeros((clip.height, clip.width, 4), np.uint8)
        draw_patches(canvas, self.table.room, np.array([clip.width, clip.height]), np.zeros(2))
        left, right = rng.uniform(0.5, 1.3, 2).tolist()
        across = np.linspace(left, right, clip.width)
        wall = 255 * across[None, :, None] * self.table.wall
        room = canvas[..., :3] + (1 - canvas[..., 3:] / 255) * wall
        return cv2.GaussianBlur(room.astype(np.float32), (0, 0), rng.uniform(0.3, 4) * clip.width / 640 + 0.1)

    def _grids(self, camera: Camera, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two maps (h, w), for every fourth pixel: the texture level; pixels beyond the table's edge."""
        # The level whose texels are as large as the area of the table in an image pixel.
        h, w = camera.height // _GRID, camera.width // _GRID
        to_table = np.linalg.inv(scaling(1 / _GRID, 1 / _GRID) @ plane)
        u, v = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, None]
        inverse_depth = np.maximum(_linear(to_table[2], u, v), 1e-6)
        area = abs(np.linalg.det(to_table)) / _GRID**2 / inverse_depth**3  # mm^2 per image pixel
        distance = np.linalg.norm(camera.position)
        level = 0.5 * np.log2(area) + np.log2(TILE_PX_PER_MM)
        level += self.depth_blur * np.abs(np.log2(inverse_depth * distance))
        # The table's edge and the horizon are straight lines in the image.
        bearing = np.array(
            [np.cos(self.table.edge_bearing), np.sin(self.table.edge_bearing), -self.table.reach]
        )
        edge, horizon = bearing @ to_table, -to_table[2]
        beyond = [_GRID * _linear(line / np.hypot(*line[:2]), u, v) for line in (edge, horizon)]
        return np.clip(level, 0, TILE_LEVELS - 1).astype(np.float32), np.maximum(*beyond).astype(np.float32)

    def _texture(self, plane: np.ndarray, level: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The texture on the table (height, width[, 3]), interpolated between the two levels next to `level`."""
        texture = np.zeros((*size[::-1], *self.levels[0].shape[2:]), np.float32)
        for i in range(int(level.min()), int(np.ceil(level.max())) + 1):
            weight = np.maximum(0, 1 - np.abs(level - i))
            rows = np.flatnonzero(weight.any(1))
            if len(rows) == 0:
                continue
            top, end = int(rows[0]) * _GRID, int(rows[-1] + 1) * _GRID
            tile_to_mm = np.linalg.inv(scaling(0.5**i, 0.5**i) @ np.diag([TILE_PX_PER_MM, TILE_PX_PER_MM, 1]))
            warp = scaling(1, 1, top=top) @ plane @ self.tile_to_table @ tile_to_mm
            strip = cv2.warpPerspective(
                self.levels[i],
                warp,
                (size[0], end - top),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            )
            part = weight[rows[0] : rows[-1] + 1]
            share = cv2.resize(part, (size[0], end - top), interpolation=cv2.INTER_LINEAR)
            share = cv2.merge([share] * 3) if strip.ndim == 3 else share
            texture[top:end] += cv2.multiply(strip, share, scale=1 / 255, dtype=cv2.CV_32F)
        return texture


def _tint(table: Table) -> np.ndarray:
    """(3,) float32 factors that make one printed tile several."""
    return (0.4 + 0.9 * table.colour).astype(np.float32)


def _tile_to_table(seed: int) -> np.ndarray:
    """(3, 3) map from the tile to the table in mm, of random position and angle."""
    rng = np.random.default_rng(seed)
    turn, (x, y) = rng.uniform(0, 2 * np.pi), rng.uniform(0, TILE_SIZE / TILE_PX_PER_MM, 2)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])


def _linear(line: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """a u + b v + c for a line (a, b, c)."""
    return line[0] * u + line[1] * v + line[2]
