"""What may be wrong with a dataset folder, beyond what its readers refuse.

::

    findings.py   one suspicion, and the table of all
    boxes.py      labels that make no box, and the corner or the swap that would mend it
    labels.py     names against places, corners on one place, copied labels
    footage.py    the same picture twice, near-identical frames on different sides of a split, rotated videos
    page.py       the page that shows the suspicious frames

Nothing here changes a label: a person decides. Adding a new check: a function that returns findings, called by
`cardpose.check`.
"""
