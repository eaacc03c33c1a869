"""A finetuned model is never worse on the validation videos than the weights that it started from."""

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
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

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of the trained weights in the means with the start that are tried. Such a mean often tests better than both
(Wortsman et al. 2022, Robust fine-tuning of zero-shot models, https://arxiv.org/abs/2109.01903)."""


class Candidate(NamedTuple):
    """Weights, `share` of them trained, with their scores on the validation frames and the interval of these."""

    share: float
    weights: dict[str, Tensor]
    scores: dict[str, float]
    interval: Interval | None


def measure_start(
    config: Mapping[str, Any], module: CardposeModule, data: CardDataModule
) -> Candidate | None:
    """Validate the weights of `module` before the training; None where `keep_start` is false.

    Args:
        config: plain containers.
        module: with the weights of `init_from`.
        data: prepared.
    """
    if not config["keep_start"]:
        return None
    scores = validate(config, module, data)
    return Candidate(0.0, copy.deepcopy(module.state_dict()), scores, module.interval)


def load_best(
    config: Mapping[str, Any],
    start: Candidate | None,
    module: CardposeModule,
    data: CardDataModule,
    best: Path,
) -> dict[str, float]:
    """Load the best checkpoint of the training, or its mean with the start, or the start, and validate it.

    Args:
        config: plain containers.
        start: from `measure_start`. Of the means of `SHARES` that are in none of `MONITORS` worse than the start, the
            one with the best count is taken, else the start, and `best` is rewritten with it. None: the training's own.
        module: receives the weights.
        data: prepared.
        best: path of the best checkpoint.

    Returns:
        Scores of the loaded weights on the validation frames, val/....
    """
    checkpoint = checkpoints.read(best)
    module.load(checkpoint, best)
    if start is None:
        return validate(config, module, data)
    trained = copy.deepcopy(module.state_dict())
    candidates = []
    for share in SHARES:
        weights = _mean(start.weights, trained, share)
        module.load_state_dict(weights)
        candidates.append(Candidate(share, weights, validate(config, module, data), module.interval))
    chosen = _choose(candidates, start)
    module.load_state_dict(chosen.weights)
    module.interval = chosen.interval
    if chosen.share < 1 and ranks.is_rank_zero():
        checkpoint["state_dict"] = chosen.weights
        checkpoint[checkpoints.KEY]["interval"] = chosen.interval and asdict(chosen.interval)
        checkpoints.write(checkpoint, best)
    return chosen.scores


def _choose(candidates: Sequence[Candidate], start: Candidate) -> Candidate:
    """The candidate with the best count among those that are not worse than the start, or the start.

    Args:
        candidates: the first is trained wholly.
        start: the weights before the training.
    """
    trained = candidates[0]
    allowed = [one for one in candidates if not _worse(one, start)]
    if not allowed:
        name = _worse(trained, start)[0]
        log.warning(
            "The start is kept: its %s is %.3f, after the training it is %.3f. "
            "More videos, or a lower optim.lr, may help",
            name,
            start.scores[name],
            trained.scores[name],
        )
        return start
    loss, count = MONITORS
    by = loss if math.isnan(start.scores[count]) else count
    chosen = min(allowed, key=lambda one: one.scores[by])
    if chosen is not trained:
        log.info(
            "Kept is the mean of %.0f %% trained weights and the start's: its %s is %.3f, "
            "after the training alone it is %.3f, at the start %.3f",
            100 * chosen.share,
            by,
            *(one.scores[by] for one in (chosen, trained, start)),
        )
    return chosen


def _worse(candidate: Candidate, start: Candidate) -> list[str]:
    """The scores of `MONITORS` in which a candidate is worse; a count that is NaN at the start is not compared."""
    return [
        name
        for name in MONITORS
        if not math.isnan(start.scores[name]) and not candidate.scores[name] <= start.scores[name]
    ]


def _mean(start: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The mean of two sets of weights, `share` of it trained; numbers of batches are the trained ones."""
    return {
        name: torch.lerp(start[name].to(value), value, share) if value.is_floating_point() else value
        for name, value in trained.items()
    }
