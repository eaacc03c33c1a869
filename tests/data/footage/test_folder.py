import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.images import list_frames, read_image
from cardpose.common.packet import CORNERS, EDGES, NOT_LABELLED, Annotation
from cardpose.data.footage.folder import DatasetFolder, write_folder

Editor = Callable[..., None]


def same_annotations(left: tuple[Annotation, ...], right: tuple[Annotation, ...]) -> None:
    for a, b in zip(left, right, strict=True):
        assert (a.video, a.frame_index, a.width, a.height, a.cards) == (
            b.video,
            b.frame_index,
            b.width,
            b.height,
            b.cards,
        )
        np.testing.assert_equal(a.timestamp, b.timestamp)
        np.testing.assert_array_equal(a.corners, b.corners)
        np.testing.assert_array_equal(a.visibility, b.visibility)
        assert a.corners.dtype == b.corners.dtype == np.float32
        assert a.visibility.dtype == b.visibility.dtype == np.int8


def test_read_gives_what_was_written_and_write_the_same_bytes(tiny_folder: Path, tmp_path: Path) -> None:
    folder = DatasetFolder.read(tiny_folder)
    assert [video.cards for video in folder.videos] == [1, 8, 17, 30, 41, 52]
    folder.write(tmp_path)
    for name in ("videos.csv", "annotations.json"):
        assert (tmp_path / name).read_bytes() == (tiny_folder / name).read_bytes()


def test_every_float_survives(tiny_folder: Path, folder: Path) -> None:
    """Corners to the last bit of float32, times to that of float64, visibility, columns in their order."""
    rng = np.random.default_rng(0)
    source = DatasetFolder.read(tiny_folder)
    changed = []
    for annotation in source.annotations:
        seen = rng.integers(0, 3, len(CORNERS)).astype(np.int8)
        corners = rng.uniform(-0.5, (63.5, 47.5), (len(CORNERS), 2)).astype(np.float32)
        corners[seen == NOT_LABELLED] = np.nan
        changed.append(replace(annotation, corners=corners, visibility=seen, timestamp=float(rng.random())))
    videos = [replace(video, extra={"z": 'a "b", c\n', "a": " ü "}) for video in source.videos]
    write_folder(folder, videos, changed)
    read = DatasetFolder.read(folder)
    assert read.videos == tuple(videos)
    assert list(read.videos[0].extra) == ["z", "a"]
    same_annotations(read.annotations, tuple(changed))


def test_a_corner_at_the_origin_is_not_taken_for_unlabelled(folder: Path) -> None:
    source = DatasetFolder.read(folder)
    corners = source.annotations[0].corners.copy()
    corners[3] = 0
    write_folder(folder, source.videos, [replace(source.annotations[0], corners=corners)])
    np.testing.assert_array_equal(DatasetFolder.read(folder).annotations[0].corners, corners)


def test_annotations_come_in_the_order_of_the_videos(
    folder: Path, edit_json: Editor, edit_rows: Editor
) -> None:
    source = DatasetFolder.read(folder)
    edit_json(folder, lambda document: document["annotations"].reverse())
    edit_rows(folder, lambda rows: rows.append(rows.pop(1)))
    read = DatasetFolder.read(folder)
    assert [video.cards for video in read.videos] == [8, 17, 30, 41, 52, 1]
    order = [(a.video, a.frame_index) for a in read.annotations]
    expected = sorted(
        ((a.video, a.frame_index) for a in source.annotations),
        key=lambda key: (key[0] == "videos/01.mp4", key),
    )
    assert order == expected


def test_annotations_json_is_coco(tiny_folder: Path) -> None:
    document = json.loads((tiny_folder / "annotations.json").read_text())
    (category,) = document["categories"]
    assert category["keypoints"] == list(CORNERS)
    assert [tuple(k - 1 for k in edge) for edge in category["skeleton"]] == list(EDGES)
    images = {image["id"]: image for image in document["images"]}
    assert len(images) == len(document["images"]) == len({image["file_name"] for image in images.values()})
    assert len({label["id"] for label in document["annotations"]}) == len(document["annotations"])
    for label in document["annotations"]:
        image, points = images[label["image_id"]], np.reshape(label["keypoints"], (8, 3))
        assert {"file_name", "width", "height"} <= image.keys()
        assert label["category_id"] == category["id"]
        assert label["iscrowd"] == 0
        labelled = points[points[:, 2] > 0, :2]
        assert label["num_keypoints"] == len(labelled)
        assert not points[points[:, 2] == 0].any()
        x, y, width, height = label["bbox"]
        np.testing.assert_allclose([x, y], labelled.min(axis=0), atol=1e-3)
        np.testing.assert_allclose([x + width, y + height], labelled.max(axis=0), atol=2e-3)
        assert label["area"] == pytest.approx(width * height, abs=1e-2)


def test_loose_frames_are_read_like_a_video(tiny_folder: Path, loose: Path) -> None:
    folder, frames = DatasetFolder.read(tiny_folder), DatasetFolder.read(loose)
    for video, other in zip(folder.videos, frames.videos, strict=True):
        wanted = [5, 0, 3]
        pairs = zip(
            folder.read_frames(video.file, wanted), frames.read_frames(other.file, wanted), strict=True
        )
        for (index, image), (other_index, other_image) in pairs:
            assert index == other_index
            np.testing.assert_array_equal(image, other_image)
    assert all(math.isnan(annotation.timestamp) for annotation in frames.annotations)


