"""A run's folder as those see it who start runs: is it finished, and what starts it or goes on with it."""

import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from cardpose.common.hydra_words import path_override

COST = "cost.json"
"""In a run folder: seconds of training and parameters of the network."""


def is_finished(run: Path) -> bool:
    """Whether a run has written all that it writes; metrics.json is the last of it."""
    return (run / "metrics.json").is_file()


def last_checkpoint(run: Path) -> Path | None:
    """The checkpoint from which an interrupted run goes on; None where there is none, or half of one."""
    last = run / "checkpoints" / "last.ckpt"
    return last if zipfile.is_zipfile(last) else None


def train_command(run: Path, overrides: Sequence[str]) -> list[str]:
    """What trains in the folder `run`: from its last checkpoint where it has one, else as `overrides` say."""
    last = last_checkpoint(run)
    if last is not None:
        arguments = [path_override("resume", last)]
    else:
        arguments = [*overrides, path_override("hydra.run.dir", run)]
    return [sys.executable, "-m", "cardpose.train", *arguments]


def remove_half(run: Path) -> None:
    """Remove what a run wrote that ended before its first checkpoint; a folder of anything else stays."""
    if (run / ".hydra" / "overrides.yaml").is_file():
        shutil.rmtree(run)
