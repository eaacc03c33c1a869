"""Labels of other tools, read and written: what `cardpose.convert` knows beside the dataset folder.

::

    records.py        a label as another tool's file holds it, and what a format can hold
    names.py          from the name of an image to its video and frame, and back
    importing.py      labels with their images as a dataset folder
    merging.py        labels into a dataset folder that there is
    exporting.py      frames and labels of a dataset folder, laid out for a tool
    coco.py           COCO keypoints, any tool's
    cvat.py           CVAT for images 1.1 (XML) and CVAT's COCO keypoints
    label_studio.py   JSON with keypointlabels
    deeplabcut.py     CollectedData_<scorer>.csv
    sleap.py          .slp, through sleap-io
    cardpoints.py     the table of cardcut_cnn; its reader is `cardpose.data.footage.cardcut`
    known.py          all of them by name

Coordinates there are the tool's, here cardpose's: an integer is the centre of a pixel. CVAT and Label Studio count from
the outer edge of the first pixel, half a pixel away.

Adding a new format: a module with `read(path) -> Labels` and `write(folder, shots)`, and a line in known.py that says
what it can hold.
"""
