"""Progress of a run: a bar on a terminal, one plain line per epoch elsewhere (a log file, CI).

Lightning's bars show one epoch each; this one shows the time left of the whole training, and works in a log file.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from cardpose.common.scores import OBJECTIVE, score_of
from cardpose.training.callbacks.throughput import ImageRate


def duration(seconds: float) -> str:
    """Seconds as text with two units at most.

    >>> duration(7.4), duration(312), duration(7500)
    ('7 s', '5 min 12 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def time_left(elapsed: float, done: float, begun_at: float, total: float) -> float | None:
    """Remaining seconds at the average pace so far; None if nothing is done yet or the end is unknown.

    Args:
        elapsed: seconds since the start of training in this process.
        done, begun_at, total: batches now, at that start (not 0 after a resume), and at the end.

    >>> time_left(60.0, done=30, begun_at=10, total=40)
    30.0
    """
    if done <= begun_at or not math.isfinite(total):
        return None
    return elapsed * (total - done) / (done - begun_at)


def total_batches(trainer: Trainer) -> float:
    """Batches of the whole training, infinite if neither epochs nor steps are limited."""
    limits = [math.inf]
    if trainer.max_epochs not in (None, -1):
        limits.append(trainer.max_epochs * trainer.num_training_batches)
    if trainer.max_steps not in (None, -1):
        limits.append(trainer.max_steps * trainer.accumulate_grad_batches)
    return min(limits)


def score_text(key: str, value: float) -> str:
    """Key and value, a score in its own format.

    >>> score_text("val/card_mae", 2.0), score_text("train/loss", 0.0123456)
    ('val/card_mae 2.00', 'train/loss 0.01235')
    """
    try:
        return f"{key} {score_of(key).text(value)}"
    except KeyError:  # a loss
        return f"{key} {value:.4g}"


def _epoch(trainer: Trainer) -> str:
    epochs = trainer.max_epochs or -1
    ends = epochs > 0 and epochs * trainer.num_training_batches <= total_batches(trainer)  # else by steps
    return f"epoch {trainer.current_epoch + 1}{f'/{epochs}' if ends else ''}"


class TrainingProgress(ProgressBar):
    """One bar over all epochs with images/s, time left and the latest scores, and one for testing.

    If the console is not a terminal: one line per epoch. The time left includes validation.

    Args:
        shown: logged keys to show, if they are logged.
        console: where to write; stderr by default.
        clock: returns seconds; tests give their own.
    """

    def __init__(
        self,
        shown: Sequence[str] = ("train/loss", "val/loss", OBJECTIVE, "val/corner_px_median"),
        console: Console | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self.shown = tuple(shown)
        self.console = console or Console(stderr=True)
        self.clock = clock
        self.enabled = True
        self.rate = ImageRate(clock)
        self._bar: Progress | None = None
        self._started = self._epoch_started = 0.0
        self._begun_at = self._done = 0
        self._scores: list[str] = []

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        self.console.print(*args, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = self._epoch_started = self.clock()  # a resumed training starts in mid-epoch
        self._begun_at = self._done = trainer.fit_loop.total_batch_idx + 1  # not 0 after a resume
        self._open("Training", total_batches(trainer), self._done)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._epoch_started = self.clock()
        self.rate = ImageRate(self.clock)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.rate.add(len(batch["image"]) * trainer.world_size)
        self._done += 1
        self._show(trainer, "Training")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer, "Validating")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        scores = trainer.callback_metrics  # read once an epoch: each read waits for the GPU
        self._scores = [score_text(key, float(scores[key])) for key in self.shown if key in scores]
        self._show(trainer, "Training")
        if self.enabled and not self.console.is_terminal:
            line = [_epoch(trainer), duration(self.clock() - self._epoch_started), *self._state(trainer)]
            self.console.print("  ".join(line), markup=False, highlight=False, soft_wrap=True)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open("Testing", sum(trainer.num_test_batches), 0)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _open(self, description: str, total: float, done: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            # The only column that wraps, so that a narrow terminal cuts no other one.
            TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=False)),
        )
        self._close()
        shown = self.enabled and self.console.is_terminal
        self._bar = Progress(*columns, console=self.console, disable=not shown, refresh_per_second=4)
        known = total if math.isfinite(total) else None
        self._bar.add_task(description, total=known, completed=done, state="")
        self._bar.start()

    def _show(self, trainer: Trainer, stage: str) -> None:
        if self._bar is not None and not self._bar.disable:
            description, state = f"{stage} {_epoch(trainer)}", "  ".join(self._state(trainer))
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=self._done, description=description, state=state)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _state(self, trainer: Trainer) -> list[str]:
        """Images per second, time left and the last scores, if they are known."""
        elapsed = self.clock() - self._started
        left = time_left(elapsed, self._done, self._begun_at, total_batches(trainer))
        return [
            *([f"{self.rate.value:.0f} images/s"] if self.rate.value is not None else []),
            *([f"{duration(left)} left"] if left is not None else []),
            *self._scores,
        ]
