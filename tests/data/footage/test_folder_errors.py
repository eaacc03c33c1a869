"""Every mistake in a dataset folder is one line that names its place and the mend."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.data.footage.folder import DatasetFolder, Video, write_folder

Editor = Callable[..., None]


def complaint(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        DatasetFolder.read(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    assert "nowhere: no such folder" in complaint(tmp_path / "nowhere")
    assert "videos.csv: no such file" in complaint(tmp_path)
    (tmp_path / "videos.csv").write_text("file,cards\n")
    assert "videos.csv: lists no video" in complaint(tmp_path)


@pytest.mark.parametrize("cards", ["0", "105", "3.5", "many", "-1", "٣"])
def test_a_wrong_count_names_its_row(folder: Path, cards: str, edit_rows: Editor) -> None:
    edit_rows(folder, lambda rows: rows.__setitem__(2, f"videos/08.mp4,{cards},bicycle,1"))
    assert f"videos.csv row 3: cards is '{cards}': write a whole number from 1 to 104" in complaint(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("videos/08.mp4,8", "row 3: not as many cells"),
        ("videos/08.mp4,8,bicycle,1,more", "row 3: not as many cells"),
        ("08.mp4,8,bicycle,1", "row 3: file is '08.mp4': write a path like videos/52.mp4"),
        ("videos/../08.mp4,8,bicycle,1", "row 3: file is"),
        ("frames/a/b,8,bicycle,1", "row 3: file is"),
        ("videos/01.mp4,1,bicycle,1", "row 3: videos/01.mp4 is listed twice"),
        ("videos/09.mp4,8,bicycle,1", "videos/09.mp4 is not on disk: put it there or remove its row"),
        ("frames/08,8,bicycle,1", "frames/08 is not on disk"),
    ],
)
def test_a_wrong_row_is_named(folder: Path, row: str, message: str, edit_rows: Editor) -> None:
    edit_rows(folder, lambda rows: rows.__setitem__(2, row))
    assert message in complaint(folder)


def test_a_wrong_header_is_named(folder: Path, edit_rows: Editor) -> None:
    edit_rows(folder, lambda rows: rows.__setitem__(0, "file;cards;deck;session"))
    assert "videos.csv: has 0 columns 'file'" in complaint(folder)
    edit_rows(folder, lambda rows: rows.__setitem__(0, "file,cards,cards,session"))
    assert "videos.csv: has 2 columns 'cards'" in complaint(folder)
    (folder / "videos.csv").write_bytes(b"file,cards\n\xff\xfe,1\n")
    assert "videos.csv: not a CSV file in UTF-8" in complaint(folder)


def test_footage_without_a_row_is_named(folder: Path) -> None:
    (folder / "videos" / ".DS_Store").write_bytes(b"x")
    DatasetFolder.read(folder)
    shutil.copy(folder / "videos" / "52.mp4", folder / "videos" / "new.mp4")
    assert "videos.csv: has no row for videos/new.mp4: add one" in complaint(folder)
    (folder / "videos" / "new.mp4").unlink()
    (folder / "frames" / "07").mkdir(parents=True)
    assert "videos.csv: has no row for frames/07" in complaint(folder)


def test_damaged_footage_is_named(folder: Path) -> None:
    path = folder / "videos" / "30.mp4"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "30.mp4: not a whole video" in complaint(folder)
    path.write_bytes(b"")
    assert "30.mp4: the file is empty" in complaint(folder)


def label(document: dict[str, Any]) -> dict[str, Any]:
    return document["annotations"][9]  # videos/08.mp4 frame 3


def image(document: dict[str, Any]) -> dict[str, Any]:
    return document["images"][9]


PLACE = "annotations.json: annotations[9] (videos/08.mp4 frame 3): "
FRAME = "annotations.json: videos/08.mp4 frame 3: "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: label(d)["keypoints"].__setitem__(0, 64.0), PLACE + "upper_left_face at (64, "),
        (
            lambda d: label(d)["keypoints"].__setitem__(1, -0.6),
            "lies outside the 64x48 image: move it inside",
        ),
        (lambda d: label(d)["keypoints"].__setitem__(7, math.nan), PLACE + "upper_left_back is ("),
        (lambda d: label(d)["keypoints"].__setitem__(7, math.inf), PLACE + "upper_left_back is ("),
        (
            lambda d: label(d)["keypoints"].__setitem__(7, "3"),
            PLACE + "keypoints holds something that is no number",
        ),
        (
            lambda d: label(d)["keypoints"].__setitem__(7, 10**400),
            PLACE + "keypoints holds a number that is too large",
        ),
        (
            lambda d: label(d)["keypoints"].__delitem__(slice(21, 24)),
            PLACE + "keypoints has 21 numbers, not 24",
        ),
        (lambda d: label(d)["keypoints"].__setitem__(2, 3), PLACE + "a visibility is not 0"),
        (
            lambda d: label(d)["keypoints"].__setitem__(2, 0),
            PLACE + "upper_left_face has coordinates but vis",
        ),
        (lambda d: label(d).__setitem__("cards", 105), PLACE + "cards is '105'"),
        (lambda d: label(d).__setitem__("cards", 0), PLACE + "cards is '0'"),
        (lambda d: label(d).__setitem__("cards", 3.5), PLACE + "cards is '3.5'"),
        (lambda d: label(d).__setitem__("cards", "few"), PLACE + "cards is 'few'"),
        (lambda d: label(d).__setitem__("cards", 9), FRAME + "9 cards, but videos.csv says 8: correct one"),
        (lambda d: label(d).__setitem__("image_id", 999), "image_id 999 is not among the images"),
        (
            lambda d: image(d).__setitem__("frame_index", 7),
            "videos/08.mp4 frame 7: no such frame, the video has 7",
        ),
        (lambda d: image(d).__setitem__("frame_index", -1), "frame_index is -1: frames count from 0"),
        (lambda d: image(d).__setitem__("frame_index", 2), "frame 2 of videos/08.mp4 is labelled twice"),
        (lambda d: image(d).__setitem__("frame_index", "3"), "frame_index is '3': it has the wrong type"),
        (lambda d: image(d).__setitem__("id", 1), "images[9]: id 1 is taken"),
        (lambda d: image(d).pop("video"), "has no key 'video'"),
        (
            lambda d: image(d).__setitem__("video", "videos/x.mp4"),
            "videos/x.mp4 frame 3: the video is not in",
        ),
        (
            lambda d: image(d).__setitem__("width", 128),
            FRAME + "labelled at 128x48, but the footage is 64x48: scale the corners",
        ),
        (
            lambda d: (
                image(d).update(width=48, height=64),
                label(d).update(keypoints=[20.0, 20.0, 2] * 8),
            ),
            FRAME
            + "labelled at 48x64, but the footage is 64x48: was labelled without its rotation: turn the",
        ),
        (lambda d: image(d).__setitem__("timestamp", "1s"), "timestamp is '1s': write a number"),
        (lambda d: d["categories"][0]["keypoints"].reverse(), "keypoints are not in cardpose's order"),
        (lambda d: d["categories"].clear(), "0 categories"),
        (lambda d: d["annotations"].clear(), "annotations.json: holds no annotation"),
        (lambda d: d.pop("images"), "annotations.json: has no key 'images'"),
    ],
)
def test_a_wrong_label_is_named(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str, edit_json: Editor
) -> None:
    edit_json(folder, change)
    assert message in complaint(folder)


def test_a_missing_or_broken_annotations_json_is_named(folder: Path) -> None:
    (folder / "annotations.json").write_text('{"images": [')
    assert "annotations.json: not valid JSON" in complaint(folder)
    (folder / "annotations.json").write_text("[]")
    assert "annotations.json: has no key 'categories'" in complaint(folder)
    (folder / "annotations.json").unlink()
    assert "annotations.json: no such file: label some frames first" in complaint(folder)


def test_wrong_loose_frames_are_named(loose: Path) -> None:
    (loose / "frames" / "08" / "3.png").rename(loose / "frames" / "08" / "three.png")
    assert "three.png: not named by its frame" in complaint(loose)
    (loose / "frames" / "08" / "three.png").unlink()
    assert "frames/08 frame 3: no such frame, its image is missing" in complaint(loose)
    shutil.copy(loose / "frames" / "08" / "4.png", loose / "frames" / "08" / "04.png")
    assert "the same frame as 04.png" in complaint(loose)
    shutil.rmtree(loose / "frames" / "08")
    (loose / "frames" / "08").mkdir()
    assert "08: holds no frame" in complaint(loose)


def test_loose_frames_are_checked_as_they_are_read(loose: Path) -> None:
    read = DatasetFolder.read(loose)
    cv2.imwrite(str(loose / "frames" / "08" / "2.png"), np.zeros((24, 32, 3), np.uint8))
    (loose / "frames" / "08" / "4.png").write_bytes(b"")
    for index, message in (
        (2, "2.png: labelled at 64x48, but the footage is 32x24"),
        (4, "not a whole image"),
    ):
        with pytest.raises(InputError, match=message):
            list(read.read_frames("frames/08", [index]))
    with pytest.raises(InputError, match="no image of frames/08 frame 99"):
        list(read.read_frames("frames/08", [99]))


def test_write_refuses_a_video_that_is_not_listed(folder: Path) -> None:
    read = DatasetFolder.read(folder)
    with pytest.raises(InputError, match="the video is not in videos"):
        write_folder(folder, [Video("videos/01.mp4", 1)], read.annotations)


@pytest.mark.parametrize("odd", [[], {}, [[1]], None, float("nan"), 10**400])
def test_a_label_of_an_odd_image_is_named_beside_other_errors(folder: Path, odd: Any) -> None:
    """Reading goes on behind an error, as `cardpose check` does."""
    document = json.loads((folder / "annotations.json").read_text())
    document["annotations"][0]["image_id"] = odd
    (folder / "annotations.json").write_text(json.dumps(document))
    errors: list[InputError] = []
    DatasetFolder.read(folder, on_error=errors.append)
    assert "annotations.json: annotations[0]" in str(errors[0])
