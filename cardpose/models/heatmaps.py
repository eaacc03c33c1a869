"""Corners to heatmaps and back, batched, on any device, with operations that ONNX supports.

A heatmap at stride k is the image resized by 1/k: image pixel x is heatmap pixel (x + 0.5) / k - 0.5.
"""

import math

import torch
from torch import Tensor

from cardpose.common.packet import HIDDEN, NOT_LABELLED
from cardpose.models.peaks import Locate, quadratic


def image_to_heatmap(points: Tensor, stride: int) -> Tensor:
    """Points (..., 2) in image pixels to heatmap pixels.

    >>> image_to_heatmap(torch.tensor([0.5, 2.5]), stride=2)
    tensor([0., 1.])
    """
    return (points + 0.5) / stride - 0.5


def heatmap_to_image(points: Tensor, stride: int) -> Tensor:
    """Heatmap pixels to image pixels, the inverse of `image_to_heatmap`."""
    return (points + 0.5) * stride - 0.5


def encode(
    corners: Tensor,
    visibility: Tensor,
    *,
    size: tuple[int, int],
    stride: int,
    sigma: float,
    render_hidden: bool = True,
) -> Tensor:
    """Draw one Gaussian of height 1 per corner, at sub-pixel precision.

    The Gaussian is separable: one exponential per row and column and an outer product, instead of one exponential
    per pixel.

    Args:
        corners: (B, 8, 2) in image pixels; the corners that are not drawn are ignored.
        visibility: (B, 8), 0, 1 or 2. 0 gives a map of zeros.
        size: (H, W) of the image; each must be a multiple of `stride`.
        stride: image pixels per heatmap pixel.
        sigma: standard deviation in heatmap pixels.
        render_hidden: whether a hidden corner (visibility 1) is drawn.

    Returns:
        (B, 8, H / stride, W / stride) float32, 0 to 1.

    >>> maps = encode(torch.tensor([[[3.5, 1.5]]]), torch.tensor([[2]]), size=(4, 8), stride=2, sigma=0.5)
    >>> maps[0, 0].argmax().item(), maps.shape
    (1, torch.Size([1, 1, 2, 4]))
    """
    height, width = size[0] // stride, size[1] // stride
    drawn = visibility > (NOT_LABELLED if render_hidden else HIDDEN)
    centre = image_to_heatmap(corners.float(), stride).where(drawn.unsqueeze(-1), 0.0)
    rows = torch.arange(height, device=corners.device, dtype=torch.float32)
    columns = torch.arange(width, device=corners.device, dtype=torch.float32)
    scale = -0.5 / sigma**2
    horizontal = torch.exp(scale * (columns - centre[..., 0:1]) ** 2)  # (B, 8, w)
    vertical = torch.exp(scale * (rows - centre[..., 1:2]) ** 2) * drawn.unsqueeze(-1)  # (B, 8, h)
    return vertical.unsqueeze(-1) * horizontal.unsqueeze(-2)


def decode(heatmaps: Tensor, *, stride: int, locate: Locate = quadratic) -> tuple[Tensor, Tensor]:
    """Find the peak of each heatmap: the highest pixel, refined to a fraction of a pixel by `locate`.

    Args:
        heatmaps: (B, 8, h, w); at least 3 x 3 pixels.
        stride: image pixels per heatmap pixel.
        locate: one of `cardpose.models.peaks`.

    Returns:
        corners (B, 8, 2) in image pixels, inside the image, and the values of the highest pixels (B, 8), clipped to
        0 to 1.

    >>> truth = torch.tensor([[[10.3, 7.8]]])
    >>> maps = encode(truth, torch.tensor([[2]]), size=(32, 32), stride=2, sigma=1.5)
    >>> bool((decode(maps, stride=2)[0] - truth).abs().max() < 1e-3)
    True
    """
    height, width = heatmaps.shape[-2:]
    with torch.autocast(heatmaps.device.type, enabled=False):  # sub-pixel precision needs float32
        maps = heatmaps.float()
        peak, index = maps.flatten(2).max(-1)  # (B, 8)
        x, y = locate(maps, index // width, index % width).unbind(-1)
    points = torch.stack([x.clamp(-0.5, width - 0.5), y.clamp(-0.5, height - 0.5)], dim=-1)
    return heatmap_to_image(points, stride), peak.clamp(0.0, 1.0)


def gaussian_energy(sigma: float) -> float:
    """Sum of squares of one Gaussian away from the border, pi sigma^2: the squared error of an empty map.

    >>> maps = encode(torch.tensor([[[32.0, 32.0]]]), torch.tensor([[2]]), size=(64, 64), stride=1, sigma=2.0)
    >>> abs(maps.square().sum().item() / gaussian_energy(2.0) - 1) < 1e-5
    True
    """
    return math.pi * sigma**2
