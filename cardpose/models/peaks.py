"""Sub-pixel localisation of heatmap peaks, selected by `heatmap.decode`.

argmax      the highest pixel
quadratic   the vertex of a parabola through the logarithms of three pixels
dark        one Newton step on the logarithm of the smoothed map
softargmax  the centroid of a window around the highest pixel

Each takes maps (B, 8, h, w) of at least 3 x 3 pixels and the rows and columns (B, 8) of the highest pixels, and returns
the peaks (B, 8, 2) as x, y in heatmap pixels. Only operations that ONNX supports; windows are cropped around the peaks,
so the cost does not depend on the size of the map.

Adding a new decoder: write such a function, add its name to `locator`, and its tests to tests/models/test_peaks.py.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from cardpose.common.errors import InputError

Locate = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(maps (B, 8, h, w), rows (B, 8), columns (B, 8)) -> peaks (B, 8, 2)."""

FLOOR = 1e-6
"""Lower bound of heatmap values before a logarithm is taken."""
DARK_REACH = 1.5
"""Largest step of `dark` from the highest pixel, in pixels; with noise that is not always the nearest to the peak."""


def locator(name: str, sigma: float) -> Locate:
    """The decoder called `name`, for Gaussians of `sigma` heatmap pixels.

    Raises:
        InputError: unknown name.
    """
    decoders: dict[str, Locate] = {
        "argmax": argmax,
        "quadratic": quadratic,
        "dark": partial(dark, sigma=sigma),
        "softargmax": partial(softargmax, sigma=sigma),
    }
    if name not in decoders:
        raise InputError(f"heatmap.decode={name}: choose {', '.join(decoders)}")
    return decoders[name]


def argmax(maps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The centre of the highest pixel: an error of up to half a pixel in x and y."""
    return torch.stack([column, row], dim=-1).to(maps.dtype)


def quadratic(maps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The vertex of a parabola through the logarithms of three pixels, in x and in y, within half a pixel.

    The logarithm of a Gaussian is a parabola, so an exact Gaussian yields its exact centre. At the border the three
    pixels are taken one pixel further inside.
    """
    height, width = maps.shape[-2:]
    inner_row, inner_column = row.clamp(1, height - 2), column.clamp(1, width - 2)
    x = inner_column + _vertex(maps, row, inner_column, width, step=1)
    y = inner_row + _vertex(maps, inner_row, column, width, step=width)
    return _clamp_near(torch.stack([x, y], dim=-1), row, column, 0.5)


def _vertex(maps: Tensor, row: Tensor, column: Tensor, width: int, *, step: int) -> Tensor:
    """Offset (B, 8) of the vertex of the parabola through log(maps) at index - step, index, index + step."""
    flat = maps.flatten(2)
    index = row * width + column

    def log_at(offset: int) -> Tensor:
        return flat.gather(2, (index + offset).unsqueeze(-1)).squeeze(-1).clamp_min(FLOOR).log()

    before, here, after = log_at(-step), log_at(0), log_at(step)
    curvature = (before - 2 * here + after).clamp_max(-FLOOR)  # keeps it a maximum; a flat map gives offset 0
    return 0.5 * (before - after) / curvature


def dark(maps: Tensor, row: Tensor, column: Tensor, *, sigma: float) -> Tensor:
    """One Newton step, with the 2 x 2 Hessian, on the logarithm of the map smoothed by a Gaussian of `sigma`.

    Source: Zhang et al. 2020, Distribution-Aware Coordinate Representation for Human Pose Estimation, CVPR,
    https://arxiv.org/abs/1910.06278. Closer to the border than the radius of the kernel the map is not smoothed, as
    the truncated Gaussian would shift the peak; on the border itself the 3 x 3 pixels are taken one pixel further
    inside. If the Hessian is not negative definite, the result is the highest pixel.
    """
    height, width = maps.shape[-2:]
    # A 3 x 3 neighbourhood of each peak, smoothed where the kernel fits into the map.
    reach = math.ceil(2 * sigma)
    inner_row, inner_column = row.clamp(1, height - 2), column.clamp(1, width - 2)
    patch = _window(maps, inner_row, inner_column, reach + 1)  # (B, 8, 2 reach + 3, 2 reach + 3)
    kernel = _smoothing(sigma, reach).to(maps)  # (3, 2 reach + 3)
    smooth, raw = kernel @ patch @ kernel.T, patch[..., reach : reach + 3, reach : reach + 3]
    margin = torch.minimum(torch.minimum(row, height - 1 - row), torch.minimum(column, width - 1 - column))
    patch = torch.where((margin > reach)[..., None, None], smooth, raw).clamp_min(FLOOR).log()
    peak = torch.stack([inner_column, inner_row], dim=-1) + _newton_step(patch)
    return _clamp_near(peak, row, column, DARK_REACH)


def _smoothing(sigma: float, reach: int) -> Tensor:
    """(3, 2 reach + 3): each row a Gaussian of sum 1, centred on one of the three middle pixels."""
    offset = torch.arange(2 * reach + 3) - torch.arange(reach, reach + 3).unsqueeze(1)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2) * (offset.abs() <= reach)
    return kernel / kernel.sum(1, keepdim=True)


