"""Comparison of two models, a and b, on the same frames: scores side by side, and page, tables and pictures."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as TerminalTable

from cardpose.common.errors import InputError
from cardpose.common.packet import NOT_LABELLED, FrameId
from cardpose.common.scores import every_score
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.html import Picture, Section, Table
from cardpose.evaluation.report.plots import error_against_error
from cardpose.evaluation.report.sections import MARKS, chart_sections, photograph, write_sections
from cardpose.evaluation.report.tables import Cell, flatten_config, write_csv
from cardpose.evaluation.report.test_result import TestResult

Pairs = Sequence[tuple[FrameResult, FrameResult]]

NAMES = ("a", "b")
HEADINGS = ("", *NAMES, "b - a", "better")
CHANGED_FRAMES = 6
"""Frames to show for each error, improved and worsened."""
ERRORS = (("cards", "card_error", "count", "cards"), ("corners", "corner_px_mean", "corners", "px"))
"""Name, attribute of `FrameResult`, what the error is of, and its unit."""

_PLACES = ("paths.", "hydra.", "resume", "name")  # where a run lies, not how it was trained
_LABEL_PX = 0.05  # more than the rounding error of labels scaled to two network sizes and back
_HOW = "test both on the same footage, with data and split given"


def check_same_frames(a: Collection[FrameId], b: Collection[FrameId]) -> None:
    """Check that two models were tested on the same frames.

    Raises:
        InputError: the two sets differ.
    """
    if set(a) != set(b):
        common = len(set(a) & set(b))
        raise InputError(
            f"the models were not tested on the same frames, a on {len(a)}, b on {len(b)}, {common} in common: {_HOW}"
        )


def match(a: Sequence[FrameResult], b: Sequence[FrameResult]) -> Pairs:
    """Pairs of results of the same frame, in the order of a.

    Raises:
        InputError: the frames or their labels differ.
    """
    other = {(result.video, result.frame_index): result for result in b}
    check_same_frames([(result.video, result.frame_index) for result in a], other)
    pairs = [(result, other[result.video, result.frame_index]) for result in a]
    for first, second in pairs:
        if not _labelled_alike(first, second):
            raise InputError(
                f"{first.video} frame {first.frame_index} has different labels in the footage of the two models: {_HOW}"
            )
    return pairs


def _labelled_alike(a: FrameResult, b: FrameResult) -> bool:
    labelled = a.visibility != NOT_LABELLED
    return (
        np.array_equal(a.visibility, b.visibility)
        and np.array_equal(a.cards, b.cards, equal_nan=True)
        and np.allclose(a.corners[labelled], b.corners[labelled], rtol=0, atol=_LABEL_PX)
    )


def score_rows(a: Mapping[str, float], b: Mapping[str, float]) -> list[dict[str, str]]:
    """The scores side by side, as text by `HEADINGS`; scores that neither model has are left out.

    Args:
        a, b: scores of metrics.json, test/...

    >>> rows = score_rows({"test/card_mae": 2.0, "test/pck_5": 0.9}, {"test/card_mae": 1.5, "test/pck_5": 0.8})
    >>> [list(row.values()) for row in rows]  # doctest: +NORMALIZE_WHITESPACE
    [['card error (MAE), per frame, cards', '2.00', '1.50', '-0.50', 'b'],
     ['corners found (PCK 5 %)', '90.0%', '80.0%', '-10.0%', 'a']]
    """
    rows = []
    for score in every_score():
        before, after = (float(scores.get(f"test/{score.key}", math.nan)) for scores in (a, b))
        if not (math.isnan(before) and math.isnan(after)):
            texts = score.text(before), score.text(after), score.difference(after - before)
            cells = score.title, *texts, score.better_of(before, after)
            rows.append(dict(zip(HEADINGS, cells, strict=True)))
    return rows


def score_table(rows: Sequence[Mapping[str, str]]) -> TerminalTable:
    """`score_rows` for the terminal, in 80 columns."""
    table = TerminalTable()
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    return table


def metric_rows(a: Mapping[str, float], b: Mapping[str, float]) -> list[dict[str, Cell]]:
    """Rows of comparison.csv: every score with full precision."""
    return [
        {"score": key, "a": float(a[key]), "b": float(b[key]), "b_minus_a": float(b[key]) - float(a[key])}
        for key in a
        if key in b
    ]


def change_rows(pairs: Pairs) -> list[dict[str, Cell]]:
    """Rows of changes.csv: both predictions of each frame, and the difference of their errors."""
    rows = []
    for a, b in pairs:
        row: dict[str, Cell] = {"video": a.video, "frame_index": a.frame_index, "cards": a.cards}
        for name in ("cards_predicted", "card_error", "corner_px_mean"):
            row |= {f"{name}_a": getattr(a, name), f"{name}_b": getattr(b, name)}
        row |= {f"{error}_change": change(error, a, b) for _, error, _, _ in ERRORS}
        rows.append(row)
    return rows


def change(error: str, a: FrameResult, b: FrameResult) -> float:
    """Error of b minus error of a; `error` is an attribute of `FrameResult`. NaN if unknown."""
    return getattr(b, error) - getattr(a, error)


def most_changed(pairs: Pairs, error: str, *, worse: bool) -> Pairs:
    """The frames whose `error` increased most (`worse`) or decreased most from a to b, largest change first."""
    sign = 1 if worse else -1
    grown = [(sign * change(error, *pair), pair) for pair in pairs]
    changed = sorted((entry for entry in grown if entry[0] > 0), key=lambda entry: -entry[0])
    return [pair for _, pair in changed[:CHANGED_FRAMES]]


def write_comparison(
    folder: Path, a: TestResult, b: TestResult, facts: Mapping[str, str], configs: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, str]], dict[str, np.ndarray]]:
    """Write comparison.csv, changes.csv, report.html, and the pictures of the page as separate files.

    Args:
        folder: created if missing; each file is complete or absent.
        facts: descriptions of the models.
        configs: the configurations that a and b were trained with.

    Returns:
        Rows of `comparison.score_rows`, and the pictures, (H, W, 3) uint8 RGB, by name.

    Raises:
        InputError: frames or labels differ; the disk is full or the folder is not writable.
    """
    pairs = match(a.results, b.results)
    rows = score_rows(a.metrics, b.metrics)
    errors = np.array([result.card_error for pair in pairs for result in pair])
    reach = float(errors[np.isfinite(errors)].max(initial=0.0))
    write_csv(folder / "comparison.csv", metric_rows(a.metrics, b.metrics))
    write_csv(folder / "changes.csv", change_rows(pairs))
    parts = [
        Section("Scores", [videos_nearer(a, b)], Table(HEADINGS, [list(row.values()) for row in rows])),
        config_section(*configs),
        *change_sections(pairs, a, b),
        *(beside(*both) for both in zip(chart_sections(a, reach), chart_sections(b, reach), strict=True)),
    ]
    return rows, write_sections(folder, "Two models compared", {**facts, "footage": a.footage}, parts)


def videos_nearer(a: TestResult, b: TestResult) -> str:
    """A sentence: on how many videos each model is better. (Frames of one video are not independent.)"""
    first, second = ({row["video"]: float(row["card_error"]) for row in one.videos} for one in (a, b))
    with_b = sum(second[video] < first[video] for video in first)
    with_a = sum(first[video] < second[video] for video in first)
    return f"The count is closer with b on {with_b} videos, with a on {with_a}. This may be chance if they are few."


def config_section(a: Mapping[str, Any], b: Mapping[str, Any]) -> Section:
    """The keys in which the two configurations differ."""
    first, second = _values(a), _values(b)
    cells = [(key, first.get(key, ""), second.get(key, "")) for key in first | second]
    rows = [row for row in cells if row[1] != row[2]]
    if not rows:
        return Section("Configurations", ["The two were trained with the same configuration."])
    table = Table(["", *NAMES], rows, numbers=False)
    return Section("Configurations", ["The two were trained with different values of:"], table)


def _values(config: Mapping[str, Any]) -> dict[str, str]:
    """Every key that describes a training, without the location of its folder."""
    run = str(config["paths"]["run"])
    flat = {key: str(value).replace(run, "<run>") for key, value in flatten_config(config).items()}
    return {key: value for key, value in flat.items() if not key.startswith(_PLACES)}


def change_sections(pairs: Pairs, a: TestResult, b: TestResult) -> list[Section]:
    """Errors of b over those of a, and the frames that changed most."""
    charts: list[Picture] = []
    frames: list[Section] = []
    for name, error, what, unit in ERRORS:
        first, second = np.array([[getattr(result, error) for result in pair] for pair in pairs]).T
        alt = f"Error of the {what} of each frame, b over a, in {unit}."
        charts.append(
            Picture(f"changed_{name}", error_against_error(first, second, unit), alt, f"Error of the {what}.")
        )
        for worse, way in ((False, "better"), (True, "worse")):
            chosen = most_changed(pairs, error, worse=worse)
            pictures = [
                photograph(result, tested.frames.draw(result), f"{name}: ")
                for pair in chosen
                for name, tested, result in zip(NAMES, (a, b), pair, strict=True)
            ]
            title = f"Frames whose {what} became {way} with b"
            if pictures:
                text = [] if frames else [MARKS]
                frames.append(Section(title, text, None, pictures, pairs=True, sheet=f"{way}_{name}"))
    return [Section("Frames, a against b", [], pictures=charts), *frames]


def beside(a: Section, b: Section) -> Section:
    """Two sections with the same title as one, their pictures in pairs."""
    own = dict(zip(NAMES, (a, b), strict=True))
    text = (
        a.text
        if a.text == b.text
        else [f"{name}: {paragraph}" for name in NAMES for paragraph in own[name].text]
    )
    drawn = {name: {picture.name: picture for picture in part.pictures} for name, part in own.items()}
    pictures = [
        replace(
            picture, name="", alt=f"{name}: {picture.alt}", caption=f"{name}: {picture.caption}".rstrip(": ")
        )
        for key in drawn["a"] | drawn["b"]
        for name in NAMES
        if (picture := drawn[name].get(key))
    ]
    return Section(a.title, text, _beside(a.table, b.table), pictures, pairs=True)


def _beside(a: Table | None, b: Table | None) -> Table | None:
    """Two tables with the same row names as one."""
    if a is None or b is None:
        return a or b
    headings = [a.headings[0], *(f"{name}: {heading}" for name in NAMES for heading in a.headings[1:])]
    return Table(headings, [[*row, *other[1:]] for row, other in zip(a.rows, b.rows, strict=True)], a.numbers)
