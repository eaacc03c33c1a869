"""Learning-rate schedules that torch does not have ready; each is stepped once per optimizer step."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


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
