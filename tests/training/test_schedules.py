"""Schedules by the length of the training."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from cardpose.training.schedules import one_cycle, warmup_cosine

LR = 0.02
SCHEDULES = {"cosine": partial(warmup_cosine, warmup=0.1), "onecycle": partial(one_cycle, max_lr=LR)}


def rates(schedule: Callable[..., LRScheduler], steps: int) -> list[float]:
    """The learning rate of every step."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler: Any = schedule(optimizer, total_steps=steps)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing(name: str) -> None:
    seen = rates(SCHEDULES[name], 200)
    peak = seen.index(max(seen))
    assert max(seen) == pytest.approx(LR)
    assert 10 <= peak <= 25
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    assert seen[0] < 0.2 * LR
    assert seen[-1] < 0.001 * LR


@pytest.mark.parametrize("steps", range(1, 25))
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_training_of_a_few_steps_has_a_rate_for_each(name: str, steps: int) -> None:
    assert all(0 < rate <= LR * 1.000001 for rate in rates(SCHEDULES[name], steps))
