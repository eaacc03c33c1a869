"""Which file a model's name on the command line means."""

from pathlib import Path

from cardpose.common.errors import InputError

BEST = Path("checkpoints") / "best.ckpt"
"""The checkpoint of a run folder."""


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
        raise InputError(f"{path}: no such file: choose a checkpoint, an exported file or a run folder")
    return path
