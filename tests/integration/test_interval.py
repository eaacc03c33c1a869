"""The interval is learned on held-out validation videos, travels with the checkpoint, and is reported."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, open_dict

from cardpose.calibrate import calibrate
from cardpose.common.errors import InputError
from cardpose.evaluate import evaluate
from cardpose.models import checkpoints, metadata
from cardpose.train import train

Compose = Callable[..., DictConfig]
EVERY_PEAK = "fusion.found=0"
"""Every peak is a corner: a network of two epochs finds none."""


@pytest.fixture
def run(compose_train: Compose, tmp_path: Path) -> Path:
    """The folder of a training with two validation videos."""
    folder = tmp_path / "run"
    train(compose_train(folder, "split.val_videos=2", "trainer.max_epochs=1", EVERY_PEAK), folder)
    return folder


def load_metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def test_a_run_calibrates_and_reports_its_interval(run: Path, tmp_path: Path, tiny_folder: Path) -> None:
    best = run / "checkpoints" / "best.ckpt"
    interval = metadata.interval(checkpoints.read(best)[checkpoints.KEY])
    assert interval is not None
    assert interval.videos == 2
    assert interval.floor > 0
    metrics = load_metrics(run)
    with (run / "test" / "videos.csv").open() as file:
        rows = list(csv.DictReader(file))
    held = [float(row["low"]) <= float(row["cards"]) <= float(row["high"]) for row in rows]
    width = [float(row["high"]) - float(row["low"]) for row in rows]
    assert metrics["test/interval_coverage"] == sum(held) / len(rows)
    assert metrics["test/interval_width"] == pytest.approx(sum(width) / len(rows))
    assert all(int(row["frames_used"]) > 0 for row in rows)

    evaluate([str(best)], out=tmp_path / "report")
    tested = {key: value for key, value in metrics.items() if key.startswith("test/")}
    assert load_metrics(tmp_path / "report") == tested

    own = calibrate(str(best), tiny_folder, ["videos/30.mp4"], tmp_path / "own.ckpt").path
    described = checkpoints.read(own)[checkpoints.KEY]
    fitted = described["calibration"]
    assert metadata.interval(described) == interval.rescaled(fitted["scale"], fitted["offset"])


def test_a_checkpoint_from_before_there_was_an_interval_has_none(run: Path, tmp_path: Path) -> None:
    checkpoint = checkpoints.read(run / "checkpoints" / "best.ckpt")
    del checkpoint[checkpoints.KEY]["interval"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    (metrics,) = evaluate([str(tmp_path / "old.ckpt")], out=tmp_path / "report").metrics
    assert math.isnan(metrics["test/interval_coverage"])
    assert metrics["test/card_mae_video"] == load_metrics(run)["test/card_mae_video"]

    checkpoint[checkpoints.KEY]["interval"] = {"width": 3.0}
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"other\.ckpt: its interval is .* this version"):
        checkpoints.read(tmp_path / "other.ckpt")


def test_videos_that_are_trained_on_calibrate_nothing(compose_train: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    cfg = compose_train(folder, "trainer.max_epochs=1")
    with open_dict(cfg):
        cfg.data.split = {
            "_target_": "cardpose.data.splits.random_frames",
            "_partial_": True,
            "test_fraction": 0.2,
            "val_fraction": 0.3,
        }
    train(cfg, folder)
    assert "interval" not in checkpoints.read(folder / "checkpoints" / "best.ckpt")[checkpoints.KEY]
