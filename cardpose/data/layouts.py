"""Footage in whichever layout it lies."""

from pathlib import Path

from cardpose.data.cardcut import TABLE, read_cardcut
from cardpose.data.folder import DatasetFolder


def read_any(root: str | Path) -> DatasetFolder:
    """Open the published layout where its table lies in `root`, a dataset folder otherwise.

    Raises:
        InputError: see `read_cardcut` and `DatasetFolder.read`.
    """
    return read_cardcut(root) if (Path(root) / TABLE).is_file() else DatasetFolder.read(root)
