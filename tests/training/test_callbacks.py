"""The callbacks under a real Trainer with a model that knows the answer but for a fixed error."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, Dataset

from cardpose.common.packet import Batch, ModelOutput, Sample
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import flag_frames
from cardpose.geometry.affine import apply_affine
from cardpose.models import heatmaps
from cardpose.training.callbacks.best_scores import BestScores
from cardpose.training.callbacks.collect import CollectFrames
from cardpose.training.callbacks.pictures import Pictures
from cardpose.training.callbacks.progress import TrainingProgress
from cardpose.training.callbacks.throughput import ImageRate, Throughput

FRAMES, SIZE = 7, (24, 32)


class Frames(Dataset[Sample]):
    """Frames of three videos; frame i shows i + 1 cards."""

    def __len__(self) -> int:
        return FRAMES

    def __getitem__(self, i: int) -> Sample:
        generator = torch.Generator().manual_seed(i)
        return Sample(
            image=torch.rand(3, *SIZE, generator=generator),
            corners=torch.rand(8, 2, generator=generator) * 23,
            visibility=torch.randint(1, 3, (8,), generator=generator),
            cards=torch.tensor(float(i + 1)),
            video=torch.tensor(i % 3),
            frame_index=torch.tensor(10 * i),
            to_source=torch.tensor([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]]),
            source_size=torch.tensor([2.0 * SIZE[1], 2.0 * SIZE[0]]),
        )


class Data(LightningDataModule):
    videos = test_videos = ("a.mp4", "b.mp4", "c.mp4")
    mean = torch.zeros(1, 3, 1, 1)
    std = torch.ones(1, 3, 1, 1)

    def loader(self) -> DataLoader[Sample]:
        return DataLoader(Frames(), batch_size=3)

    train_dataloader = val_dataloader = test_dataloader = loader

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        batch["heatmaps"] = heatmaps.encode(
            batch["corners"], batch["visibility"], size=SIZE, stride=2, sigma=1.0
        )
        batch["source_corners"] = apply_affine(batch["to_source"], batch["corners"])
        return batch


class Oracle(LightningModule):
    """Says frame i has 0.1 * i cards too many, and corners i pixels too far right."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        loss = (self.weight - batch["cards"].mean()).square()
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        order = batch["frame_index"] / 10
        shift = torch.stack([order, torch.zeros_like(order)], dim=-1)[:, None]
        prediction = ModelOutput(
            corners=apply_affine(batch["to_source"], batch["corners"]) + shift,
            confidence=torch.ones(len(order), 8),
            visibility=(batch["visibility"] == 2).float(),
            cards=batch["cards"] + 0.1 * order,
            cards_std=torch.full_like(order, torch.nan),
        )
        if not self.trainer.testing:
            self.log("val/card_mae", (0.1 * order).mean())
        flags = flag_frames(prediction, batch, FusionConfig())
        return {"prediction": prediction, "flags": flags, "heatmaps": batch["heatmaps"]}

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def make_trainer(folder: Path, callback: Callback, **options: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "max_epochs": 3,
        "accelerator": "cpu",
        "logger": TensorBoardLogger(folder, name="tensorboard", version=""),
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": isinstance(callback, TrainingProgress),
        "log_every_n_steps": 1,
        "callbacks": [callback],
    }
    return Trainer(**defaults | options)


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    accumulator.Reload()
    return accumulator


def test_pictures_of_the_same_frames_at_the_first_the_due_and_the_last_epoch(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, Pictures(every_n_epochs=2, frames=2), max_epochs=5)
    trainer.fit(Oracle(), Data())
    trainer.loggers[0].finalize("success")
    images = events(tmp_path)
    assert images.Tags()["images"] == ["val/frames", "val/heatmaps", "val/cards"]
    steps = [event.step for event in images.Images("val/frames")]
    assert steps == [3 * epoch for epoch in (1, 2, 4, 5)]
    pictures = {event.encoded_image_string for event in images.Images("val/frames")}
    assert len(pictures) == 1, "same frames, same predictions, same picture"


