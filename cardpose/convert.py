"""Labels and footage from one layout or tool to another. `python -m cardpose.convert --help` teaches.

python -m cardpose.convert from=cardcut root=../shared/cardcut/data out=footage/cardcut
"""

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import entry, forget_empty_run, require
from cardpose.common.progress import frame_bar
from cardpose.data.footage.cardcut import read_cardcut
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats import own
from cardpose.data.formats.exporting import export, losses, num_frames
from cardpose.data.formats.importing import as_folder, gaps
from cardpose.data.formats.known import FORMATS
from cardpose.data.formats.merging import Merged, merge, save
from cardpose.data.formats.records import Hidden

FOLDER = "folder"
NAMES = (FOLDER, *FORMATS)

log = logging.getLogger(__name__)


def convert(layout: str, root: str | Path, out: str | Path) -> DatasetFolder:
    """Read `root` in one of the `NAMES`' layouts, write the dataset folder `out`, and read that back.

    `out` is whole or not there at all; nothing is written to `root`.

    Raises:
        InputError: an unknown layout, bad input, or an `out` that exists and is not empty.
    """
    _check("from", layout)
    _check_apart(root, "out", out)
    _read(layout, Path(root), unlabelled=False).copy(out)
    return DatasetFolder.read(out)


def export_to(tool: str, layout: str, root: str | Path, out: str | Path) -> int:
    """Read `root`, and write labels and frames to the folder `out` for another tool; the number of frames.

    What the tool's format cannot hold is said. `out` is whole or not there at all.

    Raises:
        InputError: an unknown layout or tool, bad input, or an `out` that exists and is not empty.
    """
    _check("from", layout)
    _check("to", tool)
    _check_apart(root, "out", out)
    folder = _read(layout, Path(root), unlabelled=True)
    for line in losses(folder, FORMATS[tool]):
        log.warning("%s: %s", tool, line)
    total = num_frames(folder)
    with frame_bar("writing", total) as advance:
        export(folder, out, FORMATS[tool], lambda: advance(1))
    return total


def put_into(layout: str, root: str | Path, into: str | Path) -> Merged:
    """Put the labels of `root` into the dataset folder `into`; its other labels and its footage stay.

    The tables before are kept beside the new ones, as annotations.json.bak and so on.

    Raises:
        InputError: an unknown layout or bad input; the folder is then as it was.
    """
    _check("from", layout)
    folder = DatasetFolder.read(into, unlabelled=True)
    if layout == FOLDER:
        labels, hidden = own.read(Path(root)), Hidden.KEPT
    else:
        labels, hidden = FORMATS[layout].read(Path(root)), FORMATS[layout].hidden
    merged, summary = merge(labels, folder, hidden)
    _say(layout, list(labels.notes))
    if layout != FOLDER:
        _say(layout, gaps(labels, FORMATS[layout], into=True))
    save(merged, folder)
    return summary


def _read(layout: str, root: Path, unlabelled: bool) -> DatasetFolder:
    """Footage and labels; says what the layout could not hold."""
    if layout == FOLDER:
        return DatasetFolder.read(root, unlabelled=unlabelled)
    if layout == "cardcut":
        return read_cardcut(root)
    labels = FORMATS[layout].read(root)
    _say(layout, [*labels.notes, *gaps(labels, FORMATS[layout], into=False)])
    return as_folder(labels)


def _say(layout: str, lines: list[str]) -> None:
    for line in lines:
        log.warning("%s: %s", layout, line)


def _check(key: str, name: str) -> None:
    if name not in NAMES:
        raise InputError(f"{key}={name}: no such format: choose {', '.join(NAMES)}")


def _check_apart(root: str | Path, key: str, out: str | Path) -> None:
    if Path(out).resolve().is_relative_to(Path(root).resolve()):
        raise InputError(f"{key}={out}: lies in root={root}: choose a folder outside it")


@entry("convert")
def main(cfg: DictConfig) -> None:
    require(cfg, {"root": "<folder>"})
    if (cfg.out is None) == (cfg.into is None):
        raise InputError("give one of out=<new folder> and into=<dataset folder>")
    if cfg.into is not None:
        if cfg.to != FOLDER:
            raise InputError(f"into={cfg.into}: is for dataset folders: leave to={cfg.to} away, or give out=")
        log.info("%s: %s", cfg.into, put_into(cfg["from"], cfg.root, cfg.into))
    elif cfg.to == FOLDER:
        folder = convert(cfg["from"], cfg.root, cfg.out)
        log.info("%s: %d videos, %d labelled frames", cfg.out, len(folder.videos), len(folder.annotations))
    else:
        log.info("%s: %d frames", cfg.out, export_to(cfg.to, cfg["from"], cfg.root, cfg.out))
    print(cfg.into if cfg.out is None else cfg.out)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
