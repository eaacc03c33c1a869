"""Fingers, coins, glasses and other things next to, on and in front of the packet, and the corners that they hide."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from cardpose.synth.records import Clip, Coin, Finger, Glass, Light, Occluder, Prism, Shot
from cardpose.synth.rendering.camera import Camera

_CIRCLE = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_SUBPIXEL_BITS = 4
_NEAR_MM = 40.0  # near plane of the camera
_SHADES = 6  # nested outlines that shade a finger as round
_SOFTNESS = 0.15  # blur of that shading, in radii of the finger
_FINEST_BLUR = 8.0  # pixels; a blur of more than twice this is computed at a lower resolution


def in_front(clip: Clip, shot: Shot) -> list[Occluder]:
    """The occluders drawn after the packet: they lie on it or are nearer to the camera."""
    return [occluder for occluder in clip.occluders if _is_in_front(occluder, clip, shot.camera)]


def behind(clip: Clip, shot: Shot) -> list[Occluder]:
    """The occluders drawn before the packet."""
    return [occluder for occluder in clip.occluders if not _is_in_front(occluder, clip, shot.camera)]


def _is_in_front(occluder: Occluder, clip: Clip, camera: Camera) -> bool:
    if occluder.place[2] >= clip.packet.thickness:
        return True
    distance = np.linalg.norm(occluder.place[:2] - camera.position[:2])
    return bool(distance < np.linalg.norm(camera.position[:2])) and not isinstance(occluder, Coin)


def draw(image: np.ndarray, occluders: Sequence[Occluder], camera: Camera, light: Light) -> None:
    """Draw the occluders over `image` (H, W, 3) float32, in place."""
    for occluder in occluders:
        if isinstance(occluder, Finger):
            _draw_finger(image, occluder, camera, light)
        elif isinstance(occluder, Coin):
            _draw_coin(image, occluder, camera, light)
        elif isinstance(occluder, Prism):
            _draw_prism(image, occluder, camera, light)
        else:
            _draw_glass(image, occluder, camera)


def covered(points: np.ndarray, occluders: Sequence[Occluder], camera: Camera) -> np.ndarray:
    """(N,) bool: which image points (N, 2) an opaque one of the occluders covers."""
    hidden = np.zeros(len(points), bool)
    for occluder in occluders:
        for shape in _opaque(occluder, camera):
            contour = shape.astype(np.float32)[:, None]
            inside = [cv2.pointPolygonTest(contour, (float(x), float(y)), False) >= 0 for x, y in points]
            hidden |= np.array(inside, bool)
    return hidden


def _opaque(occluder: Occluder, camera: Camera) -> list[np.ndarray]:
    """Convex outlines (P, 2) in the image; none for a glass, which is transparent."""
    if isinstance(occluder, Finger):
        return _capsules(occluder, camera, 1.0)
    if isinstance(occluder, Prism):
        rings = _prism(occluder, camera)
        return [] if rings is None else [_hull(*rings)]
    return [camera.project(_disc(occluder.place, occluder.radius))] if isinstance(occluder, Coin) else []


def _disc(place: np.ndarray, radius: float) -> np.ndarray:
    """(40, 3) points of a horizontal circle around `place`."""
    circle = np.stack([np.cos(_CIRCLE), np.sin(_CIRCLE), np.zeros_like(_CIRCLE)], 1)
    return place + radius * circle


def _capsules(finger: Finger, camera: Camera, share: float) -> list[np.ndarray]:
    """Outlines (P, 2) of the finger's bones at a share of its width: the hull of two neighbouring joints' circles."""
    joints, radii = _clip_near(finger, camera)
    depth = (joints - camera.position) @ camera.rotation[2]
    circle = np.stack([np.cos(_CIRCLE), np.sin(_CIRCLE)], 1)
    rings = camera.project(joints)[:, None] + (share * radii * camera.focal / depth)[:, None, None] * circle
    return [cv2.convexHull(np.concatenate(pair).astype(np.float32))[:, 0] for pair in pairwise(rings)]


def _clip_near(finger: Finger, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Joints (n, 3) and radii (n,) of the part of the finger beyond the near plane, up to its tip."""
    joints, radii = finger.joints, finger.radii
    depth = (joints - camera.position) @ camera.rotation[2]
    behind = np.flatnonzero(depth < _NEAR_MM)
    if len(behind) == 0:
        return joints, radii
    last = behind[-1]
    if last == len(joints) - 1:
        return joints[:0], radii[:0]
    # Cut the bone that crosses the near plane.
    share = (_NEAR_MM - depth[last]) / (depth[last + 1] - depth[last])
    joints, radii = joints[last:].copy(), radii[last:].copy()
    joints[0] += share * (joints[1] - joints[0])
    radii[0] += share * (radii[1] - radii[0])
    return joints, radii


