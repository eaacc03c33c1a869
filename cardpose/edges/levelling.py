"""How far the lines of a strip are from level.

A corner that is off by one pixel of the network's image tilts a strip by a card or more, and packets lean and bend.
The lines are level where the columns of the strip agree: first for one slope and one bend (a search in the frequency
domain, as a Radon transform), then column by column against the mean of all.
"""

from typing import NamedTuple

import cv2
import numpy as np

MOST_SLOPE = 42.0
"""Rows by which the ends of a strip may lie above and below its middle: 7 cards."""
MOST_BEND = 18.0
_WHOLE = ((16.0, MOST_SLOPE, 0.0, 3.0), (9.0, 6.0, MOST_BEND, 2.0), (4.5, 2.5, 2.5, 0.5))
"""Coarse to fine: the shortest wave, in rows, the most slope and bend, and their step. The long waves have no
neighbouring maximum that a wrong slope could fall into."""
_HALF = ((12.0, 14.0, 0.0, 1.0), (4.5, 2.0, 0.0, 0.5))
_AGAIN = ((8.0, 3.0, 0.0, 0.5), (4.5, 1.5, 2.0, 0.5))
_LEAST_WINDOW = 16.0  # rows
_GROUP = 3  # columns that are compared as one
_PERIODS = (4.5, 60.0)  # rows; the range of frequencies that counts
_LOCAL = 2  # rows, most that the refinement moves a column in one round
_SMOOTH = 2.0  # groups of columns over which the refinement is smooth


class Level(NamedTuple):
    """Where the columns of a strip must be read for level lines.

    Args:
        rows: (2,) of the strip.
        curves: (2, columns), by how many rows each column must be read lower at those rows; linear between and beyond.
    """

    rows: np.ndarray
    curves: np.ndarray

    def at(self, rows: np.ndarray) -> np.ndarray:
        """(n, columns) of these rows, (n,) or (n, columns)."""
        rows = rows[:, None] if rows.ndim == 1 else rows
        share = np.clip((rows - self.rows[0]) / (self.rows[1] - self.rows[0]), -0.5, 1.5)
        return self.curves[0] + share * (self.curves[1] - self.curves[0])

    def levelled(self, lines: np.ndarray) -> np.ndarray:
        """Rows at which lines (n, columns) of a strip lie after it was levelled."""
        moved = lines
        for _ in range(4):
            moved = lines - self.at(moved)
        return moved


def find_level(image: np.ndarray, ends: np.ndarray) -> Level:
    """How a strip (rows, columns, 3) is levelled, whose packet is expected between these rows (2,)."""
    grey = image.mean(2, dtype=np.float32)
    rows, columns = grey.shape
    wide = columns // _GROUP
    groups = cv2.resize(grey, (wide, rows), interpolation=cv2.INTER_AREA)
    slopes = np.gradient(cv2.GaussianBlur(groups, (1, 5), 0.8), axis=0)
    slopes = np.clip(slopes / (slopes.std() + 1e-3), -3, 3) * np.hanning(rows)[:, None] ** 0.5
    x = (np.arange(wide) + 0.5) / wide * 2 - 1
    curve = _refine(slopes, _search(slopes, x, _WHOLE))
    # The upper and the lower half may tilt apart, as perspective does; a thin packet has but one tilt.
    y = np.arange(rows, dtype=np.float32)
    height = float(ends[1] - ends[0])
    middles = ends[0] + height * np.array([0.2, 0.8])
    spread = max(0.25 * height, _LEAST_WINDOW)
    windows = np.exp(-(((y - middles[:, None]) / spread) ** 2) / 2)[..., None]
    whole = Level(middles, np.stack([curve, curve]))
    for rounds in (_HALF, _AGAIN):
        places = y[:, None] + whole.at(y).astype(np.float32)
        across = np.broadcast_to(np.arange(wide, dtype=np.float32), places.shape)
        level = cv2.remap(slopes.astype(np.float32), across, places, cv2.INTER_LINEAR)
        whole = whole._replace(
            curves=np.stack(
                [
                    own + _search(level * window, x, rounds)
                    for own, window in zip(whole.curves, windows, strict=True)
                ]
            )
        )
    places, fine = (np.arange(wide) + 0.5) * _GROUP - 0.5, np.arange(columns)
    return Level(middles, np.stack([np.interp(fine, places, own) for own in whole.curves]))


