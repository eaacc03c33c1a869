"""The UNet decoder: from the deepest feature map back to the stride of the heatmaps."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import NUM_CORNERS
from cardpose.models.encoders.conv import conv_block


class Maps(NamedTuple):
    """Output of a decoder.

    Args:
        heatmaps: (B, S, 8, h, w) of its S stages, the last one's are the network's.
        deepest: (B, C, h', w') features that count and visibility are read from, C being `deepest_channels` of the
            decoder.
    """

    heatmaps: Tensor
    deepest: Tensor


def heatmap_layer(channels: int) -> nn.Conv2d:
    """The 1x1 convolution to eight heatmaps. Almost every target pixel is 0: starting near 0 saves the first epochs."""
    layer = nn.Conv2d(channels, NUM_CORNERS, 1)
    nn.init.normal_(layer.weight, std=1e-3)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _packed(gradient: Tensor) -> Tensor:
    """A copy without gaps of a gradient in channels-last, since it is a part of that of the concatenation.

    torch's backward of bilinear upsampling would reorder one with gaps to contiguous, which takes 5 to 7 times as long.
    """
    return gradient.contiguous(memory_format=torch.channels_last)


class UNetDecoder(nn.Module):
    """Repeatedly upsample, concatenate the encoder's map of that resolution and convolve; then a 1x1 convolution.

    Source: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597, with bilinear upsampling instead of transposed
    convolutions.

    Args:
        channels, strides: of the encoder's feature maps, finest first.
        stride: of the heatmaps; one of `strides`, but not the deepest.
        width: channels after the finest join; each coarser join has twice as many.
        max_width: upper bound of the channels.
        depth: 3x3 convolutions per join.

    Raises:
        InputError: `stride` is not among the encoder's.
    """

    stages = 1

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        stride: int,
        width: int,
        max_width: int,
        depth: int = 1,
    ) -> None:
        super().__init__()
        if stride not in strides[:-1]:
            raise InputError(
                f"heatmap.stride={stride} is not a stride of the encoder's maps: choose "
                f"{' or '.join(map(str, strides[:-1]))}"
            )
        self.deepest_channels, self.deepest_stride = channels[-1], strides[-1]
        skips = list(channels)[list(strides).index(stride) : -1][::-1]  # deepest first
        widths = [min(max_width, width * 2**i) for i in reversed(range(len(skips)))]
        inputs = [channels[-1], *widths[:-1]]
        self.joins = nn.ModuleList(
            conv_block(below + skip, width, depth=depth)
            for below, skip, width in zip(inputs, skips, widths, strict=True)
        )
        self.to_heatmaps = heatmap_layer(widths[-1])

    def forward(self, features: Sequence[Tensor]) -> Maps:
        """[(B, channels[i], H / strides[i], W / strides[i])] -> heatmaps (B, 1, 8, H / stride, W / stride)."""
        below = features[-1]
        for join, skip in zip(self.joins, reversed(features[:-1]), strict=False):  # finer skips stay unused
            above = F.interpolate(below, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            on_cpu = above.requires_grad and above.device.type == "cpu"
            if on_cpu and above.is_contiguous(memory_format=torch.channels_last):
                above.register_hook(_packed)
            below = join(torch.cat([above, skip], dim=1))
        return Maps(self.to_heatmaps(below).unsqueeze(1), features[-1])
