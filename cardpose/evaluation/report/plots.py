"""Plots of splits and of predictions, as uint8 RGB arrays (H, W, 3), drawn without the global state of pyplot.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/); none is the only sign of what it means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cardpose.common.packet import CARDS_PER_DECK, CORNERS, Annotation
from cardpose.data.splits import SUBSETS, Split
from cardpose.evaluation.metrics.confusion import KINDS
from cardpose.evaluation.metrics.coverage import BAND, chance_band
from cardpose.evaluation.metrics.visibility import BINS, Reliability
from cardpose.fusion.intervals import LEVEL

_BLUE, _ORANGE, _GREY, _LIGHT = "#0072B2", "#D55E00", "#666666", "#CCCCCC"
_DPI = 150


def scatter_cards(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Predicted over true counts, one dot per frame, with the diagonal and bands of 1 and 2 cards.

    Args:
        predicted: (N,) estimates in cards.
        true: (N,) counts, NaN where unknown (left out).

    Returns:
        (900, 900, 3) uint8 RGB.
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
    return _finished(figure, axes, _summary(predicted, true))


def error_by_count(
    predicted: np.ndarray, true: np.ndarray, constant: float = float("nan"), reach: float = 0.0
) -> np.ndarray:
    """Signed error of every frame and the mean absolute error of every count, over the true count.

    Args:
        predicted: (N,) estimates in cards.
        true: (N,) counts, NaN where unknown (left out).
        constant: prediction of the constant predictor, whose error is drawn as a line; NaN draws none.
        reach: error in cards that the axis shows at least, for plots with a common axis.

    Returns:
        (900, 1050, 3) uint8 RGB.
    """
    predicted, true = _known(predicted, true)
    figure, axes = _figure(7, 6)
    counts = np.unique(true)
    means = np.array([np.abs(predicted[true == count] - count).mean() for count in counts])
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.bar(counts, means, width=0.8, color=_ORANGE, alpha=0.35, label="mean absolute error per count")
    axes.scatter(
        true,
        predicted - true,
        s=12,
        color=_BLUE,
        alpha=0.5,
        linewidths=0,
        label="predicted - true, per frame",
    )
    error = np.abs(predicted - true)
    reach = 1.1 * max(2.0, reach, float(error[np.isfinite(error)].max(initial=0.0)))
    if np.isfinite(constant):
        line = np.array([0.0, constant, _most(true)])
        axes.plot(
            line,
            np.abs(line - constant),
            "--",
            color=_GREY,
            label=f"absolute error of the constant {constant:.1f}",
        )
    axes.set(xlim=(0, _most(true)), ylim=(-reach, reach), xlabel="true cards", ylabel="cards")
    return _finished(figure, axes, _summary(predicted, true), legend="lower left")


def error_by_condition(rows: Sequence[Mapping[str, str | int | float]]) -> np.ndarray:
    """Mean absolute card error in each bin of each condition, one panel per condition.

    Args:
        rows: of `error_by_condition.condition_rows`; the first is over all frames, drawn as a dashed line.

    Returns:
        (H, W, 3) uint8 RGB, two panels per row; four panels are (900, 1200).
    """
    everything, bins = rows[0], rows[1:]
    names = list(dict.fromkeys(row["condition"] for row in bins))
    lines = -(-len(names) // 2)
    figure = Figure(figsize=(8, 3 * lines), dpi=_DPI, layout="constrained")
    for number, name in enumerate(names, start=1):
        axes = figure.add_subplot(lines, 2, number, sharex=figure.axes[0] if figure.axes else None)
        shown = [row for row in bins if row["condition"] == name]
        labels = [f"{row['bin']}\n{row['frames']} frames" for row in shown]
        axes.barh(labels, [float(row["card_mae"]) for row in shown], color=_ORANGE, alpha=0.6)
        axes.axvline(float(everything["card_mae"]), linestyle="--", color=_GREY, linewidth=1)
        axes.set(title=f"by {name}", xlabel="card error, mean absolute")
        axes.spines[["top", "right"]].set_visible(False)
        axes.invert_yaxis()
    return to_image(figure)


def intervals(true: np.ndarray, cards: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Estimate and interval of each video over its true count.

    Args:
        true: (V,) counts, none of them NaN.
        cards: (V,) estimates in cards.
        low, high: (V,) interval in cards, NaN without one.

    Returns:
        (900, 900, 3) uint8 RGB.
    """
    figure, axes = _figure(6, 6)
    most = _most(true)
    axes.plot([0, most], [0, most], color=_GREY, linewidth=1)
    held = (low <= true) & (true <= high)
    styles = (held, _BLUE, "o", "interval contains the count"), (~held, _ORANGE, "X", "it does not")
    for chosen, colour, marker, label in styles:
        axes.vlines(true[chosen], low[chosen], high[chosen], color=colour, linewidth=1)
        axes.scatter(true[chosen], cards[chosen], s=40, color=colour, marker=marker, label=label)
    axes.set(xlim=(0, most), xlabel="true cards", ylabel="estimate of the video, with its interval")
    return _finished(figure, axes, f"{held.sum()} of {len(true)} counts are within the interval")