def test_frames_match_their_labels(tiny_folder: Path) -> None:
    """The red back lies where the labels say, so frames and labels are not one apart and axes not swapped."""
    folder = DatasetFolder.read(tiny_folder)
    annotation = next(a for a in folder.annotations if a.cards == 52 and a.frame_index == 6)
    ((index, image),) = folder.read_frames(annotation.video, [6])
    back = annotation.corners[[i for i, name in enumerate(CORNERS) if name.endswith("back")]]
    x, y = back.mean(axis=0)
    red = (image[..., 0].astype(int) - image[..., 1] > 60).nonzero()
    assert index == 6
    assert abs(red[1].mean() - x) < 1.5
    assert abs(red[0].mean() - y) < 2.5


def test_fingerprint_changes_with_the_footage_and_only_then(folder: Path, loose: Path) -> None:
    for root in (folder, loose):
        read = DatasetFolder.read(root)
        names = [video.file for video in read.videos]
        before = [read.fingerprint(name) for name in names]
        assert len(set(before)) == len(before)
        read.write()
        assert [DatasetFolder.read(root).fingerprint(name) for name in names] == before
        path = root / names[2]
        path = next(path.iterdir()) if path.is_dir() else path
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
        after = [DatasetFolder.read(root).fingerprint(name) for name in names]
        assert [i for i in range(len(names)) if after[i] != before[i]] == [2]


def test_copy_keeps_every_byte_and_refuses_a_full_folder(folder: Path, loose: Path, tmp_path: Path) -> None:
    for root in (folder, loose):
        DatasetFolder.read(root).copy(tmp_path / "copy")
        files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        assert files == sorted(
            p.relative_to(tmp_path / "copy") for p in (tmp_path / "copy").rglob("*") if p.is_file()
        )
        assert all((root / file).read_bytes() == (tmp_path / "copy" / file).read_bytes() for file in files)
        with pytest.raises(InputError, match="exists already and is not empty"):
            DatasetFolder.read(root).copy(tmp_path / "copy")
        shutil.rmtree(tmp_path / "copy")


def test_a_failed_copy_or_write_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    read = DatasetFolder.read(folder)
    before = (folder / "annotations.json").read_bytes(), (folder / "videos.csv").read_bytes()
    (folder / "videos" / "52.mp4").unlink()
    with pytest.raises(InputError, match=r"52\.mp4: the file has gone"):
        read.copy(tmp_path / "copy")
    broken = replace(read.annotations[-1], cards=105)
    with pytest.raises(InputError):
        write_folder(folder, read.videos, [*read.annotations[:-1], broken])
    assert ((folder / "annotations.json").read_bytes(), (folder / "videos.csv").read_bytes()) == before
    assert (
        sorted(path.name for path in tmp_path.rglob("*") if "partial" in path.name or path.name == "copy")
        == []
    )


def test_unknown_counts_stay_unknown_and_the_label_s_own_is_kept(
    folder: Path, edit_json: Editor, edit_rows: Editor
) -> None:
    edit_rows(folder, lambda rows: rows.__setitem__(1, rows[1].replace(".mp4,1,", ".mp4,,")))
    read = DatasetFolder.read(folder)
    assert read.videos[0].cards is None
    assert {a.cards for a in read.annotations if a.video == "videos/01.mp4"} == {1}
    edit_json(folder, lambda document: [label.pop("cards") for label in document["annotations"]])
    read = DatasetFolder.read(folder)
    assert {a.cards for a in read.annotations if a.video == "videos/01.mp4"} == {None}
    assert {a.cards for a in read.annotations if a.video == "videos/08.mp4"} == {8}
    read.write()
    same_annotations(DatasetFolder.read(folder).annotations, read.annotations)


def test_spreadsheet_s_byte_order_mark_and_blank_lines_are_passed_over(folder: Path) -> None:
    before = DatasetFolder.read(folder).videos
    rows = (folder / "videos.csv").read_text()
    (folder / "videos.csv").write_text("\ufeff" + rows.replace("\n", "\r\n") + "\r\n\r\n", newline="")
    assert DatasetFolder.read(folder).videos == before


def test_images_without_a_label_are_counted(
    folder: Path, caplog: pytest.LogCaptureFixture, edit_json: Editor
) -> None:
    edit_json(folder, lambda document: document["annotations"].__delitem__(slice(0, 3)))
    with caplog.at_level("INFO"):
        assert len(DatasetFolder.read(folder).annotations) == 39
    assert "left out 3 images without a label" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        DatasetFolder.read(folder, unlabelled=True)
    assert not caplog.text, "who takes images without a label leaves none out"


def test_loose_frames_sort_by_number(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.jpg", "100.JPG", ".hidden.jpg", "notes.txt"):
        cv2.imwrite(str(tmp_path / "x.jpg"), np.zeros((4, 4, 3), np.uint8))
        (tmp_path / "x.jpg").rename(tmp_path / name)
    assert list(list_frames(tmp_path)) == [9, 10, 100]
    (tmp_path / "11.webp").touch()
    with pytest.raises(InputError, match=r"11\.webp: is not \.jpg, \.jpeg, \.png: save it as one"):
        list_frames(tmp_path)
    assert read_image(tmp_path / "9.jpg").shape == (4, 4, 3)
