"""Which file a model's name on the command line means."""

from difflib import get_close_matches
from pathlib import Path

from cardpose.common.errors import InputError

BEST = Path("checkpoints") / "best.ckpt"
"""The checkpoint of a run folder."""

EXPORTED = (".onnx", ".pt2")
"""Suffixes of exported files."""


def find_model(name: str | Path) -> Path:
    """The file of a model: a checkpoint, an exported file, or the best checkpoint of a run folder.

    Raises:
        InputError: no name is given, there is no such file, or the folder holds no best checkpoint.
    """
    if not str(name):
        raise InputError("no model is given: add --model with a checkpoint, an exported file or a run folder")
    path = Path(name)
    if path.is_dir():
        if not (path / BEST).is_file():
            raise InputError(f"{path}: has no {BEST}: choose the folder of a finished training run")
        return path / BEST
    if not path.is_file():
        near = get_close_matches(path.name, [item.name for item in _siblings(path)], n=3)
        raise InputError(
            f"{path}: no such file: choose a checkpoint, an exported file or a run folder"
            + (f"; {path.parent} has {', '.join(near)}" if near else "")
        )
    return path


def find_checkpoint(name: str | Path) -> Path:
    """The file of a model that has to be a checkpoint.

    Raises:
        InputError: as `find_model`, or the file is an exported one.
    """
    path = find_model(name)
    if path.suffix.lower() in EXPORTED:
        raise InputError(
            f"{path}: is an exported file: choose the checkpoint or the run folder that it was made of"
        )
    return path


def _siblings(path: Path) -> list[Path]:
    try:
        return list(path.parent.iterdir())
    except OSError:
        return []
