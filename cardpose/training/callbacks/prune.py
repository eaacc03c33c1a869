"""A trial of a search that cannot become the best one ends early."""

import logging
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cardpose.common.errors import Pruned, first_line

STUDY = "search"
"""Name of a search in its storage."""

log = logging.getLogger(__name__)


def open_storage(url: str, timeout: float) -> Any:
    """Optuna's storage; other processes that write to it are waited for `timeout` seconds."""
    import optuna

    arguments = {"timeout": timeout} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": arguments})


class PruneTrial(Callback):
    """Tell the search the objective after every epoch, and stop where its pruner says so.

    Args:
        storage: of the search, as SQLAlchemy names it.
        timeout: seconds to wait for it.
        number: of the trial.
        monitor: the logged objective.
        pruner: of Optuna, which says when to stop.

    Raises:
        Pruned: from the training, where the trial is to stop.
    """

    def __init__(self, storage: str, timeout: float, number: int, monitor: str, pruner: Any) -> None:
        self.storage, self.timeout, self.number = storage, timeout, number
        self.monitor, self.pruner = monitor, pruner
        self._trial: Any = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or value is None:
            return
        if self._hopeless(float(value), trainer.current_epoch):
            raise Pruned(f"after epoch {trainer.current_epoch + 1}: {self.monitor} {float(value):.4g}")

    def _hopeless(self, value: float, epoch: int) -> bool:
        try:
            if self._trial is None:
                self._trial = self._open()
            self._trial.report(value, epoch)
            return self._trial.should_prune()
        except Exception as error:  # whatever the storage answers, the training is worth more than the report
            log.warning("the search was not told of epoch %d: %s", epoch + 1, first_line(error))
            return False

    def _open(self) -> Any:
        import optuna

        study = optuna.load_study(STUDY, open_storage(self.storage, self.timeout), pruner=self.pruner)
        trial = study.get_trials(deepcopy=False)[self.number]
        return optuna.trial.Trial(study, trial._trial_id)
