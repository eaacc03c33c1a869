"""Footage in whichever layout it lies."""

from pathlib import Path

from cardpose.common.errors import ErrorHandler, raise_error
from cardpose.data.footage.cardcut import TABLE, read_cardcut
from cardpose.data.footage.folder import DatasetFolder


def read_any(
    root: str | Path, *, complain: ErrorHandler = raise_error, unlabelled: bool = False
) -> DatasetFolder:
    """Open the published layout where its table lies in `root`, a dataset folder otherwise.

    Args:
        root: the folder.
        complain: takes what is faulty, which is left out.
        unlabelled: take a dataset folder without a label, too.

    Raises:
        InputError: see `read_cardcut` and `DatasetFolder.read`.
    """
    if (Path(root) / TABLE).is_file():
        return read_cardcut(root, complain=complain)
    return DatasetFolder.read(root, complain=complain, unlabelled=unlabelled)
