"""A fully convolutional network that marks the centre line of each card in a strip."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 24
DILATIONS = (1, 2, 4, 8, 2)
"""Across the cards: a mark depends on about six cards above and below it."""
WINDOW = (25, 9)
"""Rows and columns of the neighbourhood that the brightness is compared with."""


class EdgeNetwork(nn.Module):
    """Marks centre lines; every second column.

    Args:
        channels: of the hidden layers.
    """

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        self.first = nn.Conv2d(5, channels, (7, 5), stride=(1, 2), padding=(3, 2))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, (5, 3), padding=(2 * by, 1), dilation=(by, 1), bias=False),
            )
            for by in DILATIONS
        )
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 2, 1))

    def forward(self, strips: Tensor) -> Tensor:
        """Marks of strips.

        Args:
            strips: (B, 3, rows, columns) uint8 or float, 0 to 255.

        Returns:
            (B, 2, rows, columns / 2) logits: a centre line, and the inside of the packet.
        """
        features = self.first(self._normalised(strips.float() / 255))
        for layer in self.layers:
            features = features + layer(features)
        return self.last(features)

    @staticmethod
    def _normalised(strips: Tensor) -> Tensor:
        """Colours, and the brightness relative to its neighbourhood, (B, 5, rows, columns)."""
        grey = strips.mean(1, keepdim=True)
        halves = (WINDOW[0] // 2, WINDOW[1] // 2)

        def around(values: Tensor) -> Tensor:
            return F.avg_pool2d(values, WINDOW, 1, halves, count_include_pad=False)

        local = grey - around(grey)
        spread = (around(local.square()) + 1e-5).sqrt()
        return torch.cat([strips - 0.5, local / spread, (20 * local).clamp(-3, 3)], 1)
