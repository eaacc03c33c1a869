"""Encoders: an image in, feature maps at falling resolution out.

Adding a new encoder takes one class with the interface of `Encoder` and one file in conf/model that names it.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from cardpose.errors import InputError


class Encoder(nn.Module):
    """The interface that `cardpose.models.unet.UNet` builds on.

    Attributes:
        channels: channels of each feature map, finest first.
        strides: image pixels per pixel of each feature map, each twice the one before.
        mean, std: RGB normalisation of the input, on the scale 0 to 1.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # ImageNet's
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised image -> [(B, channels[i], H / strides[i], W / strides[i])]."""
        raise NotImplementedError


def conv_block(inputs: int, outputs: int, *, depth: int = 2, stride: int = 1) -> nn.Sequential:
    """`depth` times 3x3 convolution, batch normalisation, ReLU; the first convolution has the stride."""
    layers: list[nn.Module] = []
    for i in range(depth):
        convolution = nn.Conv2d(
            inputs if i == 0 else outputs, outputs, 3, stride if i == 0 else 1, padding=1, bias=False
        )
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class ConvEncoder(Encoder):
    """Plain convolutional encoder: every level halves the resolution with a strided convolution.

    Args:
        widths: channels of each level; level i has stride 2^(i + 1).
        depths: 3x3 convolutions of each level.

    Raises:
        InputError: not as many depths as widths.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise InputError(
                f"model.encoder.widths has {len(widths)} levels, depths {len(depths)}: give one number a level"
            )
        self.channels = tuple(widths)
        self.strides = tuple(2 ** (i + 1) for i in range(len(widths)))
        inputs = (3, *widths[:-1])
        self.levels = nn.ModuleList(
            conv_block(before, after, depth=depth, stride=2)
            for before, after, depth in zip(inputs, widths, depths, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        features = []
        for level in self.levels:
            image = level(image)
            features.append(image)
        return features
