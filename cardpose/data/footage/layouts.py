"""Reads footage in either layout."""

from pathlib import Path

from cardpose.common.errors import ErrorHandler, raise_error
from cardpose.data.footage.cardcut import TABLE, read_cardcut
from cardpose.data.footage.folder import DatasetFolder


def read_any(
    root: str | Path, *, on_error: ErrorHandler = raise_error, unlabelled: bool = False
) -> DatasetFolder:
    """Read the published layout if `root` contains its table, otherwise a dataset folder.

    Args:
        on_error: called with each fault; what is faulty is skipped.
        unlabelled: accept a dataset folder without labels.

    Raises:
        InputError: see `read_cardcut` and `DatasetFolder.read`.
    """
    if (Path(root) / TABLE).is_file():
        return read_cardcut(root, on_error=on_error)
    return DatasetFolder.read(root, on_error=on_error, unlabelled=unlabelled)
