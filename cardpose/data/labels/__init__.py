"""The labels of a dataset folder.

::

    tables.py        videos.csv: the record `Video`, and a checked CSV reader
    coco.py          annotations.json
    validate.py      the rules that every label follows
    marks.py         the corners of a frame during labelling
    journal.py       changes that survive a crash
    label_tables.py  all three files together in memory, read without writing
    store.py         the same, opened for changes by one process: `cardpose label`, `subsample` and `convert --into`

Adding a column to videos.csv needs no code: unknown columns are kept in `Video.extra`.
"""
