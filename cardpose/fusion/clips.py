"""One count per clip: which frames are used, and their weighted midmean.

    flags = check_frames(confidence, corners, size, config)      each frame by itself
    clip = fuse(cards, cards_std, flags, config, interval)       the whole clip
    RunningCount(config, interval).add(cards, cards_std, flags)  the same, as the frames arrive

All frames of a clip show one packet and share most of their error, so more frames do not average it away. The fusion
therefore only removes the frames that are worse than the rest; how far off the count may be is calibrated on whole
videos (`cardpose.fusion.intervals`).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from cardpose.common.packet import MAX_CARDS
from cardpose.fusion.averages import weighted_median, weighted_midmean
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.geometry.box_fit import MIN_CORNERS, PHONE_FOCAL, BoxFit
from cardpose.geometry.boxes import FrameBoxes, extent, fit_frames

_MAD_TO_SIGMA = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


EDGES, THICKNESS, BOTH = "edges", "thickness", "both"
"""Method of a count, see `cardpose.fusion.edge_votes`."""


class Flag(IntEnum):
    """Why a frame is not used."""

    GOOD = 0
    NO_PACKET = 1
    CUT_OFF = 2
    NO_BOX = 3
    OUTLIER = 4

    @property
    def label(self) -> str:
        """Text for tables: "" for a good frame, else "no packet", "cut off", "no box" or "outlier"."""
        return self.name.lower().replace("_", " ") if self else ""


@dataclass(frozen=True)
class Clip:
    """The count of a clip.

    Args:
        cards: estimate in cards; NaN if no frame shows a packet.
        low, high: interval in cards; NaN without a calibration, or if no frame shows a packet.
        flags: (N,) a `Flag` per frame.
        used: (N,) bool, the frames that the estimate was computed from.
        settled: of a running count: whether it has stopped changing, see `prediction.tracking.ConvergenceDetector`.
        method: what the count is from: "thickness", "edges", or "both" (`cardpose.fusion.edge_votes`).
    """

    cards: float
    low: float
    high: float
    flags: np.ndarray
    used: np.ndarray
    settled: bool = False
    method: str = THICKNESS

    @property
    def frames_used(self) -> int:
        """Number of frames that the estimate was computed from; 0: no packet found."""
        return int(self.used.sum())

    def __str__(self) -> str:
        if not self.frames_used:
            return "no packet found"
        interval = "" if np.isnan(self.low) else f" ({self.low:.1f} to {self.high:.1f})"
        if self.method == EDGES:
            interval = " (edges counted)"
        return f"{self.cards:.1f} cards{interval}, from {self.frames_used} of {len(self.used)} frames"


def check_frames(
    confidence: np.ndarray, corners: np.ndarray, size: np.ndarray, config: FusionConfig
) -> np.ndarray:
    """Flag the frames that show no packet, only a part of one, or corners that do not form a box.

    Strong blur lowers the peaks and ends as "no packet"; weaker doubts are expressed by the standard deviation.

    Args:
        confidence: (N, 8) heights of the heatmaps' peaks.
        corners: (N, 8, 2) in source pixels.
        size: (N, 2) width and height of the source frames in pixels.
        config: settings of the fusion.

    Returns:
        (N,) int, `Flag.GOOD` or the first that holds of `NO_PACKET` (fewer than four corners found), `CUT_OFF` (a
        found corner at the border) and `NO_BOX` (the fitted box is far from the corners, is inside out, or has no
        thickness because all found corners are on one surface).
    """
    boxes = fit_frames(corners, _weights_of_corners(confidence, config), size)
    return _flags(confidence, corners, size, config, boxes.distance, boxes.box.thickness)


def check_and_fit(
    confidence: np.ndarray,
    corners: np.ndarray,
    size: np.ndarray,
    config: FusionConfig,
    focal: float | np.ndarray = PHONE_FOCAL,
) -> tuple[np.ndarray, FrameBoxes]:
    """Flag frames as `check_frames` does, and fit the boxes to show and to measure.

    Both need a box in source pixels, but not the same one, so every frame is fitted twice in one run of the solver:
    a flag asks how far the corners are from any box, so all corners weigh alike and the camera is a phone's; the box to
    show has to ignore a misplaced corner, so it is fitted robustly and with the camera's own focal length. The count
    head's fit is a third one: it lies inside the exported graph, in network pixels and with fewer steps.

    Args:
        confidence, corners, size, config: as in `check_frames`.
        focal: focal length of the camera, one or (N,), in longer sides of the frames.

    Returns:
        Flags (N,) and the boxes; their thickness and corners are NaN where the found corners do not determine a box.
    """
    count = len(corners)
    weights = _weights_of_corners(confidence, config)
    boxes = fit_frames(
        np.concatenate([corners, corners]),
        np.concatenate([weights, weights]),
        np.concatenate([size, size]),
        tolerance=np.repeat([np.inf, config.tolerance], count),
        focal=np.concatenate([np.full(count, PHONE_FOCAL), np.broadcast_to(focal, count)]),
    )
    thickness = boxes.box.thickness
    flags = _flags(confidence, corners, size, config, boxes.distance[:count], thickness[:count])
    box = BoxFit(*(part[count:] for part in boxes.box))
    return flags, FrameBoxes(box, boxes.corners[count:], boxes.distance[count:])


def _weights_of_corners(confidence: np.ndarray, config: FusionConfig) -> np.ndarray:
    """(N, 8) weights of the corners in a box fit: their confidence, 0 where not found."""
    return np.where(confidence > config.found, confidence, 0.0)


def _flags(
    confidence: np.ndarray,
    corners: np.ndarray,
    size: np.ndarray,
    config: FusionConfig,
    distance: np.ndarray,
    thickness: np.ndarray,
) -> np.ndarray:
    """See `check_frames`; `distance` (N,) in pixels and `thickness` (N,) in mm are of the fitted boxes."""
    found = confidence > config.found
    no_packet = found.sum(1) < MIN_CORNERS
    # A corner outside the frame has its peak on the outermost pixel of the heatmap.
    margin = config.border * size.max(1)[:, None, None]
    outside = (corners < margin) | (corners > size[:, None] - 1 - margin)
    cut_off = (found & outside.any(2)).any(1)
    # Written with `~` because comparisons with NaN, where there is no box, are False.
    near = distance <= config.max_residual * extent(corners, found)
    no_box = ~(near & (thickness > config.min_thickness_mm))
    return np.select([no_packet, cut_off, no_box], [Flag.NO_PACKET, Flag.CUT_OFF, Flag.NO_BOX], Flag.GOOD)


def corner_uncertainty(confidence: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Uncertainty (..., 8) of each corner: 1 where confidence or visibility is one half, 0 where both are 0 or 1.

    Args:
        confidence: (..., 8) heights of the heatmaps' peaks.
        visibility: (..., 8) probability that the corner is visible.
    """
    return 1 - np.abs(2 * np.clip([confidence, visibility], 0, 1) - 1).min(0)


