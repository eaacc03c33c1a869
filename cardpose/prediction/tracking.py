"""Corners tracked over the frames of a video, and when its running count has settled.

Each frame is predicted by itself, so the corners jitter by about a pixel. They are smoothed here for display; the
tables have the raw corners too.
"""

import math
from collections import deque

import numpy as np

from cardpose.common.packet import NUM_CORNERS
from cardpose.fusion.clips import Clip

MIN_CUTOFF = 1.0
"""Hz, cutoff for a corner at rest; lower values remove more jitter."""
BETA = 80.0
"""Hz per frame side and second, growth of the cutoff with the speed; higher values reduce the lag in motion."""
DERIVATIVE_CUTOFF = 1.0
"""Hz, cutoff for the speed, as in Casiez et al."""
HOLD = 0.5
"""Seconds for which a corner that is no longer found keeps its last position."""
SETTLE_FRAMES, SETTLE_CARDS = 10, 0.5
"""A count has settled when it and its interval changed by at most so many cards over so many frames with a packet."""


class OneEuroFilter:
    """Smooths one point: strongly at rest, where jitter is visible, weakly in motion, where lag is.

    Source: Casiez, Roussel and Vogel 2012, 1 Euro Filter, CHI, https://doi.org/10.1145/2207676.2208639. A low-pass
    filter whose cutoff grows with the smoothed speed of the point.

    Args:
        min_cutoff: Hz, cutoff for a point at rest.
        beta: Hz per unit of length and second, growth of the cutoff with the speed.

    >>> smooth = OneEuroFilter(min_cutoff=1.0, beta=0.0)
    >>> smooth(np.array([0.0, 0.0]), 0.0), smooth(np.array([1.0, 0.0]), 0.1).round(2)
    (array([0., 0.]), array([0.39, 0.  ]))
    """

    def __init__(self, min_cutoff: float, beta: float) -> None:
        self.min_cutoff, self.beta = min_cutoff, beta
        self._time = math.nan
        self._point = self._speed = np.zeros(2)

    def __call__(self, point: np.ndarray, time: float) -> np.ndarray:
        """Smoothed position (2,) of `point` (2,) at `time` seconds; the first point is returned unchanged."""
        if math.isnan(self._time):
            self._point = point
        elif time > self._time:  # equal timestamps give no speed
            step = time - self._time
            # Smooth the speed, then the point with a cutoff by that speed.
            speed = (point - self._point) / step
            self._speed = self._speed + _gain(DERIVATIVE_CUTOFF, step) * (speed - self._speed)
            cutoff = self.min_cutoff + self.beta * float(np.linalg.norm(self._speed))
            self._point = self._point + _gain(cutoff, step) * (point - self._point)
        self._time = time
        return self._point


def _gain(cutoff: float, step: float) -> float:
    """Gain of a first-order low-pass filter with a cutoff in Hz, `step` seconds after the previous value."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))


class CornerTracker:
    """Tracks the eight corners over the frames of one video.

    A corner that is no longer found keeps its position for `HOLD` seconds, then it is lost; found again later, its
    filter restarts.

    Args:
        side: longer side of the frames in pixels, the unit of speeds.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._filters = [OneEuroFilter(MIN_CUTOFF, BETA) for _ in range(NUM_CORNERS)]
        self._positions = np.full((NUM_CORNERS, 2), np.nan)
        self._seen = np.full(NUM_CORNERS, -np.inf)

    def __call__(self, corners: np.ndarray, time: float) -> np.ndarray:
        """Add the next frame.

        Args:
            corners: (8, 2) in pixels, NaN where a corner is not found.
            time: seconds from the start of the video.

        Returns:
            (8, 2) smoothed corners in pixels, NaN where a corner is lost.
        """
        lost = time - self._seen > HOLD
        self._positions[lost] = np.nan
        for i in np.flatnonzero(np.isfinite(corners).all(1)):
            if lost[i]:
                self._filters[i] = OneEuroFilter(MIN_CUTOFF, BETA)
            self._positions[i] = self._filters[i](corners[i] / self._side, time) * self._side
            self._seen[i] = time
        return self._positions.copy()


class ConvergenceDetector:
    """Detects when a running count has stopped changing."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, float, float]] = deque(maxlen=SETTLE_FRAMES)
        self._used = 0

    def __call__(self, clip: Clip) -> bool:
        """Add the next count; True if it and its interval, if there is one, have settled."""
        if clip.frames_used != self._used:
            self._used = clip.frames_used
            self._counts.append((clip.cards, clip.low, clip.high))
        if len(self._counts) < SETTLE_FRAMES:
            return False
        change = np.ptp(np.array(self._counts), axis=0)  # NaN without an interval
        return not bool((change > SETTLE_CARDS).any())
