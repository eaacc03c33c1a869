"""A small packet is looked at twice: what is cut out, where its corners land, and when the second look counts."""

from dataclasses import replace

import numpy as np
import pytest

from cardpose.common.packet import ModelOutput
from cardpose.fusion.clips import Flag
from cardpose.fusion.settings import FusionConfig
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.second_look import FILL, cut_out, filled, window

SIZE = (96, 128)
FRAMES = [(640, 480), (480, 640), (1920, 1080), (300, 50)]


def box(width: float, left: float = 300.0, top: float = 200.0) -> np.ndarray:
    """(8, 2) corners of a packet before a phone, `width` pixels wide, its upper left end at (left, top)."""
    x, y, z = np.array(
        [(sx * 31.5, sy * 44.0, -15.0 * face) for sy in (1, -1) for face in (1, 0) for sx in (-1, 1)]
    ).T
    tilt = np.radians(35)
    depth = y * np.cos(tilt) - z * np.sin(tilt) + 2500  # far away, so that a box stays one at every place
    corners = np.stack([x, -y * np.sin(tilt) - z * np.cos(tilt)]).T / depth[:, None]
    corners -= corners.min(0)
    return np.array([left, top]) + corners * width / np.ptp(corners[:, 0])


def shades(width: int = 640, height: int = 480) -> np.ndarray:
    """A frame whose red tells the column and whose green the row."""
    x, y = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.stack([x, y, np.full_like(x, 77)], -1).round().astype(np.uint8)


class Reader:
    """A backend that finds the corners at `true` in a frame of `shades`, wherever that was cut.

    Args:
        confident: height of the peaks in a cut-out.
        shuffled: whether the corners are exchanged there.
    """

    interval, field_of_view, size = None, None, SIZE

    def __init__(
        self, true: np.ndarray, second_look: float = 0.5, confident: float = 1.0, shuffled: bool = False
    ) -> None:
        self.true, self.fusion = true, FusionConfig(second_look=second_look)
        self.batches: list[int] = []
        self.confident, self.shuffled = confident, shuffled

    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        self.batches.append(len(images))
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].reshape(2, -1)
        corners, whole = [], []
        for image in images.astype(float):
            colours = image.reshape(-1, 3)
            steps = [
                np.polyfit(axis, colours[:, channel] / 250 * (side - 1), 1)
                for axis, channel, side in ((columns, 0, 640), (rows, 1, 480))
            ]
            corners.append(np.stack([(self.true[:, i] - steps[i][1]) / steps[i][0] for i in (0, 1)], -1))
            whole.append(steps[0][0] > 640 / SIZE[1] - 0.1)
        found = np.array(corners)
        if self.shuffled:
            found[~np.array(whole)] = found[~np.array(whole)][:, [3, 6, 0, 5, 1, 7, 4, 2]]
        peaks = np.where(whole, 1.0, self.confident)[:, None] * np.ones((1, 8))
        cards = np.where(whole, 20.0, 30.0)
        return ModelOutput(found, peaks, np.ones((len(images), 8)), cards, np.ones(len(images)))


@pytest.mark.parametrize("frame", FRAMES, ids=str)
def test_the_cut_out_lies_in_the_frame_and_holds_the_packet(frame: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        corners = random.uniform(0, 1, (8, 2)) * random.uniform(0.1, 0.5) * min(frame)
        corners += random.uniform(0, 1, 2) * (np.array(frame) - 1 - corners.max(0))
        left, top, right, bottom = window(corners, frame, SIZE)
        assert 0 <= left < right <= frame[0]
        assert 0 <= top < bottom <= frame[1]
        assert (corners.min(0) >= np.array([left, top]) - 0.5).all()
        assert (corners.max(0) <= np.array([right, bottom]) - 0.5).all()
        share = filled(corners - [left, top], (right - left, bottom - top), SIZE)
        clipped = right - left == frame[0] or bottom - top == frame[1]
        assert clipped or share == pytest.approx(FILL, abs=2 / min(right - left, bottom - top))


def test_corners_of_both_looks_come_back_to_the_source() -> None:
    for left, top in ((300.0, 200.0), (20.0, 15.0), (500.0, 330.0)):
        true = box(100, left, top)
        reader = Reader(true)
        found = Predictor(reader)(shades())
        assert found.flag == Flag.GOOD
        assert (reader.batches, found.cards) == ([1, 1], 30.0)
        np.testing.assert_allclose(found.corners, true, atol=1.0)


@pytest.mark.parametrize(("width", "second_look"), [(400, 0.5), (100, 0.0)], ids=["large", "never"])
def test_one_look_is_enough(width: float, second_look: float) -> None:
    reader = Reader(box(width, 60, 60), second_look)
    found = Predictor(reader)(shades())
    assert (found.flag, found.cards, reader.batches) == (Flag.GOOD, 20.0, [1])


def test_a_packet_that_the_second_look_does_not_see_is_none() -> None:
    assert Predictor(Reader(box(100), confident=0.1))(shades()).flag == Flag.NO_PACKET


def test_a_second_look_that_does_not_decide_is_dropped() -> None:
    """In the cut-out the corners form no box."""
    found = Predictor(Reader(box(100), shuffled=True))(shades())
    assert (found.flag, found.cards) == (Flag.GOOD, 20.0)


def test_a_frame_without_a_packet_is_not_looked_at_again() -> None:
    reader = Reader(np.full((8, 2), 5.0))  # at the border
    assert Predictor(reader)(shades()).flag == Flag.CUT_OFF
    assert reader.batches == [1]


def test_a_batch_is_as_its_frames_alone() -> None:
    reader = Reader(box(100))
    predictor = Predictor(reader)
    images = [shades(), shades(), shades()]
    together = predictor.batch(images)
    assert reader.batches == [3, 3]
    for one, alone in zip(together, (predictor(image) for image in images), strict=True):
        np.testing.assert_array_equal(one.corners, alone.corners)
        assert one.cards == alone.cards


def test_without_the_source_frame_there_is_one_look() -> None:
    reader = Reader(box(100))
    predictor = Predictor(reader)
    predictor.predict([replace(predictor.prepare(shades()), picture=None)])
    assert reader.batches == [1]


def test_the_picture_is_that_of_the_window() -> None:
    corners, picture = box(100), shades()
    item = Predictor(Reader(corners)).prepare(picture)
    again = cut_out(item, corners, SIZE)
    assert again.image.shape == (*SIZE, 3)
    for x, y in ((10, 10), (64, 48), (120, 90)):
        column, row = again.to_source @ [x, y, 1]
        expected = [column / 639 * 250, row / 479 * 250]
        np.testing.assert_allclose(again.image[y, x, :2], expected, atol=1)
