"""The whole model from image bytes to corners and count, as it is used for prediction and export."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS, ModelOutput
from cardpose.models.unet import Output, UNet

Decode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Heatmaps (B, 8, h, w) -> corners (B, 8, 2) in image pixels and heights of the peaks (B, 8)."""


class EndToEnd(nn.Module):
    """Normalisation, network and decoding in one module, of operations that ONNX has.

    Args:
        decode: see `Decode`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: UNet, decode: Decode) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch leaves it out
        self.decode = decode
        self.register_buffer("mean", torch.tensor(net.encoder.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(net.encoder.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> ModelOutput[Tensor]:
        """(B, H, W, 3) RGB, uint8 or float from 0 to 255; such a layout is channels-last without a copy."""
        normalised = (image.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        return decoded(self.net(normalised), self.decode)


def decoded(output: Output, decode: Decode) -> ModelOutput[Tensor]:
    """The network's output as corners in image pixels, probabilities and cards."""
    corners, confidence = decode(output.heatmaps)
    return ModelOutput(
        corners,
        confidence,
        output.visibility.sigmoid(),
        (output.cards * CARDS_PER_DECK).clamp(1, MAX_CARDS),
        output.cards_std * CARDS_PER_DECK,
    )
