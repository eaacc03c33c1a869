import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from cardpose.common.errors import InputError
from cardpose.common.packet import Annotation, Batch
from cardpose.data.augment import Augmenter, Warp
from cardpose.data.datamodule import CardDataModule, TestFootage
from cardpose.data.dataset import subsample, unchanged
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.splits import all_test, by_video, from_file
from cardpose.models import heatmaps

SIZE = (48, 64)  # of the footage: no resize, so corners stay as they are
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)

Make = Callable[..., CardDataModule]


@pytest.fixture
def make(tiny_folder: Path, tmp_path: Path) -> Make:
    def data_module(**changes: Any) -> CardDataModule:
        arguments: dict[str, Any] = {
            "name": "tiny",
            "read": DatasetFolder.read,
            "root": tiny_folder,
            "size": SIZE,
            "stride": 1,
            "split": partial(by_video, folds=3, fold=1, val_videos=1),
            "augment": unchanged,
            "encode_heatmaps": partial(heatmaps.encode, size=SIZE, stride=2, sigma=1.5),
            "cache_dir": tmp_path / "cache",
            "batch_size": 4,
            "num_workers": 0,
            "seed": 5,
            "mean": MEAN,
            "std": STD,
        }
        return CardDataModule(**(arguments | changes))

    return data_module


def ready(data: CardDataModule) -> CardDataModule:
    data.prepare_data()
    data.setup("fit")
    return data


def identities(batch: Batch) -> list[tuple[int, int]]:
    return list(zip(batch["video"].tolist(), batch["frame_index"].tolist(), strict=True))


def strong() -> Augmenter:
    warp = Warp(rotate_deg=10, scale=(0.9, 1.1), flip_prob=0.5)
    return Augmenter(
        warp,
        probability=0.5,
        brightness=0.2,
        contrast=0.2,
        gamma=(0.8, 1.2),
        hue=10,
        saturation=10,
        blur=1,
        motion=5,
        noise=0.05,
        compression=50,
    )


def test_loaders_give_the_sets_of_the_split(make: Make) -> None:
    data = ready(make())
    loaders = {
        "val": data.val_dataloader(),
        "test": data.test_dataloader(),
    }
    for side, loader in loaders.items():
        frames = [frame for batch in loader for frame in identities(batch)]
        assert [(data.videos[video], index) for video, index in frames] == list(getattr(data.split, side))
    predicted = [frame for batch in data.predict_dataloader() for frame in identities(batch)]
    assert [(data.videos[v], i) for v, i in predicted] == [(a.video, a.frame_index) for a in data.annotations]
    trained = [(data.videos[v], i) for batch in data.train_dataloader() for v, i in identities(batch)]
    assert len(trained) == len(data.split.train) // 4 * 4  # the last, smaller batch is dropped
    assert len(set(trained)) == len(trained)
    assert set(trained) <= set(data.split.train)


def test_a_batch_is_finished_on_the_device(make: Make) -> None:
    data = ready(make())
    batch = next(iter(data.val_dataloader()))
    raw = batch["image"].clone()
    assert raw.dtype == torch.uint8
    done = data.on_after_batch_transfer(batch, 0)
    restored = done["image"] * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)
    torch.testing.assert_close(restored * 255, raw.float(), atol=1e-3, rtol=0)
    found, height = heatmaps.decode(done["heatmaps"], stride=2)
    labelled = done["visibility"] > 0
    assert (height[~labelled] == 0).all()
    assert (~labelled).any()
    assert (found - done["corners"])[labelled].abs().max() < 0.2  # 0.1 heatmap pixel
    truth = {(data.videos.index(a.video), a.frame_index): a.corners for a in data.annotations}
    for row, frame in enumerate(identities(done)):
        expected = np.nan_to_num(truth[frame])
        np.testing.assert_allclose(done["corners"][row], expected, atol=1e-4)


