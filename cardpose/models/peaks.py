"""Where in a heatmap the peak lies, to a fraction of a pixel: one name for each way (`heatmap.decode`).

argmax      the highest pixel
quadratic   the vertex of a parabola through the logarithms of three pixels
dark        one Newton step on the logarithm of the smoothed map
softargmax  the centroid of a window about the highest pixel

All take maps (B, 8, h, w) of at least 3 x 3 pixels and the highest pixels' rows and columns (B, 8), and return the
peaks (B, 8, 2) as x, y in heatmap pixels. Batched torch, any device, operations that ONNX has; the windows are
cut out about the peaks, so that no cost grows with the map.

Adding a new way: such a function, and its name in `locator`.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from cardpose.common.errors import InputError

Locate = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(maps, rows, columns) -> peaks."""

FLOOR = 1e-6
"""Below this a height has no logarithm that means anything."""
DARK_REACH = 1.5
"""Pixels that `dark` may move away from the highest one: under noise it is not always the nearest to the peak."""


def locator(name: str, sigma: float) -> Locate:
    """The way of that name, for Gaussians of `sigma` heatmap pixels.

    Raises:
        InputError: no way has that name.
    """
    ways: dict[str, Locate] = {
        "argmax": argmax,
        "quadratic": quadratic,
        "dark": partial(dark, sigma=sigma),
        "softargmax": partial(softargmax, sigma=sigma),
    }
    if name not in ways:
        raise InputError(f"heatmap.decode={name}: choose {', '.join(ways)}")
    return ways[name]


