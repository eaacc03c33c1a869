"""The count and visibility head."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.packet import NUM_CORNERS


class CountVisibilityHead(nn.Module):
    """Count and visibility from the pooled deepest features and the pooled, detached heatmaps.

    The heatmaps are detached here, so that the count teaches the encoder what to see but never bends the corners.

    Args:
        channels: of the deepest feature map.
        grid: (rows, columns) to which each heatmap is max-pooled.
        hidden: width of the hidden layer.
        dropout: on the hidden layer.
    """

    calibration: Tensor

    def __init__(
        self, channels: int, grid: tuple[int, int] = (12, 16), hidden: int = 256, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.grid = (grid[0], grid[1])
        self.layers = nn.Sequential(
            nn.Linear(channels + NUM_CORNERS * grid[0] * grid[1], hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1 + NUM_CORNERS),
        )
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))  # scale, offset: see cardpose.calibrate

    def forward(self, deepest: Tensor, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Deepest features (B, C, h', w') and heatmaps (B, 8, h, w) -> cards (B,), 1.0 = 52; logits (B, 8)."""
        features = F.adaptive_avg_pool2d(deepest, 1).flatten(1)
        where = F.adaptive_max_pool2d(heatmaps.detach(), self.grid).flatten(1)
        out = self.layers(torch.cat([features, where], dim=1)).float()
        cards = out[:, 0] + 0.5  # starts in the middle of the range
        return self.calibration[0] * cards + self.calibration[1], out[:, 1:]
