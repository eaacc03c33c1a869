"""The count and visibility head, and what it is told about the heatmaps."""

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
"""Thickness of a card, which differs from deck to deck by a tenth."""


class HeatmapFeatures(Protocol):
    """Heatmaps (B, 8, h, w) to numbers (B, `size`) that a count can be read from.

    `alone`: the count is a straight line of these numbers, the deepest features have no part in it.
    """

    size: int
    linear_only: bool

    def __call__(self, heatmaps: Tensor) -> Tensor: ...


class PooledHeatmaps:
    """Each heatmap, max-pooled: where the corners are, to a cell.

    Args:
        grid: (rows, columns).
    """

    linear_only = False

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = (grid[0], grid[1])
        self.size = NUM_CORNERS * grid[0] * grid[1]

    def __call__(self, heatmaps: Tensor) -> Tensor:
        rows, columns = (_cells(*sides) for sides in zip(heatmaps.shape[-2:], self.grid, strict=True))
        bands = heatmaps[:, :, rows.to(heatmaps.device)].amax(3)  # (B, 8, grid[0], w)
        return bands[..., columns.to(heatmaps.device)].amax(-1).flatten(1)


def _cells(size: int, cells: int) -> Tensor:
    """(cells, N) pixels of each cell of `torch.nn.functional.adaptive_max_pool2d`, which ONNX has not.

    A cell of fewer than N pixels has its last one again; the maximum stays.

    >>> _cells(5, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    pixels = [range(i * size // cells, -(-(i + 1) * size // cells)) for i in range(cells)]
    most = max(map(len, pixels))
    return torch.tensor([[min(cell.start + i, cell.stop - 1) for i in range(most)] for cell in pixels])


class BoxFeatures:
    """The box that the heatmaps' peaks make: thickness, how sure, how well it fits, pose; and the peaks' heights.

    Args:
        found: height from which on a peak is a corner.
        tolerance: see `geometry.fit_box`, in image widths.
    """

    size = 4 + 3 + 9 + NUM_CORNERS
    linear_only = False

    def __init__(self, found: float, tolerance: float) -> None:
        self.found, self.tolerance = found, tolerance

    def __call__(self, heatmaps: Tensor) -> Tensor:
        with torch.autocast(heatmaps.device.type, enabled=False):
            corners, peaks = decode(heatmaps, stride=1)
            if heatmaps.requires_grad:
                for found in (corners, peaks):  # a box that is not determined has no derivative
                    found.register_hook(_finite)
            weights = torch.where(peaks > self.found, peaks, 0.0)
            height, width = heatmaps.shape[-2:]
            box = fit_box(
                corners,
                weights,
                PHONE_FOCAL * width,  # a wrong one hardly matters
                ((width - 1) / 2, (height - 1) / 2),
                tolerance=self.tolerance * width,
            )
            return torch.cat([self._numbers(box, width), weights], 1).nan_to_num(0, 0, 0)

    def _numbers(self, box: BoxFit, width: int) -> Tensor:
        """Thickness, doubts and pose, each of a size of about 1."""
        thickness = box.thickness.nan_to_num(CARD_MM * CARDS_PER_DECK / 2) / (CARD_MM * CARDS_PER_DECK)
        misfit = (1e3 * box.reprojection / width + 1).log()
        thousandth = 1e-3 * width  # pixels by which the corners may be off
        cards_std = thousandth * box.covariance[:, -1, -1].clamp_min(0).sqrt()
        # Bounds of one type: the exporter to ONNX refuses a whole number beside a fraction.
        numbers = torch.stack(
            [thickness.clamp(-0.5, 2.0), misfit, cards_std.clamp_max(3.0), box.determined.float()], 1
        )
        pose = [(box.translation / (4 * CARD_HEIGHT_MM)).clamp(-3.0, 3.0), box.rotation.flatten(1)]
        return torch.cat([numbers, *pose], 1)


class Thickness:
    """The thickness of that box alone, in decks: the count is thickness over the thickness of a card, and an offset.

    Args:
        found, tolerance: see `BoxFeatures`.
    """

    size = 1
    linear_only = True

    def __init__(self, found: float, tolerance: float) -> None:
        self._box = BoxFeatures(found, tolerance)

    def __call__(self, heatmaps: Tensor) -> Tensor:
        return self._box(heatmaps)[:, :1]


class NoHeatmaps:
    """Nothing: the count is left with the deepest features, which shows what the heatmaps give it."""

    size = 0
    linear_only = False

    def __call__(self, heatmaps: Tensor) -> Tensor:
        return heatmaps.new_zeros(heatmaps.shape[0], 0)


def _finite(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(0, 0, 0)


class CountVisibilityHead(nn.Module):
    """Count and visibility from the pooled deepest features and a description of the heatmaps.

    The heatmaps are detached here by default, so that the count teaches the encoder what to see but does not bend the
    corners.

    Args:
        channels: of the deepest feature map.
        describe: what is told about the heatmaps.
        readout: how the count is read; None: as a regression.
        hidden: width of the two hidden layers.
        dropout: on the hidden layers.
        detach: False lets the count's (and the visibility's) gradient into the heatmaps.

    Raises:
        InputError: `detach` is neither true nor false.
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
            if heatmap_features.linear_only:  # a card of the thickness that most have
                nn.init.ones_(self.straight.weight)
                nn.init.constant_(self.straight.bias, -0.5)
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))  # scale, offset: see cardpose.calibrate

    def forward(self, deepest: Tensor, heatmaps: Tensor) -> tuple[Count, Tensor]:
        """Deepest features (B, C, h', w') and heatmaps (B, 8, h, w) -> calibrated count; visibility logits (B, 8)."""
        # In float32 under any autocast: bf16 has steps of a fifth of a card from half a deck on.
        with torch.autocast(deepest.device.type, enabled=False):
            features = F.adaptive_avg_pool2d(deepest.float(), 1).flatten(1)
            described = self.heatmap_features(heatmaps.detach() if self.detach else heatmaps).float()
            out = self.layers(torch.cat([features, described], dim=1))
            line = None if self.straight is None else self.straight(described)[:, 0]
        centre, visibility, numbers = out[:, 0], out[:, 1 : 1 + NUM_CORNERS], out[:, 1 + NUM_CORNERS :]
        if line is not None:
            centre = line if self.heatmap_features.linear_only else centre + line
        count = self.count_head(centre + 0.5, numbers)  # starts in the middle of the range
        return self._calibrated(count), visibility

    def forget_calibration(self) -> None:
        """Count as `cardpose.calibrate` never was: scale 1, offset 0."""
        self.calibration.copy_(torch.tensor([1.0, 0.0]))

    def _calibrated(self, count: Count) -> Count:
        """The logits stay as they were trained: over the counts before calibration."""
        scale, offset = self.calibration
        return count._replace(cards=scale * count.cards + offset, cards_std=scale * count.cards_std)
