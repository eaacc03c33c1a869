"""Corners followed through a video, and when its running count may be believed.

A frame's corners are predicted without a look at the frame before, so that they tremble by a pixel or so. For the eye,
and for what hangs on them, they are smoothed here; tables keep the raw ones beside.
"""

import math
from collections import deque

import numpy as np

from cardpose.common.packet import NUM_CORNERS
from cardpose.fusion.clips import Clip

MIN_CUTOFF = 1.0
"""Hz; the lower, the calmer a corner at rest."""
BETA = 80.0
"""Hz by which the cutoff grows with the speed, in frame sides a second; the higher, the less a moving corner lags."""
DERIVATIVE_CUTOFF = 1.0
"""Hz; of the speed's own smoothing, the value of Casiez et al."""
HOLD = 0.5
"""Seconds for which a corner that is not found stays where it was last."""
SETTLE_FRAMES, SETTLE_CARDS = 10, 0.5
"""A running count is settled when it and its interval moved no more than that in so many frames with a packet."""


class OneEuroFilter:
    """Smooths one point: much at rest, where trembling shows, little in motion, where a lag does.

    Source: Casiez, Roussel and Vogel 2012, 1 Euro Filter, CHI, https://doi.org/10.1145/2207676.2208639. A low-pass
    whose cutoff grows with the point's own smoothed speed.

    Args:
        min_cutoff: Hz, of a point at rest.
        beta: Hz by which the cutoff grows, in units of length a second.

    >>> smooth = OneEuroFilter(min_cutoff=1.0, beta=0.0)
    >>> smooth(np.array([0.0, 0.0]), 0.0), smooth(np.array([1.0, 0.0]), 0.1).round(2)
    (array([0., 0.]), array([0.39, 0.  ]))
    """

    def __init__(self, min_cutoff: float, beta: float) -> None:
        self.min_cutoff, self.beta = min_cutoff, beta
        self._time = math.nan
        self._point = self._speed = np.zeros(2)

    def __call__(self, point: np.ndarray, time: float) -> np.ndarray:
        """The smoothed place of `point` (2,) at `time` seconds; the first one is returned as it is."""
        if math.isnan(self._time):
            self._point = point
        elif time > self._time:  # footage whose clock stands still has no speed
            step = time - self._time
            speed = (point - self._point) / step
            self._speed = self._speed + _share(DERIVATIVE_CUTOFF, step) * (speed - self._speed)
            cutoff = self.min_cutoff + self.beta * float(np.linalg.norm(self._speed))
            self._point = self._point + _share(cutoff, step) * (point - self._point)
        self._time = time
        return self._point


def _share(cutoff: float, step: float) -> float:
    """Of a new value in a low-pass of first order, `step` seconds after the one before."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))


class CornerTracker:
    """The eight corners over the frames of one video.

    A corner that is not found stays where it was for half a second, then it is lost; found again after that, it starts
    afresh.

    Args:
        side: longer side of the frames in pixels, by which speeds are measured.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._filters = [OneEuroFilter(MIN_CUTOFF, BETA) for _ in range(NUM_CORNERS)]
        self._places = np.full((NUM_CORNERS, 2), np.nan)
        self._seen = np.full(NUM_CORNERS, -np.inf)

    def __call__(self, corners: np.ndarray, time: float) -> np.ndarray:
        """Take the next frame in.

        Args:
            corners: (8, 2) in pixels, NaN where one is not found.
            time: seconds from the video's start.

        Returns:
            (8, 2) smoothed corners in pixels, NaN where one is lost.
        """
        gone = time - self._seen > HOLD
        self._places[gone] = np.nan
        for i in np.flatnonzero(np.isfinite(corners).all(1)):
            if gone[i]:
                self._filters[i] = OneEuroFilter(MIN_CUTOFF, BETA)
            self._places[i] = self._filters[i](corners[i] / self._side, time) * self._side
            self._seen[i] = time
        return self._places.copy()


class ConvergenceDetector:
    """Whether a running count has stopped moving."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, float, float]] = deque(maxlen=SETTLE_FRAMES)
        self._used = 0

    def __call__(self, clip: Clip) -> bool:
        """Take the next answer in; True where it and its interval, if there is one, stand still."""
        if clip.frames_used != self._used:
            self._used = clip.frames_used
            self._answers.append((clip.cards, clip.low, clip.high))
        if len(self._answers) < SETTLE_FRAMES:
            return False
        moved = np.ptp(np.array(self._answers), axis=0)  # NaN where there is no interval
        return not bool((moved > SETTLE_CARDS).any())
