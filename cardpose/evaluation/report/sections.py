"""The sections of an evaluation's page: each function makes one, with text, table and pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cardpose.common.images import write_image
from cardpose.common.scores import VARIANTS
from cardpose.evaluation.metrics import confusion, coverage
from cardpose.evaluation.metrics.results import FrameResult, corners_below, worst
from cardpose.evaluation.metrics.visibility import BINS, reliability, visibility_scores
from cardpose.evaluation.report import plots
from cardpose.evaluation.report.drawing import caption
from cardpose.evaluation.report.html import Picture, Section, Table, image_files, write_page
from cardpose.evaluation.report.tables import Cell, score_cells, write_tables
from cardpose.evaluation.report.test_result import TestResult
from cardpose.fusion.clips import BOTH, EDGES, THICKNESS
from cardpose.fusion.edge_votes import MIN_SIDE
from cardpose.fusion.intervals import LEVEL

WORST_FRAMES, BEST_FRAMES = 12, 6
SHEETS = (
    ("worst_cards", "card_error", False, "Frames with the largest error of the count"),
    ("best_cards", "card_error", True, "Frames with the smallest error of the count"),
    ("worst_corners", "corner_px_mean", False, "Frames with the largest error of the corners"),
    ("best_corners", "corner_px_mean", True, "Frames with the smallest error of the corners"),
)
"""Name, attribute of `FrameResult`, whether the best frames are shown, and title."""
MARKS = (
    "Circles and the white box are the label, crosses and the green box the prediction. Thick marks and whole lines "
    "are visible, thin marks and dashed lines hidden."
)


def write_report(
    folder: Path, title: str, tested: TestResult, facts: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Write frames.csv, videos.csv, report.html, and the pictures of the page as separate files.

    Args:
        folder: created if missing; each file is complete or absent.
        facts: of `describe_run`.

    Returns:
        The pictures, (H, W, 3) uint8 RGB, by name.

    Raises:
        InputError: the disk is full or the folder is not writable.
    """
    write_tables(folder, tested.results, tested.videos)
    return write_sections(folder, title, {**facts, "footage": tested.footage}, sections(tested))


def write_sections(
    folder: Path, title: str, facts: Mapping[str, str], parts: Sequence[Section]
) -> dict[str, np.ndarray]:
    """Write report.html and its pictures as separate files; return these by name."""
    images = image_files(parts)
    for name, image in images.items():
        write_image(folder / f"{name}.png", image)
    write_page(folder / "report.html", title, facts, parts)
    return images


def describe_run(checkpoint: str | Path, described: Mapping[str, Any]) -> dict[str, str]:
    """Description of a model for the head of a page.

    Args:
        described: its description, see `checkpoints.describe`.
    """
    versions = ", ".join(f"{name} {version}" for name, version in described["versions"].items())
    decode = described["config"]["heatmap"].get("decode", "quadratic")
    return {
        "checkpoint": str(checkpoint),
        "trained by": f"{versions}, commit {described['git_commit']}",
        "peaks found by": decode,
    }


def sections(tested: TestResult) -> list[Section]:
    """All sections of a page about one model."""
    frames = frame_sections(tested.results, tested.frames.draw)
    scores = [score_section(tested.metrics, tested.remark), *edge_sections(tested.results)]
    return [*scores, *chart_sections(tested), *frames]


def chart_sections(tested: TestResult, reach: float = 0.0) -> list[Section]:
    """Count, interval, visibility and corners as charts; `reach` as in `plots.error_by_count`."""
    calibrated_on = tested.interval.videos if tested.interval else 0
    return [
        count_section(tested.results, tested.constant, reach),
        interval_section(tested.videos, np.full(len(tested.videos), calibrated_on)),
        visibility_section(tested.results),
        corner_section(tested.results),
    ]


