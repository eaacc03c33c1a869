"""The runs of a cross-validation: one `cardpose.train` for each fold, in a folder and a process of its own.

So a fold that fails does not end the others, and its run folder is an ordinary one.
"""

import logging
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.hydra_entry import plain, run_folder
from cardpose.common.hydra_words import path_override
from cardpose.common.json_files import read_json, read_yaml
from cardpose.common.subprocesses import INTERRUPTED, call
from cardpose.data.datamodule import CardDataModule
from cardpose.data.splits import Split
from cardpose.evaluation.report.tables import check_begun
from cardpose.models.migrations import migrate
from cardpose.training import build
from cardpose.training.run_folder import is_finished, train_command

NOTE = "crossval.yaml"
"""File in the folder of the folds: the configuration with which they were begun."""
LOCK = ".crossval.lock"
"""File there, locked by the command that runs the folds, and by a training that outlives it."""

log = logging.getLogger(__name__)


def check(cfg: DictConfig, overrides: Sequence[str]) -> tuple[CardDataModule, list[Split]]:
    """Check before the first fold what every fold would refuse.

    Returns:
        The data, with its frames cached, and the split of each fold.

    Raises:
        InputError: invalid configuration or footage.
    """
    if any(override.startswith("split.fold=") for override in overrides):
        raise InputError("cardpose.crossval runs every split.fold: leave split.fold out")
    for key in ("resume", "resume_sweep"):
        if cfg[key]:
            raise InputError(f"{key} is for cardpose.train: continue with dir=<the folder of the folds>")
    if "folds" not in (cfg.split or {}):
        raise InputError("split has no folds: choose split=by_video")
    if not isinstance(cfg.split.folds, int) or cfg.split.folds < 2:
        raise InputError(f"split.folds={cfg.split.folds}: choose a whole number from 2")
    if cfg.data.get("test") is not None:
        raise InputError("data.test is the same footage in every fold: leave it out, or use cardpose.train")
    config = build.adopt_architecture(plain(cfg), overrides)
    build.check(config)
    _, data = build.build_start(config)
    of_fold = ({**config["data"], "split": {**config["split"], "fold": i}} for i in range(cfg.split.folds))
    splits = [build.build_split(settings, data)(data.annotations) for settings in of_fold]
    build.prepare_data(data, 1)
    return data, splits


def open_folder(cfg: DictConfig, splits: Sequence[Split]) -> Path:
    """The folder of the folds: a new one, or `cfg.dir` if its folds have this configuration and these splits.

    Raises:
        InputError: `cfg.dir` holds something else.
    """
    config = {key: value for key, value in plain(cfg).items() if key != "dir"}
    if cfg.dir is None:
        now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        folder = Path(run_folder(None, f"{cfg.name}_folds", now)).absolute()
    else:
        folder = Path(cfg.dir).absolute()
    if (folder / NOTE).is_file():
        _check_same(folder, config, splits)
        return folder
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"dir={cfg.dir}: holds something else than folds of cardpose.crossval: choose a new folder, or "
            "leave dir out"
        )
    with replace_file(folder / NOTE) as temporary:
        OmegaConf.save(config, temporary)
    return folder


def _check_same(folder: Path, config: dict[str, Any], splits: Sequence[Split]) -> None:
    begun = OmegaConf.to_container(read_yaml(folder / NOTE, DictConfig))
    check_begun(f"dir={folder}", migrate(begun), migrate(config), "leave dir out")  # type: ignore[arg-type]
    for fold, split in enumerate(splits):
        saved = fold_folder(folder, fold) / "split.json"
        if saved.is_file() and read_json(saved, "restore it") != split.to_dict():
            raise InputError(
                f"{saved}: names other frames than the footage has now: restore the footage, or leave dir out"
            )


def fold_folder(folder: Path, fold: int) -> Path:
    """The run folder of a fold."""
    return folder / f"fold_{fold}"


def run_folds(folder: Path, folds: int, overrides: Sequence[str], lock: int) -> dict[int, int]:
    """Train and test the unfinished folds, one after another.

    Args:
        lock: file descriptor that a training inherits, see `locks.wait_for`.

    Returns:
        The exit code of each fold that failed.

    Raises:
        SystemExit: Ctrl-C, after the running fold has saved its checkpoint.
    """
    failed = {}
    for fold in range(folds):
        run = fold_folder(folder, fold)
        if is_finished(run):
            log.info("fold %d of %d is finished: %s", fold, folds, run)
            continue
        log.info("fold %d of %d: %s", fold, folds, run)
        code, interrupted = call(command(run, fold, overrides), pass_fds=(lock,))
        if interrupted:
            log.warning("Interrupted. To continue: %s", in_shell(folder, overrides))
            raise SystemExit(INTERRUPTED)
        if code:
            log.error("fold %d failed with exit code %d, see above: %s", fold, code, run)
            failed[fold] = code
    if failed:
        log.error(
            "Failed: fold %s. To try again: %s", ", ".join(map(str, failed)), in_shell(folder, overrides)
        )
    return failed


def command(run: Path, fold: int, overrides: Sequence[str]) -> list[str]:
    """The command that trains a fold in the folder `run`, from its last checkpoint if it has one."""
    return train_command(run, [*_of_train(overrides), f"split.fold={fold}"])


def in_shell(folder: Path, overrides: Sequence[str]) -> str:
    """The command that continues the folds in `folder`."""
    words = ["python", "-m", "cardpose.crossval", *_of_train(overrides), path_override("dir", folder)]
    return shlex.join(words)


def _of_train(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if not override.startswith("dir=")]
