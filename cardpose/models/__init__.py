"""The network, part by part.

encoders.py  image -> feature maps; "Adding a new encoder" stands there
decoder.py   feature maps -> eight heatmaps
head.py      deepest features and detached heatmaps -> count and visibility
unet.py      the three joined
"""