def _newton_step(patch: Tensor) -> Tensor:
    """Offset (B, 8, 2) in x and y from the centre of a patch (B, 8, 3, 3) to the maximum of its quadratic expansion."""
    # Derivatives by central differences.
    middle = patch[..., 1, 1]
    left, right, above, below = patch[..., 1, 0], patch[..., 1, 2], patch[..., 0, 1], patch[..., 2, 1]
    dx, dy = 0.5 * (right - left), 0.5 * (below - above)
    dxx, dyy = right - 2 * middle + left, below - 2 * middle + above
    dxy = 0.25 * (patch[..., 2, 2] - patch[..., 2, 0] - patch[..., 0, 2] + patch[..., 0, 0])
    # Minus the inverse Hessian times the gradient, where the Hessian is negative definite.
    determinant = dxx * dyy - dxy**2
    maximum = (dxx < 0) & (determinant > FLOOR**2)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1)
    return torch.where(maximum.unsqueeze(-1), step / determinant.clamp_min(FLOOR**2).unsqueeze(-1), 0.0)


def softargmax(maps: Tensor, row: Tensor, column: Tensor, *, sigma: float) -> Tensor:
    """The centroid of the squared values in a window of 2 sigma, rounded up, to each side of the highest pixel.

    This is the soft-argmax, with temperature 1/2, of the logarithms. A squared Gaussian fits into the window, and a
    noisy background has little weight. Negative values count as 0. At the border the window is narrowed to stay
    symmetric around the highest pixel, so that the centroid is not biased inwards; on the outermost pixels the result
    is that of `argmax`.
    """
    height, width = maps.shape[-2:]
    reach = math.ceil(2 * sigma)
    # Squared values relative to the peak, which keeps them in range.
    weights = _window(maps, row, column, reach).clamp_min(0)  # (B, 8, 2 reach + 1, 2 reach + 1)
    highest = weights[..., reach, reach].clamp_min(FLOOR)
    weights = (weights / highest[..., None, None]) ** 2
    # The part of the window that is symmetric around the peak.
    offset = torch.arange(-reach, reach + 1, device=maps.device)
    inside_x = offset.abs() <= torch.minimum(column, width - 1 - column).unsqueeze(-1)  # (B, 8, 2 reach + 1)
    inside_y = offset.abs() <= torch.minimum(row, height - 1 - row).unsqueeze(-1)
    weights = weights * inside_x.unsqueeze(-2) * inside_y.unsqueeze(-1)
    # Their centroid.
    total = weights.sum((-2, -1)).clamp_min(FLOOR)
    x = column + (weights.sum(-2) * offset).sum(-1) / total
    y = row + (weights.sum(-1) * offset).sum(-1) / total
    return torch.stack([x, y], dim=-1)


def _window(maps: Tensor, row: Tensor, column: Tensor, reach: int) -> Tensor:
    """(B, 8, 2 reach + 1, 2 reach + 1) around the pixels; outside of the map its border is repeated."""
    height, width = maps.shape[-2:]
    offset = torch.arange(-reach, reach + 1, device=maps.device)
    rows = (row.unsqueeze(-1) + offset).clamp(0, height - 1)  # (B, 8, 2 reach + 1)
    columns = (column.unsqueeze(-1) + offset).clamp(0, width - 1)
    index = (rows * width).unsqueeze(-1) + columns.unsqueeze(-2)
    return maps.flatten(2).gather(2, index.flatten(2)).unflatten(2, (len(offset), len(offset)))


def _clamp_near(points: Tensor, row: Tensor, column: Tensor, reach: float) -> Tensor:
    """Clamp `points` (B, 8, 2) to within `reach` of the pixels, in x and in y."""
    pixels = torch.stack([column, row], dim=-1)
    return torch.maximum(torch.minimum(points, pixels + reach), pixels - reach)
