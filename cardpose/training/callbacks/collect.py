"""Collects every tested frame."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cardpose.common.distributed.collectives import all_gather_interleaved
from cardpose.common.packet import Batch
from cardpose.evaluation.metrics.results import FrameResult, frame_results


class CollectFrames(Callback):
    """Gathers `results`, label and prediction of every tested frame of all processes, in dataset order."""

    def __init__(self) -> None:
        self.results: list[FrameResult] = []
        self._batches: list[list[FrameResult]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._batches.append(
            frame_results(outputs["prediction"], batch, outputs["flags"], trainer.datamodule.test_videos)
        )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.results = [result for batch in all_gather_interleaved(self._batches) for result in batch]