@pytest.mark.parametrize("batches", [1, 3])
def test_pictures_take_frames_spread_over_what_is_validated(tmp_path: Path, batches: int) -> None:
    captions: list[str] = []

    class Spy(Pictures):
        def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            captions.extend(self._captions)
            super().on_validation_epoch_end(trainer, pl_module)

    trainer = make_trainer(tmp_path, Spy(frames=3), max_epochs=1, limit_val_batches=batches)
    trainer.fit(Oracle(), Data())
    expected = {1: [0, 1, 2], 3: [0, 3, 6]}[batches]
    assert [int(text.split("frame ")[1].split()[0]) // 10 for text in captions] == expected


def test_pictures_without_tensorboard_or_outside_training_do_nothing(tmp_path: Path) -> None:
    make_trainer(tmp_path, Pictures(), logger=False, max_epochs=1).fit(Oracle(), Data())
    make_trainer(tmp_path, Pictures()).validate(Oracle(), Data(), verbose=False)
    assert events(tmp_path).Tags()["images"] == []


class Course(Oracle):
    """Validation loss and card error of four epochs, given beforehand."""

    losses, errors = (3.0, 1.0, 2.0, 0.5), (4.0, 3.0, 1.0, 2.0)

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", self.losses[self.current_epoch])
        self.log("val/corner_px_median", self.errors[self.current_epoch])


def test_best_scores_are_those_of_the_checkpoint_that_is_kept(tmp_path: Path) -> None:
    """Also after a resume: the third epoch is no better than the second."""
    trainer = make_trainer(tmp_path, BestScores(), max_epochs=2)
    trainer.fit(Course(), Data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_trainer(tmp_path, BestScores(), max_epochs=4)
    resumed.fit(Course(), Data(), ckpt_path=tmp_path / "last.ckpt")
    for logger in (*trainer.loggers, *resumed.loggers):
        logger.finalize("success")
    scores = [event.value for event in events(tmp_path).Scalars("val_best/corner_px_median")]
    assert scores == [4.0, 3.0, 3.0, 2.0]


def test_throughput_is_logged_every_epoch(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, Throughput())
    trainer.fit(Oracle(), Data())
    trainer.loggers[0].finalize("success")
    values = [event.value for event in events(tmp_path).Scalars("train/images_per_second")]
    assert len(values) == 3
    assert min(values) > 0


def test_image_rate_leaves_the_first_batch_out() -> None:
    ticks = iter([100.0, 102.0, 104.0])
    rate = ImageRate(clock=lambda: next(ticks))
    for images in (1000, 10, 30):
        rate.add(images)
    assert rate.value == 10.0


def test_collect_keeps_every_frame_once(tmp_path: Path) -> None:
    collect = CollectFrames()
    trainer = make_trainer(tmp_path, collect)
    for _ in range(2):  # a second test starts anew
        trainer.test(Oracle(), Data(), verbose=False)
    assert [result.frame_index for result in collect.results] == [10 * i for i in range(FRAMES)]
    assert [result.video for result in collect.results] == [Data.videos[i % 3] for i in range(FRAMES)]
    np.testing.assert_allclose([r.card_error for r in collect.results], 0.1 * np.arange(FRAMES), atol=1e-6)
    np.testing.assert_allclose([r.corner_px_mean for r in collect.results], np.arange(FRAMES), atol=1e-5)


def run_progress(folder: Path, terminal: bool, **options: Any) -> tuple[str, Trainer]:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160)
    ticks = iter(range(10_000))
    progress = TrainingProgress(console=console, clock=lambda: float(next(ticks)))
    trainer = make_trainer(folder, progress, **options)
    trainer.fit(Oracle(), Data())
    assert trainer.progress_bar_callback is progress
    return console.file.getvalue(), trainer  # type: ignore[attr-defined]


def test_progress_is_a_line_per_epoch_without_a_terminal(tmp_path: Path) -> None:
    text, _ = run_progress(tmp_path, terminal=False)
    lines = text.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    for line in lines:
        assert "images/s" in line
        assert "train/loss" in line
        assert "val/card_mae 0.3" in line
    assert " left" in lines[0]
    assert "\x1b" not in text


def test_progress_is_a_bar_on_a_terminal(tmp_path: Path) -> None:
    text, trainer = run_progress(tmp_path, terminal=True)
    assert "Training epoch 3/3" in text
    assert "100%" in text
    assert "val/card_mae 0.3" in text
    trainer.test(Oracle(), Data(), verbose=False)
    console = trainer.progress_bar_callback.console
    assert "Testing" in console.file.getvalue()


def test_progress_ends_the_bar_when_training_breaks_off(tmp_path: Path) -> None:
    class Failing(Oracle):
        def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
            raise RuntimeError("broken")

    console = Console(file=io.StringIO(), force_terminal=True)
    trainer = make_trainer(tmp_path, TrainingProgress(console=console))
    with pytest.raises(RuntimeError, match="broken"):
        trainer.fit(Failing(), Data())
    assert console.file.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"  # type: ignore[attr-defined]


def test_progress_counts_on_after_a_resume(tmp_path: Path) -> None:
    _, trainer = run_progress(tmp_path, terminal=False, max_epochs=2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    console = Console(file=io.StringIO(), force_terminal=False, width=160)
    progress = TrainingProgress(console=console)
    resumed = make_trainer(tmp_path, progress, max_epochs=4)
    resumed.fit(Oracle(), Data(), ckpt_path=tmp_path / "last.ckpt")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split("  ")[0] for line in lines] == ["epoch 3/4", "epoch 4/4"]
    assert "0 s left" in lines[-1]
    assert progress._begun_at == 6