def frame_uncertainty(confidence: np.ndarray, visibility: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Uncertainty (N,) of each frame, 0 to 1: the mean over its corners; 1 without a packet or a box.

    Args:
        confidence, visibility: (N, 8), see `corner_uncertainty`.
        flags: (N,) of `check_frames`.
    """
    lost = (flags == Flag.NO_PACKET) | (flags == Flag.NO_BOX)
    return np.where(lost, 1.0, corner_uncertainty(confidence, visibility).mean(1))


def fuse(
    cards: np.ndarray,
    cards_std: np.ndarray,
    flags: np.ndarray,
    config: FusionConfig,
    interval: Interval | None = None,
) -> Clip:
    """Fuse the frames of a clip: the weighted midmean of the good frames, clipped to 1 to 104 cards.

    A weight is 1 / standard deviation; without standard deviations all are equal. The midmean, unlike the median, does
    not jump from one frame's count to the next one's when a camera delivers some frames more or less. If every frame
    with a packet is flagged, all of those are used: a poor estimate of a packet that is there.

    Args:
        cards: (N,) estimates in cards.
        cards_std: (N,) their standard deviations in cards, NaN where the model does not estimate them.
        flags: (N,) of `check_frames`.
        config: settings of the fusion.
        interval: calibration of the interval.

    >>> cards, flags = np.array([20.0, 21.0, 22.0, 40.0, 7.0]), np.array([0, 0, 0, 0, 1])
    >>> clip = fuse(cards, np.full(5, np.nan), flags, FusionConfig())
    >>> print(clip)
    21.0 cards, from 3 of 5 frames
    >>> [Flag(flag).label for flag in clip.flags]
    ['', '', '', 'outlier', 'no packet']
    """
    # Which frames: the good ones, else all that show a packet.
    used = flags == Flag.GOOD
    if not used.any():
        used = flags != Flag.NO_PACKET
    if not used.any():
        return Clip(np.nan, np.nan, np.nan, flags, used)
    # Remove outliers once, then take the midmean of the rest.
    weights = _weights(cards_std, used, config)
    outlier = used & _outliers(cards, weights, config)
    used = used & ~outlier
    count = np.clip(weighted_midmean(cards, weights * used), 1, MAX_CARDS)
    low, high = interval.bounds(count, used.sum()) if interval else (np.nan, np.nan)
    return Clip(float(count), float(low), float(high), np.where(outlier, Flag.OUTLIER, flags), used)


def _weights(cards_std: np.ndarray, used: np.ndarray, config: FusionConfig) -> np.ndarray:
    """(N,) weights: 0 for unused frames; equal if any used frame has no standard deviation."""
    if np.isnan(cards_std[used]).any():
        return used.astype(float)
    return np.divide(1, np.maximum(cards_std, config.min_cards_std), out=np.zeros(len(cards_std)), where=used)


def _outliers(cards: np.ndarray, weights: np.ndarray, config: FusionConfig) -> np.ndarray:
    """(N,) bool: far from the weighted median, both in robust standard deviations and in cards."""
    distance = np.abs(cards - weighted_median(cards, weights))
    deviation = _MAD_TO_SIGMA * weighted_median(distance, weights)
    return distance > np.maximum(config.outlier_deviations * deviation, config.outlier_cards)


class RunningCount:
    """`fuse` over the frames so far, for live use.

    Only three numbers of each frame are kept; fusing ten thousand frames takes a few milliseconds.

    Args:
        config: settings of the fusion.
        interval: calibration of the interval.
    """

    def __init__(self, config: FusionConfig, interval: Interval | None = None) -> None:
        self.config, self.interval = config, interval
        self._cards, self._cards_std = np.empty(0), np.empty(0)
        self._flags = np.empty(0, int)

    def add(self, cards: np.ndarray, cards_std: np.ndarray, flags: np.ndarray) -> Clip:
        """Add the next frames, (n,) each as `fuse` takes them, and fuse all so far."""
        self._cards = np.append(self._cards, cards)
        self._cards_std = np.append(self._cards_std, cards_std)
        self._flags = np.append(self._flags, flags)
        return fuse(self._cards, self._cards_std, self._flags, self.config, self.interval)
