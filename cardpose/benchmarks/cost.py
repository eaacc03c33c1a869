"""Size and arithmetic of a network."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cardpose.models.unet import UNet


def cost(net: UNet, image: Tensor) -> tuple[int, int]:
    """Parameters, and multiply-adds of the convolutions and matrix products for `image`.

    >>> convolution = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    >>> cost(convolution, torch.zeros(1, 3, 10, 10)) == (3 * 8 * 9, 3 * 8 * 9 * 100)
    True
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(image)
    return sum(parameter.numel() for parameter in net.parameters()), counter.get_total_flops() // 2