def coverage(levels: np.ndarray) -> np.ndarray:
    """Share of videos whose interval contains the count, over the nominal level.

    Args:
        levels: (V,) of `coverage.levels_needed`, at least one.

    Returns:
        (900, 900, 3) uint8 RGB.
    """
    figure, axes = _figure(6, 6)
    share = np.arange(len(levels) + 1) / len(levels)
    low, high = chance_band(len(levels))
    grid = np.linspace(0, 1, 500)
    least, most = (np.searchsorted(edge, grid, side="right") / len(levels) for edge in (high, low))
    band = f"{100 * BAND:.0f} % range of calibrated intervals"
    axes.fill_between(grid, least, most, color=_GREY, alpha=0.2, linewidth=0, label=band)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, label="calibrated")
    axes.step([0, *np.sort(levels), 1], [*share, 1], where="post", color=_BLUE, linewidth=2, label="measured")
    in_use = f"level in use, {100 * LEVEL:.0f} %"
    axes.axvline(LEVEL, color=_ORANGE, linestyle="--", linewidth=1, label=in_use)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="nominal level", ylabel="share of counts within")
    return _finished(figure, axes, f"coverage of the interval, {len(levels)} videos")


def reliability_diagram(bins: Reliability, error: float) -> np.ndarray:
    """Share of visible corners over the predicted probability, above a histogram of the corners.

    Args:
        bins: of `visibility.reliability`.

    Returns:
        (900, 900, 3) uint8 RGB.
    """
    figure = Figure(figsize=(6, 6), dpi=_DPI, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=_GREY, linewidth=1, label="calibrated")
    upper.plot(bins.probability, bins.share, "o-", color=_BLUE, markersize=6, label="measured")
    upper.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share that is visible")
    upper.set_title(f"visibility of corners, expected calibration error {error:.3f}")
    upper.legend(loc="upper left", frameon=False)
    lower.bar(bins.probability, bins.count, width=0.6 / BINS, color=_BLUE, alpha=0.6)
    lower.set(yscale="log", ylim=(0.8, None), xlabel="probability of being visible", ylabel="corners")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return to_image(figure)


def confusion(matrix: np.ndarray) -> np.ndarray:
    """Confusion matrix of predicted and labelled corners, in percent of each row.

    Args:
        matrix: (8, 9) of `confusion.confusion_matrix`.

    Returns:
        (900, 1050, 3) uint8 RGB.
    """
    figure = Figure(figsize=(7, 6), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        if matrix[row, column]:
            text = f"{100 * value:.1f}".removesuffix(".0")
            colour = "white" if value > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    names = [name.replace("_", " ") for name in CORNERS]
    axes.set_xticks(range(len(names) + 1), [*names, KINDS[-1]], rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="lies on the labelled corner", ylabel="predicted corner")
    axes.set_title("where predicted corners lie, % of each row")
    return to_image(figure)


def error_against_error(first: np.ndarray, second: np.ndarray, unit: str) -> np.ndarray:
    """Errors of run b over those of run a, one dot per frame.

    Args:
        first, second: (N,) errors of the same frames, NaN where unknown (left out).

    Returns:
        (900, 900, 3) uint8 RGB.
    """
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    figure, axes = _figure(6, 6)
    most = 1.05 * max(first.max(initial=0.0), second.max(initial=0.0), 1e-9)
    axes.plot([0, most], [0, most], color=_GREY, linewidth=1, label="equal")
    axes.scatter(first, second, s=14, color=_BLUE, alpha=0.5, linewidths=0, label="frame")
    axes.set(xlim=(0, most), ylim=(0, most), xlabel=f"error of a, {unit}", ylabel=f"error of b, {unit}")
    better, worse = int((second < first).sum()), int((second > first).sum())
    return _finished(figure, axes, f"b is better in {better} frames, a in {worse}")


def split_map(annotations: Sequence[Annotation], split: Split) -> np.ndarray:
    """Part of the split of each frame: one column per video, sorted by count, one mark per frame.

    Args:
        split: of these frames; a frame that it does not name is left out.

    Returns:
        (285, 1200, 3) uint8 RGB.
    """
    count = {a.video: a.cards or 0 for a in annotations}
    column = {video: i for i, video in enumerate(sorted(count, key=lambda video: (count[video], video)))}
    figure, axes = _figure(8, 1.9)
    for subset, colour, marker in zip(SUBSETS, (_LIGHT, _BLUE, _ORANGE), ("s", "o", "X"), strict=True):
        frames = getattr(split, subset)
        x, y = [column[video] for video, _ in frames], [index for _, index in frames]
        label = f"{subset}, {len(frames)} frames"
        axes.scatter(x, y, s=20, marker=marker, color=colour, linewidths=0, label=label)
    axes.set(xlabel="video, sorted by count", ylabel="frame")
    axes.locator_params(axis="y", integer=True)
    axes.margins(0.02, 0.2)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(SUBSETS), frameon=False)
    return to_image(figure)


def _known(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(true)
    return predicted[known], true[known]


def _summary(predicted: np.ndarray, true: np.ndarray) -> str:
    if not len(true):
        return "no frame with a known count"
    return f"{len(true)} frames, card error {np.abs(predicted - true).mean():.2f}"


def _most(true: np.ndarray) -> float:
    """End of the count axis: one deck, or the largest count."""
    return max(CARDS_PER_DECK, true.max(initial=0.0)) + 1.0


def _limits(predicted: np.ndarray, most: float) -> tuple[float, float]:
    """Limits of the count axis, wider if estimates of an untrained network lie outside."""
    finite = predicted[np.isfinite(predicted)]
    return min(0.0, finite.min(initial=0.0)), max(most, finite.max(initial=0.0))


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finished(figure: Figure, axes: Axes, title: str, legend: Any = "upper left") -> np.ndarray:
    axes.set_title(title)
    axes.legend(loc=legend, frameon=False)
    return to_image(figure)


def to_image(figure: Figure) -> np.ndarray:
    """The figure as (H, W, 3) uint8 RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
