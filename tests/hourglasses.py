"""Small stacked hourglasses."""

from functools import partial

import torch
from torch import Tensor

from cardpose.models.encoders.stem import HourglassStem
from cardpose.models.head import BoxFeatures, CountVisibilityHead
from cardpose.models.hourglass import HourglassDecoder
from cardpose.models.spatial import Spatial
from cardpose.models.unet import UNet

HEIGHT, WIDTH = 64, 96


def make_net(stacks: int = 2, stride: int = 4, depth: int = 2, spatial: Spatial | None = None) -> UNet:
    torch.manual_seed(0)
    decoder = partial(HourglassDecoder, stacks=stacks, depth=depth)
    head = partial(CountVisibilityHead, heatmap_features=BoxFeatures(found=0.3, tolerance=0.024), hidden=16)
    return UNet(HourglassStem(8, stride), decoder, head, spatial)


def images(rows: int = 2) -> Tensor:
    return torch.randn(rows, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def touched(net: UNet, loss: Tensor) -> set[str]:
    """Names of the parameters that a loss gives a gradient."""
    net.zero_grad()
    loss.backward()
    return {name for name, p in net.named_parameters() if p.grad is not None and torch.count_nonzero(p.grad)}
