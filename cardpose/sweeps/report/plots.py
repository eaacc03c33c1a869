"""Plots of a sweep, uint8 RGB (H, W, 3): scores over each override, and error against cost."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cardpose.common.scores import OBJECTIVE
from cardpose.evaluation.report.plots import to_image
from cardpose.sweeps.report.results import COSTS, ERRORS, SHOWN, SweepResults

PANELS = (*ERRORS, *COSTS)
UNITS = {"cost/parameters": 1e6}
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"
_MANY = 8
"""From this many different numbers on, the axis is numeric instead of a list of values."""
DPI = 120
_JITTER = 0.12
MOST = 12
"""Characters of a number in a table or at an axis."""


def effect(results: SweepResults, key: str, score: str) -> np.ndarray:
    """A score of every run over the values of one override, with the mean of each value.

    Args:
        key: one of `results.swept`.
        score: one of `PANELS`.
    """
    figure = Figure(figsize=(5, 3.4), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    values = [run.overrides.get(key, "") for run in results.runs]
    _effect(axes, values, results.column(score) / UNITS.get(score, 1))
    axes.set(xlabel=key, ylabel=SHOWN[score])
    _plain(axes)
    return to_image(figure)


def _effect(axes: Axes, values: Sequence[str], scores: np.ndarray) -> None:
    names = sorted(set(values), key=lambda name: (_number(name), name))
    numbers = np.array([_number(name) for name in names])
    scale = len(names) >= _MANY and bool(np.isfinite(numbers).all())
    places = numbers if scale else np.arange(len(names), dtype=float)
    index = np.array([names.index(value) for value in values])
    jitter = 0 if scale else np.random.default_rng(0).uniform(-_JITTER, _JITTER, len(index))
    axes.scatter(places[index] + jitter, scores, s=16, color=_BLUE, alpha=0.6, linewidths=0)
    if scale:
        if numbers.min() > 0 and numbers.max() > 30 * numbers.min():
            axes.set_xscale("log")
        return
    means = [_mean(scores[index == i]) for i in range(len(names))]
    line = "-" if np.isfinite(numbers).all() else "none"  # text values have no order
    axes.plot(places, means, linestyle=line, color=_ORANGE, marker="_", markersize=18, markeredgewidth=2)
    labels = [short(name) for name in names]
    axes.set_xticks(places, labels, fontsize=8)
    axes.set_xlim(-0.5, len(names) - 0.5)
    if max(map(len, labels)) * len(labels) > 36:
        axes.tick_params(axis="x", rotation=20)


def short(value: str) -> str:
    """A value of an override, shortened for a table.

    >>> short("0.0031622776601683794"), short("unet"), short("[a_very_long_list,of_many_names]")
    ('0.003162', 'unet', '[a_very_long_list,of_...')
    """
    if len(value) > MOST and np.isfinite(_number(value)):
        return f"{float(value):.4g}"
    return value if len(value) <= 2 * MOST else f"{value[: 2 * MOST - 3]}..."


def pareto(results: SweepResults, cost: str) -> np.ndarray:
    """Card error against a cost: a dot with its rank for each setting, bars of one std, and the Pareto front."""
    figure = Figure(figsize=(5, 3.8), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    error, std = results.mean(OBJECTIVE), results.std(OBJECTIVE)
    costs, front = results.mean(cost) / UNITS.get(cost, 1), results.front(cost)
    axes.errorbar(costs, error, np.nan_to_num(std), fmt="none", ecolor=_GREY, elinewidth=0.8, capsize=2)
    axes.scatter(costs, error, s=24, c=np.where(front, _ORANGE, _BLUE), zorder=3)
    on = np.flatnonzero(front)[np.argsort(costs[front])]
    axes.step(costs[on], error[on], where="post", color=_ORANGE, linewidth=1, label="Pareto front")
    for k in np.flatnonzero(~np.isnan(costs) & ~np.isnan(error)):
        axes.annotate(str(k + 1), (costs[k], error[k]), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel=SHOWN[cost], ylabel=SHOWN[OBJECTIVE])
    _plain(axes)
    axes.legend(frameon=False)
    return to_image(figure)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0) if low < 0.5 * high else low, high)


def _number(text: str) -> float:
    """The number; infinite for other text, which is sorted last."""
    try:
        return float(text)
    except ValueError:
        return math.inf


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
