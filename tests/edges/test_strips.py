"""Sides of a packet, cut out of drawn frames whose lines are known."""

import cv2
import numpy as np
import pytest

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS
from cardpose.edges.strips import CARD_MM, COLUMNS, MARGIN_MM, ROWS, cut_strip, find_sides
from cardpose.geometry.box_fit import BoxFit
from cardpose.geometry.boxes import fit_frames
from cardpose.synth.rendering.camera import Camera, look_at

SIZE, FOCAL = (2016, 1512), 1.0


def view(cards: int, heading: float = 0.5, elevation: float = 0.35, distance: float = 170.0) -> Camera:
    """A camera that looks at the middle of a packet."""
    target = np.array([0, 0, cards * CARD_MM / 2])
    away = np.array(
        [np.sin(heading) * np.cos(elevation), -np.cos(heading) * np.cos(elevation), np.sin(elevation)]
    )
    position = target + distance * away
    rotation = look_at(position, target, np.zeros(2), 0.0, FOCAL * SIZE[0])
    return Camera(rotation, position, FOCAL * SIZE[0], *SIZE)


def corners_of(cards: int, camera: Camera) -> np.ndarray:
    """(8, 2) corners, order of `CORNERS`."""
    points = [
        (
            CARD_WIDTH_MM / 2 * (1 if "right" in name else -1),
            CARD_HEIGHT_MM / 2 * (1 if "upper" in name else -1),
            cards * CARD_MM if "back" in name else 0.0,
        )
        for name in CORNERS
    ]
    return camera.project(np.array(points))


def box_of(corners: np.ndarray, weights: np.ndarray | None = None) -> BoxFit[np.ndarray]:
    """The box that fits these corners (8, 2)."""
    weights = np.ones(8) if weights is None else weights
    return fit_frames(corners[None], weights[None], np.array([SIZE]), focal=FOCAL).box


def striped(cards: int, camera: Camera) -> np.ndarray:
    """Frame with the two near sides drawn card by card, alternately white and grey."""
    image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    x, y = CARD_WIDTH_MM / 2, CARD_HEIGHT_MM / 2
    for ends in (((-x, -y), (x, -y)), ((x, -y), (x, y))):
        for card in range(cards):
            low, high = card * CARD_MM, (card + 1) * CARD_MM
            quad = [(*ends[0], low), (*ends[1], low), (*ends[1], high), (*ends[0], high)]
            points = np.round(camera.project(np.array(quad)) * 64).astype(np.int32)
            cv2.fillConvexPoly(image, points, (230,) * 3 if card % 2 else (130,) * 3, cv2.LINE_AA, 6)
    return image


def test_the_lines_of_a_strip_are_level_and_at_the_nominal_pitch() -> None:
    camera = view(24)
    sides = find_sides(box_of(corners_of(24, camera)), SIZE, FOCAL)
    assert len(sides) == 2
    for side in sides:
        assert side.pitch == pytest.approx(CARD_MM * FOCAL * SIZE[0] / 170, rel=0.45)
        strip = cut_strip(striped(24, camera), side)
        assert strip.image.shape[1:] == (COLUMNS, 3)
        assert strip.seen.all()
        top, bottom = strip.ends
        assert bottom - top == pytest.approx(24 * ROWS, abs=0.5)
        grey = strip.image[..., 0].astype(float)
        middles = np.round(top + ROWS * (np.arange(24) + 0.5) - 0.5).astype(int)
        assert (grey[middles[::2]] > 190).all()  # the top card is white
        assert (grey[middles[1::2]] < 170).all()


def test_a_side_at_the_border_of_the_frame_is_seen_in_part() -> None:
    camera = view(20)
    corners = corners_of(20, camera)
    shift = corners[:, 0].max() - SIZE[0] + 150
    side = find_sides(box_of(corners), SIZE, FOCAL)[0]
    moved = cut_strip(striped(20, camera), side._replace(quad=side.quad + np.array([shift, 0])))
    assert moved.seen.any()
    outside = cut_strip(striped(20, camera), side._replace(quad=side.quad + np.array([SIZE[0], 0])))
    assert not outside.seen.any()


def test_from_straight_above_no_side_is_visible() -> None:
    camera = view(10, elevation=1.5)
    assert find_sides(box_of(corners_of(10, camera)), SIZE, FOCAL) == []


def test_too_few_corners_have_no_side() -> None:
    corners = corners_of(10, view(10))
    assert find_sides(box_of(corners, np.array([1.0, 1, 0, 0, 0, 0, 0, 0])), SIZE, FOCAL) == []
    assert find_sides(box_of(np.zeros((8, 2)), np.zeros(8)), SIZE, FOCAL) == []


@pytest.mark.parametrize("cards", [1, 2, 3, 104])
def test_the_thinnest_and_the_thickest_packet(cards: int) -> None:
    camera = view(cards, distance=200)
    side = find_sides(box_of(corners_of(cards, camera)), SIZE, FOCAL)[0]
    strip = cut_strip(striped(cards, camera), side)
    assert np.ptp(strip.ends) == pytest.approx(cards * ROWS, abs=1)
    assert strip.image.shape[0] == pytest.approx((cards + 2 * MARGIN_MM / CARD_MM) * ROWS, abs=3)
