"""From footage to batches.

::

    video.py       frames out of a video, H.264 into one
    images.py      loose frames: image files named by their index
    tables.py      videos.csv: the record `Video`, and a careful CSV reader
    coco.py        annotations.json
    jsonfile.py    JSON files of others, read with care
    listed.py      frames that annotations.json names to be labelled
    validate.py    the rules that every label keeps
    folder.py      the dataset folder: all of the above, joined and checked
    cardcut.py     another layout, read as if it were a dataset folder
    layouts.py     either of the two
    formats/       labels of other tools, both ways
    files.py       files that are whole or absent

    marks.py         what is decided of a frame's corners while it is labelled
    label_tables.py  annotations.json and videos.csv in memory, changed a frame at a time
    journal.py       changes that outlive a crash
    labels.py        these three together: the folder that cardpose.label has open
    select.py        which frames of a video are worth labelling

    splits.py      which frames train, validate and test
    augment.py     image and corners changed together
    cache.py       every wanted frame at the training size, decoded once
    sampler.py     the order of the examples, the same after a resume and for any number of processes
    loading.py     the processes that load
    dataset.py     one example after another
    datamodule.py  loaders, and heatmaps for the whole batch on the device

Adding a new layout: write a function `read_x(root) -> DatasetFolder` that checks every label with
`validate.check_annotation`, as in cardcut.py, name it in conf/data/. Another tool's labels: see `formats`.
"""