def test_stride_keeps_every_nth_frame_and_counts_the_rest(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    whole, data = make(), make(stride=3)
    with caplog.at_level(logging.INFO):
        kept = data.annotations
    assert {a.frame_index for a in kept} == {0, 3, 6}
    skipped = len(whole.annotations) - len(kept)
    assert f"skips {skipped} annotated frames, keeps {len(kept)}" in caplog.text
    caplog.clear()
    assert len(whole.annotations) == len(whole.footage.annotations)
    assert "skips" not in caplog.text


@pytest.mark.parametrize("stride", [0, -2])
def test_impossible_stride(make: Make, stride: int) -> None:
    with pytest.raises(InputError, match=r"data\.stride="):
        _ = make(stride=stride).annotations


def test_stride_that_skips_everything(make: Make) -> None:
    odd = [a for a in make().annotations if a.frame_index % 2]
    with pytest.raises(InputError, match=rf"data\.stride=2 skips all {len(odd)}"):
        subsample(odd, 2)


def test_batch_larger_than_the_training_set(make: Make) -> None:
    with pytest.raises(InputError, match=r"data\.batch_size=500 .* training frames"):
        make(batch_size=500).check_training(1)


def test_a_mistaken_split_is_reported_before_the_cache_is_built(make: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"split\.folds"):
        make(split=partial(by_video, folds=40)).prepare_data()
    assert not (tmp_path / "cache").exists()


def test_train_cards(make: Make) -> None:
    data = make()
    of_video = {video.file: video.cards for video in data.footage.videos}
    assert sorted(data.train_cards) == sorted(of_video[video] for video, _ in data.split.train)


def test_a_folder_evaluated_whole(make: Make) -> None:
    data = ready(make(split=all_test))
    assert sum(len(identities(batch)) for batch in data.test_dataloader()) == len(data.annotations)
    assert list(data.val_dataloader()) == []


def test_the_split_of_a_run_is_used_again(make: Make, tmp_path: Path) -> None:
    data = make()
    data.split.save(tmp_path / "split.json")
    assert make(split=partial(from_file, path=tmp_path / "split.json")).split == data.split


def test_workers_and_loaders_change_no_random_number(make: Make) -> None:
    batches = []
    for workers in (0, 2):
        data = ready(make(num_workers=workers, augment=strong()))
        state = torch.get_rng_state()
        batches.append([(batch["image"], batch["corners"]) for batch in data.train_dataloader()])
        assert torch.equal(torch.get_rng_state(), state)
    for (image, corners), (other_image, other_corners) in zip(*batches, strict=True):
        assert torch.equal(image, other_image)
        assert torch.equal(corners, other_corners)


Seen = tuple[int, int, list[tuple[int, int]], float]
"""Epoch, batch, the frames of the batch, sum of its pixels."""


class Recorder(pl.LightningModule):
    """Learns nothing; remembers every training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[Seen] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        content = batch["image"].double().sum().item()
        self.seen.append((self.current_epoch, batch_idx, identities(batch), content))
        return self.weight.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("loss", self.weight.sum())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Interrupt(Callback):
    """Ctrl-C in epoch 2, at the hook `moment` of batch `batch`; a checkpoint is written then."""

    def __init__(self, moment: str, batch: int, path: Path) -> None:
        self.moment, self.batch, self.path = moment, batch, path

    def _at(self, moment: str, trainer: pl.Trainer, batch: int) -> None:
        if (moment, trainer.current_epoch, batch) == (self.moment, 2, self.batch):
            raise KeyboardInterrupt

    def on_train_batch_start(self, trainer: pl.Trainer, module: Recorder, batch: Batch, index: int) -> None:
        self._at("batch start", trainer, index)

    def on_before_zero_grad(self, trainer: pl.Trainer, *args: Any) -> None:
        self._at("in step", trainer, trainer.fit_loop.batch_idx)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self._at("batch end", trainer, args[-1])

    def on_validation_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        self._at("validation", trainer, 0)

    def on_exception(self, trainer: pl.Trainer, *args: Any) -> None:
        trainer.save_checkpoint(self.path)


def fit(data: CardDataModule, folder: Path, resume: Path | None = None, **kwargs: Any) -> Recorder:
    model = Recorder()
    kwargs = {"max_epochs": 4, "logger": False, "enable_checkpointing": False} | kwargs
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(default_root_dir=folder, **quiet, **kwargs)
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=False if resume else None)
    return model


@pytest.fixture
def uninterrupted(make: Make, tmp_path: Path) -> list[Seen]:
    """Four epochs of five batches."""
    seen = fit(make(augment=strong()), tmp_path).seen
    assert len(seen) == 20
    assert len({content for *_, content in seen}) == 20
    return seen


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("at_epoch_end", [False, True])
def test_resume_between_epochs(
    make: Make, tmp_path: Path, uninterrupted: list[Seen], workers: int, at_epoch_end: bool
) -> None:
    data = partial(make, num_workers=workers, augment=strong())
    saver = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=at_epoch_end)
    fit(data(), tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[saver])
    assert fit(data(), tmp_path, resume=tmp_path / "last.ckpt").seen == uninterrupted[10:]


@pytest.mark.filterwarnings("error:You're resuming")
@pytest.mark.parametrize(
    ("moment", "batch", "done"),
    [
        ("batch start", 0, 10),
        ("batch start", 2, 12),
        ("in step", 2, 12),
        ("batch end", 1, 12),
        ("batch end", 4, 15),
        ("validation", 0, 15),
    ],
)
def test_resume_in_mid_epoch(
    make: Make, tmp_path: Path, uninterrupted: list[Seen], moment: str, batch: int, done: int
) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(make(augment=strong()), tmp_path, callbacks=[Interrupt(moment, batch, path)])
    assert fit(make(num_workers=1, augment=strong()), tmp_path, resume=path).seen == uninterrupted[done:]


def film(index: int) -> tuple[np.ndarray, Annotation]:
    """Frame `index` is as bright as its number."""
    corners, visibility = np.full((8, 2), 7.0, np.float32), np.full(8, 2, np.int8)
    label = Annotation("film", index, 0.0, SIZE[1], SIZE[0], corners, visibility, 9)
    return np.full((*SIZE, 3), index, np.uint8), label


def epoch_of(data: CardDataModule, epoch: int) -> tuple[list[int], list[int]]:
    """The frames of the film, and the videos of all frames, as epoch `epoch` brings them."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    batches = list(loader)
    videos = [video for batch in batches for video in batch["video"].tolist()]
    frames = [
        index
        for batch in batches
        for video, index in zip(batch["video"].tolist(), batch["frame_index"].tolist(), strict=True)
        if video == -1
    ]
    return frames, videos


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_continues_from_epoch_to_epoch(make: Make, workers: int) -> None:
    data = ready(make(stream=film, samples_per_epoch=8, num_workers=workers))
    assert data.num_training_batches == 2
    assert epoch_of(data, 0) == (list(range(8)), [-1] * 8)
    assert epoch_of(data, 3) == (list(range(24, 32)), [-1] * 8)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].float().mean((1, 2, 3)).tolist() == [0, 1, 2, 3]
    assert batch["cards"].tolist() == [9] * 4
    assert torch.equal(batch["corners"], torch.full((4, 8, 2), 7.0))


