"""Distillation: the predictions of trained networks are mixed into the labels of every training batch."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS, Batch
from cardpose.models import checkpoints
from cardpose.models.from_config import load_end_to_end
from cardpose.models.released import find_checkpoint


class Teacher:
    """A trained network whose predictions are mixed into the labels.

    Raises:
        InputError: no such checkpoint.
    """

    def __init__(self, name: str) -> None:
        path = find_checkpoint(name)
        checkpoint = checkpoints.read(path)
        self.model = load_end_to_end(checkpoint, path).requires_grad_(False)
        config = checkpoint[checkpoints.KEY]["config"]
        self.size, self.sigma = tuple(config["data"]["size"]), config["heatmap"]["sigma"]
        self.name = name

    def start(self, student: LightningModule) -> None:
        """Move the network to where the student is, and relate the normalisations of their images."""
        self.check("heatmap.sigma", self.sigma, student.loss.sigma)
        self.model.to(student.device)
        encoder = student.net.encoder
        mean, std = (
            self.model.mean.new_tensor(list(x)).view(1, 3, 1, 1) for x in (encoder.mean, encoder.std)
        )
        self.scale, self.shift = std / self.model.std, (mean - self.model.mean) / self.model.std

    def predict(self, image: Tensor, memory_format: torch.memory_format) -> tuple[Tensor, Tensor]:
        """Heatmaps (B, 8, h, w) and counts (B,), 1 to MAX_CARDS, of images (B, 3, H, W) as the student has them."""
        self.check("data.size", self.size, tuple(image.shape[-2:]))
        image = image * self.scale + self.shift
        output = self.model.net(image.contiguous(memory_format=memory_format))
        return output.heatmaps.float(), (CARDS_PER_DECK * output.cards.float()).clamp(1, MAX_CARDS)

    def check(self, what: str, its: Any, ours: Any) -> None:
        """Raise InputError where the teacher differs from the student."""
        if its != ours:
            raise InputError(
                f"callbacks.distillation.teacher={self.name}: {what} is {its} there and {ours} here: choose a "
                "teacher that was trained with the same"
            )


class Distillation(Callback):
    """Mixes the heatmaps and the count of trained networks, the teachers, into the labels of the training batches.

    Of several teachers, an ensemble, the mean is taken. For a squared error, of heatmaps and of counts, the gradient
    is that of the weighted sum of both errors. The loss under train/ is the one of the mixed labels; validation has
    the labels alone. Visibility is not mixed, nor is the heatmap of a corner that is not labelled. A teacher that was
    trained on validation or test videos of the run makes its scores too good.

    Source: Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network, https://arxiv.org/abs/1503.02531
    (ensembles); Zhang, Zhu and Ye 2019, Fast Human Pose Estimation, CVPR, https://arxiv.org/abs/1811.05419 (heatmaps).

    Args:
        teacher: name of a released model, a checkpoint or a run folder, or several of them.
        weight: of the teachers' predictions, from 0 (labels alone) to 1.

    Raises:
        InputError: no such checkpoint, no teacher, or a weight outside of 0 to 1; in training, a teacher for other
            images or heatmaps.
    """

    def __init__(self, teacher: str | Sequence[str], weight: float = 0.5) -> None:
        if not (isinstance(weight, int | float) and 0 <= weight <= 1):
            raise InputError(f"callbacks.distillation.weight={weight}: choose a number from 0 to 1")
        names = [teacher] if isinstance(teacher, str) else list(teacher)
        if not names:
            raise InputError(
                "callbacks.distillation.teacher is empty: name a model, a checkpoint or a run folder"
            )
        self.teachers, self.weight = [Teacher(name) for name in names], weight

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepare the teachers for the images of the network in training."""
        for teacher in self.teachers:
            teacher.start(pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Replace the labels in `batch`; a count that is unknown stays unknown."""
        labels = batch["heatmaps"]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            predicted = [t.predict(batch["image"], pl_module.memory_format) for t in self.teachers]
        for teacher, (heatmaps, _) in zip(self.teachers, predicted, strict=True):
            teacher.check("the size of heatmaps", tuple(heatmaps.shape[-2:]), tuple(labels.shape[-2:]))
        heatmaps, cards = (torch.stack(of_all).mean(0) for of_all in zip(*predicted, strict=True))
        drawn = labels.amax((2, 3), keepdim=True) > 0
        batch["heatmaps"] = torch.where(drawn, labels.lerp(heatmaps, self.weight), labels)
        batch["cards"] = batch["cards"].lerp(cards, self.weight)
