"""A finetuned model is never worse on the validation videos than the weights that it started from."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from cardpose.common.distributed import ranks
from cardpose.data.datamodule import CardDataModule
from cardpose.fusion.intervals import Interval
from cardpose.models import checkpoints
from cardpose.training.lightning_module import CardposeModule
from cardpose.training.testing import validate

log = logging.getLogger(__name__)

MONITORS = ("val/loss", "val/card_mae")
"""Scores of which none may be worse after the training: few packets may improve the corners and spoil the count."""


class Start(NamedTuple):
    """The weights that a training starts from, and their scores on the validation frames."""

    scores: dict[str, float]
    weights: dict[str, Tensor]
    interval: Interval | None


def measure_start(config: Mapping[str, Any], module: CardposeModule, data: CardDataModule) -> Start | None:
    """Validate the weights of `module` before the training; None where `keep_start` is false.

    Args:
        config: plain containers.
        module: with the weights of `init_from`.
        data: prepared.
    """
    if not config["keep_start"]:
        return None
    scores = validate(config, module, data)
    return Start(scores, copy.deepcopy(module.state_dict()), module.interval)


def load_best(
    config: Mapping[str, Any], start: Start | None, module: CardposeModule, data: CardDataModule, best: Path
) -> dict[str, float]:
    """Load the best checkpoint of the training, or the start where that one is better, and validate it.

    Args:
        config: plain containers.
        start: from `measure_start`. Where one of `MONITORS` is better, `best` is rewritten with its weights.
        module: receives the weights.
        data: prepared.
        best: path of the best checkpoint.

    Returns:
        Scores of the loaded weights on the validation frames, val/....
    """
    checkpoint = checkpoints.read(best)
    module.load(checkpoint, best)
    scores = validate(config, module, data)
    if start is None:
        return scores
    worse = [name for name in MONITORS if scores[name] > start.scores[name]]
    if not worse:
        return scores
    log.warning(
        "The start is kept: its %s is %.3f, after the training it is %.3f. More videos, or a lower optim.lr, may help",
        worse[0],
        start.scores[worse[0]],
        scores[worse[0]],
    )
    module.load_state_dict(start.weights)
    module.interval = start.interval
    checkpoint["state_dict"] = start.weights
    if start.interval is not None:
        checkpoint[checkpoints.KEY]["interval"] = asdict(start.interval)
    if ranks.is_rank_zero():
        checkpoints.write(checkpoint, best)
    return start.scores
