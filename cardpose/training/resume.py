"""Resuming an interrupted run: its own configuration, split and state, also where its folder was moved."""

import logging
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO

from cardpose.common.errors import InputError
from cardpose.common.hydra_words import path_override
from cardpose.common.packet import Annotation
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.data.splits import Split, explicit
from cardpose.models import checkpoints

log = logging.getLogger(__name__)

OF_A_TRAINING = (
    *("callbacks", "count_head", "data", "fusion", "heatmap", "logger", "loss", "model", "name", "optim"),
    *("paths", "scheduler", "seed", "split", "trainer"),
)
"""Keys without which a training cannot be continued."""


class RunCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, whole or absent, and read as `checkpoints.read` reads them.

    Lightning itself writes to TMPDIR and moves the file. Across file systems that is a copy over the last good one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint, see `checkpoints.write`; never one of a training that diverged.

        Raises:
            InputError: weights are not finite, the disk is full, or the folder may not be written to.
        """
        try:
            for part in ("state_dict", "current_model_state"):  # the average of the weights, and the weights
                checkpoints.check_finite(checkpoint.get(part) or {})
        except InputError as error:
            raise InputError(f"{path}: not written, what was there before stays: {error}") from None
        checkpoints.write(checkpoint, path)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint of any version onto the CPU; its paths are those of the folder that it lies in."""
        return _relocated(checkpoints.read(path), Path(path))


def resumed_config(last: str | Path, others: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration of the run that a checkpoint lies in.

    Args:
        last: the checkpoint, <run>/checkpoints/<file>.
        others: other overrides of the command line.

    Raises:
        InputError: there are other overrides, or the checkpoint cannot be read or lies in no run folder.
    """
    if others:
        raise InputError(
            f"resume continues the run as it was configured: leave out {' '.join(others)}, or start a new run from "
            "its weights with init_from=<checkpoint>"
        )
    checkpoint = checkpoints.read(last)
    if Path(last).absolute().parent.name != "checkpoints":
        raise InputError(f"{last}: lies in no run folder: choose outputs/<run>/checkpoints/last.ckpt")
    config = _relocated(checkpoint, Path(last))[checkpoints.KEY]["config"]
    if missing := [key for key in OF_A_TRAINING if key not in config]:
        fresh = path_override("init_from", Path(last))
        raise InputError(f"{last}: its configuration has no {missing[0]}: start a new run with {fresh}")
    return {**config, "resume": str(last)}


def own_split(last: str | Path) -> Callable[[Sequence[Annotation]], Split]:
    """The split of the run that a checkpoint is of."""
    return partial(explicit, subsets=checkpoints.read(last)[checkpoints.KEY]["split"], name=str(last))


def _relocated(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """The checkpoint with the paths of its run folder as they are now."""
    run = path.absolute().parent.parent
    before = (checkpoint[checkpoints.KEY]["config"].get("paths") or {}).get("run")
    if not isinstance(before, str) or Path(before).resolve() == run.resolve():
        return checkpoint
    for key in ("callbacks", checkpoints.KEY):
        checkpoint[key] = _replace_folder(checkpoint.get(key, {}), before, str(run))
    return checkpoint


def _replace_folder(node: Any, old: str, new: str) -> Any:
    """Replace a folder in every path in nested plain containers, keys included.

    >>> _replace_folder({"best": "/a/run/best.ckpt", "other": ["/a/runs"]}, "/a/run", "/b")
    {'best': '/b/best.ckpt', 'other': ['/a/runs']}
    """
    if isinstance(node, dict):
        return {
            _replace_folder(key, old, new): _replace_folder(value, old, new) for key, value in node.items()
        }
    if isinstance(node, list):
        return [_replace_folder(value, old, new) for value in node]
    if isinstance(node, str) and (node == old or node.startswith(f"{old}/")):
        return new + node.removeprefix(old)
    return node


@contextmanager
def interrupt_hint(last: Path) -> Iterator[None]:
    """After Ctrl-C, on which Lightning ends the process, log the command that resumes from `last`.

    Raises:
        SystemExit: with the exit code of an interruption.
    """
    try:
        yield
    except SystemExit:
        if last.is_file():
            log.warning("Interrupted. To resume: python -m cardpose.train %s", resume_argument(last))
        else:
            log.warning("Interrupted before anything was saved")
        raise SystemExit(INTERRUPTED) from None


def resume_argument(last: Path) -> str:
    """`resume=<path>` as shell and Hydra both read it.

    >>> resume_argument(Path("outputs/a/checkpoints/last.ckpt"))
    'resume=outputs/a/checkpoints/last.ckpt'
    >>> print(resume_argument(Path("a=1,b/last.ckpt")))
    'resume="a=1,b/last.ckpt"'
    """
    return shlex.quote(path_override("resume", last))
