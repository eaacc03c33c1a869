"""The training pipeline: from footage to batches.

::

    footage/       footage on disk: videos, frames, dataset folders
    labels/        the labels of a dataset folder
    formats/       labels of other tools, read and written

    splits.py      which frames are for training, validation and test
    augment.py     changes image and corners together
    cache.py       every required frame at the training size, decoded once
    dataset.py     one example after another
    sampler.py     the order of the examples, the same after a resume and for any number of processes
    loading.py     the worker processes
    datamodule.py  loaders, and target heatmaps for the whole batch on the device

Adding a new layout: see `cardpose.data.footage`. Adding a new format of another tool: see `cardpose.data.formats`.
Adding a new split: see `cardpose.data.splits`.
"""
