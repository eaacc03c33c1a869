"""The interval holds nine of ten new videos, whatever the number of videos that it was learned from."""

import math

import numpy as np
import pytest

from cardpose.fusion.clips import Flag, fuse
from cardpose.fusion.intervals import LEVEL, Interval, fit_interval
from cardpose.fusion.settings import FusionConfig

FRAMES = 12


def simulated(videos: int, seed: int, tail: str = "normal") -> tuple[np.ndarray, np.ndarray]:
    """Counts (V,) and estimates (V, 12): an error of the video's own, and one that wanders from frame to frame."""
    random = np.random.default_rng(seed)
    true = random.integers(1, 53, videos).astype(float)
    draw = {"normal": random.standard_normal, "laplace": random.laplace}[tail]
    own = (1 + 0.03 * true) * draw(size=videos)
    wander = random.standard_normal((videos, FRAMES))
    for i in range(1, FRAMES):
        wander[:, i] = 0.7 * wander[:, i - 1] + math.sqrt(1 - 0.7**2) * wander[:, i]
    return true, true[:, None] + own[:, None] + wander


def summed_up(true: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, ...]:
    """What `fit_interval` takes, of the clips' fused estimates."""
    nothing, good = np.full(frames.shape[1], np.nan), np.full(frames.shape[1], Flag.GOOD)
    clips = [fuse(cards, nothing, good, FusionConfig()) for cards in frames]
    error = [np.mean((row[clip.used] - n) ** 2) for row, clip, n in zip(frames, clips, true, strict=True)]
    used = np.array([clip.frames_used for clip in clips])
    return np.array([clip.cards for clip in clips]), true, used, np.array(error)


@pytest.mark.parametrize(
    ("videos", "tail", "least", "most"),
    [
        (2, "normal", LEVEL, 0.96),  # few videos: rather too wide
        (5, "normal", LEVEL, 0.93),
        (8, "normal", LEVEL, 0.93),
        (2, "laplace", 0.87, 0.96),  # Student's t takes the errors for normal
        (8, "laplace", 0.87, 0.93),
        (9, "laplace", LEVEL, LEVEL),
        (16, "normal", 16 / 17, 16 / 17),  # the next score above nine tenths
        (39, "laplace", LEVEL, LEVEL),
    ],
)
def test_the_interval_covers_as_many_new_videos_as_stated(
    videos: int, tail: str, least: float, most: float
) -> None:
    trials, random = 2000, np.random.default_rng(videos)
    columns = summed_up(*simulated(4000, seed=videos, tail=tail))
    covered = 0
    for _ in range(trials):
        *seen, new = random.choice(4000, videos + 1, replace=False)
        interval = fit_interval(*(column[seen] for column in columns))
        assert interval is not None
        cards, true, frames, _ = (column[new] for column in columns)
        low, high = interval.bounds(cards, frames)
        covered += bool(low <= true <= high)
    bound = 3 * math.sqrt(LEVEL * (1 - LEVEL) / trials)  # of a binomial share
    assert least - bound < covered / trials < most + bound


def test_more_frames_do_not_shrink_it_below_the_videos_own_error() -> None:
    interval = fit_interval(*summed_up(*simulated(400, seed=3)))
    assert interval is not None
    one, all_of_them, endless = (float(np.ptp(interval.bounds(30.0, n))) for n in (1, FRAMES, 10**6))
    assert one > all_of_them > endless > 0.9 * all_of_them
    assert 1.05 * endless < one < 1.5 * endless


def test_few_videos_make_it_wide() -> None:
    columns = summed_up(*simulated(4000, seed=4))

    def mean_floor(videos: int) -> float:
        fitted = [
            fit_interval(*(column[i : i + videos] for column in columns)) for i in range(0, 4000, videos)
        ]
        return float(np.mean([interval.floor for interval in fitted if interval]))

    assert mean_floor(2) > 1.2 * mean_floor(8) > 1.0 * mean_floor(80)


def test_two_videos_that_happen_to_be_well_met_promise_no_more_than_their_frames_do() -> None:
    cards, frames = np.array([20.0, 30.0]), np.array([16, 16])
    lucky = fit_interval(cards, cards + 0.01, frames, np.array([4.0, 4.0]))
    fair = fit_interval(cards, cards + 2.0, frames, np.array([4.0, 4.0]))
    assert lucky is not None
    assert fair is not None
    assert lucky.noise == pytest.approx(1)
    assert 0.6 * fair.floor < lucky.floor < fair.floor


def test_errors_of_the_size_expected_give_the_quantile() -> None:
    true = np.full(19, 40.0)
    cards = 40.0 + 2 * np.arange(1, 20)
    interval = fit_interval(cards, true, np.full(19, 9), (cards - true) ** 2)
    assert interval is not None
    assert interval.noise == pytest.approx(0)
    score = np.sort((cards - true) / (1 + 0.025 * cards))[17]  # the 18th of 19
    assert interval.floor == pytest.approx(score)
    assert interval.slope == pytest.approx(0.025 * score)
    assert interval.videos == 19


def test_unknown_counts_and_clips_without_an_answer_are_left_out() -> None:
    cards, true = np.array([10.0, 20.0, 30.0, np.nan]), np.array([11.0, 22.0, np.nan, 40.0])
    frames, error = np.array([5, 5, 5, 0]), np.array([2.0, 5.0, np.nan, np.nan])
    interval = fit_interval(cards, true, frames, error)
    assert interval == fit_interval(cards[:2], true[:2], frames[:2], error[:2])
    assert interval is not None
    assert interval.videos == 2
    assert fit_interval(cards[1:], true[1:], frames[1:], error[1:]) is None


def test_no_error_at_all_is_no_division_by_it() -> None:
    cards = np.array([10.0, 20.0])
    assert fit_interval(cards, cards, np.array([3, 3]), np.zeros(2)) == Interval(0.0, 0.0, 0.0, 2)


def test_bounds_stay_where_counts_are() -> None:
    low, high = Interval(4.0, 0.1, 0.0, 8).bounds(np.array([-9.0, 2.0, 103.0, np.nan]), np.ones(4))
    assert low[:3].tolist() == pytest.approx([1, 1, 88.7])
    assert high[:3].tolist() == pytest.approx([1, 6.2, 104])
    assert math.isnan(low[3])
    assert math.isnan(high[3])


def test_a_rescaled_interval_moves_with_the_count() -> None:
    interval, scale, offset = Interval(2.0, 0.05, 0.8, 8), 1.1, -1.5
    low, high = interval.bounds(30.0, 4)
    moved = interval.rescaled(scale, offset).bounds(30.0 * scale + offset, 4)
    assert moved == pytest.approx((low * scale + offset, high * scale + offset))
