"""Page, tables and pictures of a comparison of two models."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cardpose.evaluation.report.comparison import (
    ERRORS,
    HEADINGS,
    NAMES,
    Pairs,
    change_rows,
    match,
    metric_rows,
    most_changed,
    score_rows,
)
from cardpose.evaluation.report.html import Picture, Section, Table
from cardpose.evaluation.report.plots import error_against_error
from cardpose.evaluation.report.sections import MARKS, chart_sections, photograph, write_sections
from cardpose.evaluation.report.tables import flatten_config, write_csv
from cardpose.evaluation.report.test_result import TestResult

_PLACES = ("paths.", "hydra.", "resume", "name")  # where a run lies, not how it was trained


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