def test_footage_and_stream_are_mixed_at_their_ratio(make: Make) -> None:
    data = ready(make(stream=film, synthetic_ratio=0.5, batch_size=1))
    recorded = len(data.split.train)
    frames, videos = epoch_of(data, 1)
    streamed = round(0.5 * recorded)
    assert frames == list(range(streamed, 2 * streamed))
    assert len(videos) == recorded + streamed
    assert videos[:streamed] != [-1] * streamed
    assert all((batch["video"] >= 0).all() for batch in data.val_dataloader())


@pytest.mark.parametrize("both", [{}, {"samples_per_epoch": 4, "synthetic_ratio": 1.0}])
def test_a_stream_needs_one_measure(make: Make, both: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"data\.samples_per_epoch and data\.synthetic_ratio"):
        make(stream=film, **both)


def test_other_footage_is_tested_whole(make: Make, tiny_folder: Path) -> None:
    other = TestFootage(DatasetFolder.read, tiny_folder)
    data = ready(make(test=other, split=partial(by_video, folds=3, fold=0, val_videos=1)))
    tested = [frame for batch in data.test_dataloader() for frame in identities(batch)]
    assert [(data.test_videos[v], i) for v, i in tested] == [
        (a.video, a.frame_index) for a in other.footage.annotations
    ]
    assert all(
        data.videos[v] in dict(data.split.val) for b in data.val_dataloader() for v, _ in identities(b)
    )
