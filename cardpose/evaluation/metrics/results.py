"""One frame's label beside its prediction: the record behind tables, plots and pictures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cardpose.common.packet import Batch, ModelOutput
from cardpose.evaluation.metrics.confusion import lies_on
from cardpose.evaluation.metrics.frame_metrics import corner_errors, thickness_errors
from cardpose.fusion.clips import THICKNESS

if TYPE_CHECKING:
    from cardpose.edges.counting import EdgeCount


@dataclass(frozen=True)
class FrameResult:
    """Label and prediction of one frame.

    Args:
        frame_index: position of the frame in its video.
        cards: true count, NaN if unknown.
        cards_predicted: estimate in cards, by `method`.
        cards_std: standard deviation of the network's estimate; NaN with a count head that does not estimate it.
        flag: `clips.Flag`: whether the frame is used for its video's estimate, else why not.
        corners: (8, 2) float64, labels in source pixels; undefined where `visibility` is 0.
        visibility: (8,) 0, 1 or 2.
        corners_predicted: (8, 2) float64 in source pixels.
        confidence: (8,) height of each heatmap's peak.
        visible_probability: (8,) that the corner is visible.
        corner_px: (8,) error in source pixels, NaN without a label.
        thickness_px: (4,) error of the distance between back and face corner in source pixels, NaN if one of them
            has no label.
        edges: the count by edges; None where they were not looked at.
        method: of `cards_predicted`: "thickness", "edges" or "both".
        cards_by_thickness: the network's estimate, where edges were looked at.
    """

    video: str
    frame_index: int
    cards: float
    cards_predicted: float
    cards_std: float
    flag: int
    corners: np.ndarray
    visibility: np.ndarray
    corners_predicted: np.ndarray
    confidence: np.ndarray
    visible_probability: np.ndarray
    corner_px: np.ndarray
    thickness_px: np.ndarray
    edges: "EdgeCount | None" = None
    method: str = THICKNESS
    cards_by_thickness: float = math.nan

    @property
    def card_error(self) -> float:
        """Absolute error in cards, NaN if the count is unknown."""
        return abs(self.cards_predicted - self.cards)

    @property
    def corner_px_mean(self) -> float:
        """Mean error of the labelled corners in source pixels, NaN without a label."""
        return mean_or_nan(self.corner_px[self.visibility > 0])

    @property
    def thickness_px_bias(self) -> float:
        """Mean of `thickness_px`, NaN if no edge has both labels."""
        return mean_or_nan(self.thickness_px[~np.isnan(self.thickness_px)])


def worst(results: Iterable[FrameResult], error: str, count: int, *, best: bool = False) -> list[FrameResult]:
    """The `count` frames with the largest `error`, an attribute of `FrameResult`, worst first; NaN is left out.

    Args:
        count: maximum number of frames.
        best: the frames with the smallest error instead, best first.
    """
    measured = [result for result in results if not math.isnan(getattr(result, error))]
    sign = 1 if best else -1
    return sorted(measured, key=lambda result: sign * getattr(result, error))[:count]


def corners_below(results: Sequence[FrameResult]) -> np.ndarray:
    """(N, 8) int64: the labelled corner at each predicted one, see `confusion.lies_on`."""
    columns = ([getattr(r, name) for r in results] for name in ("corners_predicted", "corners", "visibility"))
    return lies_on(*(torch.from_numpy(np.stack(column)) for column in columns)).numpy()


def mean_or_nan(values: np.ndarray) -> float:
    """The mean of (N,) values, NaN for none."""
    return float(values.mean()) if len(values) else float("nan")


def frame_results(
    prediction: ModelOutput[Tensor], batch: Batch, flags: np.ndarray, videos: Sequence[str]
) -> list[FrameResult]:
    """Split a predicted batch into frames, on the CPU, floats as float64 (as in the metrics).

    Args:
        prediction: of the batch, corners in source pixels.
        batch: as it leaves `on_after_batch_transfer`.
        flags: (B,) of `fusion.videos.flag_frames`.
        videos: names, indexed by `batch["video"]`.
    """
    columns: Mapping[str, Tensor] = {
        "cards": batch["cards"],
        "cards_predicted": prediction.cards,
        "cards_std": prediction.cards_std,
        "corners": batch["source_corners"],
        "corners_predicted": prediction.corners,
        "confidence": prediction.confidence,
        "visible_probability": prediction.visibility,
    }
    arrays: dict[str, Any] = {name: column.detach().cpu().double() for name, column in columns.items()}
    visibility = batch["visibility"].cpu()
    corner_px = corner_errors(arrays["corners_predicted"], arrays["corners"], visibility)
    thickness_px = thickness_errors(arrays["corners_predicted"], arrays["corners"], visibility)
    return [
        FrameResult(
            video=videos[int(batch["video"][i])],
            frame_index=int(batch["frame_index"][i]),
            cards=float(arrays["cards"][i]),
            cards_predicted=float(arrays["cards_predicted"][i]),
            cards_std=float(arrays["cards_std"][i]),
            flag=int(flags[i]),
            visibility=visibility[i].numpy(),
            corner_px=corner_px[i].numpy(),
            thickness_px=thickness_px[i].numpy(),
            **{name: arrays[name][i].numpy() for name in list(columns)[3:]},
        )
        for i in range(len(visibility))
    ]
