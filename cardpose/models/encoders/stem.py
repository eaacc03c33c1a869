"""The first layers of the stacked hourglass: an image to one feature map at the stride of the heatmaps."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.models.encoders.base import Encoder
from cardpose.models.encoders.conv import conv_block


class Residual(nn.Module):
    """A residual module with a bottleneck of half the channels: 1x1, 3x3 and 1x1 convolutions, normalised before each.

    Source: He et al. 2016, Identity Mappings in Deep Residual Networks, https://arxiv.org/abs/1603.05027.

    Args:
        inputs, outputs: channels; where they differ, a 1x1 convolution takes the place of the identity.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half, layers = outputs // 2, []
        for before, after, kernel in ((inputs, half, 1), (half, half, 3), (half, outputs, 1)):
            convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
            layers += [nn.BatchNorm2d(before), nn.ReLU(), convolution]
        self.layers = nn.Sequential(*layers)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        return self.skip(image) + self.layers(image)


class HourglassStem(Encoder):
    """A strided convolution, then residual modules with max pooling between them; one feature map.

    Args:
        width: channels of the map.
        stride: of the map and so of the heatmaps, a power of 2.

    Raises:
        InputError: `stride` is no power of 2, or `width` is odd.
    """

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        if stride < 2 or stride & (stride - 1):
            raise InputError(f"heatmap.stride={stride}: model=hourglass has strides 2, 4, 8, 16: choose one")
        if width < 4 or width % 4:
            raise InputError(f"model.encoder.width={width}: choose a multiple of 4")
        self.channels, self.strides = (width,), (stride,)
        self.first = conv_block(3, width // 2, depth=1, stride=2)
        halvings = round(math.log2(stride)) - 1
        inputs = [width // 2] + [width] * halvings
        self.residuals = nn.ModuleList(Residual(before, width) for before in inputs)

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        image = self.first(image)
        for number, residual in enumerate(self.residuals):
            image = residual(image if number == 0 else F.max_pool2d(image, 2))
        return [image]
