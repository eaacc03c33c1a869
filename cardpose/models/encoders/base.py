"""Encoders: an image in, feature maps at falling resolution out.

Adding a new encoder takes one class and one file. The class: hand `LevelEncoder` its parts, as `ConvEncoder` does;
or, around another library's network, set what `Encoder` lists and write `forward`, as timm_features.py does. Set
`mean` and `std` where its weights were trained with others than ImageNet's. The file, conf/model/unet_<name>.yaml,
begins with `defaults: [_base, _self_]` and names the class under `encoder`; tests/models/test_encoders.py then tests
it by itself. A library that the base install lacks is an extra in pyproject.toml, imported in a function of its own
module and answered with `needs_extra` where it is missing.
"""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from cardpose.common.errors import InputError, MissingExtra


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


class LevelEncoder(Encoder):
    """An encoder of levels, each of which halves the resolution and feeds the next.

    Args:
        levels: modules in their order; level i brings the stride to 2^(i + 1).
        channels: that come out of each.
    """

    def __init__(self, levels: Iterable[nn.Module], channels: Iterable[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.channels = tuple(channels)
        self.strides = tuple(2 ** (i + 1) for i in range(len(self.levels)))

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        features = []
        for level in self.levels:
            image = level(image)
            features.append(image)
        return features


def needs_extra(what: str, extra: str) -> MissingExtra:
    """What to say where a library of an optional extra of pyproject.toml cannot be imported.

    >>> str(needs_extra("model=unet_timm", "timm"))
    'model=unet_timm needs the extra "timm": pip install -e ".[timm]"'
    """
    return MissingExtra(f'{what} needs the extra "{extra}": pip install -e ".[{extra}]"')


def conv_block(inputs: int, outputs: int, *, depth: int = 2, stride: int = 1) -> nn.Sequential:
    """`depth` times 3x3 convolution, batch normalisation, ReLU; the first convolution has the stride."""
    layers: list[nn.Module] = []
    for i in range(depth):
        convolution = nn.Conv2d(
            inputs if i == 0 else outputs, outputs, 3, stride if i == 0 else 1, padding=1, bias=False
        )
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class ConvEncoder(LevelEncoder):
    """Plain convolutional encoder: every level halves the resolution with a strided convolution.

    Args:
        widths: channels of each level.
        depths: 3x3 convolutions of each level.

    Raises:
        InputError: not as many depths as widths, or a depth below 1.
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
