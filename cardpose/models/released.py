"""Which file a model's name on the command line means, and the models that are released with cardpose.

The folder cardpose/zoo holds the released models, each as a checkpoint and as an ONNX file, with weights of half
precision; docs/models.md describes the training and the scores of each.
"""

from difflib import get_close_matches
from pathlib import Path

from cardpose.common.errors import InputError

BEST = Path("checkpoints") / "best.ckpt"
"""The checkpoint of a run folder."""

EXPORTED = (".onnx", ".pt2")
"""Suffixes of exported files."""

ZOO = Path(__file__).parent.parent / "zoo"
RELEASED = {
    "packet": "the most accurate: EfficientNet-Lite0",
    "packet-fast": "for a phone: the small UNet",
}
"""Name of a released model -> what it is."""

DEFAULT = "packet"
"""The released model that is used where none is named."""


def find_model(name: str | Path, exported: bool = False) -> Path:
    """The file of a model: a released one, a checkpoint, an exported file, or the best checkpoint of a run folder.

    Args:
        name: a path, or the name of a released model; "" is the default one. A path in the current folder that is
            named like a released model is written with "./" before it.
        exported: of a released model its ONNX file, which predicts on the CPU without torch, not its checkpoint.

    Raises:
        InputError: there is no such file, or the folder holds no best checkpoint.
    """
    if str(name or DEFAULT) in RELEASED:
        return ZOO / f"{name or DEFAULT}{'.onnx' if exported else '.ckpt'}"
    path = Path(name)
    if path.is_dir():
        if not (path / BEST).is_file():
            raise InputError(f"{path}: has no {BEST}: choose the folder of a finished training run")
        return path / BEST
    if not path.is_file():
        near = get_close_matches(path.name, [item.name for item in _siblings(path)], n=3)
        raise InputError(
            f"{path}: no such file: choose a checkpoint, an exported file, a run folder or {' or '.join(RELEASED)}"
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
