"""Labels left out of training: which ones, and what a wrong list says."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import Annotation
from cardpose.data.exclusion import exclude_from_training
from cardpose.data.splits import Split

DOCS = Path(__file__).parents[2] / "docs"
SPLIT = Split(train=(("a", 0), ("a", 20), ("b", 0)), val=(("c", 0),), test=(("d", 0),))
LABELS = [
    Annotation(video, index, np.nan, 64, 48, np.zeros((8, 2), np.float32), np.full(8, 2, np.int8), 3)
    for video, index in (*SPLIT.train, *SPLIT.val, *SPLIT.test, ("e", 0))
]


def test_nothing_is_left_out_by_default() -> None:
    assert exclude_from_training(SPLIT, LABELS, None) == SPLIT


def test_listed_frames_leave_training_and_nothing_else(tmp_path: Path) -> None:
    listed = {"a": [20], "c": [0], "d": [0], "e": [0]}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    for given in (listed, str(tmp_path / "list.json")):
        left = exclude_from_training(SPLIT, LABELS, given)
        assert left == Split((("a", 0), ("b", 0)), SPLIT.val, SPLIT.test)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": [7]}, "data.exclude_labels: frame 7 of a has no label in the data: remove it"),
        ({"x": [0]}, "data.exclude_labels: frame 0 of x has no label"),
        ({"a": 0}, "data.exclude_labels: a: write a list of frame numbers"),
        ({"a": [0, 20], "b": [0]}, "data.exclude_labels: leaves no training frame"),
        ("none.json", "none.json: "),
    ],
)
def test_a_wrong_list_is_named(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        exclude_from_training(SPLIT, LABELS, given)


def test_a_file_that_is_no_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match=r"list\.json: not a list of frames"):
        exclude_from_training(SPLIT, LABELS, tmp_path / "list.json")


def test_the_example_lists_the_wrong_labels_of_the_documentation() -> None:
    text = (DOCS / "label_errors.md").read_text(encoding="utf-8")
    table = text.partition("## Wrong labels")[2].partition("\n## ")[0]
    named = {
        (f"frames/{video}", int(index)) for video, index in re.findall(r"\| (\w+) frame (\d+) \|", table)
    }
    listed = json.loads((DOCS / "label_errors.json").read_text())
    assert {(video, index) for video, frames in listed.items() for index in frames} == named
    assert len(named) == 6
