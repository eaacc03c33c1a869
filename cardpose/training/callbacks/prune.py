"""Stops a trial of a search that cannot become the best one."""

import logging
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cardpose.common.errors import Pruned, first_line

STUDY = "search"
"""Name of a search in its storage."""

log = logging.getLogger(__name__)


def open_storage(path: str) -> Any:
    """Optuna's storage in a file of its own, which several processes and machines may write to.

    Args:
        path: of the file; its folder exists.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(path))


class PruneTrial(Callback):
    """Reports the objective to the search after every epoch, and stops when its pruner decides so.

    Args:
        storage: file of the search.
        monitor: logged key of the objective.

    Raises:
        Pruned: inside the training, when the trial has to stop.
    """

    def __init__(self, storage: str, number: int, monitor: str, pruner: Any) -> None:
        self.storage, self.number = storage, number
        self.monitor, self.pruner = monitor, pruner
        self._trial: Any = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or value is None:
            return
        if self._should_prune(float(value), trainer.current_epoch):
            raise Pruned(f"after epoch {trainer.current_epoch + 1}: {self.monitor} {float(value):.4g}")

    def _should_prune(self, value: float, epoch: int) -> bool:
        try:
            if self._trial is None:
                self._trial = self._open()
            self._trial.report(value, epoch)
            return self._trial.should_prune()
        except Exception as error:  # of any kind: the training is worth more than the report
            log.warning("epoch %d was not reported to the search: %s", epoch + 1, first_line(error))
            return False

    def _open(self) -> Any:
        import optuna

        storage = open_storage(self.storage)
        study = optuna.load_study(study_name=STUDY, storage=storage, pruner=self.pruner)
        number = storage.get_trial_id_from_study_id_trial_number(
            storage.get_study_id_from_name(STUDY), self.number
        )
        return optuna.trial.Trial(study, number)
