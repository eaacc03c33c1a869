"""Comparison of two models, a and b, on the same frames."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from rich.table import Table

from cardpose.common.errors import InputError
from cardpose.common.packet import NOT_LABELLED, FrameId
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.metrics.scores import every_score
from cardpose.evaluation.report.tables import Cell

Pairs = Sequence[tuple[FrameResult, FrameResult]]

NAMES = ("a", "b")
HEADINGS = ("", *NAMES, "b - a", "better")
CHANGED_FRAMES = 6
"""Frames to show for each error, improved and worsened."""
ERRORS = (("cards", "card_error", "count", "cards"), ("corners", "corner_px_mean", "corners", "px"))
"""Name, attribute of `FrameResult`, what the error is of, and its unit."""

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


def score_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """`score_rows` for the terminal, in 80 columns."""
    table = Table()
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
