"""The count and visibility head, and the features of the heatmaps that it reads (conf/count_features).

Adding new heatmap features: a class here with the three members of `HeatmapFeatures`, and a file in
conf/count_features that names it as `_target_`. It must export to ONNX: tensor operations only.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import CARD_HEIGHT_MM, CARDS_PER_DECK, NUM_CORNERS
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, fit_box
from cardpose.models.counts import Count, CountHead, Regression
from cardpose.models.heatmaps import decode

CARD_MM = 0.3
"""Nominal thickness of a card; decks differ by a tenth."""


class HeatmapFeatures(Protocol):
    """Features of the heatmaps from which the count is predicted.

    Attributes:
        size: number of features.
        linear_only: whether the count is a linear function of these features alone, without the encoder's.
    """

    size: int
    linear_only: bool

    def __call__(self, heatmaps: Tensor) -> Tensor:
        """Heatmaps (B, 8, h, w) -> features (B, size)."""


class PooledFeatures:
    """Each heatmap, max-pooled to a coarse grid: the corners' positions to within a cell.

    Args:
        grid: (rows, columns).
    """

    linear_only = False

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = (grid[0], grid[1])
        self.size = NUM_CORNERS * grid[0] * grid[1]

    def __call__(self, heatmaps: Tensor) -> Tensor:
        rows, columns = map(_cells, heatmaps.shape[-2:], self.grid)
        bands = heatmaps[:, :, rows.to(heatmaps.device)].amax(3)  # (B, 8, grid[0], w)
        return bands[..., columns.to(heatmaps.device)].amax(-1).flatten(1)


def _cells(size: int, cells: int) -> Tensor:
    """(cells, N) pixel indices of each cell of `torch.nn.functional.adaptive_max_pool2d`, which ONNX lacks.

    A cell of fewer than N pixels repeats its last one, which leaves the maximum unchanged.

    >>> _cells(5, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    pixels = [range(i * size // cells, -(-(i + 1) * size // cells)) for i in range(cells)]
    most = max(map(len, pixels))
    return torch.tensor([[min(cell.start + i, cell.stop - 1) for i in range(most)] for cell in pixels])


def camera(heatmaps: Tensor) -> tuple[float, tuple[float, float]]:
    """Focal length of a phone and image centre, in pixels of the heatmaps (B, 8, h, w)."""
    height, width = heatmaps.shape[-2:]
    return PHONE_FOCAL * width, ((width - 1) / 2, (height - 1) / 2)


def fit_peaks(heatmaps: Tensor, found: float, tolerance: float) -> tuple[BoxFit, Tensor]:
    """Fit a box to the peaks of heatmaps (B, 8, h, w), as a phone sees it: another camera hardly changes it.

    Args:
        found: peak height above which a corner counts as detected.
        tolerance: of `geometry.box_fit.fit_box`, in image widths.

    Returns:
        The box in pixels of the heatmaps, and the weights (B, 8) of the corners: their peak heights, 0 if not found.
    """
    corners, peaks = decode(heatmaps, stride=1)
    if heatmaps.requires_grad:
        for decoded in (corners, peaks):  # an underdetermined box has no derivative
            decoded.register_hook(_zero_nonfinite)
    weights = torch.where(peaks > found, peaks, 0.0)
    box = fit_box(corners, weights, *camera(heatmaps), tolerance=tolerance * heatmaps.shape[-1])
    return box, weights


class BoxFeatures:
    """The box fitted to the heatmaps' peaks: thickness, its uncertainty, residual and pose; and the peak heights.

    Args:
        found, tolerance: see `fit_peaks`.
    """

    size = 4 + 3 + 9 + NUM_CORNERS
    linear_only = False

    def __init__(self, found: float, tolerance: float) -> None:
        self.found, self.tolerance = found, tolerance

    def __call__(self, heatmaps: Tensor) -> Tensor:
        with torch.autocast(heatmaps.device.type, enabled=False):
            box, weights = fit_peaks(heatmaps, self.found, self.tolerance)
            return torch.cat([self._numbers(box, heatmaps.shape[-1]), weights], 1).nan_to_num(0, 0, 0)

    def _numbers(self, box: BoxFit, width: int) -> Tensor:
        """(B, 16) thickness, residual, thickness uncertainty, determined, translation, rotation; each about 1."""
        thickness = box.thickness.nan_to_num(CARD_MM * CARDS_PER_DECK / 2) / (CARD_MM * CARDS_PER_DECK)
        residual = (1e3 * box.reprojection / width + 1).log()
        corner_std = 1e-3 * width  # assumed, in pixels
        thickness_std = corner_std * box.covariance[:, -1, -1].clamp_min(0).sqrt()
        # Bounds of one type: the ONNX exporter rejects an int next to a float.
        numbers = torch.stack(
            [thickness.clamp(-0.5, 2.0), residual, thickness_std.clamp_max(3.0), box.determined.float()], 1
        )
        pose = [(box.translation / (4 * CARD_HEIGHT_MM)).clamp(-3.0, 3.0), box.rotation.flatten(1)]
        return torch.cat([numbers, *pose], 1)


class ThicknessFeatures:
    """The thickness of that box alone, in decks: the count is a linear function of it.

    Args:
        found, tolerance: see `fit_peaks`.
    """

    size = 1
    linear_only = True

    def __init__(self, found: float, tolerance: float) -> None:
        self._box = BoxFeatures(found, tolerance)

    def __call__(self, heatmaps: Tensor) -> Tensor:
        return self._box(heatmaps)[:, :1]


class NoFeatures:
    """None: the count depends on the encoder's deepest features only, as an ablation."""

    size = 0
    linear_only = False

    def __call__(self, heatmaps: Tensor) -> Tensor:
        return heatmaps.new_zeros(heatmaps.shape[0], 0)


def _zero_nonfinite(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(0, 0, 0)


class CountVisibilityHead(nn.Module):
    """Count and visibility from the pooled deepest features and features of the heatmaps.

    By default the heatmaps are detached here: the count loss trains the encoder but does not shift the corners.

    Args:
        channels: channels of the deepest feature map.
        heatmap_features: features of the heatmaps.
        count_head: maps the outputs to a count; None: `Regression`.
        hidden: width of the two hidden layers.
        dropout: of the hidden layers.
        detach: False lets the gradient of count and visibility into the heatmaps.

    Raises:
        InputError: `detach` is not a bool.
    """

    calibration: Tensor

    def __init__(
        self,
        channels: int,
        heatmap_features: HeatmapFeatures,
        count_head: CountHead | None = None,
        hidden: int = 256,
        dropout: float = 0.0,
        detach: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(detach, bool):
            raise InputError(f"model.head.detach={detach}: choose true or false")
        self.heatmap_features = heatmap_features
        self.detach = detach
        self.count_head = count_head or Regression()
        layers: list[nn.Module] = []
        for size in (channels + heatmap_features.size, hidden):
            layers += [nn.Linear(size, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 1 + NUM_CORNERS + self.count_head.size))
        self.straight = (
            nn.Linear(heatmap_features.size, 1, bias=heatmap_features.linear_only)
            if heatmap_features.size
            else None
        )
        if self.straight is not None:
            nn.init.zeros_(self.straight.weight)
            if heatmap_features.linear_only:  # the count for the nominal thickness of a card
                nn.init.ones_(self.straight.weight)
                nn.init.constant_(self.straight.bias, -0.5)
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))  # scale, offset (cardpose.calibrate)

    def forward(self, deepest: Tensor, heatmaps: Tensor) -> tuple[Count, Tensor]:
        """Deepest features (B, C, h', w') and heatmaps (B, 8, h, w) -> calibrated count; visibility logits (B, 8)."""
        # Always float32: above half a deck the resolution of bf16 is a fifth of a card.
        with torch.autocast(deepest.device.type, enabled=False):
            pooled = F.adaptive_avg_pool2d(deepest.float(), 1).flatten(1)  # (B, C)
            features = self.heatmap_features(heatmaps.detach() if self.detach else heatmaps).float()
            out = self.layers(torch.cat([pooled, features], dim=1))
            linear = None if self.straight is None else self.straight(features)[:, 0]
        centre, visibility, numbers = out[:, 0], out[:, 1 : 1 + NUM_CORNERS], out[:, 1 + NUM_CORNERS :]
        if linear is not None:
            centre = linear if self.heatmap_features.linear_only else centre + linear
        count = self.count_head(centre + 0.5, numbers)  # starts in the middle of the range
        return self._calibrated(count), visibility

    def reset_calibration(self) -> None:
        """Undo `cardpose.calibrate`: scale 1, offset 0."""
        self.calibration.copy_(torch.tensor([1.0, 0.0]))

    def _calibrated(self, count: Count) -> Count:
        """Apply scale and offset; the logits stay over the counts before calibration, as they were trained."""
        scale, offset = self.calibration
        return count._replace(cards=scale * count.cards + offset, cards_std=scale * count.cards_std)
