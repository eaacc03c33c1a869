"""Which frames count, what a clip's frames say together, and that it does not matter how they come in."""

import math

import numpy as np
import pytest

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS
from cardpose.fusion.clips import Clip, Flag, RunningCount, check_frames, fuse
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig

SIZE = np.array([640.0, 480.0])
CONFIG = FusionConfig()
INTERVAL = Interval(floor=1.5, slope=0.05, noise=1.0, videos=8)


def box(thickness: float = 8.0, focal: float = 680.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """(8, 2) exact source pixels of a packet 300 mm away, the camera 35 degrees above the table."""
    tilt = math.radians(35)
    points = []
    for name in CORNERS:
        row, column, side = name.split("_")
        x = CARD_WIDTH_MM / 2 * (1 if column == "right" else -1)
        y = CARD_HEIGHT_MM / 2 * (1 if row == "upper" else -1)
        z = -thickness if side == "face" else 0.0
        across, down = x, -y * math.sin(tilt) - z * math.cos(tilt)
        away = 300 + y * math.cos(tilt) - z * math.sin(tilt)
        points.append((focal * across / away, focal * down / away))
    return np.array(points) + (SIZE - 1) / 2 + shift


def check(corners: np.ndarray, confidence: np.ndarray | None = None) -> Flag:
    confidence = np.ones(8) if confidence is None else confidence
    return Flag(check_frames(confidence[None], corners[None], SIZE[None], CONFIG)[0])


def random_clip(seed: int, frames: int = 15, known: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates, spreads and flags, some of the first equal and some far off."""
    random = np.random.default_rng(seed)
    cards = 20 + random.integers(-3, 4, frames) + 15.0 * (random.random(frames) < 0.15)
    std = random.uniform(0.5, 4, frames) if known else np.full(frames, np.nan)
    return cards, std, random.choice([0, 0, 0, 0, 1, 2, 3], frames)


def same(first: Clip, second: Clip) -> bool:
    return all(
        np.array_equal(vars(first)[name], vars(second)[name], equal_nan=name in ("cards", "low", "high"))
        for name in vars(first)
    )


def test_a_packet_in_full_view_is_good() -> None:
    for thickness in (0.3, 8.0, 15.6):
        assert check(box(thickness)) == Flag.GOOD
    noisy = box() + np.random.default_rng(0).normal(0, 2, (8, 2))
    assert check(noisy) == Flag.GOOD


def test_fewer_than_four_confident_corners_are_no_packet() -> None:
    confidence = np.where(np.arange(8) < 3, 0.9, 0.05)
    assert check(box(), confidence) == Flag.NO_PACKET
    assert check(np.full((8, 2), np.nan), np.full(8, np.nan)) == Flag.NO_PACKET
    confidence[6] = 0.9
    assert check(box(), confidence) != Flag.NO_PACKET


def test_a_confident_corner_at_the_border_is_cut_off() -> None:
    corners = box()
    at_border = corners.copy()
    at_border[7, 0] = 638.0
    assert check(at_border) == Flag.CUT_OFF
    assert check(at_border, np.where(np.arange(8) == 7, 0.1, 0.9)) == Flag.GOOD  # nobody trusts that corner
    assert check(box(shift=(0, 160))) == Flag.CUT_OFF


def test_corners_at_wrong_places_make_no_box_and_one_alone_is_put_up_with() -> None:
    corners = box()
    corners[7] += (60, -40)
    assert check(corners) == Flag.GOOD
    assert check(box()[[7, 1, 0, 6, 4, 2, 3, 5]]) == Flag.NO_BOX
    anywhere = np.random.default_rng(0).uniform(20, 460, (100, 8, 2))
    flags = check_frames(np.ones((100, 8)), anywhere, np.tile(SIZE, (100, 1)), CONFIG)
    assert (flags == Flag.NO_BOX).mean() > 0.75
    assert check(np.full((8, 2), 200.0)) == Flag.NO_BOX
    assert check(np.full((8, 2), np.nan)) == Flag.NO_BOX


def test_a_box_of_no_thickness_or_inside_out_is_none() -> None:
    back = np.array(["back" in name for name in CORNERS])
    assert check(box(), np.where(back, 0.9, 0.05)) == Flag.NO_BOX
    others = [
        CORNERS.index(n.replace("back", "x").replace("face", "back").replace("x", "face")) for n in CORNERS
    ]
    assert check(box()[others]) == Flag.NO_BOX
    assert check(box(thickness=0.3)) == Flag.GOOD


def test_a_clips_answer_is_a_count_that_there_is() -> None:
    for estimate, answer in ((-2.0, 1.0), (0.4, 1.0), (130.0, 104.0)):
        clip = fuse(np.full(3, estimate), np.full(3, np.nan), np.zeros(3, int), CONFIG, INTERVAL)
        assert clip.cards == answer
        assert clip.low <= answer <= clip.high


def test_frames_of_many_sizes_are_checked_at_once_and_none_too() -> None:
    scale = np.array([1.0, 3.0])[:, None, None]
    corners = (box() + 0.5) * scale - 0.5
    flags = check_frames(np.ones((2, 8)), corners, SIZE * scale[:, 0], CONFIG)
    assert flags.tolist() == [Flag.GOOD, Flag.GOOD]
    lean = np.ones((2, 8), np.float32), corners.astype(np.float32), (SIZE * scale[:, 0]).astype(int)
    assert check_frames(*lean, CONFIG).tolist() == flags.tolist()
    assert check_frames(np.zeros((0, 8)), np.zeros((0, 8, 2)), np.zeros((0, 2)), CONFIG).shape == (0,)


def test_without_spreads_it_is_the_midmean_of_the_good_frames() -> None:
    cards = np.array([18.0, 19.5, 21.0, 22.0, 3.0, 50.0])
    clip = fuse(cards, np.full(6, np.nan), np.array([0, 0, 0, 0, Flag.NO_BOX, Flag.NO_PACKET]), CONFIG)
    assert clip.cards == np.median(cards[:4])
    assert clip.frames_used == 4
    assert math.isnan(clip.low)
    assert math.isnan(clip.high)


@pytest.mark.parametrize("missing", [slice(None), slice(2, 3)], ids=["all", "one"])
def test_a_spread_that_is_missing_makes_all_weigh_alike(missing: slice) -> None:
    cards, spread = np.array([10.0, 11.0, 12.5]), np.array([9.0, 9.0, 0.1])
    spread[missing] = np.nan
    assert fuse(cards, spread, np.zeros(3, int), CONFIG).cards == pytest.approx(11 + 1 / 12, rel=1e-12)


def test_a_surer_frame_weighs_more() -> None:
    cards, good = np.array([10.0, 11.0, 12.5]), np.zeros(3, int)
    assert 12 < fuse(cards, np.array([5.0, 5.0, 0.5]), good, CONFIG).cards <= 12.5
    assert fuse(cards, np.array([5.0, 5.0, 0.0]), good, CONFIG).cards <= 12.5  # no weight is infinite
    flagged = np.array([0, 0, Flag.CUT_OFF])
    assert fuse(cards, np.array([5.0, 5.0, 0.5]), flagged, CONFIG).cards == 10.5


def test_outliers_are_rejected_and_ordinary_frames_are_not() -> None:
    cards = np.append(20 + np.random.default_rng(1).normal(0, 1, 40), [35.0, 2.0])
    clip = fuse(cards, np.full(42, np.nan), np.zeros(42, int), CONFIG)
    assert np.flatnonzero(clip.flags == Flag.OUTLIER).tolist() == [40, 41]
    assert clip.frames_used == 40
    assert clip.cards == pytest.approx(np.sort(cards[:40])[10:30].mean(), rel=1e-12)


def test_one_frame_is_its_own_answer() -> None:
    for spread in (np.nan, 2.0):
        clip = fuse(np.array([17.25]), np.array([spread]), np.zeros(1, int), CONFIG, INTERVAL)
        assert (clip.cards, clip.frames_used) == (17.25, 1)
        assert clip.low < 17.25 < clip.high


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_a_clip_without_a_packet_states_so_and_gives_no_number(frames: int) -> None:
    clip = fuse(np.full(frames, 26.0), np.ones(frames), np.full(frames, Flag.NO_PACKET), CONFIG, INTERVAL)
    assert str(clip) == "no packet found"
    assert clip.frames_used == 0
    assert all(math.isnan(value) for value in (clip.cards, clip.low, clip.high))
    assert [Flag(flag).label for flag in clip.flags] == ["no packet"] * frames


def test_a_packet_that_every_frame_shows_badly_still_gets_an_answer() -> None:
    flags = np.array([Flag.CUT_OFF, Flag.NO_PACKET, Flag.NO_BOX])
    clip = fuse(np.array([10.0, 50.0, 12.0]), np.full(3, np.nan), flags, CONFIG, INTERVAL)
    assert clip.cards == 11
    assert clip.used.tolist() == [True, False, True]
    assert clip.flags.tolist() == flags.tolist()


def test_an_answer_reads_as_a_sentence() -> None:
    clip = fuse(np.array([20.0, 20.0]), np.ones(2), np.array([0, Flag.CUT_OFF]), CONFIG, INTERVAL)
    assert str(clip) == "20.0 cards (16.5 to 23.5), from 1 of 2 frames"


def test_an_estimate_that_is_nan_is_not_hidden() -> None:
    clip = fuse(np.array([20.0, np.nan, 20.0]), np.full(3, np.nan), np.zeros(3, int), CONFIG, INTERVAL)
    assert math.isnan(clip.cards)
    assert math.isnan(clip.low)
    assert clip.frames_used == 3


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_frames_does_not_matter(seed: int, known: bool) -> None:
    columns = random_clip(seed, known=known)
    clip = fuse(*columns, CONFIG, INTERVAL)
    order = np.random.default_rng(seed).permutation(15)
    shuffled = fuse(*(column[order] for column in columns), CONFIG, INTERVAL)
    assert (shuffled.cards, shuffled.low, shuffled.high) == (clip.cards, clip.low, clip.high)
    assert np.array_equal(shuffled.flags, clip.flags[order])
    assert np.array_equal(shuffled.used, clip.used[order])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("at_once", [1, 4])
def test_the_running_count_is_that_of_the_frames_so_far(at_once: int, known: bool) -> None:
    columns = random_clip(seed=7, known=known)
    running = RunningCount(CONFIG, INTERVAL)
    for start in range(0, 15, at_once):
        clip = running.add(*(column[start : start + at_once] for column in columns))
        assert same(clip, fuse(*(column[: start + at_once] for column in columns), CONFIG, INTERVAL))


def test_fusion_is_no_worse_than_the_plain_median() -> None:
    """Errors that a video's frames share, one frame in seven far too thick, spreads that tell something."""
    random = np.random.default_rng(5)
    errors = []
    for _ in range(1500):
        own = 1.2 * random.standard_t(3)
        sigma = 1.5 * np.exp(0.5 * random.standard_normal(20))
        cards = (
            own + sigma * random.standard_normal(20) + (random.random(20) < 0.15) * random.uniform(4, 25, 20)
        )
        known = fuse(cards, sigma, np.zeros(20, int), CONFIG)
        unknown = fuse(cards, np.full(20, np.nan), np.zeros(20, int), CONFIG)
        errors.append([known.cards, unknown.cards, np.median(cards)])
    known, unknown, median = np.abs(errors).mean(0)
    assert known < unknown < median
