"""Which frames are chosen: one in `stride`, the sharp ones, those that differ."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from cardpose.data.footage.video import VideoFrame
from cardpose.labelling.frame_selection import CHOICES, Choice, central, diverse, every, sharpest, sharpness


def film(images: list[np.ndarray]) -> Iterator[VideoFrame]:
    return (VideoFrame(i, i / 30, image) for i, image in enumerate(images))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


@pytest.mark.parametrize("choose", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize(("frames", "stride"), [(1, 10), (10, 10), (11, 10), (7, 1), (23, 4)])
def test_one_frame_in_so_many(choose: Choice, picture: np.ndarray, frames: int, stride: int) -> None:
    images = [np.roll(picture, i, axis=1) for i in range(frames)]
    chosen = choose(film(images), frames, stride)
    assert len(chosen) == -(-frames // stride)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(frames))
    assert chosen == choose(film(images), frames, stride)


def test_every_looks_at_no_frame() -> None:
    assert every(film([]), 25, 10) == [0, 10, 20]


def test_the_sharp_frame_of_each_window_is_chosen(picture: np.ndarray) -> None:
    sharp = {2, 3, 9}
    images = [picture if i in sharp else cv2.blur(picture, (7, 1)) for i in range(12)]
    assert sharpest(film(images), 12, 3) == [2, 3, 6, 9]  # the third window has none: its first


def test_blur_of_motion_is_less_sharp_at_every_size(picture: np.ndarray) -> None:
    for side in (64, 640, 1920):
        image = cv2.resize(picture, (side, side * 3 // 4), interpolation=cv2.INTER_CUBIC)
        blurred = cv2.blur(image, (side // 32, 1))
        assert sharpness(blurred) < 0.7 * sharpness(image)


def test_a_camera_that_stands_still_gives_one_frame_of_each_view() -> None:
    views = [
        np.full((48, 64, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 200, 30), (30, 30, 200))
    ]
    images = [views[0]] * 26 + [views[1]] * 2 + [views[2]] * 2
    chosen = diverse(film(images), 30, 10)
    assert [sum(i >= start for start in (0, 26, 28)) for i in chosen] == [1, 2, 3]


def test_a_cluster_is_told_by_the_row_nearest_to_its_centre() -> None:
    rows = np.array([[0], [1], [2], [100], [104], [105]], np.float32)
    assert sorted(central(rows, 2)) == [1, 4]
