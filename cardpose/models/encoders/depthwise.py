"""The depthwise convolution of the small networks, in the precision that a CPU trains it fastest in."""

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDE = 5
"""Kernels from this size on are slower in bf16: oneDNN's gradients of a 5x5 kernel take 2 to 4 times as long."""


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel by itself, without bias; its map is the image's size over the stride.

    Args:
        channels: of the image and of the map.
        kernel: odd size of the kernel.
        stride: of the map.
        same: pad an even image as TensorFlow's SAME does, with a stride unequally; else by half the kernel.
    """

    def __init__(self, channels: int, kernel: int, stride: int, *, same: bool = False) -> None:
        unequal = same and stride > 1
        padding = 0 if unequal else kernel // 2
        super().__init__(channels, channels, kernel, stride, padding, groups=channels, bias=False)
        before, both = (kernel - stride) // 2, kernel - stride
        self.zeros = (before, both - before) * 2 if unequal else ()  # left, right, above, below

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H / stride, W / stride); under a CPU's autocast float32 if `WIDE`."""
        if self.zeros:
            image = functional.pad(image, self.zeros)
        if self.kernel_size[0] >= WIDE and image.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(image.float())
        return super().forward(image)
