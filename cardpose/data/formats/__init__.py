"""Labels of other tools, read and written.

::

    records.py        a label as another tool's file contains it, and what a format can store
    names.py          from the name of an image to its video and frame, and back
    unpacking.py      zips, and files of another kind than the format
    importing.py      labels and their images as a dataset folder
    merging.py        labels into an existing dataset folder
    exporting.py      frames and labels of a dataset folder in the layout of a tool
    converting.py     these three by the names of the formats: what `cardpose convert` runs
    coco.py           COCO keypoints of any tool
    cvat.py           CVAT for images and for video 1.1 (XML), CVAT's COCO keypoints
    label_studio.py   JSON with keypointlabels
    deeplabcut.py     CollectedData_<scorer>.csv
    sleap.py          .slp, through sleap-io
    cardpoints.py     the table of cardcut_cnn
    known.py          all formats by name

Coordinates in the files are the tool's, in memory cardpose's: an integer is the centre of a pixel. CVAT and Label
Studio count from the outer edge of the first pixel, half a pixel away.

Adding a new format: write a module with `read(path) -> Labels` and `write(folder, shots)`, and add an entry to known.py
that describes what the format can store.
"""
