"""Scores of a set of frames: pure functions on the whole set, and thin classes that gather it.

The classes keep every frame (a few numbers each) and compute once, in float64 on the CPU. So no score depends on the
batch size or on the number of processes. A score that is undefined for the set (no frame with a count, no visible
corner) is NaN.
"""

import numpy as np
import torch
from torch import Tensor, nn

from cardpose.common.packet import BACK_DIAGONALS, NOT_LABELLED, VERTICAL_EDGES, Batch, ModelOutput
from cardpose.evaluation.metrics.gather import GatherMetric
from cardpose.evaluation.metrics.visibility import visibility_scores
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import VideoEstimates, estimate_videos

PCK_SHARE = 0.05
"""A corner is found if its error is at most this share of the diagonal of the packet's back."""


def card_scores(
    pred: Tensor, target: Tensor, pred_video: Tensor, target_video: Tensor, constant: float
) -> dict[str, Tensor]:
    """Card error per frame and per video, of the model and of a predictor that always predicts `constant`.

    `card_mae` and `card_rmse` use the estimate itself. `card_within_1` and `card_within_2` are the shares with
    abs(round(estimate) - true) <= 1 and 2, since users read whole numbers.

    Args:
        pred: (B,) estimates of the frames in cards.
        target: (B,) true counts, NaN if unknown; these frames are left out.
        pred_video: (V,) estimates of the videos in cards, see `videos.estimate_videos`.
        target_video: (V,) as `target`.
        constant: the mean count of the training frames.

    Returns:
        `card_mae`, `card_rmse`, `card_within_1`, `card_within_2`; the same with the suffix `_video`; and each
        of the eight with the suffix `_constant` for the constant predictor.

    >>> scores = card_scores(torch.tensor([9.0, 11.0, 14.0, 21.0]), torch.tensor([10.0, 10.0, 10.0, 20.0]),
    ...                      torch.tensor([11.0, 21.0]), torch.tensor([10.0, 20.0]), constant=15.0)
    >>> [float(scores[key]) for key in ("card_mae", "card_within_1", "card_mae_video", "card_mae_constant")]
    [1.75, 0.75, 1.0, 5.0]
    """
    known, known_video = ~torch.isnan(target), ~torch.isnan(target_video)
    pred, target = pred[known], target[known]
    pred_video, target_video = pred_video[known_video], target_video[known_video]
    parts = {
        "": (pred, target),
        "_video": (pred_video, target_video),
        "_constant": (torch.full_like(target, constant), target),
        "_video_constant": (torch.full_like(target_video, constant), target_video),
    }
    return {
        f"{name}{suffix}": score
        for suffix, (predicted, true) in parts.items()
        for name, score in _count_scores(predicted, true).items()
    }


def _count_scores(pred: Tensor, target: Tensor) -> dict[str, Tensor]:
    error = pred - target
    rounded = (pred.round() - target).abs()
    return {
        "card_mae": error.abs().mean(),
        "card_rmse": error.square().mean().sqrt(),
        "card_within_1": _share(rounded <= 1),
        "card_within_2": _share(rounded <= 2),
    }


def _share(hit: Tensor) -> Tensor:
    return hit.double().mean()


def corner_errors(pred: Tensor, target: Tensor, visibility: Tensor) -> Tensor:
    """Distance of each predicted corner to its label.

    Args:
        pred, target: (B, 8, 2) in pixels of the source frame.
        visibility: (B, 8), 0, 1 or 2.

    Returns:
        (B, 8) in pixels of the source frame, NaN if the corner has no label.
    """
    distance = torch.linalg.vector_norm(pred - target, dim=-1)
    return distance.masked_fill(visibility == NOT_LABELLED, torch.nan)


def back_diagonal(corners: Tensor, visibility: Tensor) -> Tensor:
    """The longer diagonal of the packet's back of which both ends have a label.

    Args:
        corners: (B, 8, 2) in pixels.
        visibility: (B, 8), 0, 1 or 2.

    Returns:
        (B,) in pixels, NaN if no diagonal has both ends.
    """
    ends = torch.tensor(BACK_DIAGONALS, device=corners.device)  # (2, 2)
    length = torch.linalg.vector_norm(corners[:, ends[:, 0]] - corners[:, ends[:, 1]], dim=-1)  # (B, 2)
    missing = (visibility[:, ends] == NOT_LABELLED).any(dim=-1)
    longest = length.masked_fill(missing, -torch.inf).amax(dim=-1)
    return longest.masked_fill(missing.all(dim=-1), torch.nan)


def corner_scores(pred: Tensor, target: Tensor, visibility: Tensor) -> dict[str, Tensor]:
    """Corner error over all labelled corners, hidden ones included.

    Args:
        pred, target: (B, 8, 2) in pixels of the source frame.
        visibility: (B, 8), 0, 1 or 2; corners with 0 are left out.

    Returns:
        `corner_px_mean`, `corner_px_median` in source pixels, and `pck_5`, the share of corners whose error is at most
        5 % of the frame's `back_diagonal`; frames without a diagonal are left out of it.

    >>> upper, lower = [[0.0, 0.0], [60.0, 0.0]], [[0.0, 80.0], [60.0, 80.0]]
    >>> target = torch.tensor([upper * 2 + lower * 2])  # the diagonal is 100 px
    >>> pred = target + torch.tensor([[3.0, 4.0]] * 4 + [[4.0, 4.0]] * 4)
    >>> scores = corner_scores(pred, target, torch.full((1, 8), 2))
    >>> {name: round(float(value), 3) for name, value in scores.items()}
    {'corner_px_mean': 5.328, 'corner_px_median': 5.328, 'pck_5': 0.5}
    """
    error = corner_errors(pred, target, visibility)
    reach = PCK_SHARE * back_diagonal(target, visibility)[:, None].expand_as(error)  # (B, 8)
    labelled = visibility != NOT_LABELLED
    measured = error[labelled]
    return {
        "corner_px_mean": measured.mean(),
        "corner_px_median": measured.quantile(0.5) if len(measured) else measured.mean(),
        "pck_5": _share((error <= reach)[labelled & ~torch.isnan(reach)]),
    }


