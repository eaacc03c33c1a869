"""Where a run's curves, pictures and final scores go: the choices of conf/logger.

Adding a logger: a file in conf/logger with its `_target_`, the name in `cardpose.models.builder.ALLOWED`, and a line in
`log_images` if it takes pictures. A library that is not installed must raise an InputError that names the extra.
"""

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from cardpose.common.errors import InputError
from cardpose.common.scores import VARIANTS
from cardpose.evaluation.report.tables import score_cells

WITH_IMAGES = (TensorBoardLogger, WandbLogger, MLFlowLogger)
"""Loggers that take pictures."""


class TensorBoard(TensorBoardLogger):
    """TensorBoard with the losses in the first group, and without charts of a single point or a constant.

    Test scores are in the Text tab (`log_test_scores`), the constant predictor's scores in metrics.json. Lightning's
    `epoch` is left out too: its group would come first.

    Its thread hands an error, such as a full disk, to the next call, and prints no traceback.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        hook = threading.excepthook
        other = hook.args[1] if isinstance(hook, partial) and hook.func is _writer_failed else hook
        # It stays: the logger may be used again after `finalize`, as by a test after the training.
        threading.excepthook = partial(_writer_failed, str(Path(self.log_dir)), other)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        shown = {
            tag_of(key): value
            for key, value in metrics.items()
            if key != "epoch" and not key.startswith("test/") and not key.endswith("_constant")
        }
        try:
            super().log_metrics(shown, step)
        except ValueError as error:
            # Of the writer's thread: Lightning blames the value that is logged.
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise


def _writer_failed(folder: str, other: Callable[..., Any], failed: threading.ExceptHookArgs) -> None:
    """Name the folder in an error of TensorBoard's thread; leave those of `other` threads to their hook."""
    error = failed.exc_value
    if isinstance(error, OSError) and type(failed.thread).__module__.startswith("tensorboard."):
        error.filename = error.filename or folder
    else:
        other(failed)


def tag_of(key: str) -> str:
    """The tag of a logged key: losses come first, grouped over training and validation.

    TensorBoard sorts groups by name and shows the first one.

    >>> tag_of("train/loss"), tag_of("val/loss_cards"), tag_of("val/card_mae"), tag_of("lr-AdamW")
    ('loss/train', 'loss/val_cards', 'val/card_mae', 'lr-AdamW')
    """
    stage, slash, name = key.partition("/")
    return f"loss/{stage}{name.removeprefix('loss')}" if slash and name.startswith("loss") else key


def wandb(**settings: Any) -> WandbLogger:
    """Weights & Biases; `settings` as in `WandbLogger`.

    Raises:
        InputError: the library is not installed.
    """
    return _with_extra("wandb", WandbLogger, settings)


def mlflow(**settings: Any) -> MLFlowLogger:
    """MLflow; `settings` as in `MLFlowLogger`.

    Raises:
        InputError: the library is not installed.
    """
    # MLflow 3 takes a folder, which needs no server, only if this is set.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return _with_extra("mlflow", MLFlowLogger, settings)


def _with_extra(extra: str, logger: Any, settings: Mapping[str, Any]) -> Any:
    try:
        return logger(**settings)
    except ModuleNotFoundError:
        raise InputError(f'logger={extra} needs the extra "{extra}": pip install -e ".[{extra}]"') from None


def log_images(logger: Logger, images: Mapping[str, np.ndarray], step: int) -> None:
    """Log pictures; a logger that takes none is left alone.

    Args:
        images: (H, W, 3) uint8 RGB each, by tag.
        step: optimizer steps so far.
    """
    for tag, image in images.items():
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(tag, image, step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(tag, [image], step)
        elif isinstance(logger, MLFlowLogger):
            logger.experiment.log_image(logger.run_id, image, key=tag, step=step)


def log_test_scores(logger: Logger, metrics: Mapping[str, float], step: int) -> None:
    """Write the table of the test scores into TensorBoard's Text tab; other loggers have them as metrics.

    Args:
        step: optimizer steps so far.
    """
    if isinstance(logger, TensorBoardLogger):
        headings = ["", *VARIANTS.values()]
        lines = [headings, ["---"] * len(headings), *score_cells(metrics)]
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        logger.experiment.add_text("test/scores", table, step)


def write_images(folder: Path, images: Mapping[str, np.ndarray]) -> None:
    """Write the pictures of an evaluation where `tensorboard --logdir FOLDER` finds them.

    Args:
        images: (H, W, 3) uint8 RGB each, by name.
    """
    logger = TensorBoard(folder, name="tensorboard", version="")
    log_images(logger, {f"test/{name}": image for name, image in images.items()}, step=0)
    logger.finalize("success")
