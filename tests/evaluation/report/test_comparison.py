"""Two models are compared frame by frame, on the same frames or not at all."""

import math
from dataclasses import replace

import numpy as np
import pytest
from test_drawing import make_result

from cardpose.common.errors import InputError
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.comparison import (
    CHANGED_FRAMES,
    HEADINGS,
    change_rows,
    match,
    metric_rows,
    most_changed,
    score_rows,
)


def frames(errors: list[float]) -> list[FrameResult]:
    """One frame for each card error."""
    return [make_result(frame_index=i, cards_predicted=7.0 + error) for i, error in enumerate(errors)]


def test_frames_are_matched_by_name_in_the_order_of_a() -> None:
    a = frames([1.0, 2.0, 3.0])
    b = frames([4.0, 5.0, 6.0])[::-1]
    pairs = match(a, b)
    assert [(one.frame_index, other.frame_index) for one, other in pairs] == [(0, 0), (1, 1), (2, 2)]
    assert [other.card_error for _, other in pairs] == [4, 5, 6]


def test_other_frames_are_refused_with_the_fix() -> None:
    with pytest.raises(
        InputError, match=r"a on 3, b on 2, 2 in common: test both on the same footage"
    ) as caught:
        match(frames([1.0, 2.0, 3.0]), frames([1.0, 2.0]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"cards": 8.0}, {"visibility": np.full(8, 1)}, {"corners": make_result().corners + 1}]
)
def test_other_labels_of_the_same_names_are_refused(changes: dict[str, object]) -> None:
    a = frames([1.0, 2.0])
    with pytest.raises(InputError, match=r"videos/7\.mp4 frame 1 has different labels"):
        match(a, [a[0], replace(a[1], **changes)])  # type: ignore[arg-type]


def test_labels_that_are_missing_in_both_are_alike() -> None:
    corners = make_result().corners.copy()
    corners[0] = math.nan
    a = [make_result(corners=corners, visibility=np.array([0] + [2] * 7), cards=math.nan)]
    other = corners.copy()
    other[0] = 0.0
    assert len(match(a, [replace(a[0], corners=other)])) == 1


def test_changes_state_how_much_worse_b_is_and_the_most_changed_come_first() -> None:
    errors_a, errors_b = [5.0, 1.0, 2.0, 2.0], [1.0, 3.0, 2.0, 9.0]
    pairs = match(frames(errors_a), frames(errors_b))
    rows = change_rows(pairs)
    assert [row["card_error_change"] for row in rows] == [-4, 2, 0, 7]
    assert [row["card_error_b"] for row in rows] == errors_b
    assert [one.frame_index for one, _ in most_changed(pairs, "card_error", worse=True)] == [3, 1]
    assert [one.frame_index for one, _ in most_changed(pairs, "card_error", worse=False)] == [0]


def test_of_many_changes_a_few_are_shown_and_unknown_counts_never() -> None:
    a = frames([0.0] * 20)
    b = [replace(result, cards_predicted=7.0 + i) for i, result in enumerate(a)]
    a[19], b[19] = (replace(result, cards=math.nan) for result in (a[19], b[19]))
    chosen = most_changed(match(a, b), "card_error", worse=True)
    assert [one.frame_index for one, _ in chosen] == list(range(18, 18 - CHANGED_FRAMES, -1))


def test_scores_stand_beside_each_other_with_their_difference() -> None:
    a = {
        "test/card_mae": 2.0,
        "test/card_mae_video": 1.0,
        "test/thickness_px_bias": -1.0,
        "test/pck_5": math.nan,
    }
    b = {
        "test/card_mae": 1.5,
        "test/card_mae_video": 1.0,
        "test/thickness_px_bias": 2.0,
        "test/pck_5": math.nan,
    }
    rows = {row[""]: row for row in score_rows(a, b)}
    assert list(rows["card error (MAE), per frame, cards"]) == list(HEADINGS)
    assert [row["b - a"] for row in rows.values()] == ["-0.50", "+0.00", "+3.00"]
    assert [row["better"] for row in rows.values()] == ["b", "", "a"]
    in_full = {row["score"]: row["b_minus_a"] for row in metric_rows(a, b)}
    assert in_full["test/card_mae"] == -0.5
