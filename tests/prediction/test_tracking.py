"""Corners over time: calm at rest, quick in motion, lost and found; and when a count stands still."""

import numpy as np
import pytest

from cardpose.fusion.clips import Clip
from cardpose.prediction.tracking import (
    HOLD,
    SETTLE_FRAMES,
    ConvergenceDetector,
    CornerTracker,
    OneEuroFilter,
)

SQUARE = np.array([[x, y] for x in (100.0, 300.0) for y in (100.0, 200.0, 300.0, 400.0)])
RATE = 30.0


def test_a_corner_at_rest_trembles_less() -> None:
    noise = np.random.default_rng(0).normal(0, 1.0, (120, 8, 2))
    track = CornerTracker(640)
    out = np.stack([track(SQUARE + noise[i], i / RATE) for i in range(120)])
    assert np.diff(out[30:], axis=0).std() < 0.6 * np.diff(noise[30:], axis=0).std()
    assert np.abs(out[30:] - SQUARE).mean() < np.abs(noise[30:]).mean()


def test_a_moving_corner_hardly_lags() -> None:
    track = CornerTracker(640)
    speed = np.array([150.0, 0.0])  # pixels a second, a quarter of the frame
    for i in range(60):
        true = SQUARE + speed * i / RATE
        out = track(true, i / RATE)
    assert np.abs(out - true).max() < 0.02 * 640 / 5


def test_the_size_of_the_frame_changes_nothing() -> None:
    noise = np.random.default_rng(1).normal(0, 1.0, (20, 8, 2))
    small, large = CornerTracker(640), CornerTracker(1920)
    for i in range(20):
        points = SQUARE + noise[i]
        np.testing.assert_allclose(3 * small(points, i / RATE), large(3 * points, i / RATE))


def test_a_corner_is_held_then_lost_then_found_afresh() -> None:
    track = CornerTracker(640)
    track(SQUARE, 0.0)
    gone = SQUARE.copy()
    gone[3] = np.nan
    np.testing.assert_array_equal(track(gone, HOLD)[3], SQUARE[3])
    lost = track(gone, HOLD + 0.1)
    assert np.isnan(lost[3]).all()
    assert np.isfinite(np.delete(lost, 3, axis=0)).all()
    elsewhere = SQUARE + 50.0
    np.testing.assert_allclose(track(elsewhere, HOLD + 0.2)[3], elsewhere[3])  # at once, not on its way


def test_a_clock_that_stands_still_breaks_nothing() -> None:
    smooth = OneEuroFilter(1.0, 10.0)
    points = [smooth(np.array([float(i), 0.0]), 0.0) for i in range(3)]
    assert np.isfinite(points).all()


def answer(cards: float, half: float, frames: int) -> Clip:
    return Clip(cards, cards - half, cards + half, np.zeros(frames, int), np.ones(frames, bool))


@pytest.mark.parametrize("half", [3.0, float("nan")])
def test_a_count_settles_and_stirs_again(half: float) -> None:
    settled = ConvergenceDetector()
    steady = [settled(answer(20.1, half, i + 1)) for i in range(SETTLE_FRAMES)]
    assert steady == [False] * (SETTLE_FRAMES - 1) + [True]
    assert not settled(answer(22.0, half, SETTLE_FRAMES + 1))


def test_an_interval_that_still_moves_is_not_settled() -> None:
    settled = ConvergenceDetector()
    assert not any(settled(answer(20.0, 9.0 - i, i + 1)) for i in range(2 * SETTLE_FRAMES))


def test_frames_without_a_packet_settle_nothing() -> None:
    settled = ConvergenceDetector()
    nothing = Clip(np.nan, np.nan, np.nan, np.ones(1, int), np.zeros(1, bool))
    assert not any(settled(nothing) for _ in range(3 * SETTLE_FRAMES))
