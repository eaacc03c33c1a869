"""The folds of a cross-validation together: a table with mean and standard deviation, and all tested frames."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from cardpose.common.errors import InputError
from cardpose.common.json_files import number, read_json
from cardpose.common.packet import CORNERS
from cardpose.common.scores import score_of
from cardpose.data.labels.tables import read_table
from cardpose.evaluation.metrics.frame_metrics import thickness_errors
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.tables import Cell
from cardpose.fusion.clips import Flag

Scores = Mapping[str, float]
"""By the keys of metrics.json, NaN if undefined."""

MEAN, STD = "mean", "std"
TITLES = {
    "val": "Validation: choose by these scores",
    "test": "Test: report these scores, do not choose by them",
}
_FLAGS = {flag.label: int(flag) for flag in Flag}
COLUMNS = (
    *("card_mae", "card_mae_video", "card_mae_constant", "card_mae_video_constant"),
    *("card_within_1", "card_within_1_video", "corner_px_median", "pck_5", "visibility_f1"),
    *("interval_coverage", "interval_width"),
)
"""Keys of the scores that are shown, on 80 columns; table.csv has all."""
LEGEND = (
    "card error: mean absolute error in cards per frame, beside it per video and that of the mean "
    "training count (const.); within 1: share of frames and of videos with a rounded count at most one card "
    "off; corner px: median error in pixels of the source frame; 90 % holds, wide: share of videos whose count is in "
    "the interval, and its mean width in cards"
)


_LARGEST = 1e15
"""No score and no cost is larger; what is cannot be drawn."""


def read_scores(path: Path) -> Scores:
    """A run's metrics.json.

    Raises:
        InputError: it cannot be read, or a score is not a number.
    """
    scores = read_json(path, "restore it, or remove the run")
    if not isinstance(scores, dict):
        raise InputError(f"{path}: is damaged: restore it, or remove the run")
    known = {key: value for key, value in scores.items() if value is not None}
    read = {
        key: value if isinstance(value, float) else number(value, key, str(path))
        for key, value in known.items()
    }
    return dict.fromkeys(scores, math.nan) | {
        key: value for key, value in read.items() if abs(value) <= _LARGEST
    }


def score_rows(scores: Mapping[int, Scores]) -> list[dict[str, Cell]]:
    """One row per fold with all its scores, then mean and standard deviation over the folds.

    The standard deviation is that of a sample (n - 1), NaN for one fold. Each fold has the same weight. A score that
    one fold lacks has no mean and no standard deviation.

    >>> rows = score_rows({0: {"test/card_mae": 1.0}, 1: {"test/card_mae": 2.0}, 2: {"test/card_mae": 6.0}})
    >>> [(row["fold"], round(float(row["test/card_mae"]), 3)) for row in rows]
    [('0', 1.0), ('1', 2.0), ('2', 6.0), ('mean', 3.0), ('std', 2.646)]
    """
    keys = list(dict.fromkeys(key for values in scores.values() for key in values))
    table = np.array(
        [[values.get(key, math.nan) for key in keys] for values in scores.values()]
    )  # (folds, keys)
    std = table.std(axis=0, ddof=1) if len(table) > 1 else np.full(len(keys), math.nan)
    names = [*map(str, scores), MEAN, STD]
    values = [*table, table.mean(axis=0), std]
    return [
        {"fold": name, **dict(zip(keys, map(float, row), strict=True))}
        for name, row in zip(names, values, strict=True)
    ]


def cells(rows: Sequence[Mapping[str, Cell]], subset: str) -> tuple[list[str], list[list[str]]]:
    """Headings, and the scores of one part of the split as text.

    Args:
        rows: of `score_rows`.
        subset: val or test.
    """
    shown = [key for key in COLUMNS if any(_text(row, subset, key) for row in rows)]
    headings = ["fold", *(score_of(key).short for key in shown)]
    return headings, [[str(row["fold"]), *(_text(row, subset, key) for key in shown)] for row in rows]


def _text(row: Mapping[str, Cell], subset: str, key: str) -> str:
    return score_of(key).text(float(row.get(f"{subset}/{key}", math.nan)))


def fold_table(rows: Sequence[Mapping[str, Cell]], subset: str, title: str) -> Table:
    """`cells` for the terminal, 80 columns wide."""
    headings, lines = cells(rows, subset)
    table = Table(title=title, title_justify="left", padding=(0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading.replace(" ", "\n"), justify="right")
    for line in lines:
        table.add_row(*line, end_section=line[0] == str(rows[-3]["fold"]))
    return table


def markdown(rows: Sequence[Mapping[str, Cell]], subset: str) -> str:
    """`cells` as a Markdown table."""
    headings, lines = cells(rows, subset)
    rule = ["---"] * len(headings)
    return "".join(f"| {' | '.join(line)} |\n" for line in [headings, rule, *lines])


def pool(folds: Mapping[int, Path], name: str) -> list[dict[str, str]]:
    """The rows of one table of all folds, with the fold as first column.

    Args:
        folds: folder of each fold's run.
        name: of the table in a run's test/.
    """
    rows = [
        {"fold": str(fold), **cells}
        for fold, run in folds.items()
        for _, cells in read_table(run / "test" / name, ("video",))
    ]
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column, "") for column in columns} for row in rows]


def frame_of(row: Mapping[str, str]) -> FrameResult:
    """The frame of a row of frames.csv, see `tables.frame_row`."""

    def corners(form: str) -> np.ndarray:
        return np.array([_number(row[form.format(name)]) for name in CORNERS])

    label = np.stack([corners("{}_x"), corners("{}_y")], axis=1)
    predicted = np.stack([corners("{}_x_predicted"), corners("{}_y_predicted")], axis=1)
    visibility = corners("{}_visibility").astype(int)
    errors = thickness_errors(*(torch.from_numpy(values)[None] for values in (predicted, label, visibility)))
    return FrameResult(
        video=row["video"],
        frame_index=int(row["frame_index"]),
        cards=_number(row["cards"]),
        cards_predicted=_number(row["cards_predicted"]),
        cards_std=_number(row["cards_std"] if "cards_std" in row else row["cards_spread"]),
        flag=_FLAGS[row["flag"]],
        corners=label,
        visibility=visibility,
        corners_predicted=predicted,
        confidence=corners("{}_confidence"),
        visible_probability=corners("{}_visible_probability"),
        corner_px=corners("{}_px"),
        thickness_px=errors[0].numpy(),
    )


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan
