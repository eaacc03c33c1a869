"""The Lightning trainer of a configuration, without Lightning's hints for developers."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger

from cardpose.common.distributed import launch
from cardpose.models.builder import build
from cardpose.training.build import check
from cardpose.training.resume import RunCheckpointIO

QUIET = (
    r".*does not have many workers which may be a bottleneck.*",
    r".*You're using the WeightAveraging callback, but.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*is smaller than the logging interval.*",
    r".*Found .* module\(s\) in eval mode at the start of training.*",  # those that are frozen
    r".*isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*when logging on epoch level in distributed setting.*",  # the scores are those of all processes already
)
"""Warnings of Lightning that a user of cardpose cannot act on."""


def quiet_lightning() -> None:
    """Silence `QUIET` and Lightning's tips."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.pytorch.trainer.connectors.signal_connector",
        "lightning.fabric.utilities.distributed",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)


def on_devices(
    recipe: Callable[[], dict[str, float]], config: Mapping[str, Any], logging: dict[str, Any] | None = None
) -> dict[str, float]:
    """Run a training here, or in one process per device; SLURM and torchrun start their processes themselves.

    Args:
        recipe: the training; it can be pickled.
        config: plain containers; `trainer` names the devices.
        logging: of rank 0 where processes are started here, as `logging.config.dictConfig` takes it.

    Raises:
        InputError: an invalid configuration.
        RuntimeError: a process failed, and the others were ended.
    """
    quiet_lightning()
    check(config)
    count = launch.processes_to_start(build_trainer(config, [], logger=False))
    if count:
        return launch.run(recipe, count, logging)
    with launch.lost_process_errors():
        return recipe()


def build_trainer(
    config: Mapping[str, Any], callbacks: Sequence[Callback], logger: Logger | bool, **changes: Any
) -> Trainer:
    """Build the trainer of `config["trainer"]`.

    Args:
        config: plain containers.
        changes: arguments that replace the configuration's.
    """
    settings = {key: value for key, value in config["trainer"].items() if key != "memory_format"}
    objects = {"callbacks": list(callbacks), "logger": logger, "plugins": [RunCheckpointIO()]}
    return build({**settings, **objects, **changes}, "trainer")
