"""Plots of card estimates, as uint8 RGB arrays (H, W, 3), drawn without pyplot's global state."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cardpose.packet import DECK

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"


def scatter_cards(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Predicted against true counts, a dot per frame, with the diagonal and the bands of 1 and 2 cards.

    Args:
        predicted: (N,) estimates in cards.
        true: (N,) counts, NaN where unknown (left out).

    Returns:
        (600, 600, 3) uint8 RGB.
    """
    predicted, true = _known(predicted, true)
    figure, axes = _figure(6, 6)
    ends = np.array([0.0, _most(true)])
    for width, shade in ((2, 0.12), (1, 0.2)):
        axes.fill_between(
            ends, ends - width, ends + width, color=_GREY, alpha=shade, linewidth=0, label=f"± {width}"
        )
    axes.plot(ends, ends, color=_GREY, linewidth=1)
    axes.scatter(true, predicted, s=14, color=_BLUE, alpha=0.5, linewidths=0, label="frame")
    axes.set(xlim=ends, ylim=_limits(predicted, _most(true)), xlabel="true cards", ylabel="predicted cards")
    axes.set_title(_summary(predicted, true))
    axes.legend(loc="upper left", frameon=False)
    return _to_image(figure)


def error_by_count(predicted: np.ndarray, true: np.ndarray, constant: float = float("nan")) -> np.ndarray:
    """Signed error of every frame and the mean absolute error of every count, over the true count.

    Args:
        predicted: (N,) estimates in cards.
        true: (N,) counts, NaN where unknown (left out).
        constant: answer of the constant predictor, whose error is drawn beside; NaN leaves it out.

    Returns:
        (600, 900, 3) uint8 RGB.
    """
    predicted, true = _known(predicted, true)
    figure, axes = _figure(9, 6)
    counts = np.unique(true)
    means = np.array([np.abs(predicted[true == count] - count).mean() for count in counts])
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.bar(counts, means, width=0.8, color=_ORANGE, alpha=0.35, label="mean absolute error of the count")
    axes.scatter(
        true, predicted - true, s=12, color=_BLUE, alpha=0.5, linewidths=0, label="predicted - true, a frame"
    )
    reach = 1.1 * max(2.0, float(np.abs(predicted - true).max(initial=0.0)))
    if np.isfinite(constant):
        line = np.array([0.0, constant, _most(true)])
        axes.plot(
            line, np.abs(line - constant), "--", color=_GREY, label=f"absolute error of always {constant:.1f}"
        )
    axes.set(xlim=(0, _most(true)), ylim=(-reach, reach), xlabel="true cards", ylabel="cards")
    axes.set_title(_summary(predicted, true))
    axes.legend(loc="lower left", frameon=False)
    return _to_image(figure)


def error_by_condition(rows: Sequence[Mapping[str, str | int | float]]) -> np.ndarray:
    """Mean absolute card error in each bin of each condition, a panel a condition.

    Args:
        rows: of `conditions.condition_rows`; the first is over all frames, whose error is the dashed line.

    Returns:
        (H, W, 3) uint8 RGB, four panels side by side in (400, 1600).
    """
    everything, bins = rows[0], rows[1:]
    names = list(dict.fromkeys(row["condition"] for row in bins))
    figure = Figure(figsize=(4 * len(names), 4), dpi=100, layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False, sharex=True)[0], names, strict=True):
        shown = [row for row in bins if row["condition"] == name]
        labels = [f"{row['bin']}\n{row['frames']} frames" for row in shown]
        axes.barh(labels, [float(row["card_mae"]) for row in shown], color=_ORANGE, alpha=0.6)
        axes.axvline(float(everything["card_mae"]), linestyle="--", color=_GREY, linewidth=1)
        axes.set(title=f"by {name}", xlabel="card error, mean absolute")
        axes.spines[["top", "right"]].set_visible(False)
        axes.invert_yaxis()
    return _to_image(figure)


def _known(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(true)
    return predicted[known], true[known]


def _summary(predicted: np.ndarray, true: np.ndarray) -> str:
    if not len(true):
        return "no frame with a known count"
    return f"{len(true)} frames, card error {np.abs(predicted - true).mean():.2f}"


def _most(true: np.ndarray) -> float:
    """Where the axis of counts ends: a deck, or more where there is more."""
    return max(DECK, true.max(initial=0.0)) + 1.0


def _limits(predicted: np.ndarray, most: float) -> tuple[float, float]:
    """The range of counts, wider where an untrained network's estimates lie outside."""
    finite = predicted[np.isfinite(predicted)]
    return min(0.0, finite.min(initial=0.0)), max(most, finite.max(initial=0.0))


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _to_image(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
