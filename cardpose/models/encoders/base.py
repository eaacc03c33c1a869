"""The encoder interface; the package docstring says how to add one."""

from collections.abc import Iterable

from torch import Tensor, nn


class Encoder(nn.Module):
    """An image in, feature maps of decreasing resolution out.

    Attributes:
        channels: channels of each feature map, finest first.
        strides: image pixels per pixel of each feature map, each twice the previous one.
        mean, std: RGB normalisation of the input, on a scale of 0 to 1; ImageNet's unless set.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised image -> [(B, channels[i], H / strides[i], W / strides[i])]."""
        raise NotImplementedError


class LevelEncoder(Encoder):
    """An encoder made of successive levels, each of which halves the resolution.

    Args:
        levels: modules in their order; the output of level i has stride 2^(i + 1).
        channels: output channels of each level.
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
