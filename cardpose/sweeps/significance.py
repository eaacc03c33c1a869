"""Tukey-Kramer comparison of settings against the best, blocked by fold."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import studentized_range

LEVEL = 0.95
"""Confidence, for all differences of a table together."""
SMALLEST = 1e-6
"""Lower bound of an error, whose logarithm is taken."""


@dataclass(frozen=True)
class Comparison:
    """Settings compared with the best of them.

    Args:
        best: its index; None if nothing could be compared.
        ratio: (K,) ratio of each setting's geometric mean error to that of the best; NaN if unknown.
        margin: (K,) ratio up to which the difference is not significant; NaN if there are too few runs.
    """

    best: int | None
    ratio: np.ndarray
    margin: np.ndarray

    def inside_noise(self) -> np.ndarray:
        """(K,) bool, whether a setting is not significantly worse than the best; False for the best itself."""
        inside = self.ratio <= self.margin
        if self.best is not None:
            inside[self.best] = False
        return inside


def compare(errors: np.ndarray, setting: np.ndarray, block: np.ndarray, settings: int) -> Comparison:
    """Compare the settings of runs by their errors.

    Linear model of the log error: setting + block + noise of one variance, estimated from the residuals. Blocks are the
    folds, because a hard fold is hard for every setting. A difference is significant if it exceeds the studentized
    range (Tukey 1949, Kramer 1956): if all settings are equal, 19 of 20 tables call none worse.

    Args:
        errors: (N,) one a run, positive; NaN where unknown.
        setting: (N,) index of each run's setting.
        block: (N,) index of its fold; all alike where there is one.
        settings: K, how many settings there are.

    >>> errors = np.array([2.0, 2.1, 1.9, 2.1, 2.0, 2.2, 4.0, 4.2, 3.8])
    >>> found = compare(errors, np.repeat([0, 1, 2], 3), np.zeros(9, int), 3)
    >>> found.best, found.inside_noise().tolist(), [round(float(ratio), 2) for ratio in found.ratio]
    (0, [False, True, False], [1.0, 1.05, 2.0])
    """
    ratio, margin = np.full(settings, math.nan), np.full(settings, math.nan)
    known = ~np.isnan(errors)
    errors, setting, block = errors[known], setting[known], block[known]
    there = np.unique(setting)
    if not len(there):
        return Comparison(None, ratio, margin)
    blocks = np.unique(block)
    design = np.concatenate([setting[:, None] == there, block[:, None] == blocks[1:]], axis=1).astype(float)
    logs = np.log(np.maximum(errors, SMALLEST))
    inverse = np.linalg.pinv(design)  # (K' + B - 1, N)
    effects = inverse @ logs
    best = int(np.argmin(effects[: len(there)]))
    contrasts = np.eye(len(effects))[: len(there)] - np.eye(len(effects))[best]  # (K', K' + B - 1)
    ratio[there] = np.exp(contrasts @ effects)
    freedom = len(logs) - np.linalg.matrix_rank(design)
    if freedom > 0:
        variance = ((logs - design @ effects) ** 2).sum() / freedom
        deviation = np.sqrt(variance * ((contrasts @ inverse) ** 2).sum(axis=1))
        reach = _studentized(max(len(there), 2), int(freedom)) / math.sqrt(2)
        margin[there] = np.exp(reach * deviation)
        comparable = np.abs(contrasts @ inverse @ design - contrasts).max(axis=1) < 1e-6
        margin[there[~comparable]] = math.nan  # no fold that both have run
    return Comparison(int(there[best]), ratio, margin)


@lru_cache
def _studentized(settings: int, freedom: int) -> float:
    """The range of that many means, in standard errors, that chance exceeds in 1 - LEVEL of all tables."""
    return float(studentized_range.ppf(LEVEL, settings, freedom))


def pareto_front(error: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """(K,) bool: no other setting is as good for less, or better for as much; False where one of the two is NaN.

    >>> pareto_front(np.array([3.0, 2.0, 2.5, 1.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0, 4.0])).tolist()
    [True, True, False, True, True]
    """
    as_good = (error[:, None] <= error) & (cost[:, None] <= cost)  # [i, j]: i is no worse than j in either
    better = (error[:, None] < error) | (cost[:, None] < cost)
    return ~(as_good & better).any(axis=0) & ~np.isnan(error) & ~np.isnan(cost)
