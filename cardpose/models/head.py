"""The count and visibility head."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.heatmaps import decode
from cardpose.packet import NUM_CORNERS

FOUND = 0.2
"""A peak below this height is no corner."""
SHAPE_SCALE = 4.0
"""Of `box_shape`, whose differences are small beside the other inputs."""


def box_shape(heatmaps: Tensor) -> Tensor:
    """Where the peaks of (B, 8, h, w) maps lie: the packet's shape, size and place, (B, 27).

    Eight peaks as x, y about their mean in units of their root mean square distance from it, 0 where no corner is
    found; their heights; that distance and the mean in units of the map's width. A thickness is a difference of the
    first sixteen, whatever the distance of the camera.
    """
    width = heatmaps.shape[-1]
    points, height = decode(heatmaps, stride=1)
    found = (height > FOUND).to(points.dtype).unsqueeze(-1)  # (B, 8, 1)
    count = found.sum(1, keepdim=True).clamp_min(1)  # (B, 1, 1)
    centre = (found * points).sum(1, keepdim=True) / count
    away = found * (points - centre)
    size = (away.square().sum((1, 2), keepdim=True) / count).sqrt().clamp_min(1)
    parts = (away / size, height.unsqueeze(-1), size / width, centre / width)
    return torch.cat([part.flatten(1) for part in parts], dim=1)


class CountVisibilityHead(nn.Module):
    """Count and visibility from the pooled deepest features and the detached heatmaps, pooled two ways.

    A grid of maxima says roughly what is where, as in the original; `box_shape` says it to a fraction of a pixel.
    The heatmaps are detached here, so that the count teaches the encoder what to see but never bends the corners.

    Args:
        channels: of the deepest feature map.
        grid: (rows, columns) to which each heatmap is max-pooled.
        hidden: width of the two hidden layers.
        dropout: on the first.
    """

    calibration: Tensor

    def __init__(
        self, channels: int, grid: tuple[int, int] = (12, 16), hidden: int = 256, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.grid = (grid[0], grid[1])
        inputs = channels + NUM_CORNERS * (grid[0] * grid[1] + 3) + 3
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 1 + NUM_CORNERS),
        )
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))  # scale, offset: see cardpose.calibrate

    def forward(self, deepest: Tensor, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Deepest features (B, C, h', w') and heatmaps (B, 8, h, w) -> cards (B,), 1.0 = 52; logits (B, 8)."""
        features = F.adaptive_avg_pool2d(deepest, 1).flatten(1)
        maps = heatmaps.detach()
        where = F.adaptive_max_pool2d(maps, self.grid).flatten(1)
        out = self.layers(torch.cat([features, where, SHAPE_SCALE * box_shape(maps)], dim=1)).float()
        cards = out[:, 0] + 0.5  # starts in the middle of the range
        return self.calibration[0] * cards + self.calibration[1], out[:, 1:]
