"""A resumed training equals one without interruption, bit for bit on the CPU."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig, open_dict
from same_state import same

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import hydra_folder, run_folder
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.models import checkpoints
from cardpose.train import train
from cardpose.training.resume import resumed_config

Compose = Callable[..., DictConfig]

CHANGING = ("augment=strong", "trainer.max_epochs=3", "model.head.dropout=0.5")


class Interrupt(Callback):
    """Press Ctrl-C in the middle of batch `batch` of epoch `epoch`, `times` times."""

    def __init__(self, epoch: int, batch: int, times: int = 1) -> None:
        self.epoch, self.batch, self.times = epoch, batch, times

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def interrupt_is_allowed(allow_target: Callable[[str], str]) -> None:
    """The configurations here name `Interrupt`."""
    allow_target(f"{__name__}.Interrupt")


def interrupted(cfg: DictConfig, folder: Path, epoch: int, batch: int, times: int = 1) -> Any:
    """Train until Ctrl-C; the exit code."""
    with open_dict(cfg):
        first = {"_target_": f"{__name__}.Interrupt", "epoch": epoch, "batch": batch, "times": times}
        cfg.callbacks = {"ctrl_c": first, **cfg.callbacks}
    with pytest.raises(SystemExit) as stop:
        train(cfg, folder)
    return stop.value.code


def resume(compose: Compose, folder: Path, *overrides: str) -> dict[str, float]:
    """Go on as `cardpose.train` does, without the callback that interrupted."""
    last = folder / "checkpoints" / "last.ckpt"
    cfg = compose(folder, *CHANGING, *overrides)
    with open_dict(cfg):
        cfg.resume = str(last)
    return train(cfg, folder)


@pytest.fixture(scope="module")
def whole(compose_train: Compose, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A training without interruption."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, train(compose_train(folder, *CHANGING), folder)


@pytest.mark.parametrize(
    ("epoch", "batch", "workers"),
    [(0, 0, 0), (1, 2, 0), (1, 2, 1), (1, -1, 0)],
    ids=["at the first batch", "in mid-epoch", "in mid-epoch with a worker", "at an epoch's last batch"],
)
def test_resume_equals_no_interruption(
    whole: tuple[Path, dict[str, float]],
    compose_train: Compose,
    tmp_path: Path,
    epoch: int,
    batch: int,
    workers: int,
) -> None:
    last_batch = 4  # about 20 frames train, in batches of 4
    folder, overrides = tmp_path / "run", (f"data.num_workers={workers}",)
    cfg = compose_train(folder, *CHANGING, *overrides)
    assert interrupted(cfg, folder, epoch, last_batch if batch < 0 else batch) == INTERRUPTED
    metrics = resume(compose_train, folder, *overrides)
    uninterrupted, expected = whole
    own = checkpoints.read(folder / "checkpoints" / "last.ckpt")
    other = checkpoints.read(uninterrupted / "checkpoints" / "last.ckpt")
    for part in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers"):
        assert same(own[part], other[part]), part
    assert metrics == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


def test_ctrl_c_shows_how_to_continue(
    compose_train: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    interrupted(compose_train(folder), folder, epoch=0, batch=1)
    assert f"python -m cardpose.train resume={folder}/checkpoints/last.ckpt" in caplog.text
    assert checkpoints.read(folder / "checkpoints" / "last.ckpt")["global_step"] == 2


def test_a_second_ctrl_c_stops_at_once(
    compose_train: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    assert interrupted(compose_train(folder), folder, epoch=0, batch=1, times=2) == INTERRUPTED
    assert not (folder / "checkpoints" / "last.ckpt").exists()
    assert "before anything was saved" in caplog.text


def test_ctrl_c_works_as_before_once_training_is_over(finished_run: Path) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_resume_takes_the_runs_own_configuration(finished_run: Path) -> None:
    last = finished_run / "checkpoints" / "last.ckpt"
    assert resumed_config(last)["data"]["size"] == [32, 64]
    assert resumed_config(last)["resume"] == str(last)


def test_resume_with_another_override_is_refused(finished_run: Path) -> None:
    last = finished_run / "checkpoints" / "last.ckpt"
    with pytest.raises(InputError, match=r"leave out .*seed=3"):
        resumed_config(last, ["seed=3"])


def test_a_moved_run_is_resumed_in_its_new_place(
    compose_train: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = tmp_path / "before", tmp_path / "elsewhere" / "after"
    assert interrupted(compose_train(before, *CHANGING), before, epoch=1, batch=0) == INTERRUPTED
    after.parent.mkdir()
    before.rename(after)
    config = resumed_config(after / "checkpoints" / "last.ckpt")
    config["callbacks"].pop("ctrl_c")
    train(config, after)
    assert (after / "metrics.json").is_file()
    assert not before.exists()
    state = checkpoints.read(after / "checkpoints" / "last.ckpt")["callbacks"]
    assert str(before) not in str(state)
    assert str(after / "checkpoints" / "best.ckpt") in str(state)


def test_a_resumed_run_stays_in_its_folder_and_keeps_its_configuration(finished_run: Path) -> None:
    last = str(finished_run / "checkpoints" / "last.ckpt")
    assert run_folder(last, "name", "now") == str(finished_run)
    assert hydra_folder(last, "now") != hydra_folder(None, "now")


def test_two_runs_of_one_second_have_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [run_folder(None, "name", "now") for _ in range(3)]
    assert folders == ["outputs/name_now", "outputs/name_now_2", "outputs/name_now_3"]
    assert all(Path(folder).is_dir() for folder in folders)
