"""MobileNetV3, small and large, up to its last block.

Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244, tables 1 and 2. The 1x1 convolution to 576 or 960
channels after the last block is left out: it serves the classifier and would make the decoder larger than the encoder.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn

from cardpose.common.errors import InputError
from cardpose.models.encoders.base import LevelEncoder
from cardpose.models.encoders.depthwise import DepthwiseConv

STEM = 16
"""Channels of the first convolution, which has stride 2."""


class Block(NamedTuple):
    """A row of the paper's tables.

    Args:
        kernel: of the depthwise convolution.
        expanded: channels of the expansion.
        outputs: output channels.
        squeeze: whether the block has squeeze-and-excite.
        activation: nonlinearity.
        stride: of the depthwise convolution.
    """

    kernel: int
    expanded: int
    outputs: int
    squeeze: bool
    activation: type[nn.Module]
    stride: int


RE, HS = nn.ReLU, nn.Hardswish
SIZES: dict[str, tuple[Block, ...]] = {
    "small": (
        Block(3, 16, 16, True, RE, 2),
        Block(3, 72, 24, False, RE, 2),
        Block(3, 88, 24, False, RE, 1),
        Block(5, 96, 40, True, HS, 2),
        Block(5, 240, 40, True, HS, 1),
        Block(5, 240, 40, True, HS, 1),
        Block(5, 120, 48, True, HS, 1),
        Block(5, 144, 48, True, HS, 1),
        Block(5, 288, 96, True, HS, 2),
        Block(5, 576, 96, True, HS, 1),
        Block(5, 576, 96, True, HS, 1),
    ),
    "large": (
        Block(3, 16, 16, False, RE, 1),
        Block(3, 64, 24, False, RE, 2),
        Block(3, 72, 24, False, RE, 1),
        Block(5, 72, 40, True, RE, 2),
        Block(5, 120, 40, True, RE, 1),
        Block(5, 120, 40, True, RE, 1),
        Block(3, 240, 80, False, HS, 2),
        Block(3, 200, 80, False, HS, 1),
        Block(3, 184, 80, False, HS, 1),
        Block(3, 184, 80, False, HS, 1),
        Block(3, 480, 112, True, HS, 1),
        Block(3, 672, 112, True, HS, 1),
        Block(5, 672, 160, True, HS, 2),
        Block(5, 960, 160, True, HS, 1),
        Block(5, 960, 160, True, HS, 1),
    ),
}


def rounded(channels: float) -> int:
    """`channels` rounded to a multiple of 8, but not to less than 90 % (the paper's rule).

    >>> rounded(16 / 4), rounded(72 / 4), rounded(240 / 4)
    (8, 24, 64)
    """
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the channel means (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = rounded(channels / 4)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        return features * self.weigh(features)


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> Iterator[nn.Module]:
    """Convolution and batch normalisation."""
    yield nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    yield nn.BatchNorm2d(outputs, eps=1e-3)


def depthwise(channels: int, kernel: int, stride: int) -> Iterator[nn.Module]:
    """Depthwise convolution and batch normalisation."""
    yield DepthwiseConv(channels, kernel, stride)
    yield nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    """1x1 convolution up, depthwise convolution, squeeze-excite, 1x1 convolution down; a shortcut if shapes match."""

    def __init__(self, inputs: int, block: Block) -> None:
        super().__init__()
        expanded = block.expanded
        layers: list[nn.Module] = []
        if expanded != inputs:
            layers += [*convolution(inputs, expanded), block.activation(inplace=True)]
        layers += depthwise(expanded, block.kernel, block.stride)
        layers += [block.activation(inplace=True)]
        if block.squeeze:
            layers += [SqueezeExcite(expanded)]
        self.layers = nn.Sequential(*layers, *convolution(expanded, block.outputs))
        self.shortcut = block.stride == 1 and inputs == block.outputs

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        out = self.layers(features)
        return features + out if self.shortcut else out


class MobileNetV3(LevelEncoder):
    """MobileNetV3 with maps at strides 2, 4, 8, 16 and 32, from random weights.

    Args:
        size: a key of `SIZES`.

    Raises:
        InputError: unknown size.
    """

    def __init__(self, size: str) -> None:
        if size not in SIZES:
            raise InputError(f"model.encoder.size={size}: choose {' or '.join(SIZES)}")
        levels: list[list[nn.Module]] = [[*convolution(3, STEM, 3, stride=2), nn.Hardswish(inplace=True)]]
        channels = [STEM]
        for block in SIZES[size]:
            inputs = channels[-1]
            if block.stride == 2:
                levels.append([])
                channels.append(block.outputs)
            levels[-1].append(InvertedResidual(inputs, block))
            channels[-1] = block.outputs
        super().__init__([nn.Sequential(*level) for level in levels], channels)
