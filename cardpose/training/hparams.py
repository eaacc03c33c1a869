"""Hyperparameters of a finished run, for its loggers, beside the scores of its best checkpoint.

TensorBoard's HParams tab takes its columns from one run of the folder that it shows. So every run of a sweep names the
same columns: the keys that the sweep varies and `NAMED`. A single run names `KEYS`. Other loggers get every key.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from cardpose.common.renamed import rename
from cardpose.evaluation.report.tables import flatten_config
from cardpose.training.callbacks.best_scores import best_scores

KEYS = (
    *("model", "augment", "optim.lr", "trainer.max_epochs", "split.fold", "seed"),
    *("loss.heatmaps", "loss.cards", "loss.visibility"),
)
"""Columns of a single run: groups of conf/ and keys."""
SWEEP = "multirun.yaml"
"""In the folder above the runs of a sweep: how it was started, written by Hydra."""


def log_hyperparameters(
    trainer: Trainer, config: Mapping[str, Any], run: Path, metrics: Mapping[str, float]
) -> None:
    """Log the hyperparameters of a finished run with all loggers.

    Args:
        trainer: whose loggers are written to.
    """
    settings = settings_of(config, run)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            scores = best_scores(metrics)
            logger.log_hyperparams(hyperparameters(settings, run), scores, step=trainer.global_step)
        else:
            logger.log_hyperparams(settings)
        logger.save()


def settings_of(config: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """Every key of a configuration, and the choice of each group of conf/, as Hydra notes it in the run folder."""
    note = _read(run / ".hydra" / "hydra.yaml")
    choices = note["hydra"]["runtime"]["choices"] if note else {}
    return flatten_config(config) | {
        rename(group): str(name) for group, name in choices.items() if "/" not in group
    }


def hyperparameters(settings: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """The columns of a run in the HParams tab: what its sweep varies, else `KEYS`.

    Args:
        settings: of `settings_of`.
    """
    sweep = _read(run.parent / SWEEP)
    if not sweep:
        return {key: settings[key] for key in KEYS if key in settings}
    # A word that differs from all words of the sweep's command line is one value of a key that it varies.
    own, given = _read(run / ".hydra" / "overrides.yaml") or [], sweep["hydra"]["overrides"]["task"]
    words = set(map(rename, own)) - set(map(rename, given))
    varied = dict(word.lstrip("+").partition("=")[::2] for word in sorted(words))
    return {key: settings.get(key, value) for key, value in varied.items()}


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
