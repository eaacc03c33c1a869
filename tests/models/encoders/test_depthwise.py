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


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (7, 1)])
def test_a_cpus_autocast_leaves_wide_kernels_and_strides_alone(kernel: int, stride: int) -> None:
    """Their gradient is that of float32 arithmetic, to the last bit; the result has autocast's type."""
    torch.manual_seed(0)
    own, image = DepthwiseConv(4, kernel, stride), torch.randn(8, 4, 32, 32).bfloat16()
    gradients = []
    for enabled in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            mapped = own(image if enabled else image.float())
        sent = torch.ones_like(mapped)
        gradients += torch.autograd.grad(mapped, own.weight, sent)
        assert mapped.dtype == (torch.bfloat16 if enabled else torch.float32)
    full = kernel >= FLOAT32_KERNEL or stride > 1
    assert gradients[0].equal(gradients[1]) == full
