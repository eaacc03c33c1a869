"""TensorBoard's HParams tab: what a run was told, against its scores and its cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from cardpose.evaluation.report.tables import flatten_config
from cardpose.training.callbacks.pictures import tensorboards


def tag_of(key: str) -> str:
    """Under which tag the tab has a score; the best checkpoint's val/... is apart from the epochs' curve.

    >>> tag_of("val/card_mae"), tag_of("test/card_mae")
    ('best_val/card_mae', 'test/card_mae')
    """
    return f"best_{key}" if key.startswith("val/") else key


def log_hyperparameters(
    trainer: Trainer, settings: Mapping[str, Any], metrics: Mapping[str, float], cost: Mapping[str, float]
) -> None:
    """Fill the tab.

    Args:
        trainer: its TensorBoard loggers are written to.
        settings: what the run was told, see `settings_of`.
        metrics: as in metrics.json.
        cost: as in cost.json.
    """
    scores = {tag_of(key): value for key, value in metrics.items()}
    scores |= {f"cost/{key}": value for key, value in cost.items()}
    for logger in tensorboards(trainer):
        logger.log_hyperparams(dict(settings), scores)
        logger.save()


def settings_of(config: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """Every key of a run, and the file of each group in conf/, as Hydra notes it in the run folder."""
    note = run / ".hydra" / "hydra.yaml"
    choices = OmegaConf.load(note).hydra.runtime.choices if note.is_file() else {}
    groups = {group: str(choice) for group, choice in choices.items() if "/" not in group}
    return flatten_config(config) | groups