def score_section(metrics: Mapping[str, float], remark: str = "") -> Section:
    """The scores, beside those of the constant predictor; `remark` comes first."""
    text = (
        "Constant is a predictor that always predicts the mean count of the training frames. The count of a video is "
        "fused from its frames. Corner errors are in pixels of the source frame."
    )
    texts = [remark, text] if remark else [text]
    return Section("Scores", texts, Table(["", *VARIANTS.values()], score_cells(metrics)))


def edge_sections(results: Sequence[FrameResult]) -> list[Section]:
    """One section: what the counts are from, and how exact these are; none where no edges were looked at."""
    looked_at = [result for result in results if result.edges]
    if not looked_at:
        return []
    rows = []
    for method in (EDGES, BOTH, THICKNESS):
        own = [result for result in looked_at if result.method == method]
        counts = np.array([(r.cards_by_thickness, r.cards_predicted, r.cards) for r in own]).reshape(-1, 3)
        by_thickness, predicted, true = counts[~np.isnan(counts[:, 2])].T
        shares = [f"{(abs(predicted.round() - true) <= most).mean():.0%}" for most in (0, 1) if len(true)]
        errors = [f"{abs(cards - true).mean():.2f}" for cards in (predicted, by_thickness) if len(true)]
        rows.append([method, str(len(own)), *(shares + errors or [""] * 4)])
    text = (
        f"The edges of the cards were looked at in {len(looked_at)} of {len(results)} frames, those of {MIN_SIDE} "
        f"pixels and more with a box; "
        f"{rows[0][1]} of these have their count from edges alone. Scores and tables have these counts."
    )
    headings = ["answer from", "frames", "exact", "within 1", "mean error", "by thickness alone"]
    return [Section("Edges", [text], Table(headings, rows))]


def count_section(
    results: Sequence[FrameResult], constant: float = float("nan"), reach: float = 0.0
) -> Section:
    """Errors of the count, and at which counts they occur.

    Args:
        constant: the count that the constant predictor predicts; NaN leaves it out.
        reach: as in `plots.error_by_count`.
    """
    predicted = np.array([result.cards_predicted for result in results])
    true = np.array([result.cards for result in results])
    error = np.abs(predicted - true)[~np.isnan(true)]
    if not len(error):
        return Section("Count", ["No frame has a known count."])
    summary = f"{len(error)} frames of known count, mean error {error.mean():.2f} cards"
    scatter = Picture(
        "scatter",
        plots.scatter_cards(predicted, true),
        f"Scatter of predicted against true cards: {summary}.",
        "Predicted over true count of each frame; the bands are 1 and 2 cards wide.",
    )
    by_count = Picture(
        "error_by_count",
        plots.error_by_count(predicted, true, constant, reach),
        f"Signed error of each frame and mean absolute error of each count, over the true count: {summary}.",
        "Error of each frame and mean absolute error of each count, over the true count.",
    )
    return Section("Count", [], pictures=[scatter, by_count])


def interval_section(
    videos: Sequence[Mapping[str, Cell]], calibrated_on: np.ndarray, more: Sequence[str] = ()
) -> Section:
    """Coverage and width of the interval of a video's count.

    Args:
        videos: rows of videos.csv.
        calibrated_on: (V,) number of videos that each interval was calibrated on, 0 without one.
    """
    title = "Interval of a video's count"
    columns = (_column(videos, name) for name in ("cards", "cards_predicted", "low", "high"))
    table = np.stack([*columns, calibrated_on])
    true, cards, low, high, calibrated_on = table[:, ~np.isnan(table[0]) & (calibrated_on > 0)]
    if not len(true):
        return Section(
            title, ["There is none: it is calibrated on two or more validation videos held out whole.", *more]
        )
    held, width = int(((low <= true) & (true <= high)).sum()), high - low
    wide = (
        f"{np.nanmean(width):.1f} cards wide on average" if np.isfinite(width).any() else "of undefined width"
    )
    of = ", ".join(f"{number:.0f}" for number in np.unique(calibrated_on))
    text = (
        f"The nominal level is {_percent(LEVEL)}. It held {held} of {len(true)} counts, "
        f"{_percent(held / len(true))}, and is {wide}. It was calibrated on {of} validation videos."
    )
    each = Picture(
        "intervals",
        plots.intervals(true, cards, low, high),
        f"Estimate and interval of each video over its true count: {held} of {len(true)} contain it.",
        "Estimate and interval of each video. A video in which no packet was found has no interval.",
    )
    levels = Picture(
        "coverage",
        plots.coverage(coverage.levels_needed(true, cards, low, high, calibrated_on)),
        f"Share of counts within over the nominal level: {_percent(held / len(true))} at {_percent(LEVEL)}.",
        "Above the diagonal intervals are too wide, below it too narrow. Levels other than "
        f"{_percent(LEVEL)} are scaled by Student's t.",
    )
    return Section(title, [text, *more], pictures=[each, levels])


