"""Which label a predicted corner lies on: swaps are named, thin packets are not confused."""

import numpy as np
import pytest
import torch

from cardpose.common.packet import BACK, CORNERS, FACE, FLIP_INDEX, VERTICAL_EDGES
from cardpose.evaluation.metrics.confusion import (
    KINDS,
    NONE,
    NOT_COMPARED,
    NOWHERE,
    confusion_matrix,
    lies_on,
    swaps,
)


def packet(thickness: float = 30.0) -> torch.Tensor:
    """(1, 8, 2) corners of a packet seen from above; its back diagonal is 100 px."""
    corners = torch.zeros(1, 8, 2, dtype=torch.float64)
    for i, name in enumerate(CORNERS):
        row, column, side = name.split("_")
        corners[0, i, 0] = 60.0 if column == "right" else 0.0
        corners[0, i, 1] = (80.0 if row == "lower" else 0.0) - (thickness if side == "back" else 0.0)
    return corners


SEEN = torch.full((1, 8), 2)
FARTHER = [
    CORNERS.index(name.replace("upper", "?").replace("lower", "upper").replace("?", "lower"))
    for name in CORNERS
]
TURNED_OVER = [dict(VERTICAL_EDGES + tuple((b, a) for a, b in VERTICAL_EDGES))[i] for i in range(8)]


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        (list(range(8)), "its own"),
        (list(FLIP_INDEX), "left/right"),
        (FARTHER, "upper/lower"),
        (TURNED_OVER, "back/face"),
        ([FLIP_INDEX[i] for i in FARTHER], "several of these"),
    ],
)
def test_a_swap_is_called_by_what_differs(order: list[int], kind: str) -> None:
    target = packet()
    noise = torch.rand(1, 8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
    below = lies_on(target[:, order] + noise, target, SEEN).numpy()
    assert below[0].tolist() == order
    assert swaps(below) == [(name, 8 * (name == kind), int(name == kind)) for name in KINDS]
    matrix = confusion_matrix(below)
    assert matrix[range(8), order].sum() == matrix.sum() == 8


def test_back_and_face_of_a_thin_packet_are_one_place() -> None:
    target = packet(thickness=1.9)
    assert lies_on(target[:, TURNED_OVER], target, SEEN)[0].tolist() == list(range(8))
    target = packet(thickness=2.1)
    assert lies_on(target[:, TURNED_OVER], target, SEEN)[0].tolist() == TURNED_OVER


@pytest.mark.parametrize("far", [5.1, 1e9, torch.nan, torch.inf])
def test_a_corner_far_from_all_lies_on_none(far: float) -> None:
    target, pred = packet(), packet()
    pred[0, 4, 0] = -far
    below = lies_on(pred, target, SEEN).numpy()
    assert below[0, 4] == NOWHERE
    assert swaps(below)[-1] == (NONE, 1, 1)
    assert confusion_matrix(below)[4, 8] == 1


def test_what_has_no_label_is_not_compared() -> None:
    target, visibility = packet().repeat(3, 1, 1), SEEN.repeat(3, 1).clone()
    visibility[0, FACE[0]] = 0
    visibility[1, list(BACK)] = 0  # no diagonal
    target[visibility == 0] = torch.nan
    below = lies_on(packet().repeat(3, 1, 1), target, visibility).numpy()
    assert below[0, FACE[0]] == NOT_COMPARED
    assert (below[1] == NOT_COMPARED).all()
    assert below[2].tolist() == list(range(8))
    assert confusion_matrix(below).sum() == 15
    assert sum(corners for _, corners, _ in swaps(below)) == 15


def test_a_frame_counts_once_however_many_corners_are_swapped() -> None:
    target = packet().repeat(4, 1, 1)
    pred = target.clone()
    pred[:2] = target[:2, list(FLIP_INDEX)]
    found = {
        kind: (corners, frames)
        for kind, corners, frames in swaps(lies_on(pred, target, SEEN.expand(4, 8)).numpy())
    }
    assert found["left/right"] == (16, 2)
    assert found["its own"] == (16, 2)
    assert np.array([corners for corners, _ in found.values()]).sum() == 32
