"""What a format can hold comes back to the last bit; what it cannot hold is said, and only that is missing."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import HIDDEN, NOT_LABELLED, VISIBLE, Annotation
from cardpose.data.footage.cardcut import read_cardcut
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.converting import export_to, put_into
from cardpose.data.formats.exporting import export, losses
from cardpose.data.formats.importing import as_folder
from cardpose.data.formats.known import FORMATS
from cardpose.data.formats.names import short_name
from cardpose.data.formats.records import Hidden
from cardpose.data.labels.store import LabelFolder

Exported = Callable[[str], Path]


def held(annotation: Annotation, name: str) -> Annotation:
    """What a format can hold of a label."""
    kind = FORMATS[name]
    corners, visibility = annotation.corners.copy(), annotation.visibility.copy()
    if kind.hidden is Hidden.AS_VISIBLE:
        visibility[visibility == HIDDEN] = VISIBLE
    if kind.hidden is Hidden.DROPPED:
        corners[visibility == HIDDEN], visibility[visibility == HIDDEN] = np.nan, NOT_LABELLED
    cards = annotation.cards if kind.cards else None
    time = annotation.timestamp if kind.times else math.nan
    return replace(annotation, corners=corners, visibility=visibility, cards=cards, timestamp=time)


def assert_same(got: Annotation, want: Annotation) -> None:
    where = (want.video, want.frame_index)
    assert (got.frame_index, got.width, got.height, got.cards) == (
        want.frame_index,
        want.width,
        want.height,
        want.cards,
    ), where
    np.testing.assert_array_equal(got.corners, want.corners, str(where))
    np.testing.assert_array_equal(got.visibility, want.visibility, str(where))
    np.testing.assert_equal(got.timestamp, want.timestamp)


def test_every_bit_that_a_format_holds_comes_back(
    name: str, exported: Exported, tiny_folder: Path, tmp_path: Path
) -> None:
    want = DatasetFolder.read(tiny_folder).annotations
    assert {HIDDEN, VISIBLE, NOT_LABELLED} == {int(seen) for a in want for seen in a.visibility}
    back = as_folder(FORMATS[name].read(exported(name)))
    assert len(back.annotations) == len(want) == 42
    for got, label in zip(back.annotations, want, strict=True):
        assert_same(got, held(label, name))
        assert short_name(got.video) == short_name(label.video)
    back.copy(tmp_path / "copy")
    copied = DatasetFolder.read(tmp_path / "copy")
    assert [a.cards for a in copied.annotations] == [a.cards for a in back.annotations]


def test_the_pictures_show_the_labelled_frames(name: str, exported: Exported, tiny_folder: Path) -> None:
    """JPEG changes a pixel a little; another frame would differ by the packet's sway."""
    source, back = DatasetFolder.read(tiny_folder), as_folder(FORMATS[name].read(exported(name)))
    video = source.videos[3].file
    own = next(v.file for v in back.videos if short_name(v.file) == short_name(video))
    pairs = zip(source.read_frames(video, [0, 5]), back.read_frames(own, [0, 5]), strict=True)
    for (index, want), (same, got) in pairs:
        assert index == same
        assert np.abs(want.astype(int) - got).mean() < 6


def test_labels_go_back_into_the_folder_that_they_came_from(
    name: str, exported: Exported, footage: Path
) -> None:
    """With what the format lacks still there: hidden corners, counts, times, columns."""
    before = DatasetFolder.read(footage)
    tables = {path.name: path.read_bytes() for path in footage.iterdir() if path.is_file()}
    assert str(put_into(name, exported(name), footage)) == ("0 labels added, 0 replaced, 42 as they were")
    assert {path.name: path.read_bytes() for path in footage.iterdir() if path.is_file()} == tables

    moved = [
        replace(a, corners=np.where(a.visibility[:, None] == VISIBLE, a.corners / 2, a.corners))
        for a in before.annotations[:3]
    ]
    DatasetFolder(before.root, before.videos, (*moved, *before.annotations[3:]), before.sources).write()
    changed = (footage / "annotations.json").read_bytes()
    assert str(put_into(name, exported(name), footage)) == ("0 labels added, 3 replaced, 39 as they were")
    after = DatasetFolder.read(footage)
    assert after.videos == before.videos
    for got, want in zip(after.annotations, before.annotations, strict=True):
        assert_same(got, want)
    assert (footage / "annotations.json.bak").read_bytes() == changed


def test_a_folder_that_is_being_labelled_is_not_written(exported: Exported, footage: Path) -> None:
    read = DatasetFolder.read(footage)
    replace(read, annotations=read.annotations[1:]).write()
    with LabelFolder(footage):
        before = (footage / "annotations.json").read_bytes()
        with pytest.raises(InputError, match=r"footage: another cardpose command .* has it open"):
            put_into("coco", exported("coco"), footage)
        assert (footage / "annotations.json").read_bytes() == before
    assert str(put_into("coco", exported("coco"), footage)) == "1 labels added, 0 replaced, 41 as they were"
    assert_same(DatasetFolder.read(footage).annotations[0], read.annotations[0])


def test_losses_are_said_and_nothing_else(
    name: str, tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind = FORMATS[name]
    export_to(name, "folder", tiny_folder, tmp_path / "out")
    said = caplog.text
    hidden = "42 hidden corners are written as if" in said, "42 are left out, their coord" in said
    assert hidden == (kind.hidden is Hidden.AS_VISIBLE, kind.hidden is Hidden.DROPPED)
    assert ("the count: those of 6 videos are left out" in said) == (not kind.cards)
    assert ("6 videos become JPEG frames" in said) == (not kind.videos)
    assert ("no place for times: those of 42 frames" in said) == (not kind.times)
    assert "left out deck, session" in said
    caplog.clear()
    put_into(name, tmp_path / "out", shutil.copytree(tiny_folder, tmp_path / "copy"))
    assert ("does not store hidden corners" in caplog.text) == (kind.hidden is not Hidden.KEPT)
    assert ("does not store the count" in caplog.text) == (not kind.cards)


def test_a_folder_without_hidden_corners_loses_none(tiny_folder: Path) -> None:
    folder = DatasetFolder.read(tiny_folder)
    seen = tuple(held(a, "deeplabcut") for a in folder.annotations)
    lines = losses(replace(folder, annotations=seen), FORMATS["deeplabcut"])
    assert not [line for line in lines if "hidden" in line]


def test_real_labels_come_back(name: str, cardcut_root: Path, tmp_path: Path) -> None:
    source = read_cardcut(cardcut_root)
    export(source, tmp_path / "out", FORMATS[name], lambda: None)
    back = as_folder(FORMATS[name].read(tmp_path / "out"))
    assert [v.file for v in back.videos] == [v.file for v in source.videos]
    assert len(back.annotations) == len(source.annotations) == 765
    for got, want in zip(back.annotations, source.annotations, strict=True):
        assert got.video == want.video
        assert_same(got, held(want, name))
