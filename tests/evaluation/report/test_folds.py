"""The table's arithmetic, and frames that come back from their file as they were."""

import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from cardpose.common.packet import NOT_LABELLED, VISIBLE
from cardpose.common.scores import score_of
from cardpose.evaluation.metrics.frame_metrics import thickness_errors
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report import folds
from cardpose.evaluation.report.fold_report import across_folds
from cardpose.evaluation.report.tables import frame_row, write_csv, write_metrics
from cardpose.fusion.settings import FusionConfig


def frame(video: str = "videos/7.mp4", index: int = 0, error: float = 1.0, **changes: object) -> FrameResult:
    """A frame of 7 cards whose count and corners are off by `error`; its first corner has no label."""
    corners = np.random.default_rng(index).random((8, 2)) * 100
    corners[0] = math.nan
    visibility = np.array([NOT_LABELLED, *[VISIBLE] * 7])
    predicted = np.nan_to_num(corners) + np.array([error, 0.0])
    fields: dict[str, object] = {
        "video": video,
        "frame_index": index,
        "cards": 7.0,
        "cards_predicted": 7.0 + error,
        "cards_std": math.nan,
        "flag": 2,
        "corners": corners,
        "visibility": visibility,
        "corners_predicted": predicted,
        "confidence": np.full(8, 0.9),
        "visible_probability": np.full(8, 0.8),
        "corner_px": np.linalg.norm(predicted - corners, axis=1),
        "thickness_px": np.full(4, math.nan),
    }
    return FrameResult(**(fields | changes))  # type: ignore[arg-type]


def test_mean_and_standard_deviation_over_folds() -> None:
    values = np.array([[2.0, 10.0], [3.0, 12.0], [7.0, 14.0]])
    keys = ("test/card_mae", "val/card_mae")
    rows = folds.score_rows({i: dict(zip(keys, row, strict=True)) for i, row in enumerate(values.tolist())})
    assert [row["fold"] for row in rows] == ["0", "1", "2", "mean", "std"]
    for column, key in enumerate(keys):
        assert [row[key] for row in rows[:3]] == values[:, column].tolist()
        assert rows[3][key] == pytest.approx(values[:, column].mean())
        assert rows[4][key] == pytest.approx(np.std(values[:, column], ddof=1))


def test_one_fold_has_no_spread() -> None:
    *_, mean, spread = folds.score_rows({2: {"test/card_mae": 1.5}})
    assert mean["test/card_mae"] == 1.5
    assert math.isnan(float(spread["test/card_mae"]))


def test_a_score_that_a_fold_cannot_give_has_no_mean(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.json", {"test/card_mae": math.nan, "test/pck_5": 0.5})
    rows = folds.score_rows({0: folds.read_scores(tmp_path / "metrics.json"), 1: {"test/card_mae": 2.0}})
    assert all(math.isnan(float(row[key])) for row in rows[2:] for key in ("test/card_mae", "test/pck_5"))


def test_the_tables_show_each_set_and_leave_out_what_none_has() -> None:
    scores = {
        0: {"val/card_mae": 1.0, "test/card_mae": 2.0, "test/card_within_1": 0.5},
        1: {"val/card_mae": 3.0},
    }
    rows = folds.score_rows(scores)
    assert folds.cells(rows, "val") == (
        ["fold", "card error"],
        [["0", "1.00"], ["1", "3.00"], ["mean", "2.00"], ["std", "1.41"]],
    )
    headings, lines = folds.cells(rows, "test")
    assert headings == ["fold", "card error", "within 1"]
    assert lines[:2] == [["0", "2.00", "50.0%"], ["1", "", ""]]
    assert folds.markdown(rows, "val").splitlines()[:3] == [
        "| fold | card error |",
        "| --- | --- |",
        "| 0 | 1.00 |",
    ]


def test_the_terminal_table_fits_80_columns() -> None:
    scores = {f"test/{key}": 0.99999 if "%" in score_of(key).format else 52.0 for key in folds.COLUMNS}
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(folds.fold_table(folds.score_rows({0: scores, 1: scores}), "test", "Test"))
    assert max(len(line) for line in console.export_text().splitlines()) <= 80


def test_a_frame_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = frame(error=2.5)
    tensors = (
        torch.from_numpy(values)[None]
        for values in (written.corners_predicted, written.corners, written.visibility)
    )
    written = dataclasses.replace(written, thickness_px=thickness_errors(*tensors)[0].numpy())
    run = tmp_path / "fold_3"
    write_csv(run / "test" / "frames.csv", [frame_row(written)])
    (row,) = folds.pool({3: run}, "frames.csv")
    assert row["fold"] == "3"
    read = folds.frame_of(row)
    for field in dataclasses.fields(FrameResult):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(written, field.name), field.name)


def test_the_interval_across_folds_is_reported_where_the_others_have_two_videos() -> None:
    results = [
        frame(f"videos/{video}.mp4", index, error=1.0 + video % 2, flag=0)
        for video in range(6)
        for index in range(3)
    ]
    rows = [{"video": result.video, "fold": str(int(result.video[7]) // 2)} for result in results]
    (sentence,) = across_folds(rows, results, FusionConfig())
    assert "would have held 6 of 6 counts" in sentence
    assert across_folds([row | {"fold": "0"} for row in rows], results, FusionConfig()) == []


def test_pooled_tables_keep_the_columns_of_all_folds(tmp_path: Path) -> None:
    write_csv(tmp_path / "0" / "test" / "videos.csv", [{"video": "a", "cards": 1}])
    write_csv(tmp_path / "1" / "test" / "videos.csv", [{"video": "b", "cards": 2, "low": 1.5}])
    rows = folds.pool({0: tmp_path / "0", 1: tmp_path / "1"}, "videos.csv")
    assert rows == [
        {"fold": "0", "video": "a", "cards": "1", "low": ""},
        {"fold": "1", "video": "b", "cards": "2", "low": "1.5"},
    ]


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.json", {"val/card_mae": 1 / 3})
    assert folds.read_scores(tmp_path / "metrics.json") == {"val/card_mae": 1 / 3}
    assert json.loads((tmp_path / "metrics.json").read_text())["val/card_mae"] == 1 / 3
