"""Nominal levels are reached as often as they say, where the interval is right."""

import numpy as np
import pytest

from cardpose.evaluation.metrics.coverage import BAND, chance_band, levels_needed
from cardpose.fusion.intervals import LEVEL, fit_interval

LEVELS = np.linspace(0.05, 0.95, 19)


def simulated(calibrated_on: int, trials: int = 4000, wrong: float = 1.0) -> np.ndarray:
    """Levels needed by one new video each, its interval learned from `calibrated_on` others with normal errors."""
    random = np.random.default_rng(calibrated_on)
    needed = []
    for _ in range(trials):
        true = random.integers(20, 40, calibrated_on + 1).astype(float)
        cards = true + (1 + 0.025 * true) * random.standard_normal(len(true))
        frames = np.full(len(true), 10)
        interval = fit_interval(cards[:-1], true[:-1], frames[:-1], np.zeros(calibrated_on))
        assert interval is not None
        low, high = interval.bounds(cards[-1:], 10)
        estimate = cards[-1:]
        low, high = estimate - wrong * (estimate - low), estimate + wrong * (high - estimate)
        needed.append(levels_needed(true[-1:], estimate, low, high, np.array([calibrated_on]))[0])
    return np.array(needed)


@pytest.mark.parametrize(("calibrated_on", "reach"), [(2, 0.03), (8, 0.03), (39, 0.03)])
def test_every_level_holds_as_often_as_stated(calibrated_on: int, reach: float) -> None:
    needed = simulated(calibrated_on)
    held = (needed[:, None] <= LEVELS).mean(axis=0)
    np.testing.assert_allclose(held, LEVELS, atol=reach)


def test_an_interval_that_is_too_narrow_needs_higher_levels() -> None:
    held = (simulated(8, trials=1000, wrong=0.5)[:, None] <= LEVELS).mean(axis=0)
    assert (held[5:] < LEVELS[5:] - 0.05).all()


def test_the_level_in_use_is_enough_exactly_where_the_count_is_held() -> None:
    random = np.random.default_rng(0)
    true, cards = random.uniform(1, 52, (2, 500))
    half = random.uniform(1, 20, 500)
    low, high = np.clip(cards - half, 1, 104), np.clip(cards + half, 1, 104)
    needed = levels_needed(true, cards, low, high, np.full(500, 4))
    assert np.array_equal(needed <= LEVEL, (low <= true) & (true <= high))


def test_no_level_is_enough_without_an_interval() -> None:
    nan = np.full(2, np.nan)
    assert levels_needed(np.array([5.0, 6.0]), np.array([5.0, 9.0]), nan, nan, np.array([8, 8])).tolist() == [
        1,
        1,
    ]


def test_an_interval_without_width_holds_what_it_hits() -> None:
    at = np.array([5.0, 5.0])
    assert levels_needed(np.array([5.0, 6.0]), at, at, at, np.array([8, 8])).tolist() == [0, 1]


def test_chance_holds_its_share() -> None:
    low, high = chance_band(9)
    sorted_levels = np.sort(np.random.default_rng(0).random((20000, 9)), axis=1)
    within = ((low <= sorted_levels) & (sorted_levels <= high)).mean(axis=0)
    np.testing.assert_allclose(within, BAND, atol=0.01)
