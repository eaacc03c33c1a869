"""The network, part by part.

encoders.py  image -> feature maps: the interface and the plain one; "Adding a new encoder" stands there
mobilenetv3.py, efficientnet_lite.py, timm_features.py   more encoders, the last two around other libraries
decoder.py   feature maps -> eight heatmaps
head.py      deepest features and detached heatmaps -> count and visibility
counts.py    the head's numbers -> count and spread: regression, distribution, ordinal
unet.py      the three joined
end_to_end.py   a picture's bytes -> corners and count: a network at work, and what is exported
from_config.py  that, from the configuration that a checkpoint holds
"""
