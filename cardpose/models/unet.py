"""The network: encoder, decoder and head."""

from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from cardpose.models.decoder import UNetDecoder
from cardpose.models.encoders.base import Encoder
from cardpose.models.head import CountVisibilityHead


class Output(NamedTuple):
    """Output of the network.

    Args:
        heatmaps: (B, 8, h, w), near 0 to 1.
        cards: (B,) count divided by 52.
        visibility: (B, 8) logits.
        cards_std: (B,) standard deviation of `cards`; NaN if the count head does not estimate it.
        count_logits: (B, N) of the count's distribution, used by the loss only; N is 0 if there is none.
    """

    heatmaps: Tensor
    cards: Tensor
    visibility: Tensor
    cards_std: Tensor
    count_logits: Tensor


class UNet(nn.Module):
    """Encoder -> decoder -> eight heatmaps -> detach -> count and visibility.

    Args:
        encoder: see `Encoder`.
        decoder: `UNetDecoder`, still without the encoder's channels and strides.
        head: `CountVisibilityHead`, still without the encoder's deepest channels.
    """

    def __init__(
        self, encoder: Encoder, decoder: partial[UNetDecoder], head: partial[CountVisibilityHead]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder(channels=encoder.channels, strides=encoder.strides)
        self.head = head(channels=encoder.channels[-1])

    def forward(self, image: Tensor) -> Output:
        """(B, 3, H, W) normalised float image; H and W multiples of the encoder's deepest stride."""
        features = self.encoder(image)
        heatmaps = self.decoder(features)
        count, visibility = self.head(features[-1], heatmaps)
        return Output(heatmaps.float(), count.cards, visibility, count.cards_std, count.logits)
