"""The depthwise convolution is torch's, padded as asked, and a CPU's bf16 leaves its wide kernels alone."""

import pytest
import torch
from torch.nn import functional

from cardpose.models.encoders.depthwise import FLOAT32_KERNEL, DepthwiseConv


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_tensorflows(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    own, image = DepthwiseConv(6, kernel, stride, same=True), torch.randn(2, 6, 8, 12)
    before = (kernel - stride) // 2
    after = kernel - stride - before  # the source: padding in all is kernel - stride, the odd one behind
    padded = functional.pad(image, (before, after, before, after))
    torch.testing.assert_close(own(image), functional.conv2d(padded, own.weight, stride=stride, groups=6))
    assert own(image).shape == (2, 6, 8 // stride, 12 // stride)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_only_narrow_kernels_follow_a_cpus_autocast(kernel: int) -> None:
    own, image = DepthwiseConv(4, kernel, 1), torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        mapped = own(image.bfloat16())
    assert mapped.dtype == (torch.float32 if kernel >= FLOAT32_KERNEL else torch.bfloat16)
