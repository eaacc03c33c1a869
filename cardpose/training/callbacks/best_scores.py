"""Scores of the best checkpoint so far, as curves."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

NAMED = ("val/card_mae", "val/card_mae_video", "val/corner_px_median", "val/visibility_f1")
"""Validation scores by which runs are compared; test scores are no basis for a choice."""


def best_scores(scores: Mapping[str, Any]) -> dict[str, float]:
    """`NAMED` as far as they are known, under the keys of their curves.

    >>> best_scores({"val/card_mae": 2.0, "val/loss": 0.5})
    {'val_best/card_mae': 2.0}
    """
    return {key.replace("val/", "val_best/"): float(scores[key]) for key in NAMED if key in scores}


class BestScores(Callback):
    """Log `val_best/...` after every validation: `NAMED` of the checkpoint that would be kept now.

    The last value of each curve is what TensorBoard's HParams tab shows.

    Args:
        monitor: logged key that decides which checkpoint is kept; lower is better.
    """

    def __init__(self, monitor: str = "val/loss") -> None:
        self.monitor = monitor
        self.best: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        scores = trainer.callback_metrics
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or self.monitor not in scores:
            return
        if not self.best or float(scores[self.monitor]) < self.best[self.monitor]:
            self.best = {self.monitor: float(scores[self.monitor]), **best_scores(scores)}
        curves = {key: value for key, value in self.best.items() if key != self.monitor}
        for logger in trainer.loggers:
            logger.log_metrics(curves, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return dict(self.best)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = dict(state)
