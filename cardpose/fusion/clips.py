"""One answer per clip: which of its frames count, and what they say together.

    flags = check_frames(confidence, corners, size)     each frame by itself
    clip = fuse(cards, spread, flags, interval)         the clip
    RunningCount(interval).add(cards, spread, flags)    the same, as the frames come in

The frames of a clip show one packet, and most of an estimate's error is common to them all: more frames do not average
it away. So the fusion is there for the frames that are worse than the rest, and how far off the answer may be is
learnt from whole videos (`cardpose.fusion.intervals`).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from cardpose.common.packet import MAX_CARDS
from cardpose.fusion.intervals import Interval
from cardpose.geometry.box_fit import MIN_CORNERS
from cardpose.geometry.boxes import extent, fit_frames

FOUND = 0.3
"""Height from which on a peak is a corner, as in conf/count_features/box.yaml."""
BORDER = 0.01
"""Of the frame's longer side; the outermost pixel of a heatmap, where the peak of a corner outside ends up."""
MISFIT = 0.2
"""Reprojection error, of the packet's extent in the image. Good corners stay below 0.02 and one at a wrong place mostly
below 0.2, which the count's own robust fit puts up with; more of them, or corners of no packet, lie above."""
INSIDE_OUT_MM = -2.0
"""Thickness of a box below which its back and its face are exchanged; a single card may come out a little below 0."""
OUTLIER_DEVIATIONS, OUTLIER_CARDS = 5.0, 4.0
"""An outlier is farther from the clip's answer than both: robust standard deviations, and cards."""
MIN_SPREAD = 0.1
"""Cards; a frame that claims to be surer than this weighs no more."""

_MAD_TO_SIGMA = 1.4826  # of a normal distribution


class Flag(IntEnum):
    """Why a frame is left out."""

    GOOD = 0
    NO_PACKET = 1
    CUT_OFF = 2
    NO_BOX = 3
    OUTLIER = 4

    @property
    def label(self) -> str:
        """For tables: "" for a good frame, else "no packet", "cut off", "no box" or "outlier"."""
        return self.name.lower().replace("_", " ") if self else ""


@dataclass(frozen=True)
class Clip:
    """What a clip's frames say together.

    Args:
        cards: the estimate in cards; NaN where no frame shows a packet.
        low, high: the interval in cards; NaN where there is no calibration, or no frame shows a packet.
        flags: (N,) a `Flag` per frame.
        used: (N,) bool, the frames that the estimate was made from.
    """

    cards: float
    low: float
    high: float
    flags: np.ndarray
    used: np.ndarray

    @property
    def frames_used(self) -> int:
        """Number of frames that the estimate was made from; 0: no packet found."""
        return int(self.used.sum())

    def __str__(self) -> str:
        """The answer, to be read by a person."""
        if not self.frames_used:
            return "no packet found"
        interval = "" if np.isnan(self.low) else f" ({self.low:.1f} to {self.high:.1f})"
        return f"{self.cards:.1f} cards{interval}, from {self.frames_used} of {len(self.used)} frames"