def _search(
    slopes: np.ndarray, x: np.ndarray, rounds: tuple[tuple[float, float, float, float], ...]
) -> np.ndarray:
    """The line and parabola (groups,) along which the columns agree best; rounds as `_WHOLE`."""
    rows = len(slopes)
    spectrum = np.fft.rfft(slopes, axis=0)
    cycles = np.fft.rfftfreq(rows)
    own = (cycles > 1 / _PERIODS[1]) & (cycles < 1 / _PERIODS[0])
    spectrum, cycles = spectrum[own].astype(np.complex64), cycles[own]
    slope, bend = 0.0, 0.0
    for shortest, reach, curved, step in rounds:
        part = cycles < 1 / shortest
        tilts = slope + np.arange(-reach, reach + 0.01, step)
        bends = bend + np.arange(-curved, curved + 0.01, step)
        tilted = _shifts(cycles[part], tilts, x)  # (k, tilts, groups)
        bent = _shifts(cycles[part], bends, x**2 - 1 / 3)
        sums = np.matmul(tilted * spectrum[part, None], bent.transpose(0, 2, 1))
        energy = (sums.real**2 + sums.imag**2).sum(0)
        best = np.unravel_index(int(np.argmax(energy)), energy.shape)
        slope, bend = float(tilts[best[0]]), float(bends[best[1]])
    return slope * x + bend * (x**2 - 1 / 3)


def _shifts(cycles: np.ndarray, rows: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """(k, n, groups) factors of a spectrum that move its columns by each of n numbers of rows times the curve."""
    turns = (2 * np.pi * cycles[:, None, None] * rows[:, None] * curve).astype(np.float32)
    factors = np.empty(turns.shape, np.complex64)
    np.cos(turns, out=factors.real)
    np.sin(turns, out=factors.imag)
    return factors


def _refine(slopes: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Shift each group of columns a little, to where it agrees best with the mean of all."""
    rows, wide = slopes.shape
    y = np.arange(rows)
    for _ in range(3):
        level = np.stack([np.interp(y + curve[c], y, slopes[:, c]) for c in range(wide)], 1)
        mean = level.mean(1)
        shifts = np.arange(-_LOCAL, _LOCAL + 1)
        moved = np.stack([np.roll(mean, shift) for shift in shifts])
        match = moved @ level  # (shifts, groups)
        match = match - 0.02 * np.abs(match).max() * shifts[:, None] ** 2
        best = np.clip(np.argmax(match, 0), 1, len(shifts) - 2)
        low, middle, high = (match[best + by, np.arange(wide)] for by in (-1, 0, 1))
        off = np.clip((low - high) / (2 * (low - 2 * middle + high) - 1e-9), -1, 1)
        trust = np.maximum(match.max(0), 1e-6)
        own = (shifts[best] + off) * trust
        kernel = np.exp(-(((np.arange(wide)[:, None] - np.arange(wide)) / _SMOOTH) ** 2) / 2)
        curve = curve + (kernel @ own) / (kernel @ trust)
    return curve


def apply_level(image: np.ndarray, level: Level, scale: float = 1.0) -> np.ndarray:
    """Level an image (rows * scale, columns, 3) of a strip."""
    height, width = image.shape[:2]
    x = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    y = np.arange(height, dtype=np.float32)[:, None]
    down = level.at((np.arange(height) + 0.5) / scale - 0.5) * scale
    return cv2.remap(image, x, y + down.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
