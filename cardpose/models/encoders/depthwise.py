"""The depthwise convolution of the small networks, in the precision in which a CPU trains it fastest."""

import torch
from torch import Tensor, nn
from torch.nn import functional

FLOAT32_KERNEL = 5
"""From this kernel size on, and with a stride, a CPU computes in float32: oneDNN takes 2 to 9 times as
long for their gradients in bf16."""


class DepthwiseConv(nn.Conv2d):
    """A depthwise convolution without bias; the output has the input's size divided by the stride.

    Args:
        channels: input and output channels.
        kernel: kernel size, odd.
        stride: of the output.
        same: pad an even input as TensorFlow's SAME does (asymmetrically with a stride) instead of by half the kernel.
    """

    def __init__(self, channels: int, kernel: int, stride: int, *, same: bool = False) -> None:
        unequal = same and stride > 1
        padding = 0 if unequal else kernel // 2
        super().__init__(channels, channels, kernel, stride, padding, groups=channels, bias=False)
        before, both = (kernel - stride) // 2, kernel - stride
        self.zeros = (before, both - before) * 2 if unequal else ()  # left, right, above, below

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H / stride, W / stride); on a CPU some ignore autocast inside."""
        if self.zeros:
            image = functional.pad(image, self.zeros)
        slow = self.kernel_size[0] >= FLOAT32_KERNEL or self.stride[0] > 1
        if slow and image.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(image.float()).to(torch.get_autocast_dtype("cpu"))
        return super().forward(image)
