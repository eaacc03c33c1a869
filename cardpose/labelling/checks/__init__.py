"""Checks of a dataset folder for faults that its readers accept; nothing here changes a label.

::

    checking.py   runs all checks and writes page and table (`cardpose check`)
    findings.py   a finding, and the table of all
    boxes.py      labels that no box fits, and the corner or the swap of names that explains it; the label page asks too
    labels.py     names that contradict positions, coinciding corners, copied labels
    footage.py    duplicate pictures, near-duplicates across a split, rotated videos, missing counts
    page.py       the HTML page with the suspicious frames

Adding a new check: write a function that returns findings, call it in checking.py, and add its
kind to `findings.Kind` and `findings.MEANINGS`.
"""

MAX_RESIDUAL = 0.02
"""Largest RMS distance of labelled corners from their box, as a share of the longest distance between two of them. Ten
of 765 published labels exceed it, half of which are wrong (docs/label_errors.md); a corner displaced by a tenth of that
distance is detected in 9 frames of 10."""
