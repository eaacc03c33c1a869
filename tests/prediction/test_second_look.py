"""A small packet is looked at twice: what is cut out, where its corners land, and when the second look counts."""

from dataclasses import replace

import numpy as np
import pytest

from cardpose.common.packet import ModelOutput
from cardpose.fusion.clips import Flag
from cardpose.fusion.settings import FusionConfig
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.second_look import FILL, STEP, cut_out, filled, window

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
    """A frame whose red is the column and whose green is the row, 0 to 250."""
    x, y = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.stack([x, y, np.full_like(x, 77)], -1).round().astype(np.uint8)


class Reader:
    """A backend that finds the corners at `true` in a frame of `shades`, wherever that was cut.

    Args:
        first, confident: height of the peaks in a whole frame and in a cut-out.
        shuffled: whether the corners are exchanged there.
    """

    interval, field_of_view, size = None, None, SIZE

    def __init__(
        self,
        true: np.ndarray,
        second_look: float = 0.5,
        first: float = 1.0,
        confident: float = 1.0,
        shuffled: bool = False,
    ) -> None:
        self.true, self.fusion = true, FusionConfig(second_look=second_look)
        self.batches: list[int] = []
        self.first, self.confident, self.shuffled = first, confident, shuffled

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
        peaks = np.where(whole, self.first, self.confident)[:, None] * np.ones((1, 8))
        cards = np.where(whole, 20.0, 30.0)
        return ModelOutput(found, peaks, np.ones((len(images), 8)), cards, np.ones(len(images)))


class Sequence(Reader):
    """A `Reader` whose n-th frame of the first batch has the n-th of some packets; then come those that are small."""

    def __init__(self, true: list[np.ndarray]) -> None:
        super().__init__(true[0])
        self.waiting = [*true, *(corners for corners in true if filled(corners, (640, 480), SIZE) < 0.5)]

    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        parts = []
        for image in images:
            self.true = self.waiting.pop(0)
            parts.append(super().__call__(image[None]))
        return ModelOutput(*(np.concatenate(column) for column in zip(*parts, strict=True)))


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
        width = right - left
        assert clipped or (width % STEP == 0 and FILL * (1 - STEP / width) - 0.02 < share <= FILL + 0.01)


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


@pytest.mark.parametrize("flag", [Flag.NO_PACKET, Flag.CUT_OFF, Flag.NO_BOX], ids=lambda flag: flag.label)
def test_only_a_good_frame_is_looked_at_again(flag: Flag) -> None:
    reader = {
        Flag.NO_PACKET: Reader(box(100), first=0.1),
        Flag.CUT_OFF: Reader(box(100, left=1.0)),
        Flag.NO_BOX: Reader(box(100)[[3, 6, 0, 5, 1, 7, 4, 2]]),
    }[flag]
    assert Predictor(reader)(shades()).flag == flag
    assert reader.batches == [1]


def test_a_batch_is_as_its_frames_alone() -> None:
    """Of four packets the first and the third are small."""
    true = [box(100), box(400, 60, 60), box(80, 20, 15), box(420, 60, 60)]
    together = Predictor(Sequence(true)).batch([shades()] * 4)
    alone = [Predictor(Reader(corners))(shades()) for corners in true]
    assert [one.cards for one in together] == [30.0, 20.0, 30.0, 20.0]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.corners, other.corners, atol=1e-9)
        assert one.cards == other.cards


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
