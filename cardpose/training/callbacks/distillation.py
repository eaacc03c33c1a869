"""Learn from a trained network, too: its answers are mixed into the labels of every training batch."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, Batch
from cardpose.models import checkpoints
from cardpose.models.encoders.base import Encoder
from cardpose.models.from_config import end_to_end
from cardpose.models.released import find_checkpoint


class Distillation(Callback):
    """Mixes the heatmaps and the count of a trained network, the teacher, into the labels of the training batches.

    The gradient of a squared error for mixed labels is that of the weighted sum of both errors. The number of cards
    scatters about what a picture shows, since packets hold more or less air; a teacher's count does not.

    Source: Zhang, Zhu and Ye 2019, Fast Human Pose Estimation, CVPR, https://arxiv.org/abs/1811.05419 (heatmaps).

    Args:
        teacher: name of a released model, a checkpoint or a run folder.
        share: weight of the teacher's answers, from 0 (labels alone) to 1.

    Raises:
        InputError: no such checkpoint, or a share outside of 0 to 1; in training, a teacher whose heatmaps are of
            another size or sigma.
    """

    def __init__(self, teacher: str, share: float = 0.5) -> None:
        if not (isinstance(share, int | float) and 0 <= share <= 1):
            raise InputError(f"callbacks.distillation.share={share}: choose a number from 0 to 1")
        path = find_checkpoint(teacher)
        checkpoint = checkpoints.read(path)
        with checkpoints.configuration_errors(path):
            config = checkpoint[checkpoints.KEY]["config"]
            self.model = end_to_end(config)
            self.sigma = config["heatmap"]["sigma"]
        checkpoints.load_weights(self.model.net, checkpoint, path)
        self.model.requires_grad_(False).eval()
        self.teacher, self.share = teacher, share

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the teacher to where the network is."""
        if pl_module.loss.sigma != self.sigma:
            raise InputError(
                f"callbacks.distillation.teacher={self.teacher}: its heatmap.sigma is {self.sigma}, here it is "
                f"{pl_module.loss.sigma}: choose the same"
            )
        self.model.to(pl_module.device)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Replace the labels in `batch`; a count that is unknown stays unknown."""
        image = self._renormalised(batch["image"], pl_module.net.encoder)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            output = self.model.net(image.contiguous(memory_format=pl_module.memory_format))
        if output.heatmaps.shape != batch["heatmaps"].shape:
            raise InputError(
                f"callbacks.distillation.teacher={self.teacher}: its heatmaps of these images are "
                f"{tuple(output.heatmaps.shape[-2:])}, here they are {tuple(batch['heatmaps'].shape[-2:])}: choose the "
                "same heatmap.stride"
            )
        batch["heatmaps"] = batch["heatmaps"].lerp(output.heatmaps.float(), self.share)
        batch["cards"] = batch["cards"].lerp(CARDS_PER_DECK * output.cards.float(), self.share)

    def _renormalised(self, image: Tensor, encoder: Encoder) -> Tensor:
        """`image` as the teacher's encoder expects it, from what the other one expects."""
        mean, std = (
            image.new_tensor(list(values)).view(1, 3, 1, 1) for values in (encoder.mean, encoder.std)
        )
        return (image * std + mean - self.model.mean) / self.model.std
