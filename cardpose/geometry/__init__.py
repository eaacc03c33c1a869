"""Geometry of a packet in front of a pinhole camera, and transforms between images.

arrays         what numpy and torch share, so that the fit of a box is written once
box_fit        fit a box to the corners of a packet: pose and thickness, batched, for numpy, torch and ONNX
boxes          the same for frames in source pixels; which corner does not fit the others
focal_length   focal length of the camera that recorded a clip
affine         map batches of points from one image to another
letterbox      resize an image of any shape to the network's input size, and the inverse map
"""
