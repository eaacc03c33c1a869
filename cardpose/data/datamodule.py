"""From a dataset folder to batches: subsample, cache, split, load, and finish each batch on the device."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cardpose.common.distributed.collectives import SINGLE_PROCESS, ProcessRank
from cardpose.common.errors import InputError
from cardpose.common.packet import Annotation, Batch, FrameId, Sample
from cardpose.common.threads import cores, processes_here
from cardpose.data.cache import FrameCache, open_or_build
from cardpose.data.dataset import Augment, CardDataset, FrameStream, MixedDataset, subsample, unchanged
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.loading import check_shared_memory, choose_num_workers, seed_worker
from cardpose.data.sampler import (
    InterleavedEvalSampler,
    ResumableDataLoader,
    ResumableDistributedSampler,
    check_divisible,
    eval_batch_size,
    resume_position,
)
from cardpose.data.splits import Split
from cardpose.geometry.affine import apply_affine

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestFootage:
    """Other footage, all of which is tested instead of the test frames of the split.

    Args:
        read: opens `root`.
    """

    read: Callable[[str | Path], DatasetFolder]
    root: str | Path

    @cached_property
    def footage(self) -> DatasetFolder:
        """The footage, read and validated once."""
        return self.read(self.root)


class CardDataModule(LightningDataModule):
    """Batches (`cardpose.common.packet.Batch`) of a dataset folder.

    Args:
        name: of the data, in reports.
        read: opens `root`, for example `DatasetFolder.read`.
        size: (H, W) of the network's images; frames are letterboxed to it.
        stride: keep every `stride`-th frame of a video, counted from 0.
        split: annotations -> `Split`.
        augment: changes training examples.
        encode_heatmaps: (B, 8, 2) corners in image pixels and (B, 8) visibility -> (B, 8, h, w) target heatmaps.
        cache_dir: parent folder of the frame caches.
        batch_size: frames per optimizer step, over all processes.
        num_workers: worker processes per loader; None chooses by the machine.
        seed: of the order and the augmentation.
        mean, std: RGB of the encoder's training images, 0 to 1, by which batches are normalised.
        test: other footage to test on; None tests on the test frames of the split.
        stream: endless labelled frames of `size` to train on.
        samples_per_epoch: frames of the stream in an epoch that consists of them alone; the footage is used for
            validation and test.
        synthetic_ratio: frames of the stream for each training frame of the footage, in epochs of both.

    Attributes:
        train_dataset: the training examples, after `setup`.
        datasets: the examples of "val", "test" and "predict", after `setup`; not augmented.

    Raises:
        InputError: from the methods, for invalid input: see `open_or_build`, `subsample` and the split.
    """

    def __init__(
        self,
        *,
        name: str,
        read: Callable[[str | Path], DatasetFolder],
        root: str | Path,
        size: tuple[int, int],
        stride: int,
        split: Callable[[Sequence[Annotation]], Split],
        augment: Augment,
        encode_heatmaps: Callable[[Tensor, Tensor], Tensor],
        cache_dir: str | Path,
        batch_size: int,
        num_workers: int | None,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        test: TestFootage | None = None,
        stream: FrameStream | None = None,
        samples_per_epoch: int | None = None,
        synthetic_ratio: float | None = None,
    ) -> None:
        super().__init__()
        self.name, self.read, self.root = name, read, root
        self.stride, self.make_split = stride, split
        self.size = (size[0], size[1])
        self.augment, self.encode_heatmaps = augment, encode_heatmaps
        self.cache_dir, self.batch_size, self.seed = Path(cache_dir), batch_size, seed
        if num_workers is None:
            num_workers = choose_num_workers(cores() // processes_here(), torch.cuda.is_available())
        self.num_workers = num_workers
        if stream is not None and (samples_per_epoch is None) == (synthetic_ratio is None):
            raise InputError(
                "data.stream: give one of data.samples_per_epoch and data.synthetic_ratio, and null for the other"
            )
        self.test = test
        self.stream, self.samples_per_epoch, self.synthetic_ratio = stream, samples_per_epoch, synthetic_ratio
        self.mean = torch.tensor(list(mean)).view(1, 3, 1, 1)
        self.std = torch.tensor(list(std)).view(1, 3, 1, 1)

    @cached_property
    def footage(self) -> DatasetFolder:
        """The dataset folder, read and validated once."""
        return self.read(self.root)

    @cached_property
    def annotations(self) -> tuple[Annotation, ...]:
        """The annotations that `stride` keeps."""
        kept = subsample(self.footage.annotations, self.stride)
        if skipped := len(self.footage.annotations) - len(kept):
            log.info("data.stride=%d skips %d annotated frames, keeps %d", self.stride, skipped, len(kept))
        return kept

    @cached_property
    def split(self) -> Split:
        """The split of `annotations`."""
        split = self.make_split(self.annotations)
        counts = len(split.train), len(split.val), len(split.test)
        log.info("%d frames to train, %d to validate, %d to test", *counts)
        return split

    @property
    def stream_samples(self) -> int:
        """Frames of the stream in an epoch."""
        if self.stream is None:
            return 0
        if self.samples_per_epoch is not None:
            return self.samples_per_epoch
        return round((self.synthetic_ratio or 0) * len(self.split.train))

    @property
    def videos(self) -> tuple[str, ...]:
        """Names of the folder's videos; a batch's `video` is an index into them."""
        return tuple(video.file for video in self.footage.videos)

    @property
    def test_videos(self) -> tuple[str, ...]:
        """As `videos`, for the test batches."""
        return self.videos if self.test is None else tuple(video.file for video in self.test.footage.videos)

    @property
    def unseen_videos(self) -> list[int]:
        """Indices in `videos` of the validation videos without a training frame."""
        unseen = {video for video, _ in self.split.val} - {video for video, _ in self.split.train}
        return [number for number, video in enumerate(self.videos) if video in unseen]

    @property
    def train_cards(self) -> np.ndarray:
        """(N,) float32 known counts of the training frames, the basis of a constant predictor."""
        train = set(self.split.train)
        counts = [a.cards for a in self.annotations if a.frame_id in train and a.cards is not None]
        return np.array(counts, np.float32)

    def prepare_data(self) -> None:
        """Build the frame caches if they are missing; the trainer calls this in one process only.

        The split is made first, so that an error in it is reported before the long work.
        """
        _ = self.split
        check_shared_memory(self.num_workers, self.batch_size * self.size[0] * self.size[1] * 3)
        self._open_cache(self.footage, self.annotations)
        if self.test is not None:
            self._other_test_dataset(self.test)

    def setup(self, stage: str) -> None:
        """Open the cache, split, and make all datasets. Does nothing the second time."""
        if hasattr(self, "datasets"):
            return
        cache = self._open_cache(self.footage, self.annotations)
        row_of: dict[FrameId, int] = {a.frame_id: row for row, a in enumerate(self.annotations)}

        def dataset(frames: Sequence[FrameId], augment: Augment = unchanged) -> CardDataset:
            rows = [row_of[frame] for frame in frames]
            return CardDataset(cache, self.annotations, rows, self.videos, augment, self.seed)

        self.train_dataset: CardDataset | MixedDataset = dataset(self.split.train, self.augment)
        if self.stream is not None:
            footage = self.train_dataset if self.samples_per_epoch is None else None
            self.train_dataset = MixedDataset(
                footage, self.stream, self.stream_samples, self.augment, self.seed
            )
        test = dataset(self.split.test) if self.test is None else self._other_test_dataset(self.test)
        self.datasets = {"val": dataset(self.split.val), "test": test, "predict": dataset(list(row_of))}

    def check_training(self, world: int) -> None:
        """Check that there is a batch to train with, and that batches can be divided among `world` processes.

        Raises:
            InputError: they cannot, or there is no frame to train or to validate with.
        """
        if not (self.split.train and self.split.val):
            raise InputError("split: no frame to train or to validate with: choose split=by_video or random")
        footage = len(self.split.train) if self.samples_per_epoch is None else 0
        if (frames := footage + self.stream_samples) < self.batch_size:
            raise InputError(
                f"data.batch_size={self.batch_size} is more than the {frames} training frames: lower it"
            )
        other = self.test and subsample(self.test.footage.annotations, self.stride)
        evaluated = {"validation": len(self.split.val), "test": len(other or self.split.test)}
        check_divisible(self.batch_size, evaluated, world)

    @property
    def process(self) -> ProcessRank:
        """Rank of this process, and how many there are."""
        trainer = self.trainer
        return SINGLE_PROCESS if trainer is None else ProcessRank(trainer.global_rank, trainer.world_size)

    @property
    def num_training_batches(self) -> int:
        """Batches per epoch, known without making the loader."""
        return len(self.train_dataset) // self.batch_size

    def train_dataloader(self) -> DataLoader:
        epoch, batches = resume_position(self.trainer) if self.trainer is not None else (0, 0)
        sampler = ResumableDistributedSampler(
            len(self.train_dataset),
            self.seed,
            epoch,
            skip=batches * self.batch_size,
            in_order=self.stream_samples,
            batch_size=self.batch_size,
            process=self.process,
        )
        own = self.batch_size // self.process.world
        return self._loader(self.train_dataset, own, ResumableDataLoader, sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        return self._eval_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._eval_loader("test")

    def predict_dataloader(self) -> DataLoader:
        """Every annotated frame that `stride` keeps, not augmented, in the order of the folder."""
        return self._eval_loader("predict")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """On the device: normalise the images and render the target heatmaps of the whole batch."""
        device = batch["image"].device
        image = batch["image"].float().div_(255)  # transferred as uint8, a quarter of the bytes
        batch["image"] = image.sub_(self.mean.to(device)).div_(self.std.to(device))
        batch["heatmaps"] = self.encode_heatmaps(batch["corners"], batch["visibility"])
        batch["source_corners"] = apply_affine(batch["to_source"], batch["corners"])
        return batch

    def _other_test_dataset(self, test: TestFootage) -> CardDataset:
        annotations = subsample(test.footage.annotations, self.stride)
        cache = self._open_cache(test.footage, annotations)
        return CardDataset(cache, annotations, range(len(annotations)), self.test_videos)

    def _open_cache(self, footage: DatasetFolder, annotations: Sequence[Annotation]) -> FrameCache:
        return open_or_build(footage, [a.frame_id for a in annotations], self.size, self.cache_dir)

    def _eval_loader(self, name: str) -> DataLoader:
        """Every frame exactly once, in order, in one of the processes."""
        dataset, process = self.datasets[name], self.process
        batch_size = eval_batch_size(len(dataset), self.batch_size, process.world)
        sampler = InterleavedEvalSampler(len(dataset), batch_size, process) if process.world > 1 else None
        return self._loader(dataset, batch_size, sampler=sampler)

    def _loader(
        self, dataset: Dataset[Sample], batch_size: int, kind: type[DataLoader] = DataLoader, **kwargs: Any
    ) -> DataLoader:
        return kind(
            dataset,
            batch_size=batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=seed_worker,
            # Its own, so that making a loader draws nothing from the generator that training uses.
            generator=torch.Generator().manual_seed(self.seed),
            **kwargs,
        )
