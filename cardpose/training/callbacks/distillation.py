"""Distillation: the predictions of a trained network are mixed into the labels of every training batch."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS, Batch
from cardpose.models import checkpoints
from cardpose.models.from_config import end_to_end
from cardpose.models.released import find_checkpoint


class Distillation(Callback):
    """Mixes the heatmaps and the count of a trained network, the teacher, into the labels of the training batches.

    For a squared error, of heatmaps and of counts, the gradient is that of the weighted sum of both errors. The loss
    under train/ is the one of the mixed labels; validation has the labels alone. Visibility is not mixed, nor is the
    heatmap of a corner that is not labelled. A teacher that was trained on validation or test videos of the run makes
    its scores too good.

    Source: Zhang, Zhu and Ye 2019, Fast Human Pose Estimation, CVPR, https://arxiv.org/abs/1811.05419 (heatmaps).

    Args:
        teacher: name of a released model, a checkpoint or a run folder.
        weight: of the teacher's predictions, from 0 (labels alone) to 1.

    Raises:
        InputError: no such checkpoint, or a weight outside of 0 to 1; in training, a teacher for other images or
            heatmaps.
    """

    def __init__(self, teacher: str, weight: float = 0.5) -> None:
        if not (isinstance(weight, int | float) and 0 <= weight <= 1):
            raise InputError(f"callbacks.distillation.weight={weight}: choose a number from 0 to 1")
        path = find_checkpoint(teacher)
        checkpoint = checkpoints.read(path)
        with checkpoints.configuration_errors(path):
            config = checkpoint[checkpoints.KEY]["config"]
            self.model = end_to_end(config)
            self.size, self.sigma = tuple(config["data"]["size"]), config["heatmap"]["sigma"]
        checkpoints.load_weights(self.model.net, checkpoint, path)
        self.model.requires_grad_(False).eval()
        self.teacher, self.weight = teacher, weight

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the teacher to where the network is, and relate the normalisations of their images."""
        self._check("heatmap.sigma", self.sigma, pl_module.loss.sigma)
        self.model.to(pl_module.device)
        encoder = pl_module.net.encoder
        mean, std = (
            self.model.mean.new_tensor(list(x)).view(1, 3, 1, 1) for x in (encoder.mean, encoder.std)
        )
        self.scale, self.shift = std / self.model.std, (mean - self.model.mean) / self.model.std

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Replace the labels in `batch`; a count that is unknown stays unknown."""
        self._check("data.size", self.size, tuple(batch["image"].shape[-2:]))
        image, labels = batch["image"] * self.scale + self.shift, batch["heatmaps"]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            output = self.model.net(image.contiguous(memory_format=pl_module.memory_format))
        self._check("the size of heatmaps", tuple(output.heatmaps.shape[-2:]), tuple(labels.shape[-2:]))
        drawn = labels.amax((2, 3), keepdim=True) > 0
        batch["heatmaps"] = torch.where(drawn, labels.lerp(output.heatmaps.float(), self.weight), labels)
        cards = (CARDS_PER_DECK * output.cards.float()).clamp(1, MAX_CARDS)
        batch["cards"] = batch["cards"].lerp(cards, self.weight)

    def _check(self, what: str, its: Any, ours: Any) -> None:
        if its != ours:
            raise InputError(
                f"callbacks.distillation.teacher={self.teacher}: {what} is {its} there and {ours} here: choose a "
                "teacher that was trained with the same"
            )
