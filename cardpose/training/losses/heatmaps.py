"""Losses of the heatmaps: squared error of the maps, and distance of the corners that a soft-argmax reads from them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.models.heatmaps import gaussian_energy

SHARPNESS = 15.0
"""Factor inside the softmax of the soft-argmax. At 10 the many empty pixels outweigh the peak; at 20 almost nothing but
the highest pixel counts, and the gradient vanishes."""


def heatmap_mse(predicted: Tensor, target: Tensor, sigma: float) -> Tensor:
    """Channel-wise squared error of (B, 8, h, w) maps in units of one Gaussian's energy; 1 for empty maps.

    Args:
        predicted, target: (B, 8, h, w).
        sigma: of the target's Gaussians, in heatmap pixels.

    >>> target = torch.ones(2, 8, 4, 4)
    >>> heatmap_mse(target, target, sigma=1.0).item()
    0.0
    """
    return F.mse_loss(predicted, target, reduction="none").sum((2, 3)).mean() / gaussian_energy(sigma)


def coordinates(predicted: Tensor, target: Tensor) -> Tensor:
    """Distance between the soft-argmax of predicted and target maps, over the corners that the target shows.

    The mean of |dx| and |dy|, in quarters of the map's width and height: 1 for a flat map, whose soft-argmax is the
    middle, if corners lie anywhere in the image. Both maps are read in the same way, so a bias of the soft-argmax (a
    coarse Gaussian, one cut off by the border) cancels and perfect maps give 0. A batch without a corner gives 0.

    Source: Sun et al. 2018, Integral Human Pose Regression, ECCV, https://arxiv.org/abs/1711.08229.

    Args:
        predicted, target: (B, 8, h, w); a target map of zeros is a corner without a label.
    """
    height, width = target.shape[-2:]
    drawn = target.amax((2, 3)) > 0  # (B, 8)
    quarters = torch.tensor([width / 4, height / 4], device=target.device)
    error = (soft_argmax(predicted) - soft_argmax(target)).abs() / quarters
    return torch.where(drawn, error.mean(-1), 0.0).sum() / drawn.sum().clamp_min(1)


def soft_argmax(maps: Tensor) -> Tensor:
    """(B, 8, h, w) maps to (B, 8, 2), x and y in heatmap pixels: the mean position under softmax(`SHARPNESS` maps).

    >>> maps = torch.zeros(1, 1, 9, 5)
    >>> soft_argmax(maps)
    tensor([[[2., 4.]]])
    >>> maps[0, 0, 6, 1] = 1.0
    >>> soft_argmax(maps).round(decimals=3)
    tensor([[[1., 6.]]])
    """
    height, width = maps.shape[-2:]
    weight = (SHARPNESS * maps.float()).flatten(2).softmax(-1).unflatten(2, (height, width))
    columns, rows = (torch.arange(size, device=maps.device) for size in (width, height))
    return torch.stack([(weight.sum(-2) * columns).sum(-1), (weight.sum(-1) * rows).sum(-1)], dim=-1)
