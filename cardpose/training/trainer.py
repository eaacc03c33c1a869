"""The Lightning trainer of a configuration, without Lightning's hints for developers."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger

from cardpose.models.builder import build

QUIET = (
    r".*does not have many workers which may be a bottleneck.*",
    r".*You're using the WeightAveraging callback, but.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*is smaller than the logging interval.*",
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


def build_trainer(
    config: Mapping[str, Any], callbacks: Sequence[Callback], logger: Logger | bool, **changes: Any
) -> Trainer:
    """Build the trainer of `config["trainer"]`.

    Args:
        config: plain containers.
        callbacks, logger: as Lightning takes them.
        changes: arguments that replace the configuration's.
    """
    settings = {key: value for key, value in config["trainer"].items() if key != "memory_format"}
    return build({**settings, "callbacks": list(callbacks), "logger": logger, **changes}, "trainer")