def argmax(maps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The highest pixel's centre: off by up to half a pixel each way."""
    return torch.stack([column, row], dim=-1).to(maps.dtype)


def quadratic(maps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The vertex of a parabola through the logarithms of three pixels, across and down, within half a pixel.

    The logarithm of a Gaussian is a parabola, so that an exact Gaussian gives back its exact centre, also where
    the peak lies on the border and the three pixels are taken one pixel further in.
    """
    height, width = maps.shape[-2:]
    inner_row, inner_column = row.clamp(1, height - 2), column.clamp(1, width - 2)
    x = inner_column + _vertex(maps, row, inner_column, width, step=1)
    y = inner_row + _vertex(maps, inner_row, column, width, step=width)
    return _near(torch.stack([x, y], dim=-1), row, column, 0.5)


def _vertex(maps: Tensor, row: Tensor, column: Tensor, width: int, *, step: int) -> Tensor:
    """Offset (B, 8) of the vertex of the parabola through log(maps) at index - step, index, index + step."""
    flat = maps.flatten(2)
    index = row * width + column

    def log_at(offset: int) -> Tensor:
        return flat.gather(2, (index + offset).unsqueeze(-1)).squeeze(-1).clamp_min(FLOOR).log()

    before, here, after = log_at(-step), log_at(0), log_at(step)
    curvature = (before - 2 * here + after).clamp_max(-FLOOR)  # a maximum; a flat map gives offset 0
    return 0.5 * (before - after) / curvature


def dark(maps: Tensor, row: Tensor, column: Tensor, *, sigma: float) -> Tensor:
    """One Newton step, with the 2 x 2 Hessian, on the logarithm of the map smoothed by a Gaussian of `sigma`.

    Source: Zhang et al. 2020, Distribution-Aware Coordinate Representation for Human Pose Estimation, CVPR,
    https://arxiv.org/abs/1910.06278. Nearer to a border than the kernel reaches, the map is read as it is, one
    pixel further in on the border itself: what is cut off there, smoothed, would shift the peak. Where the map has
    no maximum (Hessian not negative definite) the highest pixel stays.
    """
    height, width = maps.shape[-2:]
    reach = math.ceil(2 * sigma)
    inner_row, inner_column = row.clamp(1, height - 2), column.clamp(1, width - 2)
    patch = _window(maps, inner_row, inner_column, reach + 1)  # (B, 8, 2 reach + 3, 2 reach + 3)
    kernel = _smoothing(sigma, reach).to(maps)  # (3, 2 reach + 3)
    smooth, raw = kernel @ patch @ kernel.T, patch[..., reach : reach + 3, reach : reach + 3]
    margin = torch.minimum(torch.minimum(row, height - 1 - row), torch.minimum(column, width - 1 - column))
    nine = torch.where((margin > reach)[..., None, None], smooth, raw).clamp_min(FLOOR).log()
    peak = torch.stack([inner_column, inner_row], dim=-1) + _newton(nine)
    return _near(peak, row, column, DARK_REACH)


def _smoothing(sigma: float, reach: int) -> Tensor:
    """(3, 2 reach + 3): each row a Gaussian of sum 1, about one of the three middle pixels."""
    away = torch.arange(2 * reach + 3) - torch.arange(reach, reach + 3).unsqueeze(1)
    kernel = torch.exp(-0.5 * (away / sigma) ** 2) * (away.abs() <= reach)
    return kernel / kernel.sum(1, keepdim=True)


def _newton(nine: Tensor) -> Tensor:
    """From the middle of (B, 8, 3, 3) values to the maximum of their second-order expansion: (B, 8, 2), x and y."""
    middle = nine[..., 1, 1]
    left, right, above, below = nine[..., 1, 0], nine[..., 1, 2], nine[..., 0, 1], nine[..., 2, 1]
    dx, dy = 0.5 * (right - left), 0.5 * (below - above)
    dxx, dyy = right - 2 * middle + left, below - 2 * middle + above
    dxy = 0.25 * (nine[..., 2, 2] - nine[..., 2, 0] - nine[..., 0, 2] + nine[..., 0, 0])
    determinant = dxx * dyy - dxy**2
    maximum = (dxx < 0) & (determinant > FLOOR**2)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1)
    return torch.where(maximum.unsqueeze(-1), step / determinant.clamp_min(FLOOR**2).unsqueeze(-1), 0.0)


def softargmax(maps: Tensor, row: Tensor, column: Tensor, *, sigma: float) -> Tensor:
    """The centroid of the squared heights in a window of 2 sigma, rounded up, to each side of the highest pixel.

    That is the soft-argmax, with temperature 1/2, of the logarithms; squared, a Gaussian is narrow enough for such
    a window, and a noisy background weighs little. Heights below 0 count as 0. At a border the window narrows
    across it, so that it stays symmetric about the highest pixel and its centroid is not drawn inwards: on the
    outermost pixels what is left is `argmax`.
    """
    height, width = maps.shape[-2:]
    reach = math.ceil(2 * sigma)
    weights = _window(maps, row, column, reach).clamp_min(0)  # (B, 8, 2 reach + 1, 2 reach + 1)
    highest = weights[..., reach, reach].clamp_min(FLOOR)
    weights = (weights / highest[..., None, None]) ** 2
    away = torch.arange(-reach, reach + 1, device=maps.device)
    across = away.abs() <= torch.minimum(column, width - 1 - column).unsqueeze(-1)  # (B, 8, 2 reach + 1)
    down = away.abs() <= torch.minimum(row, height - 1 - row).unsqueeze(-1)
    weights = weights * across.unsqueeze(-2) * down.unsqueeze(-1)
    total = weights.sum((-2, -1)).clamp_min(FLOOR)
    x = column + (weights.sum(-2) * away).sum(-1) / total
    y = row + (weights.sum(-1) * away).sum(-1) / total
    return torch.stack([x, y], dim=-1)


def _window(maps: Tensor, row: Tensor, column: Tensor, reach: int) -> Tensor:
    """(B, 8, 2 reach + 1, 2 reach + 1) about the pixels; what lies outside of the map repeats its border."""
    height, width = maps.shape[-2:]
    away = torch.arange(-reach, reach + 1, device=maps.device)
    rows = (row.unsqueeze(-1) + away).clamp(0, height - 1)  # (B, 8, 2 reach + 1)
    columns = (column.unsqueeze(-1) + away).clamp(0, width - 1)
    index = (rows * width).unsqueeze(-1) + columns.unsqueeze(-2)
    return maps.flatten(2).gather(2, index.flatten(2)).unflatten(2, (len(away), len(away)))


def _near(points: Tensor, row: Tensor, column: Tensor, reach: float) -> Tensor:
    """`points` no farther than `reach` from the pixels' centres, each way."""
    pixels = torch.stack([column, row], dim=-1)
    return torch.maximum(torch.minimum(points, pixels + reach), pixels - reach)
