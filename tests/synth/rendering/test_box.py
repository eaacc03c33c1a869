from dataclasses import replace

import numpy as np
import pytest

from cardpose.common.packet import BACK, CORNERS, FACE, HIDDEN, NOT_LABELLED, VISIBLE
from cardpose.synth.rendering.box import FACETS, box_corners, corner_facings, label, outline
from cardpose.synth.rendering.camera import Camera, look_at
from cardpose.synth.sampling.scene import sample_shot

SQUARED = np.zeros((2, 2)), np.zeros(2)


def seen_by_rays(low: np.ndarray, high: np.ndarray, corner: np.ndarray, position: np.ndarray) -> bool:
    """Brute force: whether the way from the camera to just outside the corner misses the box.

    Some point in every direction off the corner is tried; those below the table do not count.
    """
    outward = np.sign(corner - (low + high) / 2)
    for signs in np.ndindex(2, 2, 2):
        start = corner + outward * np.where(signs, 1e-4, -2e-4)
        inside = np.all((start > low) & (start < high))
        if inside or start[2] < 0:
            continue
        with np.errstate(divide="ignore"):
            a, b = (low - start) / (position - start), (high - start) / (position - start)
        enter, leave = np.minimum(a, b).max(), np.maximum(a, b).min()
        if not (enter < leave and leave > 0):
            return True
    return False


@pytest.mark.parametrize("thickness", [0.29, 15.0])
def test_visibility_is_that_of_ray_casting(thickness: float) -> None:
    corners = box_corners(63, 88, thickness, *SQUARED)
    low, high = corners.min((0, 1)), corners.max((0, 1))
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        position = rng.uniform([-250, -250, 0.5], [250, 250, 150])
        if np.all((position > low - 3) & (position < high + 3)):
            continue
        got = corner_facings(corners, position)
        want = [[seen_by_rays(low, high, corners[i, j], position) for j in range(2)] for i in range(4)]
        assert got.tolist() == want, position
        outcomes.add(tuple(got.ravel()))
    assert len(outcomes) >= 8


def test_outline_is_the_card() -> None:
    points, normals = outline(63, 88, 3.5)
    assert points.shape == normals.shape == (FACETS, 2)
    np.testing.assert_allclose(np.abs(points).max(0), [31.5, 44])
    x, y = points.T
    area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))  # positive: counter-clockwise
    assert area == pytest.approx(63 * 88 - (4 - np.pi) * 3.5**2, abs=1)
    middles = (points + np.roll(points, -1, 0)) / 2
    assert np.all(np.einsum("ij,ij->i", middles, normals) > 0)


def view(heading: float, thickness: float = 15.0, roll: float = 0.0, aim: tuple[float, float] = (0, 0)):
    """Label of a packet seen from `heading` degrees off its long axis, and the camera."""
    angle = np.radians(heading)
    position = np.array([190 * np.sin(angle), -190 * np.cos(angle), 90])
    rotation = look_at(position, np.zeros(3), np.array(aim, float), roll, 680)
    camera = Camera(rotation, position, 680, 640, 480)
    return *label(box_corners(63, 88, thickness, *SQUARED), camera), camera


@pytest.mark.parametrize("heading", [0, 30, -60, 80, 110, 180, -135, 250])
def test_names_say_where_the_corners_are(heading: float) -> None:
    corners, visibility, _ = view(heading)
    assert visibility.min() >= HIDDEN
    at = dict(zip(CORNERS, corners, strict=True))
    upper, lower = (np.mean([at[f"{s}_left_back"], at[f"{s}_right_back"]], 0) for s in ("upper", "lower"))
    assert upper[1] < lower[1]
    ring = np.array([at[f"{n}_back"] for n in ("upper_left", "upper_right", "lower_right", "lower_left")])
    x, y = ring.T
    assert np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) > 0, "clockwise as seen, y down"
    assert np.all(corners[list(BACK), 1] < corners[list(FACE), 1])
    if abs((heading + 90) % 180 - 90) < 75:
        assert np.mean([at["upper_left_back"][0], at["lower_left_back"][0]]) < np.mean(
            [at["upper_right_back"][0], at["lower_right_back"][0]]
        )


def test_short_edges_are_upper_and_lower() -> None:
    position = np.array([0.0, -1, 400])  # almost straight down: image lengths are true to scale
    camera = Camera(look_at(position, np.zeros(3), np.zeros(2), 0, 680), position, 680, 640, 480)
    corners, _ = label(box_corners(63, 88, 0.29, *SQUARED), camera)
    at = dict(zip(CORNERS, corners, strict=True))
    short = np.linalg.norm(at["upper_left_back"] - at["upper_right_back"])
    long = np.linalg.norm(at["upper_left_back"] - at["lower_left_back"])
    assert long / short == pytest.approx(88 / 63, rel=0.01)


def test_a_hidden_corner_keeps_its_coordinates_and_one_outside_has_none() -> None:
    corners, visibility, camera = view(30)
    hidden = CORNERS.index("upper_left_face")
    assert visibility.tolist().count(HIDDEN) == 1
    assert visibility[hidden] == HIDDEN
    np.testing.assert_allclose(corners[hidden], camera.project(np.array([-31.5, 44, 0.0])), atol=1e-3)

    corners, visibility, _ = view(30, aim=(250, 0))
    outside = visibility == NOT_LABELLED
    assert outside.any()
    assert (visibility == VISIBLE).any()
    assert np.isnan(corners[outside]).all()
    inside = corners[~outside]
    assert np.all((inside >= -0.5) & (inside < [639.5, 479.5]))


def test_labels_follow_the_top_and_the_bottom_card(make_clip) -> None:
    clip = make_clip(4, cards=10)
    corners = clip.packet.corners
    np.testing.assert_allclose(corners[:, 0].mean(0), [*clip.packet.offsets[0], 0], atol=1e-9)
    np.testing.assert_allclose(
        corners[:, 1].mean(0), [*clip.packet.offsets[-1], clip.packet.thickness], atol=1e-9
    )
    assert label(corners, sample_shot(clip, 0).camera)[0].dtype == np.float32


def test_a_rounded_label_lies_on_the_outline_of_the_card(make_clip) -> None:
    clip = make_clip(4, cards=1)
    packet = replace(clip.packet, offsets=np.zeros((1, 2)), turns=np.zeros(1))
    points, _ = outline(packet.width, packet.height, packet.radius)
    sharp, rounded = (replace(packet, rounded=on).corners[:, 1, :2] for on in (False, True))
    to_outline = lambda corners: np.linalg.norm(corners[:, None] - points, axis=2).min(1)  # noqa: E731
    np.testing.assert_allclose(to_outline(sharp), packet.radius * (np.sqrt(2) - 1), rtol=0.1)
    assert (
        to_outline(rounded).max() < packet.radius * np.pi / 4 / 5
    )  # half the way between two points of an arc
    np.testing.assert_allclose(np.abs(sharp - rounded), packet.radius * (1 - np.sqrt(0.5)))
