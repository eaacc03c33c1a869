"""Every labelled video's one estimate beside its count: what scores, tables and calibrations share."""

from dataclasses import dataclass

import numpy as np

from cardpose.common.packet import Batch, Prediction
from cardpose.fusion.clips import check_frames, fuse
from cardpose.fusion.intervals import Interval, fit_interval
from cardpose.geometry.affine import source_size


@dataclass(frozen=True)
class VideoEstimates:
    """The answers about V videos.

    Args:
        video: (V,) which they are.
        true: (V,) counts, NaN where unknown.
        cards: (V,) estimates in cards.
        frames_used: (V,) number of frames that each was made from; 0 where no packet was found.
        frame_error: (V,) mean squared error in cards of one such frame; NaN where unknown.
    """

    video: np.ndarray
    true: np.ndarray
    cards: np.ndarray
    frames_used: np.ndarray
    frame_error: np.ndarray

    def of(self, chosen: np.ndarray) -> "VideoEstimates":
        """Those of the videos (V,) bool."""
        return VideoEstimates(**{name: column[chosen] for name, column in vars(self).items()})

    def bounds(self, interval: Interval | None) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest counts (V,) in cards; NaN without a calibration and where no packet was found."""
        if interval is None:
            return np.full(len(self.cards), np.nan), np.full(len(self.cards), np.nan)
        return interval.bounds(self.cards, np.where(self.frames_used > 0, self.frames_used, np.nan))

    def fit_interval(self) -> Interval | None:
        """See `cardpose.fusion.intervals.fit_interval`."""
        return fit_interval(self.cards, self.true, self.frames_used, self.frame_error)


def flag_frames(prediction: Prediction, batch: Batch) -> np.ndarray:
    """`clips.check_frames` of a predicted batch, in float64 on the CPU: (B,) int."""
    size = source_size(batch["to_source"], batch["image"].shape[-2:])
    columns = prediction.confidence, prediction.corners, size
    return check_frames(*(column.detach().cpu().double().numpy() for column in columns))


def estimate_videos(
    video: np.ndarray, cards: np.ndarray, cards_std: np.ndarray, flags: np.ndarray, true: np.ndarray
) -> VideoEstimates:
    """Fuse the frames of each video, in order of appearance.

    Frames of unknown count are left out, where their video has others. A video in which no packet was found is given
    the median of its frames, so that a score cannot gain by not answering.

    Args:
        video: (N,) which video each frame is of: numbers or names.
        cards: (N,) estimates in cards.
        cards_std: (N,) their standard deviations in cards, NaN where the network does not tell.
        flags: (N,) as `clips.check_frames` returns them.
        true: (N,) counts, NaN where unknown.

    >>> video, cards, true = np.array([7, 7, 7, 3]), np.array([9.0, 11.0, 14.0, 21.0]), np.array([10.0] * 3 + [20.0])
    >>> videos = estimate_videos(video, cards, np.full(4, np.nan), np.array([0, 0, 2, 1]), true)
    >>> videos.video.tolist(), videos.cards.tolist(), videos.frames_used.tolist()
    ([7, 3], [10.0, 21.0], [2, 0])
    """
    names = list(dict.fromkeys(video.tolist()))
    rows = []
    for name in names:
        own = video == name
        known = own & ~np.isnan(true)
        chosen = known if known.any() else own
        said, count = cards[chosen], np.median(true[chosen])
        clip = fuse(said, cards_std[chosen], flags[chosen])
        if clip.frames_used:
            rows.append((count, clip.cards, clip.frames_used, np.mean((said[clip.used] - count) ** 2)))
        else:
            rows.append((count, np.median(said), 0, np.nan))
    true, estimates, used, error = np.array(rows, float).reshape(-1, 4).T
    return VideoEstimates(np.array(names), true, estimates, used.astype(int), error)


def bounds_across(videos: VideoEstimates, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals that are learnt from the videos of the other folds: what many validation videos would give.

    Source: Vovk 2015, Cross-conformal predictors, Annals of Mathematics and Artificial Intelligence 74.

    Args:
        videos: each estimated by the model of its fold, which has not been trained on it.
        fold: (V,) which fold tested it.

    Returns:
        Lowest and highest counts (V,) in cards; NaN where the other folds have too few videos.
    """
    bounds = np.full((2, len(fold)), np.nan)
    for own in (fold == number for number in np.unique(fold)):
        bounds[:, own] = videos.of(own).bounds(videos.of(~own).fit_interval())
    low, high = bounds
    return low, high


def interval_scores(videos: VideoEstimates, interval: Interval | None) -> dict[str, float]:
    """How often the interval holds the count, and how wide it is.

    Args:
        videos: those of unknown count are left out.
        interval: None where the network has no calibration: both scores are NaN.

    Returns:
        `interval_coverage`, the share of videos whose count is within; one in which no packet was found is not. And
        `interval_width`, the mean of high - low in cards over the others.
    """
    known = videos.of(~np.isnan(videos.true))
    low, high = known.bounds(interval)
    held = (low <= known.true) & (known.true <= high)
    width = (high - low)[~np.isnan(low)]
    return {
        "interval_coverage": float(held.mean()) if interval and len(held) else np.nan,
        "interval_width": float(width.mean()) if len(width) else np.nan,
    }
