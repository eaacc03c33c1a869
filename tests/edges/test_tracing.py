"""The period of a strip, and what speaks for each count."""

import numpy as np
import pytest

from cardpose.edges.strips import ROWS
from cardpose.edges.tracing import find_period, score_counts


def ridges(
    cards: int, period: float, columns: int = 5
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds of lines at a period and of their inside, the rate, and the rows of the lines."""
    lines = 15 + period * (np.arange(cards) + 0.5)
    y = np.arange(round(cards * period) + 30)
    heat = 8 * np.exp(-(((y[:, None] - lines) / 0.9) ** 2) / 2).max(1) - 4
    inside = np.where((y > 15) & (y < 15 + cards * period), 4.0, -4.0)
    rate = np.full(len(y), np.log(ROWS / period))
    return *(np.repeat(part[:, None], columns, 1) for part in (heat, inside, rate)), lines


@pytest.mark.parametrize("period", [4.6, 6.0, 7.9])
def test_the_period_of_regular_lines(period: float) -> None:
    heat, inside, _, _ = ridges(25, period)
    found, share = find_period((heat + 4) * (inside > 0))
    assert found == pytest.approx(period, rel=0.03)
    assert share > 0.5


def test_nothing_has_a_finite_period() -> None:
    found, share = find_period(np.zeros((50, 4)))
    assert np.isfinite(found)
    assert share == 0


def test_a_chain_bridges_a_faint_line_and_leaves_out_one_between() -> None:
    heat, inside, rate, lines = ridges(20, ROWS)
    heat[round(lines[7]) - 2 : round(lines[7]) + 3] = -3
    heat[round(lines[12] + ROWS / 2)] = 1
    scores = score_counts(heat, inside, rate, 30)
    assert scores.shape == (31, 5)
    assert (scores.argmax(0) == 20).all()


@pytest.mark.parametrize("cards", [1, 2, 3, 52])
def test_the_score_is_best_for_the_number_of_lines(cards: int) -> None:
    heat, inside, rate, _ = ridges(cards, 5.2)
    scores = score_counts(heat, inside, rate, cards + 5)
    assert (scores.argmax(0) == cards).all()


def test_no_mark_is_no_line() -> None:
    nothing = np.full((60, 3), -4.0)
    assert (score_counts(nothing, nothing, np.zeros((60, 3)), 10).argmax(0) == 0).all()
