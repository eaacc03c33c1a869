"""Metrics of labels and predictions: pure functions on whole sets, and thin classes that gather the sets.

frame_metrics  scores of count, corners and thickness; `FrameMetrics`, all scores of a set as one dict
visibility     scores and reliability of the visibility
gather         base class of metrics that keep every frame, across processes
results        one frame's label beside its prediction
confusion      which labelled corner a predicted corner lies on
coverage       coverage of the intervals over their nominal level

Adding a new metric: a pure function with a doctest in `frame_metrics`, its call in the `compute` of the class that
gathers its inputs, and its row in `cardpose.common.scores.SCORES`.
"""
