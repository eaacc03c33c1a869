"""What heatmaps pay, by name (`loss.heatmap_loss`), and what the corners pay that are read off them.

mse            squared error
adaptive_wing  steep where a pixel of a Gaussian is almost right, so that the last of the error goes too
focal          little for the easy background, so that the few pixels of a Gaussian, and false peaks, count

Each takes predicted and target maps (B, 8, h, w) and the targets' sigma in heatmap pixels, is 0 for perfect maps, and
1 for empty ones: a map's sum is divided by what an empty map pays for one Gaussian away from the border.

Adding a new loss: such a function, and its name in `HEATMAP_LOSSES`.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.packet import VISIBLE
from cardpose.models.heatmaps import encode, gaussian_energy

SHARPNESS = 15.0
"""Of the soft-argmax. At 10 thousands of empty pixels outweigh the peak; at 20 little but the highest pixel counts."""


def heatmap_mse(predicted: Tensor, target: Tensor, sigma: float) -> Tensor:
    """Squared error of (B, 8, h, w) maps, channel-wise: each map's sum over one Gaussian's energy, then the mean.

    >>> target = torch.ones(2, 8, 4, 4)
    >>> heatmap_mse(target, target, sigma=1.0).item()
    0.0
    """
    return F.mse_loss(predicted, target, reduction="none").sum((2, 3)).mean() / gaussian_energy(sigma)


def adaptive_wing(predicted: Tensor, target: Tensor, sigma: float) -> Tensor:
    """Adaptive wing loss with the weighted loss map, both with the paper's constants.

    Source: Wang, Bo and Fuxin 2019, Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression, ICCV,
    https://arxiv.org/abs/1904.07399: alpha 2.1, omega 14, epsilon 1, theta 1/2; 11 times the weight where the
    target, dilated by a pixel, reaches 0.2.
    """
    return _wing(predicted, target).sum((2, 3)).mean() / normaliser(_wing, sigma)


def _wing(predicted: Tensor, target: Tensor) -> Tensor:
    """(B, 8, h, w) cost of each pixel: logarithmic up to an error of 1/2, from there on straight."""
    omega, theta = 14.0, 0.5
    power = 2.1 - target  # near 2 on the background, near 1 on a peak
    error = (predicted - target).abs()
    bent = omega * torch.log1p(error.clamp_max(theta) ** power)
    slope = omega * power * theta ** (power - 1) / (1 + theta**power)
    on_gaussian = F.max_pool2d(target, 3, stride=1, padding=1) >= 0.2
    return (bent + slope * (error - theta).clamp_min(0)) * (1 + 10 * on_gaussian)


def focal(predicted: Tensor, target: Tensor, sigma: float) -> Tensor:
    """Penalty-reduced focal loss for maps that are no probabilities: (p - y)^2 (y |1 - p| + (1 - y)^4 |p|).

    Source: Law and Deng 2018, CornerNet, https://arxiv.org/abs/1808.01244, which has (1 - p)^2 log p on peaks and
    (1 - y)^4 p^2 log(1 - p) elsewhere. Squared errors in place of the logarithms give our linear maps a gradient
    outside of 0 to 1 too; with them one power of the focusing factor is enough for the same cubic approach. A
    centre between pixels leaves no pixel at y = 1, so that y weighs the two parts instead of choosing one, and the
    flanks, which say where between the pixels the centre lies, are paid for as in the squared error.
    """
    return _focal(predicted, target).sum((2, 3)).mean() / normaliser(_focal, sigma)


def _focal(predicted: Tensor, target: Tensor) -> Tensor:
    """(B, 8, h, w) cost of each pixel."""
    on, off = target * (1 - predicted).abs(), (1 - target) ** 4 * predicted.abs()
    return (predicted - target) ** 2 * (on + off)


HEATMAP_LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "mse": heatmap_mse,
    "adaptive_wing": adaptive_wing,
    "focal": focal,
}


@cache
def normaliser(cost: Callable[[Tensor, Tensor], Tensor], sigma: float) -> float:
    """What an empty map pays for one Gaussian, the mean over 8 x 8 places of its centre within a pixel."""
    side = 2 * int(5 * sigma) + 5
    steps = side // 2 + torch.arange(8) / 8 - 0.5
    centres = torch.cartesian_prod(steps, steps).unsqueeze(0)  # (1, 64, 2)
    maps = encode(centres, torch.full(centres.shape[:2], VISIBLE), size=(side, side), stride=1, sigma=sigma)
    return float(cost(torch.zeros_like(maps), maps).sum((2, 3)).mean())


def coordinates(predicted: Tensor, target: Tensor) -> Tensor:
    """Distance between the soft-argmax of predicted and target maps (B, 8, h, w), drawn corners only.

    The mean of |dx| and |dy|, in quarters of the map's width and height: what a flat map, whose soft-argmax is the
    middle, pays for corners anywhere in the image is 1; a thousandth is one pixel of 4000, or 0.16 of 640. Both maps
    are read alike, so that what a coarse or cut-off Gaussian adds drops out and perfect maps pay 0. A batch without
    a drawn corner pays 0.

    Source: Sun et al. 2018, Integral Human Pose Regression, ECCV, https://arxiv.org/abs/1711.08229.
    """
    height, width = target.shape[-2:]
    drawn = target.amax((2, 3)) > 0  # (B, 8)
    quarters = torch.tensor([width / 4, height / 4], device=target.device)
    error = (soft_argmax(predicted) - soft_argmax(target)).abs() / quarters
    return torch.where(drawn, error.mean(-1), 0.0).sum() / drawn.sum().clamp_min(1)


def soft_argmax(maps: Tensor) -> Tensor:
    """(B, 8, h, w) maps to (B, 8, 2), x and y in heatmap pixels: the mean place under softmax(`SHARPNESS` maps).

    >>> maps = torch.zeros(1, 1, 9, 5)
    >>> soft_argmax(maps)
    tensor([[[2., 4.]]])
    >>> maps[0, 0, 6, 1] = 1.0
    >>> soft_argmax(maps).round(decimals=3)
    tensor([[[1., 6.]]])
    """
    height, width = maps.shape[-2:]
    share = (SHARPNESS * maps.float()).flatten(2).softmax(-1).unflatten(2, (height, width))
    columns, rows = (torch.arange(size, device=maps.device) for size in (width, height))
    return torch.stack([(share.sum(-2) * columns).sum(-1), (share.sum(-1) * rows).sum(-1)], dim=-1)
