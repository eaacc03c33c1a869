"""The LightningModule: the network, its loss and its metrics under training."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cardpose.common.distributed.collectives import broadcast
from cardpose.common.errors import InputError
from cardpose.common.packet import Batch, ModelOutput
from cardpose.evaluation.metrics.frame_metrics import FrameMetrics
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import flag_frames, interval_scores
from cardpose.geometry.affine import apply_affine
from cardpose.models import checkpoints, metadata
from cardpose.models.end_to_end import Decode, decoded
from cardpose.models.unet import Output, UNet
from cardpose.training.losses.packet_loss import EpochLoss, PacketLoss


def optimizer_steps(trainer: Trainer) -> int:
    """Optimizer steps of the whole training.

    Not `trainer.estimated_stepping_batches`: it makes the training loader before a checkpoint is restored, and
    that loader has to know where in the epoch training continues.
    """
    batches, limit = trainer.datamodule.num_training_batches, trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = math.ceil(batches / trainer.accumulate_grad_batches) * (trainer.max_epochs or 0)
    return min(steps, trainer.max_steps) if trainer.max_steps > 0 else steps


RANK_STRIDE = 2**40
"""Between the seeds of two processes: more than a training has steps."""


class CardposeModule(LightningModule):
    """Trains and evaluates a `UNet` on the batches of a `CardDataModule`.

    Args:
        optimizer: takes the parameters.
        scheduler: takes the optimizer and `total_steps`; it is stepped once per optimizer step.
        decode: of the heatmaps, see `cardpose.models.end_to_end.Decode`.
        mean_cards: mean count of the training frames, the constant predictor of the results tables.
        fusion: settings by which the frames of a video are flagged and fused.
        seed: of what the network draws in training (dropout), by seed and step alone.
        memory_format: of images and weights, see `cardpose.training.hardware`.
        description: the "cardpose" entry of every checkpoint, see `cardpose.models.checkpoints.describe`.

    `interval` is calibrated on the validation videos, again at each validation: a checkpoint holds that of the last
    one. None before the first, and where too few of them were held out whole.
    """

    def __init__(
        self,
        net: UNet,
        loss: PacketLoss,
        optimizer: partial[Optimizer],
        scheduler: partial[LRScheduler],
        decode: Decode,
        mean_cards: float,
        fusion: FusionConfig,
        seed: int = 0,
        memory_format: torch.memory_format = torch.channels_last,
        description: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.net = net.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch leaves it out
        self.loss = loss
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.decode = decode
        self.memory_format = memory_format
        self.description = description
        self.seed = seed
        self.fusion = fusion
        self.val_metrics = FrameMetrics(mean_cards, fusion)
        self.test_metrics = FrameMetrics(mean_cards, fusion)
        self.epoch_loss = EpochLoss(loss.weights, net.earlier_maps)
        self.interval: Interval | None = None

    def forward(self, image: Tensor) -> Output:
        """(B, 3, H, W) normalised images to the network's output."""
        return self.net(image.contiguous(memory_format=self.memory_format))

    def to_prediction(self, output: Output, to_source: Tensor) -> ModelOutput[Tensor]:
        """Decode the network's output; `to_source` (B, 2, 3) maps image pixels to source pixels."""
        found = decoded(output, self.decode)
        return found._replace(corners=apply_affine(to_source, found.corners))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed what this step draws, so that a resumed training draws what the uninterrupted one would.

        Each process draws its own: they see different frames.
        """
        torch.manual_seed(self.seed * 1_000_003 + self.global_step + self.global_rank * RANK_STRIDE)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Log the loss and its parts; return the loss."""
        losses = self.loss(self(batch["image"]), batch)
        logged = {key: value.detach() for key, value in _named(losses, "train").items()}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(batch["cards"]), sync_dist=True)
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Take the batch into losses and metrics; the outputs serve the callbacks."""
        return self._evaluate(batch, self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Take the batch into losses and metrics; the outputs serve the callbacks."""
        return self._evaluate(batch, self.test_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> ModelOutput[Tensor]:
        """Predict a batch of the data module."""
        return self.to_prediction(self(batch["image"]), batch["to_source"])

    def on_validation_epoch_start(self) -> None:
        """Validate everywhere with the running statistics of the first process, which are those that are saved.

        Not left to DistributedDataParallel: it would share them at each batch, of which the processes may have
        different numbers here.
        """
        broadcast(self.net.buffers())

    def on_validation_epoch_end(self) -> None:
        """Calibrate the interval on the whole validation set, and log its metrics.

        Raises:
            InputError: the loss is not finite, before a checkpoint is written.
        """
        videos = self.val_metrics.videos()
        unseen = np.isin(videos.video, self.trainer.datamodule.unseen_videos)
        self.interval = videos.of(unseen).fit_interval()
        losses = self._log_metrics(self.val_metrics, "val")
        if self.trainer.state.fn == TrainerFn.FITTING and not losses["loss"].isfinite():
            raise InputError(
                f"val/loss is not finite after epoch {self.current_epoch + 1}, the training diverged; the checkpoints "
                "of the epochs before stay: train again with a lower optim.lr"
            )

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the whole test set, and how the interval does on its videos."""
        scores = interval_scores(self.test_metrics.videos(), self.interval)
        self.log_dict({f"test/{name}": torch.tensor(score).double() for name, score in scores.items()})
        self._log_metrics(self.test_metrics, "test")

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer with its schedule, stepped per optimizer step."""
        optimizer = self.optimizer(self.parameters())
        scheduler = self.scheduler(optimizer, total_steps=optimizer_steps(self.trainer))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the checkpoint describe itself."""
        if self.description is not None:
            own = {} if self.interval is None else {"interval": asdict(self.interval)}
            checkpoint[checkpoints.KEY] = {**self.description, **own}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Of a resumed training: the interval of the last validation, until the next one."""
        self.interval = metadata.interval(checkpoint.get(checkpoints.KEY, {}))

    def load(self, checkpoint: Mapping[str, Any], name: str | Path) -> None:
        """Take over the weights and the interval of a checkpoint, as `cardpose.models.checkpoints.read` returns it.

        Args:
            checkpoint: of this configuration.

        Raises:
            InputError: the weights are of another version's network; the message names the keys.
        """
        checkpoints.load_weights(self.net, checkpoint, name, fix=metadata.OTHER_VERSION)
        self.load_state_dict(checkpoint["state_dict"])
        self.interval = metadata.interval(checkpoint[checkpoints.KEY])

    def _evaluate(self, batch: Batch, metrics: FrameMetrics) -> dict[str, Any]:
        output = self(batch["image"])
        self.epoch_loss.update(self.loss(output, batch), batch)
        prediction = self.to_prediction(output, batch["to_source"])
        flags = flag_frames(prediction, batch, self.fusion)
        metrics.update(prediction, batch, flags)
        return {"prediction": prediction, "flags": flags, "heatmaps": output.heatmaps}

    def _log_metrics(self, metrics: FrameMetrics, stage: str) -> dict[str, Tensor]:
        """Scores and losses over the frames of all processes: each of them computes the same; returns the losses."""
        losses = self.epoch_loss.compute()
        self.log_dict(_named(losses, stage))
        self.log_dict({f"{stage}/{name}": value for name, value in metrics.compute().items()})
        self.epoch_loss.reset()
        metrics.reset()
        return losses


def _named(losses: Mapping[str, Tensor], stage: str) -> dict[str, Tensor]:
    """The losses under the keys of metrics.json."""
    return {f"{stage}/loss" if name == "loss" else f"{stage}/loss_{name}": x for name, x in losses.items()}
