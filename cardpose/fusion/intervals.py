"""The interval of a clip's count: it contains the true count of nine clips out of ten, calibrated on whole videos.

The frames of a video share most of their error, so a calibration has as many observations as it has videos.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from cardpose.common.packet import MAX_CARDS

LEVEL = 0.9
"""Nominal coverage: share of new clips whose true count the interval contains."""
GROWTH = 0.025
"""Relative growth of the error per card: it doubles from 0 to 40 cards. The error of the corners does not depend on the
count, the error from the thickness of a card is proportional to it."""
MIN_VIDEOS = 2
"""From one video, the interval would be 6 times whatever error it happens to have."""

_STUDENT = {2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 8: 1.860}
"""Degrees of freedom -> two-sided 90 % quantile of Student's t, for counts of videos too small for a rank."""


@dataclass(frozen=True)
class Interval:
    """A calibrated interval. Half of its width is (floor + slope * cards) * sqrt(1 + noise / frames).

    Args:
        floor: cards.
        slope: cards per card.
        noise: mean square of the error that one frame adds, relative to that of the error shared by the video.
        videos: number of videos that it was calibrated on.
    """

    floor: float
    slope: float
    noise: float
    videos: int

    def bounds(self, cards: np.ndarray | float, frames: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest count (N,), within 1 to 104 cards, of estimates (N,) from `frames` (N,) frames each."""
        half = np.maximum(self.floor + self.slope * np.asarray(cards), 0) * np.sqrt(
            1 + self.noise / np.asarray(frames)
        )
        return np.clip(cards - half, 1, MAX_CARDS), np.clip(cards + half, 1, MAX_CARDS)

    def rescaled(self, scale: float, offset: float) -> "Interval":
        """The interval for estimates that are now scale * cards + offset, in cards.

        >>> interval = Interval(floor=2.0, slope=0.1, noise=0.0, videos=8)
        >>> interval.rescaled(1.5, 3.0).bounds(1.5 * 20 + 3, 1)  # 1.5 times as wide
        (np.float64(27.0), np.float64(39.0))
        """
        return replace(self, floor=scale * self.floor - self.slope * offset)


def fit_interval(
    cards: np.ndarray, true: np.ndarray, frames: np.ndarray, frame_error: np.ndarray
) -> Interval | None:
    """Calibrate the interval on labelled videos that the model was not trained on.

    From nine videos on this is split conformal prediction (Vovk et al. 2005, Algorithmic Learning in a Random World;
    Lei et al. 2018, Distribution-Free Predictive Inference for Regression, 2.2 and 5.2): the score of a video is its
    error relative to the expected one, and the interval is as wide as the ceil(0.9 (V + 1))-th smallest score. It
    contains the count of nine new videos out of ten for any distribution of errors, if they are exchangeable.

    Fewer videos have no such rank. Then the scores are taken as normal with mean 0 and unknown variance, and Student's
    t times their root mean square gives the width (Student 1908): exact for normal errors, and wide for few videos. A
    few videos may all have small errors by chance, so the shared error is assumed to be at least as large as that which
    a frame adds; two videos then give an interval that is rather too wide than too narrow.

    Args:
        cards: (V,) estimates of the videos in cards.
        true: (V,) counts, NaN where unknown.
        frames: (V,) number of frames behind each estimate; videos with 0 are left out.
        frame_error: (V,) mean squared error of one such frame, in cards squared.

    Returns:
        None if fewer than two videos have both a count and an estimate.
    """
    known = (frames > 0) & ~np.isnan(true)
    cards, true, frames, frame_error = (values[known] for values in (cards, true, frames, frame_error))
    count = len(cards)
    if count < MIN_VIDEOS:
        return None
    # Errors relative to the expected growth with the count: one scale for thin and thick packets.
    expected = 1 + GROWTH * np.maximum(cards, 0)
    error = np.abs(cards - true) / expected
    # The error of one frame is what its video shares plus what the frame adds; `noise` is the ratio of the two.
    shared, of_a_frame = np.mean(error**2), np.mean(frame_error / expected**2)
    if count in _STUDENT:
        shared = max(shared, of_a_frame / 2)
    noise = max(of_a_frame / shared - 1, 0.0) if shared > 0 else 0.0
    more = 1 + noise / frames
    # Width in units of the expected error: by Student's t for few videos, by the conformal rank otherwise.
    if count in _STUDENT:
        unit = _STUDENT[count] * math.sqrt(shared / np.mean(more))
    else:
        unit = np.sort(error / np.sqrt(more))[math.ceil(LEVEL * (count + 1)) - 1]
    return Interval(floor=float(unit), slope=float(GROWTH * unit), noise=float(noise), videos=count)
