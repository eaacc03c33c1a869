"""Which labelled corner a predicted corner lies on: its own, or one whose name differs."""

import numpy as np
import torch
from torch import Tensor

from cardpose.common.packet import CORNERS, NOT_LABELLED, NUM_CORNERS
from cardpose.evaluation.metrics.frame_metrics import PCK_SHARE, back_diagonal

SAME_PLACE = 0.02
"""Share of the packet's back diagonal within which two corners count as one place. A packet of seven cards is about as
thick, so back and face corners of a thinner packet are never counted as confused."""
NOWHERE, NOT_COMPARED = NUM_CORNERS, -1

_WORDS = ("upper/lower", "left/right", "back/face")
OWN, SEVERAL, NONE = "its own", "several of these", "none"
KINDS = (OWN, *_WORDS, SEVERAL, NONE)
"""In what the names of a predicted corner and of the labelled corner at its place differ."""


def lies_on(pred: Tensor, target: Tensor, visibility: Tensor) -> Tensor:
    """The labelled corner that each predicted corner lies on.

    Its own label if that is within `SAME_PLACE`, else the nearest label, or `NOWHERE` if that is farther away than
    `frame_metrics.PCK_SHARE` of the back diagonal.

    Args:
        pred, target: (B, 8, 2) in pixels of the source frame.
        visibility: (B, 8), 0, 1 or 2.

    Returns:
        (B, 8) int64, 0 to 7 in the order of `CORNERS`, or `NOWHERE`; `NOT_COMPARED` if the corner itself has no label,
        or the frame no diagonal.

    >>> upper, lower = [[0.0, 0.0], [60.0, 0.0]], [[0.0, 80.0], [60.0, 80.0]]
    >>> target = torch.tensor([upper + upper + lower + lower])
    >>> target[:, [2, 3, 6, 7], 1] -= 10  # the back
    >>> pred = target[:, [1, 0, 2, 3, 4, 5, 6, 7]].clone()  # two face corners swapped
    >>> pred[0, 7] += 40
    >>> lies_on(pred, target, torch.full((1, 8), 2)).tolist()
    [[1, 0, 2, 3, 4, 5, 6, 8]]
    """
    labelled = visibility != NOT_LABELLED
    distance = torch.cdist(pred, torch.nan_to_num(target))  # (B, predicted, labelled)
    distance = distance.masked_fill(~labelled[:, None], torch.inf).nan_to_num(torch.inf, torch.inf)
    diagonal = back_diagonal(target, visibility)[:, None]  # (B, 1)
    nearest, corner = distance.min(dim=-1)
    own = torch.arange(NUM_CORNERS, device=pred.device).expand_as(corner)
    corner = torch.where(distance.diagonal(dim1=1, dim2=2) <= SAME_PLACE * diagonal, own, corner)
    corner = torch.where(nearest <= PCK_SHARE * diagonal, corner, NOWHERE)
    return corner.masked_fill(~labelled | diagonal.isnan(), NOT_COMPARED)


def confusion_matrix(corner: np.ndarray) -> np.ndarray:
    """(8, 9) int64: how often predicted corner i lies on labelled corner j; the last column is "on none".

    Args:
        corner: (N, 8) as `lies_on` returns it.
    """
    predicted = np.broadcast_to(np.arange(NUM_CORNERS), corner.shape)
    matrix = np.zeros((NUM_CORNERS, NUM_CORNERS + 1), np.int64)
    compared = corner != NOT_COMPARED
    np.add.at(matrix, (predicted[compared], corner[compared]), 1)
    return matrix


def swaps(corner: np.ndarray) -> list[tuple[str, int, int]]:
    """For each of `KINDS`, the number of predicted corners and of frames with at least one.

    Args:
        corner: (N, 8) as `lies_on` returns it.
    """
    table = np.array([[KINDS.index(_kind(i, j)) for j in range(NUM_CORNERS + 1)] for i in range(NUM_CORNERS)])
    kinds = np.where(corner == NOT_COMPARED, -1, table[np.arange(NUM_CORNERS), corner])  # (N, 8)
    found = [(name, kinds == number) for number, name in enumerate(KINDS)]
    return [(name, int(mask.sum()), int(mask.any(axis=1).sum())) for name, mask in found]


def _kind(predicted: int, labelled: int) -> str:
    if labelled == NOWHERE:
        return NONE
    names = zip(_WORDS, CORNERS[predicted].split("_"), CORNERS[labelled].split("_"), strict=True)
    differing = [words for words, a, b in names if a != b]
    if not differing:
        return OWN
    return differing[0] if len(differing) == 1 else SEVERAL
