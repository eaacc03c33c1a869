"""Learning-rate schedules over the whole training, stepped once per optimizer step."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


def warmup_cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.02) -> LambdaLR:
    """Linear warm-up to the optimizer's learning rate, then a half cosine down to 0.

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts.

    Args:
        optimizer: its learning rates are scaled.
        total_steps: optimizer steps of the whole training.
        warmup: share of the training that the warm-up takes.
    """
    rise = max(1, round(warmup * total_steps))

    def scale(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        progress = (step - rise) / max(1, total_steps - rise)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, scale)


def one_cycle(optimizer: Optimizer, total_steps: int, max_lr: float, rise: float = 0.1) -> OneCycleLR:
    """Up to `max_lr` and down to almost 0 along half cosines; the momentum moves in the opposite direction.

    Source: Smith and Topin 2017, https://arxiv.org/abs/1708.07120. For a handful of steps torch's schedule divides by
    zero; such a training gets the beginning of a longer schedule.

    Args:
        optimizer: its learning rates and momenta are set.
        total_steps: optimizer steps of the whole training.
        max_lr: the highest learning rate.
        rise: share of the training until `max_lr`.
    """
    return OneCycleLR(optimizer, max_lr, total_steps=max(total_steps, math.ceil(2 / rise)), pct_start=rise)
