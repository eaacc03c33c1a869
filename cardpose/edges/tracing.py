"""Evidence for each count: the best chain of so many lines, by dynamic programming, and the period of the brightness.

Marks alone miss a faint line and count a line of the cloth. A packet's lines come at nearly one period, so that a line
between two others is there even where its mark is faint, and one half a card from its neighbour is not.
"""

from collections.abc import Callable

import cv2
import numpy as np

from cardpose.edges.strips import ROWS

STRIDE = 4
"""Columns of a strip to a column of the marks."""
LINE, INSIDE, RATE = range(3)
"""Channels of the marks."""
Mark = Callable[[np.ndarray], np.ndarray]
"""A strip (rows, COLUMNS, 3) float32 to its marks (3, rows, COLUMNS / STRIDE), see `network.EdgeNetwork`."""
PERIODS = (0.68, 1.5)
"""Range of the search, in nominal cards."""
_PERIODS = np.geomspace(PERIODS[0] * ROWS, PERIODS[1] * ROWS, 160)
STEPS = np.arange(2, 16)
"""Rows from line to line."""
_SPREAD = 0.3  # of the periods of packets, logarithmic: decides where few cards tell little
STIFFNESS = 8.0
"""Cost of a step that differs from the local period, by the square of the logarithm."""
INSIDE_WEIGHT = 0.3
"""Of the log-odds of a row of the inside, beside 1 of those of a line."""
RATE_LIMIT = 0.45
"""Largest logarithm of a card's height by its nominal one, up and down."""
_LIMIT = 8.0  # of log-odds
_NEVER = np.float32(-1e6)


def find_period(signal: np.ndarray) -> tuple[float, float]:
    """The period of a signal (rows, columns), in rows, and the share of the power near it, 0 to 1.

    Power is summed over columns, so that a packet may lean.
    """
    rows = signal.shape[0]
    waves = np.exp(-2j * np.pi * np.arange(rows) / _PERIODS[:, None]) * np.hanning(rows)
    power = (np.abs(waves @ signal) ** 2).sum(1)
    power = power * np.exp(-((np.log(_PERIODS / ROWS) / _SPREAD) ** 2) / 2)
    best = int(np.argmax(power))
    near = np.abs(np.log(_PERIODS / _PERIODS[best])) < 0.04
    return float(_PERIODS[best]), float(power[near].sum() / max(power.sum(), 1e-9))


def score_counts(line: np.ndarray, inside: np.ndarray, rate: np.ndarray, most: int) -> np.ndarray:
    """How well the best chain of each number of lines explains the marks of each column.

    A chain gains the log-odds of its lines and of the rows that it makes the inside, and loses for steps that differ
    from the local period. No line at all scores 0.

    Args:
        line, inside: (rows, columns) log-odds.
        rate: (rows, columns) logarithm of the cards a nominal card's height.
        most: lines of the longest chain.

    Returns:
        (most + 1, columns).
    """
    rows, columns = line.shape
    line = np.clip(line, -_LIMIT, _LIMIT).astype(np.float32)
    period = (ROWS / np.exp(np.clip(rate, -RATE_LIMIT, RATE_LIMIT))).astype(np.float32)
    within = INSIDE_WEIGHT * np.clip(inside, -_LIMIT, _LIMIT)
    total = np.concatenate([np.zeros((1, columns)), np.cumsum(within, 0)]).astype(np.float32)
    half = np.round(period / 2).astype(int)
    y, x = np.arange(rows)[:, None], np.arange(columns)
    begin = total[np.clip(y - half, 0, rows), x]  # gained before the first line's upper border
    finish = total[np.clip(y + half, 0, rows), x]
    # (steps, rows, columns)
    step_cost = (STIFFNESS * np.log(STEPS[:, None, None] / period) ** 2).astype(np.float32)
    pad = int(STEPS[-1])
    best = np.full(
        (rows + pad, most + 1, columns), _NEVER, np.float32
    )  # without what lies below the last line
    ends = np.full((most + 1, columns), _NEVER, np.float32)
    ends[0] = 0
    for row in range(rows):
        before = best[row + pad - STEPS, :-1] - step_cost[:, row, None]
        here = best[row + pad]
        here[1:] = before.max(0) + line[row]
        here[1] = np.maximum(here[1], line[row] - begin[row])
        np.maximum(ends[1:], here[1:] + finish[row], out=ends[1:])
    return ends


def brightness(strip: np.ndarray, stride: int) -> np.ndarray:
    """(rows, columns / stride) brightness of a strip without its slow changes."""
    grey = strip.mean(2, dtype=np.float32)
    grey = grey.reshape(len(grey), -1, stride).mean(2)
    return grey - cv2.blur(grey, (1, 3 * ROWS + 1))
