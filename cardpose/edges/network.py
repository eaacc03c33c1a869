"""A fully convolutional network that marks the centre line of each card in a strip, the packet and the local period."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.edges.tracing import STRIDE, Mark

CHANNELS = 32
LAYERS = (
    *(((5, 1), 1), ((3, 3), 1), ((5, 1), 2), ((5, 1), 4), ((3, 3), 1)),
    *(((5, 1), 8), ((5, 1), 4), ((5, 1), 2), ((3, 3), 1), ((5, 1), 1)),
)
"""Kernels and dilations at half the rows: a mark depends on about fifteen cards above and below it."""
WINDOW = (25, 3)
"""Rows and columns of the neighbourhood that the brightness is compared with."""


class EdgeNetwork(nn.Module):
    """Marks centre lines; every fourth column.

    Args:
        channels: of the hidden layers.
    """

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        self.first = nn.Conv2d(5, channels, (6, 6), stride=(2, STRIDE), padding=(2, 1))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(
                    channels,
                    channels,
                    kernel,
                    padding=(kernel[0] // 2 * by, kernel[1] // 2),
                    dilation=(by, 1),
                    bias=False,
                ),
            )
            for kernel, by in LAYERS
        )
        last = nn.Conv2d(channels, 6, (3, 1), padding=(1, 0))
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), last)

    def forward(self, strips: Tensor) -> Tensor:
        """Marks of strips.

        Args:
            strips: (B, 3, rows, columns) uint8 or float, 0 to 255; an even number of rows.

        Returns:
            (B, 3, rows, columns / STRIDE): logits of a centre line and of the inside of the packet, and the logarithm
            of the cards a nominal card's height.
        """
        features = self.first(self._normalised(strips.float() / 255))
        for layer in self.layers:
            features = features + layer(features)
        pairs = self.last(features)  # two rows a row
        batch, _, rows, columns = pairs.shape
        return pairs.reshape(batch, 3, 2, rows, columns).transpose(2, 3).reshape(batch, 3, 2 * rows, columns)

    @staticmethod
    def _normalised(strips: Tensor) -> Tensor:
        """Colours, and the brightness relative to its neighbourhood, (B, 5, rows, columns)."""
        grey = strips.mean(1, keepdim=True)
        halves = (WINDOW[0] // 2, WINDOW[1] // 2)

        def around(values: Tensor) -> Tensor:
            tall = F.avg_pool2d(values, (WINDOW[0], 1), 1, (halves[0], 0), count_include_pad=False)
            return F.avg_pool2d(tall, (1, WINDOW[1]), 1, (0, halves[1]), count_include_pad=False)

        local = grey - around(grey)
        spread = (around(local.square()) + 1e-5).sqrt()
        return torch.cat([strips - 0.5, local / spread, (20 * local).clamp(-3, 3)], 1)


def marker(network: EdgeNetwork) -> Mark:
    """How the counter calls a network, in evaluation mode from here on."""
    network.eval()

    def mark(strip: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(strip).permute(2, 0, 1)[None])[0].numpy()

    return mark
