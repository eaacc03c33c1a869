"""Ctrl-C stops a training after the current batch, with a checkpoint from which it resumes exactly."""

import logging
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cardpose.common.distributed.collectives import any_rank, cpu_group

log = logging.getLogger(__name__)


class GracefulInterrupt(Callback):
    """Save a checkpoint and stop after the batch in which SIGINT arrived; a second one stops at once.

    Between batches weights, optimizer and schedule are consistent. After the last batch of an epoch the validation runs
    first. Place this callback after all callbacks whose state changes with a batch. With several processes it is enough
    that one receives the signal.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.requested = False
        self._before: Any = None
        self._group: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.requested = False
        self._group = cpu_group()
        self._before = signal.signal(signal.SIGINT, self._request)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stop = any_rank(self.requested, self._group)
        if stop and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.save_checkpoint(self.path, weights_only=False)
            raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        log.warning("Ctrl-C: stopping after this batch; press it again to stop at once without a checkpoint")

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
