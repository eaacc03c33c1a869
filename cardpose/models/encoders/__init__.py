"""Encoders (backbones): an image in, feature maps of decreasing resolution out.

base.py                the interface: `Encoder`, and `LevelEncoder` for a chain of levels
conv.py                the plain convolutional encoder (model=unet)
stem.py                the stacked hourglass's first layers (model=hourglass)
mobilenetv3.py         MobileNetV3, small and large
efficientnet_lite.py   EfficientNet-Lite with ImageNet weights (extra "pretrained")
timm_features.py       any model of timm that returns feature maps (extra "timm")
depthwise.py           the depthwise convolution of the small networks

Adding a new backbone:

1. Write cardpose/models/encoders/<name>.py with one class. If the network is a chain of levels of stride 2, 4, 8, ...,
   derive it from `LevelEncoder` and pass the levels and their channels to `super().__init__`, as `ConvEncoder` does.
   If it wraps another library's network, derive it from `Encoder`, set `channels` and `strides` and write `forward`, as
   `TimmFeatures` does. Set `mean` and `std` if its weights expect another normalisation than ImageNet's.
2. Write conf/model/unet_<name>.yaml. It starts with `defaults: [_base, _self_]` and names the class as `_target_`
   under `encoder:`, with its arguments; conf/model/unet.yaml is an example. Keys of `decoder:` and `head:` may follow.
3. Run `python -m pytest tests/models/encoders tests/integration/test_configs.py`. test_encoders.py tests every file of
   conf/model; nothing has to be registered.
4. Train: `python -m cardpose.train model=unet_<name>`.

A library that the base install lacks becomes an extra in pyproject.toml. Import it in a function of the encoder's own
module, and raise `needs_extra` if the import fails.
"""
