"""The pixels of the network's image and those of the source frame: points moved between them, and the frame's size."""

from collections.abc import Sequence

import torch
from torch import Tensor


def apply_affine(affine: Tensor, points: Tensor) -> Tensor:
    """Map points by one affine per batch row.

    Written with products and sums on purpose: under autocast a matrix product would run in bfloat16, which
    holds a coordinate of 600 only to 4 pixels.

    Args:
        affine: (B, 2, 3), maps (x, y, 1) to (x, y) of the other frame.
        points: (B, N, 2) as x, y.

    Returns:
        (B, N, 2) in the other frame's pixels.

    >>> double = torch.tensor([[[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]]])  # (x + 0.5) * 2 - 0.5
    >>> apply_affine(double, torch.tensor([[[0.0, 0.0], [1.0, 3.0]]]))
    tensor([[[0.5000, 0.5000],
             [2.5000, 6.5000]]])
    """
    linear, shift = affine[:, None, :, :2], affine[:, None, :, 2]  # (B, 1, 2, 2), (B, 1, 2)
    return torch.sum(linear * points[:, :, None, :], dim=-1) + shift


def source_size(to_source: Tensor, size: Sequence[int]) -> Tensor:
    """Size of the source frames, to one pixel of the image.

    The frame is centred in the image (letterbox.py), so the padding follows from the shift.

    Args:
        to_source: (B, 2, 3), maps (x, y, 1) in image pixels to source pixels.
        size: (height, width) of the image.

    Returns:
        (B, 2) width and height in source pixels.

    >>> source_size(torch.tensor([[[2.5, 0.0, 0.75], [0.0, 2.5, 0.75]]]), (192, 256))
    tensor([[640., 480.]])
    """
    step = to_source[:, (0, 1), (0, 1)]
    before = 0.5 - (to_source[..., 2] + 0.5) / step  # image pixels left of the frame, and above it
    return step * (step.new_tensor([size[1], size[0]]) - 2 * before)
