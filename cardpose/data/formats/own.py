"""A dataset folder's own labels, as if they were another tool's: what putting them into another folder takes."""

from pathlib import Path

import numpy as np

from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.names import flat_name
from cardpose.data.formats.records import Label, Labels


def read(path: Path) -> Labels:
    """The labels of a dataset folder.

    Raises:
        InputError: see `DatasetFolder.read`.
    """
    return labels_of(DatasetFolder.read(path))


def labels_of(folder: DatasetFolder) -> Labels:
    """The labels of footage that is already read."""
    labels = [
        Label(
            image=flat_name(a.video, a.frame_index, ".jpg"),
            where=f"{folder.root}: {a.video} frame {a.frame_index}",
            corners=a.corners.astype(np.float64),
            visibility=a.visibility,
            size=(a.width, a.height),
            cards=a.cards,
            video=a.video,
            frame_index=a.frame_index,
            timestamp=a.timestamp,
        )
        for a in folder.annotations
    ]
    return Labels(tuple(labels), folder.root)