def check_frames(confidence: np.ndarray, corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Flag the frames that show no packet, a part of one, or corners that make no box.

    Blur, which lowers the peaks, ends as "no packet" where it is too strong; a doubt that is less than that is the
    spread's to tell.

    Args:
        confidence: (N, 8) heights of the heatmaps' peaks.
        corners: (N, 8, 2) in source pixels.
        size: (N, 2) width and height of the source frames in pixels.

    Returns:
        (N,) int, `Flag.GOOD` or the first that holds of `NO_PACKET` (fewer than four confident corners), `CUT_OFF` (a
        confident corner at the border) and `NO_BOX` (the box that fits best is far from the corners, is inside out, or
        has no thickness since all corners are on one surface).
    """
    found = confidence > FOUND
    no_packet = found.sum(1) < MIN_CORNERS
    margin = BORDER * size.max(1)[:, None, None]
    outside = (corners < margin) | (corners > size[:, None] - 1 - margin)
    cut_off = (found & outside.any(2)).any(1)
    boxes = fit_frames(corners, np.where(found, confidence, 0.0), size)
    near = boxes.distance <= MISFIT * extent(corners, found)
    no_box = ~(near & (boxes.fit.thickness.numpy() > INSIDE_OUT_MM))  # NaN where it is not determined
    return np.select([no_packet, cut_off, no_box], [Flag.NO_PACKET, Flag.CUT_OFF, Flag.NO_BOX], Flag.GOOD)


def corner_uncertainty(confidence: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """How unsure the network is of each corner, 0 to 1: one half of either may mean yes or no, 0 and 1 are sure.

    Args:
        confidence: (..., 8) heights of the heatmaps' peaks.
        visibility: (..., 8) probability that the corner is visible.
    """
    return 1 - np.abs(2 * np.clip([confidence, visibility], 0, 1) - 1).min(0)


def frame_uncertainty(confidence: np.ndarray, visibility: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """(N,) how unsure the network is of each frame, 0 to 1: its corners' mean; 1 without a packet, or with no box.

    Args:
        confidence, visibility: (N, 8), see `corner_uncertainty`.
        flags: (N,) as `check_frames` returns them.
    """
    lost = (flags == Flag.NO_PACKET) | (flags == Flag.NO_BOX)
    return np.where(lost, 1.0, corner_uncertainty(confidence, visibility).mean(1))


def fuse(
    cards: np.ndarray, cards_std: np.ndarray, flags: np.ndarray, interval: Interval | None = None
) -> Clip:
    """The clip's one answer: the median of the good frames, weighted by how sure each is, within 1 to 104 cards.

    The weights are 1 / spread: then the weighted median is the most likely value where errors are Laplace's
    (Bloomfield and Steiger 1983, Least Absolute Deviations). Where the network tells no spread it is the plain
    median. Where every frame with a packet is flagged, all of those are used: a poor answer about a packet that is
    there.

    Args:
        cards: (N,) estimates in cards.
        cards_std: (N,) their standard deviations in cards, NaN where the network does not tell.
        flags: (N,) as `check_frames` returns them.
        interval: calibration of the interval.

    >>> clip = fuse(np.array([20.0, 21.0, 22.0, 40.0, 7.0]), np.full(5, np.nan), np.array([0, 0, 0, 0, 1]))
    >>> print(clip)
    21.0 cards, from 3 of 5 frames
    >>> [Flag(flag).label for flag in clip.flags]
    ['', '', '', 'outlier', 'no packet']
    """
    used = flags == Flag.GOOD
    if not used.any():
        used = flags != Flag.NO_PACKET
    if not used.any():
        return Clip(np.nan, np.nan, np.nan, flags, used)
    weights = _weights(cards_std, used)
    outlier = used & _outliers(cards, weights)
    used = used & ~outlier
    answer = np.clip(weighted_median(cards, weights * used), 1, MAX_CARDS)
    low, high = interval.bounds(answer, used.sum()) if interval else (np.nan, np.nan)
    return Clip(float(answer), float(low), float(high), np.where(outlier, Flag.OUTLIER, flags), used)


def _weights(cards_std: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(N,) weights, 0 for frames that are not used, alike where one of the others has no spread."""
    if np.isnan(cards_std[used]).any():
        return used.astype(float)
    return np.divide(1, np.maximum(cards_std, MIN_SPREAD), out=np.zeros(len(cards_std)), where=used)


def _outliers(cards: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N,) bool, far from the weighted median, in weighted median absolute deviations and in cards."""
    away = np.abs(cards - weighted_median(cards, weights))
    deviation = _MAD_TO_SIGMA * weighted_median(away, weights)
    return away > np.maximum(OUTLIER_DEVIATIONS * deviation, OUTLIER_CARDS)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value with half of the weight on each side of it, between two values in proportion.

    Args:
        values: (N,); one that is NaN and has a weight makes the result NaN.
        weights: (N,) from 0; one at least is above.

    >>> weighted_median(np.array([3.0, 1.0, 2.0, 10.0]), np.ones(4))
    2.5
    >>> weighted_median(np.array([3.0, 1.0, 2.0, 10.0]), np.array([1.0, 1.0, 1.0, 0.0]))
    2.0
    """
    weighty = weights > 0
    values, weights = values[weighty], weights[weighty]
    if np.isnan(values).any():
        return float("nan")
    order = np.lexsort((weights, values))  # of equal values too one order, whatever the frames' was
    values, weights = values[order], weights[order]
    below = np.cumsum(weights) - weights / 2
    return float(np.interp(weights.sum() / 2, below, values))


class RunningCount:
    """`fuse` on the frames so far, for live use.

    The costly look at a frame (`check_frames`) is taken once; three numbers of it are kept, and an answer from ten
    thousand frames takes a few milliseconds.

    Args:
        interval: calibration of the interval.
    """

    def __init__(self, interval: Interval | None = None) -> None:
        self.interval = interval
        self._cards, self._cards_std = np.empty(0), np.empty(0)
        self._flags = np.empty(0, int)

    def add(self, cards: np.ndarray, cards_std: np.ndarray, flags: np.ndarray) -> Clip:
        """Take the next frames in, (n,) each as `fuse` takes them, and answer from all so far."""
        self._cards = np.append(self._cards, cards)
        self._cards_std = np.append(self._cards_std, cards_std)
        self._flags = np.append(self._flags, flags)
        return fuse(self._cards, self._cards_std, self._flags, self.interval)
