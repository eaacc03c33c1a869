"""The loss of the true chain, against all chains of a small strip one by one."""

from itertools import combinations, pairwise

import numpy as np
import torch

from cardpose.edges.path_loss import LogPartition, path_loss
from cardpose.edges.strips import ROWS
from cardpose.edges.tracing import STEPS

SIZE, FIRST, LAST = 9, int(STEPS[0]), int(STEPS[-1])


def scores(line: np.ndarray, pay: np.ndarray, begin: np.ndarray, finish: np.ndarray) -> float:
    """Logarithm of the sum over all chains, by enumeration."""
    found = [0.0]
    for count in range(1, SIZE + 1):
        for chain in combinations(range(SIZE), count):
            if all(FIRST <= b - a <= LAST for a, b in pairwise(chain)):
                steps = sum(pay[b - a - FIRST, b] for a, b in pairwise(chain))
                found.append(line[list(chain)].sum() - begin[chain[0]] + finish[chain[-1]] - steps)
    return float(np.logaddexp.reduce(found))


def test_the_sum_over_all_chains_and_its_slope() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=shape) for shape in ((SIZE,), (len(STEPS), SIZE), (SIZE,), (SIZE,))]
    tensors = [torch.tensor(part[..., None], dtype=torch.float32, requires_grad=True) for part in parts]
    every = LogPartition.apply(*tensors)
    assert abs(every.item() - scores(*parts)) < 1e-4
    every.sum().backward()
    for part, tensor in zip(parts, tensors, strict=True):
        assert tensor.grad is not None
        for place in ((1,), (4,), (7,)) if part.ndim == 1 else ((0, 4), (1, 7), (3, 8)):
            old, ends = part[place], []
            for by in (1e-4, -1e-4):
                part[place] = old + by
                ends.append(scores(*parts))
            part[place] = old
            assert abs((ends[0] - ends[1]) / 2e-4 - tensor.grad[(*place, 0)].item()) < 1e-4


def test_marks_of_the_true_chain_cost_less_than_those_of_another() -> None:
    rows = 60
    path = torch.zeros(rows, 2)
    path[ROWS : rows - ROWS : ROWS] = 1
    line, rate = 10 * path - 5, torch.zeros(rows, 2)
    inside = torch.where((torch.arange(rows) > 3) & (torch.arange(rows) < rows - 9), 5.0, -5.0)[
        :, None
    ].repeat(1, 2)
    right = path_loss(line, inside, rate, path)
    missed = path.clone()
    missed[ROWS] = 0
    wrong = path_loss(line, inside, rate, missed)
    assert right.shape == (2,)
    assert (right * rows < 0.5).all()
    assert (wrong > right + 5 / rows).all()


def test_a_chain_that_cannot_be_costs_nothing() -> None:
    path = torch.zeros(40, 2)
    path[[10, 10 + LAST + 1], 0] = 1
    path[[10, 11], 1] = 1
    zeros = torch.zeros(40, 2, requires_grad=True)
    value = path_loss(zeros, zeros, zeros, path)
    assert (value == 0).all()
    value.sum().backward()
    assert zeros.grad is not None
    assert (zeros.grad == 0).all()
