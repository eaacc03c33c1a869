"""Footage on disk.

::

    video.py         frames out of a video file
    video_writer.py  frames into a video file
    media.py         whether a file is an image or a video, by its content
    sources.py       where the footage of each video is, and whether its labels fit it
    folder.py        the dataset folder: footage and labels, joined and checked
    cardcut.py       the published layout of cardcut_cnn, read as if it were a dataset folder
    layouts.py       whichever of the two it is

Adding a new layout: write a function `read_x(root, *, on_error) -> DatasetFolder` that checks every label with
`cardpose.data.labels.validate.check_annotation`, as in cardcut.py; add a file in conf/data/ that names it.
"""
