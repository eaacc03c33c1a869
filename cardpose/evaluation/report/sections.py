"""What a model does well and badly, as the sections of a page: each function makes one, text and pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cardpose.common.images import write_image
from cardpose.evaluation.metrics import confusion, coverage
from cardpose.evaluation.metrics.results import FrameResult, corners_below, worst
from cardpose.evaluation.metrics.scores import VARIANTS
from cardpose.evaluation.metrics.visibility import BINS, reliability, visibility_scores
from cardpose.evaluation.report import plots
from cardpose.evaluation.report.drawing import caption
from cardpose.evaluation.report.html import Picture, Section, Table, image_files, write_page
from cardpose.evaluation.report.tables import Cell, score_cells, write_tables
from cardpose.evaluation.report.test_result import TestResult
from cardpose.fusion.intervals import LEVEL

WORST_FRAMES, BEST_FRAMES = 12, 6
SHEETS = (
    ("worst_cards", "card_error", False, "Frames with the largest error of the count"),
    ("best_cards", "card_error", True, "Frames with the smallest error of the count"),
    ("worst_corners", "corner_px_mean", False, "Frames with the largest error of the corners"),
    ("best_corners", "corner_px_mean", True, "Frames with the smallest error of the corners"),
)
"""Name, error, whether its best frames are shown, and title."""
MARKS = (
    "Circles and the white box are the label, crosses and the green box the prediction. Thick marks and whole lines "
    "are visible, thin marks and dashed lines hidden."
)


def write_report(
    folder: Path, title: str, tested: TestResult, facts: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Write frames.csv, videos.csv, report.html, and the page's pictures as files of their own.

    Args:
        folder: made where it is missing; each file is whole or absent.
        title: of the page.
        tested: what it is about.
        facts: of `describe_run`.

    Returns:
        The pictures, (H, W, 3) uint8 RGB, by name.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    write_tables(folder, tested.results, tested.videos)
    return write_sections(folder, title, {**facts, "footage": tested.footage}, sections(tested))


def write_sections(
    folder: Path, title: str, facts: Mapping[str, str], parts: Sequence[Section]
) -> dict[str, np.ndarray]:
    """Write report.html and its pictures as files of their own; return these by name."""
    images = image_files(parts)
    for name, image in images.items():
        write_image(folder / f"{name}.png", image)
    write_page(folder / "report.html", title, facts, parts)
    return images


def describe_run(checkpoint: str | Path, described: Mapping[str, Any]) -> dict[str, str]:
    """What a page says of the model.

    Args:
        checkpoint: path of its file.
        described: the file's entry, see `checkpoints.describe`.
    """
    versions = ", ".join(f"{name} {version}" for name, version in described["versions"].items())
    decode = described["config"]["heatmap"].get("decode", "quadratic")
    return {
        "checkpoint": str(checkpoint),
        "trained by": f"{versions}, commit {described['git_commit']}",
        "peaks found by": decode,
    }


def sections(tested: TestResult) -> list[Section]:
    """All of a page about one model."""
    frames = frame_sections(tested.results, tested.frames.draw)
    return [score_section(tested.metrics), *chart_sections(tested), *frames]


def chart_sections(tested: TestResult, reach: float = 0.0) -> list[Section]:
    """What is drawn as charts: count, interval, visibility and corners; `reach` as in `plots.error_by_count`."""
    learnt_from = tested.interval.videos if tested.interval else 0
    return [
        count_section(tested.results, tested.constant, reach),
        interval_section(tested.videos, np.full(len(tested.videos), learnt_from)),
        visibility_section(tested.results),
        corner_section(tested.results),
    ]


def score_section(metrics: Mapping[str, float]) -> Section:
    """The scores, those of the constant predictor beside them."""
    text = (
        "Constant is a predictor that always says the mean count of the training frames. The count of a video is the "
        "fused one of its frames. Corner errors are in pixels of the source frame."
    )
    return Section("Scores", [text], Table(["", *VARIANTS.values()], score_cells(metrics)))


def count_section(
    results: Sequence[FrameResult], constant: float = float("nan"), reach: float = 0.0
) -> Section:
    """How far counts are off, and at which counts.

    Args:
        results: all frames.
        constant: the count that the constant predictor says, NaN leaves it out.
        reach: as in `plots.error_by_count`.
    """
    predicted = np.array([result.cards_predicted for result in results])
    true = np.array([result.cards for result in results])
    error = np.abs(predicted - true)[~np.isnan(true)]
    if not len(error):
        return Section("Count", ["No frame has a known count."])
    said = f"{len(error)} frames of known count, on average {error.mean():.2f} cards off"
    scatter = Picture(
        "scatter",
        plots.scatter_cards(predicted, true),
        f"Scatter of predicted against true cards: {said}.",
        "Each frame's count over the true one; the bands are 1 and 2 cards wide.",
    )
    by_count = Picture(
        "error_by_count",
        plots.error_by_count(predicted, true, constant, reach),
        f"Signed error of each frame and mean absolute error of each count, over the true count: {said}.",
        "Each frame's error and each count's mean absolute error, over the true count.",
    )
    return Section("Count", [], pictures=[scatter, by_count])


def interval_section(
    videos: Sequence[Mapping[str, Cell]], learnt_from: np.ndarray, more: Sequence[str] = ()
) -> Section:
    """Whether the interval of a video's count holds as often as it says, and how wide it is.

    Args:
        videos: rows of videos.csv.
        learnt_from: (V,) number of videos that each one's interval was learnt from, 0 where there is none.
        more: paragraphs to add.
    """
    title = "Interval of a video's count"
    columns = (_column(videos, name) for name in ("cards", "cards_predicted", "low", "high"))
    table = np.stack([*columns, learnt_from])
    true, cards, low, high, learnt_from = table[:, ~np.isnan(table[0]) & (learnt_from > 0)]
    if not len(true):
        return Section(
            title, ["There is none: it is learnt from two or more validation videos held out whole.", *more]
        )
    held, width = int(((low <= true) & (true <= high)).sum()), high - low
    wide = f"{np.nanmean(width):.1f} cards wide on average" if np.isfinite(width).any() else "nowhere given"
    of = ", ".join(f"{number:.0f}" for number in np.unique(learnt_from))
    text = (
        f"It is to hold {_percent(LEVEL)} of the counts. It held {held} of {len(true)}, {_percent(held / len(true))}, "
        f"and was {wide}. It was learnt from {of} validation videos."
    )
    each = Picture(
        "intervals",
        plots.intervals(true, cards, low, high),
        f"Estimate and interval of each video over its true count: {held} of {len(true)} hold it.",
        "Each video's estimate and interval. A video in which no packet was found has none.",
    )
    levels = Picture(
        "coverage",
        plots.coverage(coverage.levels_needed(true, cards, low, high, learnt_from)),
        f"Share of videos held over the nominal level: {_percent(held / len(true))} at {_percent(LEVEL)}.",
        "Above the diagonal the interval is wider than it need be, below it too narrow. Levels other than "
        f"{_percent(LEVEL)} are scaled by Student's t.",
    )
    return Section(title, [text, *more], pictures=[each, levels])


def visibility_section(results: Sequence[FrameResult]) -> Section:
    """Whether the probability of being visible can be taken at its word."""
    probability = np.stack([result.visible_probability for result in results])
    visibility = np.stack([result.visibility for result in results])
    scores = visibility_scores(torch.from_numpy(probability), torch.from_numpy(visibility))
    error = float(scores["visibility_ece"])
    text = (
        f"The expected calibration error is {error:.3f}: by so much the share of visible corners differs from the "
        f"probability that was said, on average over {BINS} bins weighted by their corners. A corner without a label "
        "counts as not visible."
    )
    diagram = Picture(
        "visibility",
        plots.reliability_diagram(reliability(probability, visibility), error),
        f"Reliability diagram of the visibility: expected calibration error {error:.3f}.",
        "Below the diagonal corners are visible less often than was said.",
    )
    return Section("Visibility", [text], pictures=[diagram])


def corner_section(results: Sequence[FrameResult]) -> Section:
    """Which corners are taken for which."""
    below = corners_below(results)
    compared = int((below != confusion.NOT_COMPARED).sum())
    if not compared:
        return Section("Corners", ["No frame has a labelled diagonal of the back to compare by."])
    rows = [
        (kind, str(corners), f"{corners / compared:.2%}", str(frames))
        for kind, corners, frames in confusion.swaps(below)
    ]
    text = (
        "A predicted corner lies on its own label within 2 % of the back's diagonal, else on the nearest label, and on "
        "none where that is farther away than 5 %. What is counted is how the name of the label below it differs."
    )
    own = rows[0][2]
    matrix = Picture(
        "confusion",
        plots.confusion(confusion.confusion_matrix(below)),
        f"Confusion matrix of predicted and labelled corners: {own} lie on their own label.",
    )
    headings = ["the label below is", "corners", "share", "frames with one"]
    return Section("Corners", [text], Table(headings, rows), [matrix])


def frame_sections(
    results: Sequence[FrameResult], draw: Callable[[FrameResult], np.ndarray], most: int = WORST_FRAMES
) -> list[Section]:
    """The worst and the best frames, by count and by corners.

    Args:
        results: all frames.
        draw: one frame with label and prediction, (H, W, 3) uint8 RGB.
        most: frames among the worst.
    """
    parts: list[Section] = []
    for sheet, error, best, title in SHEETS:
        chosen = worst(results, error, BEST_FRAMES if best else most, best=best)
        if chosen:
            pictures = [photograph(result, draw(result)) for result in chosen]
            parts.append(Section(title, [] if parts else [MARKS], pictures=pictures, sheet=sheet))
    return parts


def photograph(result: FrameResult, image: np.ndarray, whose: str = "") -> Picture:
    """A drawn frame with its caption; `whose` prediction it is stands in front."""
    said = f"{whose}{caption(result)}"
    alt = f"Frame with label and prediction: {said}".replace("\n", ", ")
    return Picture("", image, alt, said, "photograph")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _column(rows: Sequence[Mapping[str, Cell]], name: str) -> np.ndarray:
    """(V,) float64 of rows that may come out of a file; NaN where a cell is empty."""
    return np.array([float(row[name]) if row[name] != "" else np.nan for row in rows])
