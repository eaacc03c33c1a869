"""Learning-rate schedules by the length of the training; each is stepped once per optimizer step."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


def warmup_cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.02) -> LambdaLR:
    """Linear from almost 0 to the optimizer's learning rate, then down to 0 along a half cosine.

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts.

    Args:
        optimizer: whose rates are scaled.
        total_steps: of the whole training.
        warmup: share of it that the rise takes.
    """
    rise = max(1, round(warmup * total_steps))

    def scale(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        progress = (step - rise) / max(1, total_steps - rise)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, scale)


def one_cycle(optimizer: Optimizer, total_steps: int, max_lr: float, rise: float = 0.1) -> OneCycleLR:
    """Up to `max_lr` and down to almost 0 along half cosines, the momentum the other way round.

    Source: Smith and Topin 2017, https://arxiv.org/abs/1708.07120. A training of a handful of steps, for which
    torch's schedule divides by zero, gets the beginning of a longer one.

    Args:
        optimizer: whose rates and momenta are set.
        total_steps: of the whole training.
        max_lr: the highest rate.
        rise: share of the training until then.
    """
    return OneCycleLR(optimizer, max_lr, total_steps=max(total_steps, math.ceil(2 / rise)), pct_start=rise)
