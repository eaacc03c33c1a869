"""Renders the packet: card by card from the bottom, on a supersampled canvas."""

from itertools import pairwise

import cv2
import numpy as np

from cardpose.synth.records import Clip
from cardpose.synth.rendering.box import outline, placed
from cardpose.synth.rendering.camera import Camera, scaling
from cardpose.synth.rendering.faces import card_face
from cardpose.synth.rendering.textures import BACK_PX_PER_MM, card_back, table_colours, wear_edges
from cardpose.synth.sampling import pictures

_SCALE_X, _SCALE_Y = 3, 4  # samples per pixel; more vertically, across the lines between the cards
_STRIPS = 6  # flat strips that approximate a bent card
_SUBPIXEL_BITS = 6
_SUBPIXEL = 1 << _SUBPIXEL_BITS
_GRIME = np.array([0.9, 0.95, 1.0])  # share of the light, RGB, that dirt of 1 absorbs
_FILL_GROWTH = 0.48  # samples by which cv2.fillConvexPoly enlarges a polygon, as it paints the border too


class Stack:
    """Draws the packet of one clip; what does not depend on the camera is computed once."""

    def __init__(self, clip: Clip) -> None:
        self.packet, self.light = clip.packet, clip.light
        packet = clip.packet
        points, self.normals = outline(packet.width, packet.height, packet.radius)
        self.middles = (points + np.roll(points, -1, 0)) / 2
        self.rings = self._rings(points)
        self.card_colours, self.gap_colours = self._edge_colours(clip)
        self.top_points = self.rings[-1]
        self.top = self._top_texture(clip)

    def _rings(self, points: np.ndarray) -> np.ndarray:
        """(2n, P, 3) world outlines from the table up: the lower and the upper edge of each card."""
        packet = self.packet
        rings = np.repeat(placed(points, packet.offsets, packet.turns), 2, 0)
        heights = np.arange(packet.cards)[:, None] + [0.0, 1 - packet.gap]
        heights[-1, 1] = packet.cards
        z = packet.card_thickness * heights.reshape(-1, 1) + packet.lift(points[:, 1])
        return np.concatenate([rings, z[..., None]], 2)

    def _edge_colours(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        """RGBA (n, P, 4) of the cards' edges and of the gaps above them, 0 to 255."""
        # Near the table edges are darker and take on its colour.
        packet = clip.packet
        outward = np.pad(self.normals, ((0, 0), (0, 1)))
        height = (np.arange(packet.cards) + 0.5) * packet.card_thickness
        near_table = np.exp(-height / 2.5)[:, None, None]
        bounce = sum(table_colours(clip.table)) / 2
        light = clip.light.shade(outward)[None, :, None] * (1 - 0.3 * near_table)
        paper = packet.paper * (1 - 0.15 * near_table) + 0.15 * near_table * bounce
        # Dirt absorbs light; the tone differs from card to card.
        clean = 1 - packet.dirt[..., None] * _GRIME
        colours = 255 * 0.92 * paper * clean * light * packet.tones[..., None]
        opaque = np.full((*colours.shape[:2], 1), 255.0)
        return np.concatenate([colours, opaque], 2), np.concatenate([packet.gap_shade * colours, opaque], 2)

    def _top_texture(self, clip: Clip) -> np.ndarray:
        """RGBA (h, w, 4) uint8 of the lit top card, at the resolution of the image."""
        scale = min(1.0, clip.width / 640)
        drawn = max(0.6, scale)  # fine lines need a minimum resolution
        card = _top_card(clip, BACK_PX_PER_MM * drawn)
        if scale < drawn:
            card = cv2.resize(card, None, fx=scale / drawn, fy=scale / drawn, interpolation=cv2.INTER_AREA)
        card = wear_edges(card, clip.back, clip.packet)
        lit = 255 * card * clip.light.shade(np.array([0, 0, 1.0]))
        return cv2.cvtColor(np.clip(lit + 0.5, 0, 255).astype(np.uint8), cv2.COLOR_RGB2RGBA)

    def draw(self, image: np.ndarray, camera: Camera) -> None:
        """Draw the packet over `image` (height, width, 3) float32, in place."""
        projected = camera.project(self.rings)
        crop = _crop(projected, camera)
        if crop is None:
            return
        left, top, right, bottom = crop
        # Outlines in fixed-point samples of the canvas, shrunk by what filling adds.
        to_canvas = scaling(_SCALE_X, _SCALE_Y, left, top)
        fixed = projected * np.diag(to_canvas)[:2] + to_canvas[:2, 2]
        fixed = np.round(_inset(fixed, _FILL_GROWTH) * _SUBPIXEL).astype(np.int32)
        # Sides, then the top, averaged down onto the image; the gloss is smooth enough to be added there.
        shape = (bottom - top) * _SCALE_Y, (right - left) * _SCALE_X
        canvas = np.zeros((*shape, 4), np.uint8)
        self._draw_sides(canvas, fixed, camera)
        mask = self._draw_top(canvas, fixed[-1], to_canvas, camera)
        _compose(image[top:bottom, left:right], canvas)
        self._add_gloss(image[top:bottom, left:right], mask, camera, (left, top))

    def _draw_sides(self, canvas: np.ndarray, rings: np.ndarray, camera: Camera) -> None:
        """Fill the strips between successive outlines (alternately edges and gaps) whose facets face the camera."""
        facing = np.flatnonzero(np.einsum("ij,ij->i", camera.position[:2] - self.middles, self.normals) > 0)
        colours = self._band_limited(camera)
        if len(colours) < len(rings) - 1:
            rings = np.concatenate([rings[::2], rings[-1:]])  # one strip per card
        following = np.roll(rings, -1, 1)
        quads = np.stack([rings[:-1], following[:-1], following[1:], rings[1:]], 2)[:, facing]
        colours = colours[:, facing]
        for quad, colour in zip(quads.reshape(-1, 4, 2), colours.reshape(-1, 4).tolist(), strict=True):
            cv2.fillConvexPoly(canvas, quad, colour, cv2.LINE_8, _SUBPIXEL_BITS)

    def _band_limited(self, camera: Camera) -> np.ndarray:
        """RGBA of the strips, with less contrast between edges and gaps the thinner the cards are on the canvas.

        Edges and gaps alternate, (2n - 1, P, 4); where no contrast is left, one strip per card, (n, P, 4). This
        prevents aliasing.
        """
        # Samples per card, seen from this camera.
        away = self.packet.corners.mean((0, 1)) - camera.position
        distance = np.linalg.norm(away)
        upright = np.hypot(away[0], away[1]) / distance
        samples = self.packet.card_thickness * upright * camera.focal / distance * _SCALE_Y
        keep = float(np.clip((samples - 1.5) / 2, 0, 1))
        mean = (1 - self.packet.gap) * self.card_colours + self.packet.gap * self.gap_colours
        if keep == 0:
            return mean
        lines = [mean + keep * (part - mean) for part in (self.card_colours, self.gap_colours)]
        return np.stack(lines, 1).reshape(-1, *mean.shape[1:])[:-1]

    def _draw_top(
        self, canvas: np.ndarray, ring: np.ndarray, to_canvas: np.ndarray, camera: Camera
    ) -> np.ndarray:
        """Draw the top card's texture; returns its coverage (h, w) uint8 on the canvas."""
        mask = np.zeros(canvas.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, ring, 255, cv2.LINE_8, _SUBPIXEL_BITS)
        ends = np.linspace(-1, 1, 2 if self.packet.bend == 0 else _STRIPS + 1)
        for low, high in pairwise(ends.tolist()):
            self._draw_strip(
                canvas, mask, to_canvas @ camera.surface(self._card_to_world(low, high)), low, high
            )
        return mask

    def _card_to_world(self, low: float, high: float) -> np.ndarray:
        """(3, 3) map from (x, y, 1) in mm on the top card to the world, flat between `low` and `high` half lengths."""
        packet, half = self.packet, self.packet.height / 2
        cos, sin = np.cos(packet.turns[-1]), np.sin(packet.turns[-1])
        bottom, top = packet.lift(half * np.array([low, high]))
        slope = (top - bottom) / (half * (high - low))
        height = packet.thickness + bottom - slope * half * low
        x, y = packet.offsets[-1]
        return np.array([[cos, -sin, x], [sin, cos, y], [0, slope, height]])

    def _strip_outline(self, card_to_canvas: np.ndarray, low: float, high: float) -> np.ndarray:
        """(4, 2) outline on the canvas of the top card between `low` and `high` half lengths, slightly enlarged."""
        lap = 0.02  # neighbouring strips overlap
        x, y = np.array([-1, 1, 1, -1]), np.array([low, low, high, high]) + lap * np.array([-1, -1, 1, 1])
        half = np.array([1.02 * self.packet.width, self.packet.height]) / 2
        points = np.column_stack([half * np.column_stack([x, y]), np.ones(4)]) @ card_to_canvas.T
        return points[:, :2] / points[:, 2:]

    def _draw_strip(
        self, canvas: np.ndarray, mask: np.ndarray, card_to_canvas: np.ndarray, low: float, high: float
    ) -> None:
        """Draw the texture inside `mask`, as if the card were flat between `low` and `high`."""
        # The window of the canvas that the strip covers.
        strip = self._strip_outline(card_to_canvas, low, high)
        left, top = np.maximum(np.floor(strip.min(0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(strip.max(0)).astype(int) + 1, canvas.shape[1::-1])
        if left >= right or top >= bottom:
            return
        window = slice(top, bottom), slice(left, right)
        covered = np.zeros((bottom - top, right - left), np.uint8)
        fixed = np.round((strip - (left, top)) * _SUBPIXEL).astype(np.int32)
        cv2.fillConvexPoly(covered, fixed, 255, cv2.LINE_8, _SUBPIXEL_BITS)
        # Warp the texture into that window.
        packet = self.packet
        h, w = self.top.shape[:2]
        x, y = packet.width / w, packet.height / h  # mm per pixel
        texture_to_card = np.array(
            [[x, 0, x / 2 - packet.width / 2], [0, -y, packet.height / 2 - y / 2], [0, 0, 1]]
        )
        warp = scaling(1, 1, left, top) @ card_to_canvas @ texture_to_card
        picture = cv2.warpPerspective(
            self.top, warp, covered.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        cv2.copyTo(picture, covered & mask[window], canvas[window])

    def _add_gloss(
        self, image: np.ndarray, mask: np.ndarray, camera: Camera, origin: tuple[int, int]
    ) -> None:
        """Add the specular highlight on the top card (J. F. Blinn, Models of Light Reflection, SIGGRAPH 1977)."""
        if self.light.gloss == 0:
            return
        # World points of the top plane, for every fourth pixel.
        h, w = image.shape[:2]
        step = 4
        u = origin[0] + np.arange(0, w + step, step)
        v = (origin[1] + np.arange(0, h + step, step))[:, None]
        to_plane = np.linalg.inv(camera.plane(self.packet.thickness))
        x, y, scale = (a * u + b * v + c for a, b, c in to_plane)
        scale = np.maximum(scale, 1e-6)
        points = np.stack([x / scale, y / scale, np.full_like(x, self.packet.thickness)], -1)
        # Half vector against the normal, which is the z axis.
        half = camera.position - points
        half = half / np.linalg.norm(half, axis=-1, keepdims=True) + self.light.direction
        highlight = (half[..., 2] / np.linalg.norm(half, axis=-1)) ** self.light.shininess
        if 255 * self.light.gloss * highlight.max() < 0.5:
            return
        highlight = cv2.resize(
            (255 * self.light.gloss * highlight).astype(np.float32), None, fx=step, fy=step
        )[:h, :w]
        highlight *= cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA) * np.float32(1 / 255)
        image += highlight[..., None]


def _top_card(clip: Clip, px_per_mm: float) -> np.ndarray:
    """The unlit top card (h, w, 3) float32 RGB, 0 to 1."""
    back, packet = clip.back, clip.packet
    if back.face:
        return card_face(back.face, packet, px_per_mm)
    if back.picture:
        size = round(packet.width * px_per_mm), round(packet.height * px_per_mm)
        return cv2.resize(pictures.read(back.picture), size, interpolation=cv2.INTER_AREA)
    return card_back(back, packet, px_per_mm)


def _inset(rings: np.ndarray, by: float) -> np.ndarray:
    """Move every edge of convex polygons (..., P, 2) inwards by `by`; either orientation."""
    # Vertices move along the bisectors of their edges' normals.
    edges = np.roll(rings, -1, -2) - rings
    normals = np.stack([edges[..., 1], -edges[..., 0]], -1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    before = np.roll(normals, 1, -2)
    x, y = rings[..., 0], rings[..., 1]
    # The sign of the area is the orientation.
    area = np.sum(x * np.roll(y, -1, -1) - y * np.roll(x, -1, -1), -1)
    bisector = (normals + before) / np.maximum(1 + np.sum(normals * before, -1, keepdims=True), 0.5)
    return rings - by * np.sign(area)[..., None, None] * bisector


def _crop(projected: np.ndarray, camera: Camera) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom (exclusive) of the packet in the image; None if it is outside."""
    low = np.floor(projected.min((0, 1))).astype(int) - 1
    high = np.ceil(projected.max((0, 1))).astype(int) + 2
    left, top = max(low[0], 0), max(low[1], 0)
    right, bottom = min(high[0], camera.width), min(high[1], camera.height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _compose(image: np.ndarray, canvas: np.ndarray) -> None:
    """Average the samples of the canvas (opaque or empty) per pixel and blend them over the image."""
    h, w = image.shape[:2]
    small = cv2.resize(canvas, (w, h), interpolation=cv2.INTER_AREA)
    image *= 1 - small[..., 3:] * np.float32(1 / 255)
    image += small[..., :3]
