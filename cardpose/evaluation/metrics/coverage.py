"""Coverage of the intervals over their nominal level, on tested videos."""

import numpy as np
from scipy.special import betaincinv, stdtr, stdtrit

from cardpose.fusion.intervals import LEVEL

BAND = 0.9
"""Share of calibrated intervals that lie within `chance_band`, at each of its points."""


def levels_needed(
    true: np.ndarray, cards: np.ndarray, low: np.ndarray, high: np.ndarray, calibrated_on: np.ndarray
) -> np.ndarray:
    """The lowest nominal level at which each video's interval contains its count.

    An interval is calibrated for `intervals.LEVEL` only. For other levels its width is scaled by Student's t with the
    number of calibration videos as degrees of freedom, which is exact for normal errors. If intervals are calibrated,
    the share of videos that need less than a level is that level.

    Args:
        true: (V,) counts.
        cards: (V,) estimates in cards.
        low, high: (V,) interval in cards, NaN without one: no level is enough.
        calibrated_on: (V,) number of videos that the interval was calibrated on, or one number.

    Returns:
        (V,) from 0 to 1; at most `LEVEL` where the interval contains the count.

    >>> levels_needed(np.array([10.0, 15, 20]), np.full(3, 10.0), np.full(3, 5.0), np.full(3, 15.0), 8).round(3)
    array([0.   , 0.9  , 0.994])
    """
    half = np.maximum(high - cards, cards - low)  # one side may be cut off at 1 or 104 cards
    error = np.abs(true - cards)
    ratio = np.divide(error, half, out=np.where(error > 0, np.inf, 0.0), where=half > 0)
    ratio[np.isnan(half)] = np.inf
    return 2 * stdtr(calibrated_on, ratio * stdtrit(calibrated_on, (1 + LEVEL) / 2)) - 1


def chance_band(videos: int) -> tuple[np.ndarray, np.ndarray]:
    """The range of each of the sorted `levels_needed` if the intervals are calibrated.

    Returns:
        (V,) and (V,) levels; the k-th smallest of V uniform values is Beta(k, V + 1 - k).
    """
    rank = np.arange(1, videos + 1)
    low, high = (betaincinv(rank, videos + 1 - rank, share) for share in ((1 - BAND) / 2, (1 + BAND) / 2))
    return low, high
