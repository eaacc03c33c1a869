"""Affine maps of batches of points, such as from pixels of the network's image to pixels of the source frame."""

import torch
from torch import Tensor


def apply_affine(affine: Tensor, points: Tensor) -> Tensor:
    """Map points by one affine per row of the batch.

    Written with products and sums, not as a matrix product: under autocast that would run in bfloat16, which rounds a
    coordinate of 600 to 4 pixels.

    Args:
        affine: (B, 2, 3), maps (x, y, 1) to (x, y).
        points: (B, N, 2) as x, y.

    Returns:
        (B, N, 2), the mapped points.

    >>> double = torch.tensor([[[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]]])  # (x + 0.5) * 2 - 0.5
    >>> apply_affine(double, torch.tensor([[[0.0, 0.0], [1.0, 3.0]]]))
    tensor([[[0.5000, 0.5000],
             [2.5000, 6.5000]]])
    """
    linear, shift = affine[:, None, :, :2], affine[:, None, :, 2]  # (B, 1, 2, 2), (B, 1, 2)
    return torch.sum(linear * points[:, :, None, :], dim=-1) + shift
