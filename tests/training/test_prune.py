"""Trials of a search that are hopeless end early."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cardpose.common.errors import Pruned
from cardpose.training.callbacks.prune import STUDY, PruneTrial, open_storage

optuna = pytest.importorskip("optuna", reason='needs the extra: pip install -e ".[sweep]"')


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A search with three finished trials, whose objective was 5, 4 and 3 after their epochs, and one begun."""
    path = str(tmp_path / "search.journal")
    study = optuna.create_study(study_name=STUDY, storage=open_storage(path))
    for _ in range(3):
        trial = study.ask()
        for epoch, value in enumerate((5.0, 4.0, 3.0)):
            trial.report(value, epoch)
        study.tell(trial, 3.0)
    study.ask()
    return path


def report(callback: PruneTrial, epoch: int, value: float) -> None:
    """The end of an epoch's validation."""
    metrics = {"val/card_mae": torch.tensor(value)}
    trainer = SimpleNamespace(callback_metrics=metrics, current_epoch=epoch, sanity_checking=False)
    callback.on_validation_end(trainer, SimpleNamespace())  # type: ignore[arg-type]


def prune_trial(storage: str) -> PruneTrial:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=1)
    return PruneTrial(storage, number=3, monitor="val/card_mae", pruner=pruner)


def test_a_hopeless_trial_ends_and_its_epochs_are_kept(storage: str) -> None:
    callback = prune_trial(storage)
    report(callback, 0, 50.0)  # within the warm-up
    with pytest.raises(Pruned, match=r"^after epoch 2: val/card_mae 40$"):
        report(callback, 1, 40.0)
    trial = optuna.load_study(study_name=STUDY, storage=open_storage(storage)).trials[3]
    assert trial.intermediate_values == {0: 50.0, 1: 40.0}


def test_a_good_trial_continues(storage: str) -> None:
    callback = prune_trial(storage)
    for epoch, value in enumerate((4.0, 3.0, 2.0)):
        report(callback, epoch, value)
    report(callback, 3, math.inf)  # none of the others got so far


def test_a_storage_that_does_not_answer_ends_no_training(
    storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    callback = prune_trial(storage.replace("search.journal", "none/search.journal"))
    report(callback, 2, 99.0)
    assert "epoch 3 was not reported to the search" in caplog.text