def _blend(image: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> None:
    image += coverage[..., None] * (255 * colour.astype(np.float32) - image)


def _fixed(outline: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's fixed-point numbers, clipped far outside of any image."""
    return np.round(np.clip(outline, -4e3, 8e3) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _coverage(image: np.ndarray, outlines: Sequence[np.ndarray]) -> np.ndarray:
    """Antialiased coverage (H, W) float32, 0 to 1."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillConvexPoly(mask, _fixed(outline), 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return mask.astype(np.float32) * np.float32(1 / 255)


def _draw_finger(image: np.ndarray, finger: Finger, camera: Camera, light: Light) -> None:
    if not _capsules(finger, camera, 1.0):
        return
    # The mean of nested outlines is bright along the middle and dark at the sides.
    steps = [_coverage(image, _capsules(finger, camera, 1 - i / _SHADES)) for i in range(_SHADES)]
    width = 2 * _SOFTNESS * finger.radii[-1] * camera.focal / float(np.linalg.norm(camera.position))
    shade = cv2.GaussianBlur(np.mean(steps, axis=0), (0, 0), max(1.0, width))
    lit = finger.colour * (light.ambient + 0.5 * (1 - light.ambient))
    picture = (0.5 + 0.5 * shade)[..., None] * (255 * lit).astype(np.float32)
    image += steps[0][..., None] * (picture - image)


def _draw_coin(image: np.ndarray, coin: Coin, camera: Camera, light: Light) -> None:
    for share, brightness in ((1.0, 0.75), (0.88, 1.0), (0.5, 0.9)):
        outline = camera.project(_disc(coin.place, share * coin.radius))
        _blend(
            image,
            _coverage(image, [outline]),
            coin.colour * brightness * (light.ambient + 0.8 * (1 - light.ambient)),
        )


def _hull(*outlines: np.ndarray) -> np.ndarray:
    return cv2.convexHull(np.concatenate(outlines).astype(np.float32))[:, 0]


def _prism(prism: Prism, camera: Camera) -> tuple[np.ndarray, np.ndarray] | None:
    """Outlines (P, 2) of foot and upper face in the image; None if the prism reaches behind the camera."""
    rings = [np.pad(prism.top.outline, ((0, 0), (0, 1)), constant_values=z) for z in (0.0, prism.height)]
    if ((np.stack(rings) - camera.position) @ camera.rotation[2]).min() < _NEAR_MM:
        return None
    return camera.project(rings[0]), camera.project(rings[1])


def _draw_prism(image: np.ndarray, prism: Prism, camera: Camera, light: Light) -> None:
    """A soft shadow on the table, the sides turned to the camera, the upper face with its inlay."""
    rings = _prism(prism, camera)
    if rings is None:
        return
    foot, top = rings
    _darken_foot(image, prism, camera, light, foot)
    layer = np.zeros_like(image)
    edges = np.roll(prism.top.outline, -1, 0) - prism.top.outline
    normals = np.stack([edges[:, 1], -edges[:, 0], np.zeros(len(edges))], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    middles = prism.top.outline + edges / 2
    facing = np.einsum("ij,ij->i", camera.position[:2] - middles, normals[:, :2]) > 0
    for i in np.flatnonzero(facing):
        j = (i + 1) % len(foot)
        colour = 255 * prism.side * light.shade(normals[i])
        cv2.fillConvexPoly(
            layer, _fixed(np.stack([foot[i], foot[j], top[j], top[i]])), colour.tolist(), 8, _SUBPIXEL_BITS
        )
    if camera.position[2] > prism.height:
        middle = top.mean(0)
        for share, colour in ((1.0, prism.top.colour), (prism.top.inlay_share, prism.top.inlay)):
            if share:
                outline = middle + share * (top - middle)
                cv2.fillConvexPoly(layer, _fixed(outline), (255 * colour).tolist(), 8, _SUBPIXEL_BITS)
    cover = _coverage(image, [_hull(foot, top)])[..., None]
    image += cover * (layer - image)


def _darken_foot(image: np.ndarray, prism: Prism, camera: Camera, light: Light, foot: np.ndarray) -> None:
    """The prism's shadow: its outline, moved away from the light, blurred."""
    reach = min(0.7 * prism.height, 40.0) * -light.direction[:2] / max(float(light.direction[2]), 0.4)
    moved = np.pad(prism.top.outline + reach, ((0, 0), (0, 1)))
    if ((moved - camera.position) @ camera.rotation[2]).min() < _NEAR_MM:
        return
    cover = _coverage(image, [_hull(foot, camera.project(moved))])
    soft = _blur(cover, (1.0 + 4 * light.softness) * image.shape[1] / 256)
    image *= 1 - (0.75 * (1 - 0.6 * light.ambient)) * soft[..., None]


def _blur(cover: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian blur of (H, W) float32; wide ones of large frames at a lower resolution, which looks the same."""
    coarser = int(deviation / _FINEST_BLUR)
    if coarser < 2:
        return cv2.GaussianBlur(cover, (0, 0), deviation)
    h, w = cover.shape
    small = cv2.resize(cover, (-(-w // coarser), -(-h // coarser)), interpolation=cv2.INTER_AREA)
    return cv2.resize(
        cv2.GaussianBlur(small, (0, 0), deviation / coarser), (w, h), interpolation=cv2.INTER_LINEAR
    )


def _draw_glass(image: np.ndarray, glass: Glass, camera: Camera) -> None:
    """A transparent tumbler: slightly darker inside, with bright contours and rims."""
    foot = camera.project(_disc(glass.place, 0.85 * glass.radius))
    rim = camera.project(_disc(glass.place + np.array([0, 0, glass.height]), glass.radius))
    hull = cv2.convexHull(np.concatenate([foot, rim]).astype(np.float32))[:, 0]
    inside = _coverage(image, [hull])
    soft = cv2.GaussianBlur(inside, (0, 0), 3)
    edges = soft * (1 - soft) * 4 * inside
    image *= 1 - 0.12 * inside[..., None]
    image += (45 * glass.clearness) * edges[..., None]
    for ring in (foot, rim):
        line = np.zeros(image.shape[:2], np.uint8)
        cv2.polylines(line, [_fixed(ring)], True, 255, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        image += (60 * glass.clearness / 255) * line.astype(np.float32)[..., None]
