"""Trainings on frames that are rendered as they are needed."""

from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import DictConfig

from cardpose.data.footage.folder import DatasetFolder
from cardpose.train import train

Compose = Callable[..., DictConfig]


def test_a_mixed_training_is_the_same_whatever_the_workers(compose_train: Compose, tmp_path: Path) -> None:
    """Real and synthetic frames: in this process, and in two workers."""
    weights = []
    for name, number in (("own", 0), ("other", 2)):
        overrides = (
            "data=mixed",
            "data.stream.frames_per_clip=2",
            f"data.num_workers={number}",
            "trainer.max_epochs=1",
        )
        folder = tmp_path / name
        metrics = train(compose_train(folder, *overrides), folder)
        assert metrics["test/card_mae"] >= 0
        weights.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_zero_shot_tests_on_the_other_footage(
    compose_train: Compose, tmp_path: Path, tiny_folder: Path
) -> None:
    test = "{_target_:cardpose.data.datamodule.TestFootage,root:" + str(tiny_folder) + ",read:${data.read}}"
    cfg = compose_train(tmp_path / "run", f"+data.test={test}", "trainer.max_epochs=1")
    train(cfg, tmp_path / "run")
    lines = (tmp_path / "run" / "test" / "frames.csv").read_text().splitlines()
    assert len(lines) - 1 == len(DatasetFolder.read(tiny_folder).annotations)
