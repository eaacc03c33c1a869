"""Period of the cards of a strip, and the most likely lines at about that period.

Marks alone miss a faint line and count a line of the cloth. A packet's lines come at nearly one period, so that a line
between two others is there even where its mark is faint, and one half a card from its neighbour is not.
"""

from typing import NamedTuple

import cv2
import numpy as np

from cardpose.edges.strips import ROWS

PERIODS = (0.68, 1.5)
"""Range of the search, in nominal cards."""
_PERIODS = np.geomspace(PERIODS[0] * ROWS, PERIODS[1] * ROWS, 160)
_STEPS = (0.6, 1.6)  # from line to line, in periods
_SPREAD = 0.3  # of the periods of packets, logarithmic: decides where few cards tell little
_STIFF = 8.0
_LIMIT = 3.0  # of a mark's log-odds
_INSIDE = 0.5  # what the log-odds of the inside weigh beside those of a mark


class Chains(NamedTuple):
    """The chain of lines of each column.

    Args:
        counts: (columns,) number of lines.
        least, mean: (columns,) what speaks for the weakest line, and for a line on average, as log-odds.
        spans: (columns,) rows from the first line to the last.
    """

    counts: np.ndarray
    least: np.ndarray
    mean: np.ndarray
    spans: np.ndarray


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Log-odds within the limit."""
    odds = np.clip(probability, 1e-3, 1 - 1e-3)
    return np.clip(np.log(odds / (1 - odds)), -_LIMIT, _LIMIT)


def find_period(signals: np.ndarray) -> tuple[float, float]:
    """The period of signals (k, rows, columns), in rows, and the share of the power near it, 0 to 1.

    Power is summed over columns, so that a packet may lean.
    """
    rows = signals.shape[1]
    waves = np.exp(-2j * np.pi * np.arange(rows) / _PERIODS[:, None]) * np.hanning(rows)
    power = sum(_normalised(np.abs(waves @ signal) ** 2) for signal in signals)
    power = power * np.exp(-((np.log(_PERIODS / ROWS) / _SPREAD) ** 2) / 2)
    best = int(np.argmax(power))
    near = np.abs(np.log(_PERIODS / _PERIODS[best])) < 0.04
    return float(_PERIODS[best]), float(power[near].sum() / max(power.sum(), 1e-9))


def _normalised(power: np.ndarray) -> np.ndarray:
    total = power.sum(1)
    return total / max(float(total.sum()), 1e-9)


def trace_lines(heat: np.ndarray, inside: np.ndarray, period: float) -> Chains:
    """The most likely chain of lines of each column, by dynamic programming.

    Args:
        heat, inside: (rows, columns) probabilities of a line and of the inside.
        period: rows a card.
    """
    gain = log_odds(heat) + _INSIDE * log_odds(inside)
    steps = np.arange(max(2, round(_STEPS[0] * period)), round(_STEPS[1] * period) + 1)
    cost = _STIFF * np.log(steps / period)[:, None] ** 2
    rows, columns = heat.shape
    pad = int(steps[-1])
    best = np.full((rows + pad, columns), -1e9)
    count, least = np.zeros((rows + pad, columns), int), np.full((rows + pad, columns), _LIMIT)
    first, across = np.zeros((rows + pad, columns), int), np.arange(columns)
    for row in range(rows):
        before = row + pad - steps
        value = best[before] - cost
        chosen = np.argmax(value, 0)
        value, source = value[chosen, across], before[chosen]
        on = value > 0
        here = row + pad
        best[here] = gain[row] + np.where(on, value, 0)
        count[here] = np.where(on, count[source, across], 0) + 1
        first[here] = np.where(on, first[source, across], row)
        least[here] = np.minimum(np.where(on, least[source, across], _LIMIT), gain[row])
    last = np.argmax(best, 0)
    spans = last - pad - first[last, across]
    return Chains(count[last, across], least[last, across], best[last, across] / count[last, across], spans)


def brightness(strip: np.ndarray) -> np.ndarray:
    """(rows, columns / 2) brightness of a strip without its slow changes."""
    grey = strip.mean(2, dtype=np.float32)
    grey = (grey[:, ::2] + grey[:, 1::2]) / 2
    return grey - cv2.blur(grey, (1, 3 * ROWS + 1))
