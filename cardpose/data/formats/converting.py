"""From one layout or format to another: what `cardpose convert` runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.progress import ProgressBar
from cardpose.data.footage.cardcut import read_cardcut
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.exporting import export, losses, num_frames
from cardpose.data.formats.importing import as_folder, gaps, labels_of, naming_notes
from cardpose.data.formats.known import FORMATS
from cardpose.data.formats.merging import Merged, merge
from cardpose.data.formats.records import Hidden, Labels
from cardpose.data.formats.unpacking import check_kind, unpacked

FOLDER = "folder"
NAMES = (FOLDER, *FORMATS)

log = logging.getLogger(__name__)


def convert(layout: str, root: str | Path, out: str | Path) -> DatasetFolder:
    """Read `root` in one of the layouts `NAMES`, write the dataset folder `out`, and read that back.

    `out` is written completely or not at all; nothing is written to `root`.

    Raises:
        InputError: an unknown layout, invalid input, or an `out` that exists and is not empty.
    """
    _check("from", layout)
    _check_apart(root, "out", out)
    with _read(layout, Path(root), unlabelled=False) as folder:
        folder.copy(out)
    return DatasetFolder.read(out)


def export_to(tool: str, layout: str, root: str | Path, out: str | Path) -> int:
    """Read `root` and write labels and frames to the folder `out` for another tool; returns the number of frames.

    Logs what the tool's format cannot store. `out` is written completely or not at all.

    Raises:
        InputError: an unknown layout or tool, invalid input, or an `out` that exists and is not empty.
    """
    _check("from", layout)
    _check("to", tool)
    _check_apart(root, "out", out)
    with _read(layout, Path(root), unlabelled=True) as folder:
        _log(tool, losses(folder, FORMATS[tool]))
        total = num_frames(folder)
        with ProgressBar("writing", total) as bar:
            export(folder, out, FORMATS[tool], bar.advance)
    return total


def put_into(layout: str, root: str | Path, into: str | Path) -> Merged:
    """Put the labels of `root` into the dataset folder `into`; its other labels and its footage stay.

    The previous tables are kept beside the new ones, as annotations.json.bak and so on.

    Raises:
        InputError: an unknown layout or invalid input; the folder is then unchanged.
    """
    _check("from", layout)
    folder = DatasetFolder.read(into, unlabelled=True)
    if layout == FOLDER:
        return merge(labels_of(DatasetFolder.read(root)), folder, Hidden.KEPT)
    with unpacked(Path(root)) as (path, _):
        return merge(_labels(layout, path, into=True), folder, FORMATS[layout].hidden)


@contextmanager
def _read(layout: str, root: Path, unlabelled: bool) -> Iterator[DatasetFolder]:
    """Footage and labels, which may be removed at the end; logs what the layout does not store."""
    with unpacked(root) as (path, scratch):
        if layout == FOLDER:
            yield DatasetFolder.read(path, unlabelled=unlabelled)
        elif layout == "cardcut":
            yield read_cardcut(path)
        else:
            labels = _labels(layout, path, into=False)
            _log(layout, naming_notes(labels))
            if labels.extract:
                labels.extract(scratch)
                labels = replace(labels, base=scratch)
            yield as_folder(labels)


def _labels(layout: str, root: Path, into: bool) -> Labels:
    check_kind(layout, root)
    labels = FORMATS[layout].read(root)
    if not labels.labels:
        reasons = f" ({'; '.join(labels.notes)})" if labels.notes else ""
        raise InputError(f"{root}: holds no label{reasons}: label some frames first")
    _log(layout, [*labels.notes, *gaps(labels, FORMATS[layout], into)])
    return labels


def _log(layout: str, lines: list[str]) -> None:
    for line in lines:
        log.warning("%s: %s", layout, line)


def _check(key: str, name: str) -> None:
    if name not in NAMES:
        raise InputError(f"--{key} {name}: no such format: choose {', '.join(NAMES)}")


def _check_apart(root: str | Path, key: str, out: str | Path) -> None:
    if Path(out).resolve().is_relative_to(Path(root).resolve()):
        raise InputError(f"--{key} {out}: lies in {root}: choose a folder outside it")