def thickness_errors(pred: Tensor, target: Tensor, visibility: Tensor) -> Tensor:
    """Error of the distance between the back and the face corner of each vertical edge.

    Args:
        pred, target: (B, 8, 2) in pixels of the source frame.
        visibility: (B, 8), 0, 1 or 2.

    Returns:
        (B, 4) predicted minus true distance in pixels of the source frame, in the order of `VERTICAL_EDGES`; NaN if one
        of the two corners has no label.
    """
    ends = torch.tensor(VERTICAL_EDGES, device=pred.device)  # (4, 2)
    predicted, true = (
        torch.linalg.vector_norm(corners[:, ends[:, 1]] - corners[:, ends[:, 0]], dim=-1)
        for corners in (pred, target)
    )
    return (predicted - true).masked_fill((visibility[:, ends] == NOT_LABELLED).any(dim=-1), torch.nan)


def thickness_scores(pred: Tensor, target: Tensor, visibility: Tensor) -> dict[str, Tensor]:
    """Error of the thickness in the image, which small corner errors can hide.

    Args:
        pred, target: (B, 8, 2) in pixels of the source frame.
        visibility: (B, 8), 0, 1 or 2; edges with a corner of 0 are left out.

    Returns:
        `thickness_px_bias`, the mean of `thickness_errors`, and `thickness_px_mae`, the mean of their absolute values.

    >>> target = torch.zeros(1, 8, 2)
    >>> pred = target.clone()
    >>> pred[0, 2] = torch.tensor([3.0, 4.0])  # upper_left_back
    >>> {name: float(value) for name, value in thickness_scores(pred, target, torch.full((1, 8), 2)).items()}
    {'thickness_px_bias': 1.25, 'thickness_px_mae': 1.25}
    """
    error = thickness_errors(pred, target, visibility)
    measured = error[(visibility[:, torch.tensor(VERTICAL_EDGES)] != NOT_LABELLED).all(dim=-1)]
    return {"thickness_px_bias": measured.mean(), "thickness_px_mae": measured.abs().mean()}


class CardError(GatherMetric):
    """`card_scores` over all updates; `update(pred, target, video, cards_std, flags)`, (B,) as in `estimate_videos`.

    Args:
        constant: mean count of the training frames, the prediction of the baseline; NaN until known. It is part of the
            state dict, so a checkpoint contains its own baseline.
        fusion: settings by which the frames of a video are fused.
    """

    names = ("pred", "target", "video", "cards_std", "flags")
    constant: Tensor

    def __init__(self, constant: float, fusion: FusionConfig) -> None:
        super().__init__()
        self.fusion = fusion
        self.register_buffer("constant", torch.tensor(constant, dtype=torch.float32))

    def compute(self) -> dict[str, Tensor]:
        pred, target, *_ = self.gathered()
        videos = self.videos()
        cards, true = torch.from_numpy(videos.cards), torch.from_numpy(videos.true)
        return card_scores(pred, target, cards, true, float(self.constant))

    def videos(self) -> VideoEstimates:
        """Estimates of all videos so far."""
        pred, target, video, cards_std, flags = (value.numpy() for value in self.gathered())
        return estimate_videos(video, pred, cards_std, flags, target, self.fusion)


class CornerError(GatherMetric):
    """`corner_scores` and `thickness_scores` over all updates.

    `update(pred (B, 8, 2), target (B, 8, 2), visibility (B, 8))`.
    """

    names = ("pred", "target", "visibility")

    def compute(self) -> dict[str, Tensor]:
        pred, target, visibility = self.gathered()
        return {**corner_scores(pred, target, visibility), **thickness_scores(pred, target, visibility)}


class VisibilityScore(GatherMetric):
    """`visibility_scores` over all updates; `update(probability (B, 8), visibility (B, 8))`."""

    names = ("probability", "visibility")

    def compute(self) -> dict[str, Tensor]:
        return visibility_scores(*self.gathered())


class FrameMetrics(nn.Module):
    """All scores of a set of frames as one flat dict: `update` for every batch, `compute`, `reset`.

    Args:
        constant, fusion: see `CardError`.
    """

    def __init__(self, constant: float, fusion: FusionConfig) -> None:
        super().__init__()
        self.cards = CardError(constant, fusion)
        self.corners = CornerError()
        self.visibility = VisibilityScore()

    def update(self, prediction: ModelOutput[Tensor], batch: Batch, flags: np.ndarray) -> None:
        """Add one batch.

        Args:
            prediction: corners in source pixels.
            batch: as it leaves `on_after_batch_transfer`.
            flags: (B,) of `fusion.videos.flag_frames`.
        """
        self.cards.update(
            prediction.cards, batch["cards"], batch["video"], prediction.cards_std, torch.from_numpy(flags)
        )
        self.corners.update(prediction.corners, batch["source_corners"], batch["visibility"])
        self.visibility.update(prediction.visibility, batch["visibility"])

    def compute(self) -> dict[str, Tensor]:
        """Scores of all frames since `reset`, without a prefix."""
        return {**self.cards.compute(), **self.corners.compute(), **self.visibility.compute()}

    def videos(self) -> VideoEstimates:
        """Estimates of all videos since `reset`."""
        return self.cards.videos()

    def reset(self) -> None:
        """Forget all frames."""
        for metric in (self.cards, self.corners, self.visibility):
            metric.reset()
