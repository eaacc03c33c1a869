"""How far off a clip's count may be: an interval that holds for nine clips of ten, learnt from whole videos.

The frames of a video share most of their error, so a calibration has as many observations as it has videos.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from cardpose.common.packet import MAX_CARDS

LEVEL = 0.9
"""Share of new clips whose true count the interval is to hold."""
GROWTH = 0.025
"""By how much an error grows with the count, a card, in errors of an empty packet: it doubles up to 40 cards. Corners
err alike whatever the count, a deck's thickness in proportion to it."""
MIN_VIDEOS = 2
"""Of one video, the interval is 6 times the error that it happens to have."""

_STUDENT = {2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 8: 1.860}
"""Degrees of freedom -> what nine of ten values of Student's t are below in size, where there is no rank yet."""


@dataclass(frozen=True)
class Interval:
    """Half of the interval's width: (floor + slope * cards) * sqrt(1 + noise / frames).

    Args:
        floor: cards.
        slope: cards a card.
        noise: mean square of what one frame's error adds to the video's own, as a share of the latter.
        videos: that it was calibrated on.
    """

    floor: float
    slope: float
    noise: float
    videos: int

    def bounds(self, cards: np.ndarray | float, frames: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest count, within 1 to 104 cards, about estimates (N,) of `frames` (N,) frames each."""
        half = np.maximum(self.floor + self.slope * np.asarray(cards), 0) * np.sqrt(
            1 + self.noise / np.asarray(frames)
        )
        return np.clip(cards - half, 1, MAX_CARDS), np.clip(cards + half, 1, MAX_CARDS)

    def rescaled(self, scale: float, offset: float) -> "Interval":
        """The interval of estimates that are now scale * cards + offset, in cards.

        >>> interval = Interval(floor=2.0, slope=0.1, noise=0.0, videos=8)
        >>> interval.rescaled(1.5, 3.0).bounds(1.5 * 20 + 3, 1)  # 1.5 times as wide
        (np.float64(27.0), np.float64(39.0))
        """
        return replace(self, floor=scale * self.floor - self.slope * offset)


def fit_interval(
    cards: np.ndarray, true: np.ndarray, frames: np.ndarray, frame_error: np.ndarray
) -> Interval | None:
    """The interval that fits the errors of labelled videos that the network was not trained on.

    From nine videos on it is split conformal (Vovk et al. 2005, Algorithmic Learning in a Random World; Lei et al.
    2018, Distribution-Free Predictive Inference for Regression, 2.2 and 5.2): the score of a video is its error in
    units of what `Interval` expects of it, and the interval is as wide as the ceil(0.9 (V + 1))-th smallest score
    says. It holds for nine new videos of ten whatever the errors' distribution, if they are of the same kind.

    Fewer videos have no such score. There the scores count as normal about 0 of unknown size, and Student's t says how
    many times their root mean square holds nine new ones of ten (Student 1908): exact for normal errors, and as wide
    as few videos make it. A few may all happen to be well met; so the error that a video's frames share counts as no
    smaller than what each adds to it, and two videos then give an interval that is rather too wide than too narrow.

    Args:
        cards: (V,) estimates of the videos in cards.
        true: (V,) counts, NaN where unknown.
        frames: (V,) number of frames that each estimate was made from; videos without one are left out.
        frame_error: (V,) mean squared error in cards of one such frame.

    Returns:
        None where fewer than two videos have both a count and an estimate.
    """
    known = (frames > 0) & ~np.isnan(true)
    cards, true, frames, frame_error = (values[known] for values in (cards, true, frames, frame_error))
    count = len(cards)
    if count < MIN_VIDEOS:
        return None
    expected = 1 + GROWTH * np.maximum(cards, 0)
    error = np.abs(cards - true) / expected
    shared, of_a_frame = np.mean(error**2), np.mean(frame_error / expected**2)
    if count in _STUDENT:
        shared = max(shared, of_a_frame / 2)
    noise = max(of_a_frame / shared - 1, 0.0) if shared > 0 else 0.0
    more = 1 + noise / frames
    if count in _STUDENT:
        unit = _STUDENT[count] * math.sqrt(shared / np.mean(more))
    else:
        unit = np.sort(error / np.sqrt(more))[math.ceil(LEVEL * (count + 1)) - 1]
    return Interval(floor=float(unit), slope=float(GROWTH * unit), noise=float(noise), videos=count)
