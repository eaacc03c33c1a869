"""Every tested frame, and pictures of the worst."""

import math
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from cardpose.packet import Batch
from cardpose.results import FrameResult, frame_results
from cardpose.viz import draw_sample


class Worst:
    """The frames with the largest errors so far, worst first, with their pictures.

    Args:
        count: how many to keep.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept: list[tuple[float, FrameResult, np.ndarray]] = []

    def wants(self, error: float) -> bool:
        """Whether a frame with this error belongs to the worst; NaN (nothing to compare) never does."""
        full = len(self.kept) >= self.count
        return error > (min((kept for kept, _, _ in self.kept), default=math.inf) if full else -math.inf)

    def add(self, error: float, result: FrameResult, picture: np.ndarray) -> None:
        """Take a frame in; the least of too many falls out, of equals the later one."""
        self.kept = sorted([*self.kept, (error, result, picture)], key=lambda entry: -entry[0])[: self.count]


class CollectFrames(Callback):
    """Gather `results` of all tested frames and pictures of the worst, for `cardpose.reports`.

    Args:
        worst: number of pictures by card error, and again by corner error.
    """

    def __init__(self, worst: int = 12) -> None:
        self.worst = worst
        self._clear()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clear()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        data = trainer.datamodule
        results = frame_results(outputs["prediction"], batch, data.test_videos)
        self.results += results
        for row, result in enumerate(results):
            errors = (self.worst_cards, result.card_error), (self.worst_corners, result.corner_px_mean)
            for worst, error in errors:
                if worst.wants(error):
                    worst.add(error, result, draw_sample(batch, row, result, data.mean, data.std))

    def sheets(self) -> dict[str, list[tuple[FrameResult, np.ndarray]]]:
        """The worst frames with their pictures, by the sheet's name, as `write_report` takes them."""
        worst = {"worst_cards": self.worst_cards, "worst_corners": self.worst_corners}
        return {name: [(result, picture) for _, result, picture in kept.kept] for name, kept in worst.items()}

    def _clear(self) -> None:
        self.results: list[FrameResult] = []
        self.worst_cards = Worst(self.worst)
        self.worst_corners = Worst(self.worst)
