"""The estimates of all labelled videos beside their counts: scores, tables and calibration use them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cardpose.common.packet import Batch, ModelOutput
from cardpose.fusion.clips import check_frames, fuse
from cardpose.fusion.intervals import Interval, fit_interval
from cardpose.fusion.settings import FusionConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class VideoEstimates:
    """The estimates of V videos.

    Args:
        video: (V,) their names or numbers.
        true: (V,) counts, NaN where unknown.
        cards: (V,) estimates in cards.
        frames_used: (V,) number of frames behind each estimate; 0 where no packet was found.
        frame_error: (V,) mean squared error of one such frame, in cards squared; NaN where unknown.
    """

    video: np.ndarray
    true: np.ndarray
    cards: np.ndarray
    frames_used: np.ndarray
    frame_error: np.ndarray

    def of(self, chosen: np.ndarray) -> "VideoEstimates":
        """Those where `chosen` (V,) bool is True."""
        return VideoEstimates(**{name: column[chosen] for name, column in vars(self).items()})

    def bounds(self, interval: Interval | None) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest count (V,) in cards; NaN without a calibration and where no packet was found."""
        if interval is None:
            return np.full(len(self.cards), np.nan), np.full(len(self.cards), np.nan)
        return interval.bounds(self.cards, np.where(self.frames_used > 0, self.frames_used, np.nan))

    def fit_interval(self) -> Interval | None:
        """See `cardpose.fusion.intervals.fit_interval`."""
        return fit_interval(self.cards, self.true, self.frames_used, self.frame_error)


def flag_frames(prediction: "ModelOutput[Tensor]", batch: Batch, config: FusionConfig) -> np.ndarray:
    """Flag (B,) the frames of a batch with `clips.check_frames`, in float64 on the CPU; corners in source pixels."""
    columns = prediction.confidence, prediction.corners, batch["source_size"]
    confidence, corners, size = (column.detach().cpu().double().numpy() for column in columns)
    return check_frames(confidence, corners, size, config)


def estimate_videos(
    video: np.ndarray,
    cards: np.ndarray,
    cards_std: np.ndarray,
    flags: np.ndarray,
    true: np.ndarray,
    config: FusionConfig,
) -> VideoEstimates:
    """Fuse the frames of each video, in order of appearance.

    Frames without a known count are left out if their video has others. A video in which no packet was found gets the
    median of its frames, so that a score cannot improve by giving no answer.

    Args:
        video: (N,) number or name of each frame's video.
        cards: (N,) estimates in cards.
        cards_std: (N,) their standard deviations in cards, NaN where the model does not estimate them.
        flags: (N,) of `clips.check_frames`.
        true: (N,) counts, NaN where unknown.
        config: settings of the fusion.

    >>> video, cards, true = np.array([7, 7, 7, 3]), np.array([9.0, 11.0, 14.0, 21.0]), np.array([10.0] * 3 + [20.0])
    >>> flags = np.array([0, 0, 2, 1])
    >>> videos = estimate_videos(video, cards, np.full(4, np.nan), flags, true, FusionConfig())
    >>> videos.video.tolist(), videos.cards.tolist(), videos.frames_used.tolist()
    ([7, 3], [10.0, 21.0], [2, 0])
    """
    names = list(dict.fromkeys(video.tolist()))
    rows = []
    for name in names:
        own = video == name
        known = own & ~np.isnan(true)
        chosen = known if known.any() else own
        estimates, count = cards[chosen], np.median(true[chosen])
        clip = fuse(estimates, cards_std[chosen], flags[chosen], config)
        if clip.frames_used:
            rows.append((count, clip.cards, clip.frames_used, np.mean((estimates[clip.used] - count) ** 2)))
        else:
            rows.append((count, np.median(estimates), 0, np.nan))
    true, fused, used, error = np.array(rows, float).reshape(-1, 4).T
    return VideoEstimates(np.array(names), true, fused, used.astype(int), error)


def bounds_across(videos: VideoEstimates, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals calibrated on the tested videos of the other folds: what many validation videos would give.

    Source: Vovk 2015, Cross-conformal predictors, Annals of Mathematics and Artificial Intelligence 74.

    Args:
        videos: each estimated by the model of its fold, which was not trained on it.
        fold: (V,) number of the fold that tested the video.

    Returns:
        Lowest and highest count (V,) in cards; NaN where the other folds have too few videos.
    """
    bounds = np.full((2, len(fold)), np.nan)
    for own in (fold == number for number in np.unique(fold)):
        bounds[:, own] = videos.of(own).bounds(videos.of(~own).fit_interval())
    low, high = bounds
    return low, high


def interval_scores(videos: VideoEstimates, interval: Interval | None) -> dict[str, float]:
    """Coverage and width of the interval.

    Args:
        videos: those without a known count are left out.
        interval: None if the model has no calibration: both scores are NaN.

    Returns:
        `interval_coverage`: share of videos whose count is inside; a video in which no packet was found is not.
        `interval_width`: mean of high - low in cards over the videos with an interval.
    """
    scores = bound_scores(videos.true, *videos.bounds(interval))
    return scores if interval else dict.fromkeys(scores, np.nan)


def bound_scores(true: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, float]:
    """`interval_scores` of given intervals.

    Args:
        true: (V,) counts, NaN where unknown.
        low, high: (V,) NaN where there is no interval.
    """
    known = ~np.isnan(true)
    true, low, high = true[known], low[known], high[known]
    held = (low <= true) & (true <= high)
    width = (high - low)[~np.isnan(low)]
    return {
        "interval_coverage": float(held.mean()) if len(held) else np.nan,
        "interval_width": float(width.mean()) if len(width) else np.nan,
    }