def visibility_section(results: Sequence[FrameResult]) -> Section:
    """Calibration of the probability to be visible."""
    probability = np.stack([result.visible_probability for result in results])
    visibility = np.stack([result.visibility for result in results])
    scores = visibility_scores(torch.from_numpy(probability), torch.from_numpy(visibility))
    error = float(scores["visibility_ece"])
    text = (
        f"The expected calibration error is {error:.3f}: the mean difference between the share of visible corners and "
        f"the predicted probability, over {BINS} bins weighted by their corners. A corner without a label counts as "
        "not visible."
    )
    diagram = Picture(
        "visibility",
        plots.reliability_diagram(reliability(probability, visibility), error),
        f"Reliability diagram of the visibility: expected calibration error {error:.3f}.",
        "Below the diagonal corners are visible less often than predicted.",
    )
    return Section("Visibility", [text], pictures=[diagram])


def corner_section(results: Sequence[FrameResult]) -> Section:
    """Which corners are confused with which."""
    below = corners_below(results)
    compared = int((below != confusion.NOT_COMPARED).sum())
    if not compared:
        return Section(
            "Corners", ["No frame has a labelled diagonal of the back, by which corners are compared."]
        )
    rows = [
        (kind, str(corners), f"{corners / compared:.2%}", str(frames))
        for kind, corners, frames in confusion.swaps(below)
    ]
    text = (
        "A predicted corner lies on its own label within 2 % of the back's diagonal, else on the nearest label, or on "
        "none if that is farther away than 5 %. The table counts in what the name of that label differs."
    )
    own = rows[0][2]
    matrix = Picture(
        "confusion",
        plots.confusion(confusion.confusion_matrix(below)),
        f"Confusion matrix of predicted and labelled corners: {own} lie on their own label.",
    )
    headings = ["label differs in", "corners", "share", "frames with one"]
    return Section("Corners", [text], Table(headings, rows), [matrix])


def frame_sections(
    results: Sequence[FrameResult], draw: Callable[[FrameResult], np.ndarray], most: int = WORST_FRAMES
) -> list[Section]:
    """The worst and the best frames, by count and by corners.

    Args:
        draw: draws a frame with label and prediction, (H, W, 3) uint8 RGB.
    """
    parts: list[Section] = []
    for sheet, error, best, title in SHEETS:
        chosen = worst(results, error, BEST_FRAMES if best else most, best=best)
        if chosen:
            pictures = [photograph(result, draw(result)) for result in chosen]
            parts.append(Section(title, [] if parts else [MARKS], pictures=pictures, sheet=sheet))
    return parts


def photograph(result: FrameResult, image: np.ndarray, prefix: str = "") -> Picture:
    """A drawn frame with its caption, which starts with `prefix`."""
    text = f"{prefix}{caption(result)}"
    alt = f"Frame with label and prediction: {text}".replace("\n", ", ")
    return Picture("", image, alt, text, "photograph")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _column(rows: Sequence[Mapping[str, Cell]], name: str) -> np.ndarray:
    """(V,) float64 of rows that may come from a file; NaN for an empty cell."""
    return np.array([float(row[name]) if row[name] != "" else np.nan for row in rows])
