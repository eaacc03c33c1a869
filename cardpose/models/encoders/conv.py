"""The plain convolutional encoder."""

from collections.abc import Sequence

from torch import nn

from cardpose.common.errors import InputError
from cardpose.models.encoders.base import LevelEncoder


def conv_block(inputs: int, outputs: int, *, depth: int = 2, stride: int = 1) -> nn.Sequential:
    """`depth` times 3x3 convolution, batch normalisation and ReLU; the first convolution has the stride."""
    layers: list[nn.Module] = []
    for i in range(depth):
        convolution = nn.Conv2d(
            inputs if i == 0 else outputs, outputs, 3, stride if i == 0 else 1, padding=1, bias=False
        )
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class ConvEncoder(LevelEncoder):
    """Every level halves the resolution with a strided 3x3 convolution.

    Args:
        widths: channels of each level.
        depths: 3x3 convolutions of each level.

    Raises:
        InputError: `depths` and `widths` differ in length, or a depth is below 1.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        if len(widths) != len(depths):
            raise InputError(
                f"model.encoder.widths has {len(widths)} levels, depths {len(depths)}: give one number a level"
            )
        if min(depths) < 1:
            raise InputError(f"model.encoder.depths={list(depths)}: choose whole numbers from 1")
        inputs = (3, *widths[:-1])
        levels = [
            conv_block(before, after, depth=depth, stride=2)
            for before, after, depth in zip(inputs, widths, depths, strict=True)
        ]
        super().__init__(levels, widths)
