"""Numbers that are hardly one, in every table that is read: one line, or the number as it was meant."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardpose.common.errors import InputError, collecting_errors
from cardpose.common.json_files import number, side
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.converting import convert, export_to
from cardpose.data.labels.journal import read_entries
from cardpose.data.labels.validate import parse_cards
from cardpose.data.splits import from_file
from cardpose.labelling.worklist import read_worklist
from cardpose.models.metadata import check_calibration

TEXTS = ("Infinity", "nan", "9" * 5000, "1_0", "\uff11\uff12", "1e400", "0x10", "\u00b2", "--1")
VALUES = (float("inf"), float("nan"), 10**400, -1, True, 2.5, [], {}, "1_0", "\uff11\uff12", "9" * 5000)
"""Of JSON."""


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_is_hardly_a_number(text: str) -> None:
    for read in (
        lambda: number(text, "x", "row 2"),
        lambda: side(text, "width", "row 2"),
        lambda: parse_cards(text, "row 2"),
    ):
        with pytest.raises(InputError, match=r"^row 2: .{,120}$"):
            read()


@pytest.fixture
def footage(tmp_path: Path, tiny_folder: Path) -> Path:
    """A copy without the videos, which are not read."""
    shutil.copytree(tiny_folder, tmp_path / "footage", ignore=lambda _, names: {"cache"} & set(names))
    return tmp_path / "footage"


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "place", ["id", "frame_index", "width", "timestamp", "image_id", "keypoints", "cards", "draft"]
)
def test_annotations(footage: Path, place: str, value: Any) -> None:
    table = footage / "annotations.json"
    document = json.loads(table.read_text())
    if place in ("id", "frame_index", "width", "timestamp"):
        document["images"][0][place] = value
    elif place == "keypoints":
        document["annotations"][0][place][0] = value
    elif place == "draft":
        document["annotations"].pop(0)
        document["images"][0][place] = [[value, 1, 2], *[None] * 7]
    else:
        document["annotations"][0][place] = value
    table.write_text(json.dumps(document))
    meant = {
        ("timestamp", 2.5),
        ("timestamp", -1),
        ("keypoints", 2.5),
        ("draft", 2.5),
        ("id", -1),
        ("image_id", -1),
    }
    errors: list[InputError] = []
    with collecting_errors(errors.append):
        DatasetFolder.read(footage, on_error=errors.append, unlabelled=True)
    assert bool(errors) or (place, value) in meant, (place, value)
    assert all(len(str(error)) < 400 and "\n" not in str(error) for error in errors), errors


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["frame_index", "size", "marks", "cards"])
def test_the_journal(footage: Path, place: str, value: Any) -> None:
    change: dict[str, Any] = {
        "video": "videos/08.mp4",
        "frame_index": 0,
        "size": [64, 48],
        "marks": [None] * 8,
    }
    change[place] = {"size": [value, 48], "marks": [[value, 1, 2], *[None] * 7]}.get(place, value)
    (footage / ".label.journal").write_text(json.dumps(change) + "\n")
    if (place, value) == ("marks", 2.5):
        DatasetFolder.read(footage)
        return
    with pytest.raises(InputError, match=r"\.label\.journal.{,200}$"):
        DatasetFolder.read(footage)


def test_brackets_without_end_in_the_journal(footage: Path) -> None:
    (footage / ".label.journal").write_text("[" * 99_999 + "\n")
    with pytest.raises(InputError, match=r"line 1: damaged"):
        read_entries(footage / ".label.journal")


@pytest.mark.parametrize("value", VALUES)
def test_a_split(footage: Path, tmp_path: Path, value: Any) -> None:
    annotations = DatasetFolder.read(footage).annotations
    for frames in ([value], value):
        (tmp_path / "split.json").write_text(json.dumps({"test": {"videos/08.mp4": frames}}))
        with pytest.raises(InputError):
            from_file(annotations, path=tmp_path / "split.json")


@pytest.mark.parametrize("text", [text for text in TEXTS if text.isprintable()])
def test_a_list_of_frames(footage: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(f"video,frame_index\nvideos/08.mp4,{text}\n")
    with pytest.raises(InputError, match="row 2: frame_index is"):
        read_worklist(tmp_path / "a.csv", DatasetFolder.read(footage))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [*VALUES[:3], True, "1_0"])
def test_a_calibration(value: Any) -> None:
    for key in ("floor", "slope", "noise", "videos"):
        held = {"floor": 1.0, "slope": 0.1, "noise": 0.5, "videos": 4, key: value}
        with pytest.raises(InputError, match="its interval is"):
            check_calibration({"interval": held})
    with pytest.raises(InputError, match="its calibration is"):
        check_calibration({"calibration": {"field_of_view": value}})
    with pytest.raises(InputError, match="its interval is"):
        check_calibration({"interval": {"floor": 1.0, "slope": 0.1, "noise": -9.0, "videos": 4}})


@pytest.fixture
def exported(footage: Path, tmp_path: Path) -> Callable[[str], Path]:
    """exported(tool): labels of that tool, with their pictures."""

    def make(tool: str) -> Path:
        export_to(tool, "folder", footage, tmp_path / tool)
        return tmp_path / tool

    return make


@pytest.mark.parametrize(
    ("tool", "name", "number_at"),
    [
        ("cvat", "annotations.xml", r'width="()64"'),
        ("cvat", "annotations.xml", r'points="()[0-9.]+,'),
        ("cvat", "annotations.xml", r'name="cards">()[0-9]+<'),
        ("deeplabcut", "labeled-data/08.mp4/CollectedData_cardpose.csv", r"img000000\.\w+,()[0-9.]+,"),
        ("cardcut", "cardpoints.csv", r",()0\.[0-9]*[1-9][0-9]*,"),
    ],
)
def test_tables_of_other_tools(exported: Callable[[str], Path], tool: str, name: str, number_at: str) -> None:
    root = exported(tool)
    table = root / name
    whole = table.read_text()
    found = re.search(number_at, whole)
    assert found, whole[:3000]
    end = re.compile(r"[0-9.]+").match(whole, found.start(1))
    assert end
    for text in TEXTS:
        table.write_text(whole[: found.start(1)] + text + whole[end.end() :])
        with pytest.raises(InputError, match=r"^[^\n]{,400}$"):
            convert(tool, root, root.parent / "out")
