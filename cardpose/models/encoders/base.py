"""The encoder interface; the package docstring describes how to add one."""

from collections.abc import Iterable
from typing import Self

from torch import Tensor, nn

from cardpose.common.errors import InputError


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
        frozen_levels: the first so many levels keep their weights and batch statistics in training, which saves most
            of its time, as the finest maps cost most.

    Raises:
        InputError: `frozen_levels` is not 0 to the number of levels.
    """

    def __init__(self, levels: Iterable[nn.Module], channels: Iterable[int], frozen_levels: int = 0) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.channels = tuple(channels)
        self.strides = tuple(2 ** (i + 1) for i in range(len(self.levels)))
        if not 0 <= frozen_levels <= len(self.levels):
            raise InputError(
                f"model.encoder.frozen_levels={frozen_levels}: choose a whole number from 0 to {len(self.levels)}"
            )
        self.frozen_levels = frozen_levels
        # In evaluation mode from the start: Lightning trains modules in the mode that it finds them in.
        self.levels[:frozen_levels].requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; frozen levels stay in evaluation mode."""
        super().train(mode)
        self.levels[: self.frozen_levels].eval()
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        features = []
        for level in self.levels:
            image = level(image)
            features.append(image)
        return features
