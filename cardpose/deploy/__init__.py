"""Export of a trained network for other programs.

exporting.py   a checkpoint -> one file and its parity report
graph.py       the graph (torch.export) and the metadata that a file holds
onnx_model.py  ONNX: conversion, float16 and int8
frames.py      the frames to compare on, and those that calibrate int8
parity.py      comparison of an exported file with PyTorch
release.py     makes a released model of a run
"""
