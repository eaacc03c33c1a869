"""How probable the true chain of lines is among all chains, by the scores of `cardpose.edges.tracing`.

A conditional random field over chains (semi-Markov, Sarawagi and Cohen 2004). Its loss is 0 where the marks leave one
chain, so that it teaches what decides the count: the ends, and lines that are faint, doubled or of the table.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cardpose.edges.strips import ROWS
from cardpose.edges.tracing import INSIDE_WEIGHT, RATE_LIMIT, STEPS, STIFFNESS


def path_loss(line: Tensor, inside: Tensor, rate: Tensor, path: Tensor) -> Tensor:
    """Negative log-probability of the true chain among all chains, divided by the number of rows.

    The log-odds are not clipped as in `score_counts`: beyond the limit they would have no gradient.

    Args:
        line, inside, rate: (rows, columns), the marks of a network.
        path: (rows, columns) 1 at the rows of the true lines, 0 elsewhere.

    Returns:
        (columns,); 0 where the true chain has steps that no chain may have.
    """
    rows, columns = line.shape
    period = ROWS / rate.clamp(-RATE_LIMIT, RATE_LIMIT).exp()
    steps = torch.from_numpy(STEPS)
    step_cost = STIFFNESS * (steps[:, None, None] / period).log() ** 2
    total = torch.cat([line.new_zeros(1, columns), (INSIDE_WEIGHT * inside).cumsum(0)])
    y, half = torch.arange(rows)[:, None], (period / 2).detach().round().long()
    begin = total.gather(0, (y - half).clamp(0, rows))
    finish = total.gather(0, (y + half).clamp(0, rows))
    log_partition = LogPartition.apply(line, step_cost, begin, finish)
    # The score of the true chain.
    before = torch.where(path > 0, y, -1).cummax(0).values.roll(1, 0)
    before[0] = -1
    later = (path > 0) & (before >= 0)
    step = torch.where(later, y - before, int(STEPS[0]))
    index = (step - int(STEPS[0])).clamp(0, len(STEPS) - 1)
    first, last = (path > 0) & (before < 0), (path > 0) & (path.flip(0).cumsum(0).flip(0) == 1)
    score = line * path - step_cost.gather(0, index[None])[0] * later - begin * first + finish * last
    possible = (step - int(STEPS[0]) == index).all(0)
    return (log_partition - score.sum(0)) * possible / rows


class LogPartition(torch.autograd.Function):
    """Logarithm of the sum over all chains (columns,).

    Of line, begin and finish (rows, columns), and step_cost (steps, rows, columns).
    """

    @staticmethod
    def forward(ctx: Any, line: Tensor, step_cost: Tensor, begin: Tensor, finish: Tensor) -> Tensor:
        score, cost, first, last = (part.detach().numpy() for part in (line, step_cost, begin, finish))
        rows, pad = len(score), int(STEPS[-1])
        none = np.full((pad, score.shape[1]), -1e6, np.float32)
        # `ahead[row]`: of all chains so far whose last line is there; `rest[row]`: of all that may follow that line.
        ahead, rest = (np.concatenate([none, score, none]) for _ in range(2))
        for row in range(rows):
            reach = ahead[row + pad - STEPS] - cost[:, row]
            ahead[row + pad] = score[row] + _log_sum(np.concatenate([reach, -first[row : row + 1]]))
        for row in range(rows - 1, -1, -1):
            up = np.minimum(row + STEPS, rows - 1)
            reach = rest[row + pad + STEPS] - cost[np.arange(len(STEPS)), up]
            rest[row + pad] = score[row] + _log_sum(np.concatenate([reach, last[row : row + 1]]))
        own, after = ahead[pad:-pad], rest[pad:-pad] - score
        every = _log_sum(np.concatenate([own + last, np.zeros((1, score.shape[1]), np.float32)]))
        before = ahead[(np.arange(rows) + pad)[None] - STEPS[:, None]] - cost
        ctx.save_for_backward(
            torch.from_numpy(np.exp(own + after - every)),
            torch.from_numpy(-np.exp(before + score + after - every)),
            torch.from_numpy(-np.exp(score - first + after - every)),
            torch.from_numpy(np.exp(own + last - every)),
        )
        return torch.from_numpy(every)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return tuple(part * gradients[0] for part in ctx.saved_tensors)


def _log_sum(terms: np.ndarray) -> np.ndarray:
    """Of (n, columns): (columns,)."""
    most = terms.max(0)
    return np.asarray(most + np.log(np.exp(terms - most).sum(0)))
