"""Prediction of footage without labels.

sources        pictures, videos, folders and cameras as one interface, and how they are named on a command line
backends       what computes: an exported file in ONNX Runtime
torch_backend  or a checkpoint in PyTorch
predictor      Predictor: pictures in, corners in their pixels and counts out
tracking       corners smoothed over time; when a running count has settled
pipeline       PredictionPipeline: sources to a folder, in stages that overlap
output_folder  predictions.jsonl, frames.csv and clips.csv
overlay        predictions drawn onto the footage

Five records carry a frame from its file to the tables:

VideoFrame     a decoded frame                                        (data.footage.video)
FrameItem      the frame at the network's size, with its origin       (records)
ModelOutput    the model's answer for a batch, in network pixels      (common.packet)
Prediction     the answer for one frame, in source pixels             (records)
Clip           the answer for the clip, from all frames so far        (fusion.clips)
"""
