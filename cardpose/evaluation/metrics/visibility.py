"""How well visible corners are distinguished from all others, and how well the probability is calibrated.

A corner without a label counts as not visible: it lies outside the image, or could not be seen well.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_calibration_error,
    binary_f1_score,
)

from cardpose.common.packet import VISIBLE

BINS = 10
"""Bins of the calibration error, of equal width, from probability 0 to 1."""


def visibility_scores(probability: Tensor, visibility: Tensor) -> dict[str, Tensor]:
    """Scores over all eight corners of every frame.

    Args:
        probability: (B, 8) that the corner is visible; above 0.5 it is classified as visible.
        visibility: (B, 8), 0, 1 or 2.

    Returns:
        `visibility_accuracy`, `visibility_f1` (1 if no corner is visible and none is classified so),
        `visibility_auroc` (NaN if all corners are visible, or none is) and `visibility_ece`, the expected calibration
        error over `BINS` bins (Guo et al. 2017, On Calibration of Modern Neural Networks). The last two are NaN if a
        probability is.

    >>> scores = visibility_scores(torch.tensor([[0.9, 0.6, 0.4, 0.1]]), torch.tensor([[2, 0, 2, 1]]))
    >>> [round(float(value), 3) for value in scores.values()]
    [0.5, 0.5, 0.75, 0.35]
    """
    probability, visible = probability.flatten(), (visibility == VISIBLE).flatten().long()
    positive = (probability > 0.5).long()
    nan, known = torch.tensor(torch.nan), not bool(torch.isnan(probability).any())
    rankable = known and 0 < int(visible.sum()) < len(visible)
    return {
        "visibility_accuracy": binary_accuracy(positive, visible),
        "visibility_f1": binary_f1_score(positive, visible, zero_division=1.0),
        "visibility_auroc": binary_auroc(probability, visible) if rankable else nan,
        "visibility_ece": binary_calibration_error(probability, visible, n_bins=BINS) if known else nan,
    }


@dataclass(frozen=True)
class Reliability:
    """Corners in bins of their probability to be visible; empty bins are left out.

    Args:
        count: (K,) corners in each bin.
        probability: (K,) their mean predicted probability.
        share: (K,) share of them that is visible.
    """

    count: np.ndarray
    probability: np.ndarray
    share: np.ndarray


def reliability(probability: np.ndarray, visibility: np.ndarray) -> Reliability:
    """The data of a reliability diagram.

    Args:
        probability: (N, 8) that the corner is visible, 0 to 1; NaN is left out.
        visibility: (N, 8), 0, 1 or 2.

    >>> bins = reliability(np.array([[0.92, 0.98, 0.04]]), np.array([[2, 1, 0]]))
    >>> bins.count.tolist(), bins.probability.round(2).tolist(), bins.share.tolist()
    ([1, 2], [0.04, 0.95], [0.0, 0.5])
    """
    known = ~np.isnan(probability)
    predicted, visible = probability[known], visibility[known] == VISIBLE
    number = np.minimum((predicted * BINS).astype(int), BINS - 1)
    count = np.bincount(number, minlength=BINS)
    filled = count > 0
    count = count[filled]
    sums = (np.bincount(number, weights, minlength=BINS)[filled] for weights in (predicted, visible))
    probability, share = (total / count for total in sums)
    return Reliability(count, probability, share)
