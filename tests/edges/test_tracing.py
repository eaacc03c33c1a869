"""The period of a strip, and the chain of lines at that period."""

import numpy as np
import pytest

from cardpose.edges.strips import ROWS
from cardpose.edges.tracing import find_period, trace_lines


def ridges(cards: int, period: float, columns: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marks, inside and rows of lines at a period."""
    lines = 15 + period * (np.arange(cards) + 0.5)
    y = np.arange(round(cards * period) + 30)
    heat = np.exp(-(((y[:, None] - lines) / 0.9) ** 2) / 2).max(1)
    inside = ((y > 15) & (y < 15 + cards * period)).astype(float)
    return *(np.repeat(part[:, None], columns, 1) for part in (heat, inside)), lines


@pytest.mark.parametrize("period", [4.6, 6.0, 7.9])
def test_the_period_of_regular_lines(period: float) -> None:
    heat, inside, _ = ridges(25, period)
    found, share = find_period((heat * inside)[None])
    assert found == pytest.approx(period, rel=0.02)
    assert share > 0.5


def test_nothing_has_a_finite_period() -> None:
    found, share = find_period(np.zeros((1, 50, 4)))
    assert np.isfinite(found)
    assert share == 0


def test_a_chain_bridges_a_faint_line_and_leaves_out_one_between() -> None:
    heat, inside, lines = ridges(20, ROWS)
    heat[round(lines[7]) - 2 : round(lines[7]) + 3] = 0.02
    heat[round(lines[12] + ROWS / 2)] = 0.6
    chains = trace_lines(heat, inside, ROWS)
    assert (chains.counts == 20).all()
    assert (chains.least < 0).all()
    assert (chains.mean > 1).all()
    assert (np.abs(chains.spans - 19 * ROWS) <= 1).all()
