"""Every video's estimate for scores and calibration, and how the interval does on it."""

import math

import numpy as np
import pytest
import torch

from cardpose.common.packet import Batch, ModelOutput
from cardpose.evaluation.metrics.frame_metrics import FrameMetrics
from cardpose.fusion.clips import Flag
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import (
    VideoEstimates,
    bounds_across,
    estimate_videos,
    flag_frames,
    interval_scores,
)

INTERVAL = Interval(floor=2.0, slope=0.0, noise=0.0, videos=9)


def estimates(true: list[float], cards: list[float], frames_used: list[int]) -> VideoEstimates:
    columns = (np.array(column) for column in (true, cards, frames_used))
    return VideoEstimates(np.arange(len(true)), *columns, np.ones(len(true)))


def test_flagged_frames_do_not_count_and_unknown_ones_neither() -> None:
    video = np.array(["b", "a", "b", "b", "b", "c", "c"])
    cards = np.array([10.0, 30.0, 12.0, 40.0, 13.0, 7.0, 9.0])
    flags = np.array([0, 0, 0, Flag.NO_BOX, 0, 0, 0])
    true = np.array([11.0, 30.0, 11.0, 11.0, np.nan, np.nan, np.nan])
    videos = estimate_videos(video, cards, np.full(7, np.nan), flags, true, FusionConfig())
    assert videos.video.tolist() == ["b", "a", "c"]
    assert videos.cards.tolist() == [11, 30, 8]
    assert videos.frames_used.tolist() == [2, 1, 2]
    assert videos.frame_error[:2].tolist() == [1, 0]
    assert math.isnan(videos.true[2])


def test_coverage_and_width_are_per_video() -> None:
    videos = estimates([10.0, 20.0, 30.0, np.nan], [11.0, 23.0, 30.0, 50.0], [3, 3, 3, 3])
    scores = interval_scores(videos, INTERVAL)
    assert scores == {"interval_coverage": pytest.approx(2 / 3), "interval_width": 4}


def test_a_video_without_a_packet_is_not_covered() -> None:
    scores = interval_scores(estimates([10.0, 20.0], [10.0, 20.0], [3, 0]), INTERVAL)
    assert scores == {"interval_coverage": 0.5, "interval_width": 4}


def test_without_a_calibration_or_a_count_there_is_no_score() -> None:
    known, unknown = estimates([10.0], [10.0], [3]), estimates([np.nan], [10.0], [3])
    for videos, interval in ((known, None), (unknown, INTERVAL)):
        assert all(math.isnan(score) for score in interval_scores(videos, interval).values())


def test_an_interval_across_folds_knows_nothing_of_its_own_fold() -> None:
    random = np.random.default_rng(0)
    true = random.uniform(5, 50, 40)
    error, fold = random.normal(0, 1.5, 40), np.arange(40) % 4
    videos = estimates(true.tolist(), (true + error).tolist(), [10] * 40)
    low, high = bounds_across(videos, fold)
    assert 0.8 <= np.mean((low <= true) & (true <= high)) <= 1.0
    worse = estimates(true.tolist(), (true + np.where(fold == 2, 100.0, error)).tolist(), [10] * 40)
    wide = np.subtract(*bounds_across(worse, fold)[::-1])
    assert wide[fold != 2].min() > 2 * (high - low).max()  # the others' intervals know of fold 2's errors
    expected = worse.of(fold == 2).bounds(videos.of(fold != 2).fit_interval())
    np.testing.assert_array_equal(np.array(bounds_across(worse, fold))[:, fold == 2], expected)
    assert np.isnan(bounds_across(videos, np.zeros(40))).all()


def batch_of(confidence: torch.Tensor, cards: torch.Tensor) -> tuple[ModelOutput[torch.Tensor], Batch]:
    """Frames of one video, their corners in the middle of the frame."""
    frames = len(cards)
    corners = torch.full((frames, 8, 2), 100.0) + 40 * torch.rand(8, 2)
    batch: Batch = {
        "image": torch.zeros(frames, 3, 96, 128),
        "corners": corners,
        "visibility": torch.full((frames, 8), 2),
        "cards": torch.full((frames,), 20.0),
        "video": torch.zeros(frames, dtype=torch.long),
        "frame_index": torch.arange(frames),
        "to_source": torch.tensor([[2.5, 0.0, 0.75], [0.0, 2.5, 0.75]]).repeat(frames, 1, 1),
        "source_size": torch.tensor([[320.0, 240.0]]).repeat(frames, 1),
        "source_corners": corners,
    }
    return ModelOutput(
        corners, confidence, torch.ones(frames, 8), cards, torch.full((frames,), torch.nan)
    ), batch


def test_a_frame_without_a_packet_does_not_move_the_score() -> None:
    confidence = torch.tensor([0.9, 0.9, 0.1])[:, None].repeat(1, 8)
    prediction, batch = batch_of(confidence, torch.tensor([19.0, 20.0, 52.0]))
    flags = flag_frames(prediction, batch, FusionConfig())
    assert (flags == Flag.NO_PACKET).tolist() == [False, False, True]
    metrics = FrameMetrics(math.nan, FusionConfig())
    metrics.update(prediction, batch, flags)
    assert float(metrics.compute()["card_mae_video"]) == 0.5
    assert metrics.videos().frames_used.tolist() == [2]
