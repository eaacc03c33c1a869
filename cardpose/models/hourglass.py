"""The stacked hourglass: heatmaps in the place of the UNet decoder's, refined from stack to stack."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import NUM_CORNERS
from cardpose.models.decoder import Maps, heatmap_layer
from cardpose.models.encoders.stem import Residual


class Hourglass(nn.Module):
    """Down to 1 / 2^depth of the resolution by max pooling and up again, with a residual module at every step.

    Args:
        width: channels throughout.
        depth: halvings.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.down, self.skips, self.up = (
            nn.ModuleList(Residual(width, width) for _ in range(depth)) for _ in range(3)
        )
        self.middle = Residual(width, width)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, width, h, w) -> the same, and the map between the two halves (B, width, h / 2^depth, w / 2^depth)."""
        skips = []
        for skip, down in zip(self.skips, self.down, strict=True):
            skips.append(skip(image))
            image = down(F.max_pool2d(image, 2))
        deepest = image = self.middle(image)
        for skip, up in zip(reversed(skips), self.up, strict=True):
            image = skip + F.interpolate(up(image), scale_factor=2.0, mode="nearest")
        return image, deepest


class HourglassDecoder(nn.Module):
    """Hourglasses one behind the other; each predicts heatmaps, which are fed forward to the next.

    Source: Newell et al. 2016, Stacked Hourglass Networks for Human Pose Estimation, ECCV,
    https://arxiv.org/abs/1603.06937. The heatmaps of every stack are trained (`loss.intermediate`); the last one's are
    the network's, and the count is read from the narrowest map of the last stack.

    Args:
        channels, strides: of the encoder, which has one feature map.
        stacks: hourglasses.
        depth: halvings of the resolution in each.

    Raises:
        InputError: `stacks` or `depth` is below 1, or the encoder has several maps.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], stacks: int, depth: int) -> None:
        super().__init__()
        if len(channels) != 1:
            raise InputError(
                "model.decoder: HourglassDecoder needs an encoder of one feature map: HourglassStem"
            )
        for name, value in (("stacks", stacks), ("depth", depth)):
            if not isinstance(value, int) or value < 1:
                raise InputError(f"model.decoder.{name}={value}: choose a whole number from 1")
        width, self.stages = channels[0], stacks
        self.deepest_channels, self.deepest_stride = width, strides[0] * 2**depth
        self.hourglasses = nn.ModuleList(Hourglass(width, depth) for _ in range(stacks))
        self.features = nn.ModuleList(
            nn.Sequential(
                Residual(width, width),
                nn.Conv2d(width, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for _ in range(stacks)
        )
        self.to_heatmaps = nn.ModuleList(heatmap_layer(width) for _ in range(stacks))
        self.features_forward = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(stacks - 1))
        self.maps_forward = nn.ModuleList(nn.Conv2d(NUM_CORNERS, width, 1) for _ in range(stacks - 1))

    def forward(self, features: Sequence[Tensor]) -> Maps:
        """[(B, C, H / stride, W / stride)] -> heatmaps (B, stacks, 8, H / stride, W / stride) and the narrowest map."""
        below, maps = features[0], []
        for number, hourglass in enumerate(self.hourglasses):
            image, deepest = hourglass(below)
            image = self.features[number](image)
            maps.append(self.to_heatmaps[number](image))
            if number < len(self.features_forward):
                below = below + self.features_forward[number](image) + self.maps_forward[number](maps[-1])
        return Maps(torch.stack(maps, 1), deepest)
