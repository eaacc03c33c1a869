"""Images per second of training."""

import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class ImageRate:
    """Images per second since the first call of `add`, whose images do not count: they include the warm-up.

    Args:
        clock: returns seconds; tests give their own.

    >>> ticks = iter([10.0, 11.0, 12.0])
    >>> rate = ImageRate(clock=lambda: next(ticks))
    >>> [rate.add(32) or rate.value for _ in range(3)]
    [None, 32.0, 32.0]
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.images = 0
        self.seconds = 0.0
        self._start: float | None = None

    def add(self, images: int) -> None:
        """Record that `images` more are done."""
        now = self.clock()
        if self._start is None:
            self._start = now
        else:
            self.images += images
            self.seconds = now - self._start

    @property
    def value(self) -> float | None:
        """Images per second, None before the second call of `add`."""
        return self.images / self.seconds if self.seconds > 0 else None


class Throughput(Callback):
    """Log `train/images_per_second` at the end of every epoch, summed over all processes.

    Wall-clock time from the end of the first batch (a warm-up, in which workers start and kernels are chosen) to the
    end of the last one; it includes loading, but not validation.
    """

    def __init__(self) -> None:
        self.rate = ImageRate()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rate = ImageRate()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.rate.add(len(batch["image"]))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.rate.value is not None:
            pl_module.log("train/images_per_second", self.rate.value, reduce_fx="sum", sync_dist=True)
