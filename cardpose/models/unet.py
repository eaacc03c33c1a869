"""The network: encoder, decoder, spatial model and head."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from cardpose.common.errors import InputError
from cardpose.models.decoder import UNetDecoder
from cardpose.models.encoders.base import Encoder
from cardpose.models.head import CountVisibilityHead
from cardpose.models.hourglass import HourglassDecoder
from cardpose.models.spatial import NoSpatial, Spatial


class Output(NamedTuple):
    """Output of the network.

    Args:
        heatmaps: (B, 8, h, w), near 0 to 1.
        cards: (B,) count divided by 52.
        visibility: (B, 8) logits.
        cards_std: (B,) standard deviation of `cards`; NaN if the count head does not estimate it.
        count_logits: (B, N) of the count's distribution, used by the loss only; N is 0 if there is none.
        intermediate: (B, S, 8, h, w) heatmaps before the last ones, used by the loss only: of the earlier stacks, then
            those that the spatial model was given; S is 0 if there are none.
    """

    heatmaps: Tensor
    cards: Tensor
    visibility: Tensor
    cards_std: Tensor
    count_logits: Tensor
    intermediate: Tensor


class UNet(nn.Module):
    """Encoder -> decoder -> eight heatmaps -> spatial model -> detach -> count and visibility.

    Args:
        encoder: see `Encoder`.
        decoder: `UNetDecoder` or `HourglassDecoder`, still without the encoder's channels and strides.
        head: `CountVisibilityHead`, still without the channels of the deepest features.
        spatial: see `cardpose.models.spatial`; None: `NoSpatial`. Unless it is `joint`, all else is fixed, see `fix`.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: partial[UNetDecoder] | partial[HourglassDecoder],
        head: partial[CountVisibilityHead],
        spatial: Spatial | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder(channels=encoder.channels, strides=encoder.strides)
        self.head = head(channels=self.decoder.deepest_channels)
        self.spatial = spatial or NoSpatial()
        self._fixed: list[nn.Module] = []
        if not self.spatial.joint:
            self.fix(["encoder", "decoder", "head"])

    def fix(self, modules: Sequence[str]) -> None:
        """Let "encoder", "decoder" or "head" keep their weights and batch statistics in training.

        Raises:
            InputError: there is no such module.
        """
        known = dict(self.named_children())
        for name in modules:
            if name not in known:
                raise InputError(f"fixed_modules: no module {name!r}: choose among {', '.join(known)}")
            self._fixed.append(known[name].requires_grad_(False).eval())

    @property
    def earlier_maps(self) -> int:
        """S of `Output.intermediate`."""
        return self.decoder.stages - 1 + self.spatial.changes

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; what is not trained stays in evaluation mode."""
        super().train(mode)
        for part in self._fixed:
            part.eval()
        return self

    def forward(self, image: Tensor) -> Output:
        """(B, 3, H, W) normalised float image; H and W multiples of the decoder's deepest stride."""
        stages, deepest = self.decoder(self.encoder(image))
        stages = stages.float()
        if self.spatial.changes:
            stages = torch.cat([stages, self.spatial(stages[:, -1]).unsqueeze(1)], 1)
        heatmaps = stages[:, -1]
        count, visibility = self.head(deepest, heatmaps)
        return Output(heatmaps, count.cards, visibility, count.cards_std, count.logits, stages[:, :-1])
