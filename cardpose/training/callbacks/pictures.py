"""Pictures of inputs and predictions of the validation set, for the loggers that take pictures."""

from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from cardpose.common.packet import Batch
from cardpose.data.dataset import spread_rows
from cardpose.evaluation.metrics.results import FrameResult, frame_results
from cardpose.evaluation.report.drawing import caption, contact_sheet, draw_sample, heatmap_grid
from cardpose.evaluation.report.plots import scatter_cards
from cardpose.training.loggers import WITH_IMAGES, log_images


class Pictures(Callback):
    """Draws the same validation frames every few epochs, and after the first and the last epoch.

    `val/frames`: the input with labelled and predicted corners; `val/heatmaps`: predicted heatmaps above their targets;
    `val/cards`: predicted over true cards of the whole set. With several processes rank 0 draws, from its own frames.

    Args:
        every_n_epochs: epochs between two pictures.
        frames: number of frames, evenly spread over the validation set.
    """

    def __init__(self, every_n_epochs: int = 5, frames: int = 6) -> None:
        self.every_n_epochs = every_n_epochs
        self.frames = frames
        self._clear()

    def _clear(self) -> None:
        self._wanted: list[int] = []
        self._results: list[FrameResult] = []
        self._captions: list[str] = []
        self._pictures: list[np.ndarray] = []
        self._heatmaps: list[np.ndarray] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clear()
        if self._due(trainer):
            loader = trainer.val_dataloaders
            rows = min(len(loader.sampler), sum(trainer.num_val_batches) * loader.batch_size)
            self._wanted = spread_rows(rows, self.frames)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if not self._wanted:
            return
        data, seen = trainer.datamodule, len(self._results)
        results = frame_results(outputs["prediction"], batch, outputs["flags"], data.videos)
        self._results += results
        for row in (wanted - seen for wanted in self._wanted if seen <= wanted < seen + len(results)):
            self._captions.append(caption(results[row]))
            self._pictures.append(draw_sample(batch, row, results[row], data.mean, data.std))
            predicted, target = outputs["heatmaps"][row].float(), batch["heatmaps"][row]
            self._heatmaps.append(heatmap_grid(predicted.cpu().numpy(), target.cpu().numpy()))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._wanted:
            predicted = np.array([result.cards_predicted for result in self._results])
            true = np.array([result.cards for result in self._results])
            images = {
                "val/frames": contact_sheet(self._pictures, self._captions, columns=3),
                "val/heatmaps": contact_sheet(self._heatmaps, self._captions, columns=1),
                "val/cards": scatter_cards(predicted, true),
            }
            for logger in trainer.loggers:
                log_images(logger, images, trainer.global_step)
        self._clear()

    def _due(self, trainer: Trainer) -> bool:
        epoch = trainer.current_epoch + 1
        drawn = epoch in (1, trainer.max_epochs) or epoch % self.every_n_epochs == 0
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        taken = any(isinstance(logger, WITH_IMAGES) for logger in trainer.loggers)
        return drawn and fitting and trainer.is_global_zero and taken
