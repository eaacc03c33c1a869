"""A label never lies on another picture, and frames of one video stay together."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.images import read_image
from cardpose.common.packet import CORNERS
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.converting import convert, put_into
from cardpose.data.formats.importing import as_folder, name_frames, naming_notes
from cardpose.data.formats.known import FORMATS
from cardpose.data.formats.records import Label, Labels, blank

Change = Callable[[Callable[[dict[str, Any]], object]], Path]


@pytest.fixture
def changed(exported: Callable[[str], Path], tmp_path: Path) -> Change:
    """changed(edit): a copy of the COCO export whose document `edit` has changed in place."""

    def write(edit: Callable[[dict[str, Any]], object]) -> Path:
        out = Path(shutil.copytree(exported("coco"), tmp_path / "coco"))
        document = json.loads((out / "annotations.json").read_text())
        edit(document)
        (out / "annotations.json").write_text(json.dumps(document))
        return out

    return write


def without_video(document: dict[str, Any]) -> None:
    for image in document["images"]:
        for key in ("video", "frame_index", "timestamp"):
            image.pop(key, None)


def test_an_id_that_occurs_twice_is_refused(changed: Change, tmp_path: Path) -> None:
    def images(document: dict[str, Any]) -> None:
        document["images"][1]["id"] = float(document["images"][0]["id"])

    def categories(document: dict[str, Any]) -> None:
        document["categories"].append({"id": "1", "name": "b", "keypoints": list(reversed(CORNERS))})

    with pytest.raises(InputError, match=r"images\[1\]: id 1 is taken"):
        convert("coco", changed(images), tmp_path / "out")
    shutil.rmtree(tmp_path / "coco")
    with pytest.raises(InputError, match=r"categories\[1\]: id 1 is taken"):
        convert("coco", changed(categories), tmp_path / "out")


@pytest.mark.parametrize("write", [str, float, lambda number: f"img{number}.jpg"])
def test_ids_as_text_or_whole_floats_are_read(
    changed: Change, exported: Callable[[str], Path], write: Callable[[int], Any]
) -> None:
    def edit(document: dict[str, Any]) -> None:
        for image in document["images"]:
            image["id"] = write(image["id"])
            image["frame_index"] = float(image["frame_index"])
        for label in document["annotations"]:
            label["image_id"] = write(label["image_id"])
            label["category_id"] = write(label["category_id"])
        document["categories"][0]["id"] = write(1)

    want = as_folder(FORMATS["coco"].read(exported("coco"))).annotations
    got = as_folder(FORMATS["coco"].read(changed(edit))).annotations
    assert [a.frame_id for a in got] == [a.frame_id for a in want]
    assert all(np.array_equal(a.corners, b.corners, equal_nan=True) for a, b in zip(got, want, strict=True))


def test_a_second_annotation_without_a_packet_is_left_out_and_counted(
    changed: Change, exported: Callable[[str], Path]
) -> None:
    def edit(document: dict[str, Any]) -> None:
        first = document["annotations"][0]
        seconds = [
            {"keypoints": [0] * 24, "num_keypoints": 0},
            {"iscrowd": 1},
            {"keypoints": None},
            {"keypoints": []},
        ]
        document["annotations"][:0] = [{**first, "id": 90 + k, **two} for k, two in enumerate(seconds)]
        document["annotations"].append({"id": 99, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]})
        document["images"].append({"id": 500, "file_name": "x.jpg", "width": 9, "height": 9})

    labels = FORMATS["coco"].read(changed(edit))
    assert labels.notes == (
        "left out 5 annotations that are a crowd, empty or without keypoints",
        "left out 1 images without a label",
    )
    want = FORMATS["coco"].read(exported("coco"))
    assert len(labels.labels) == len(want.labels) == 42
    np.testing.assert_array_equal(labels.labels[0].corners, want.labels[0].corners)


def test_two_packets_in_one_picture_are_refused(changed: Change, tmp_path: Path) -> None:
    path = changed(lambda document: document["annotations"].append({**document["annotations"][0], "id": 99}))
    with pytest.raises(InputError, match=r"frame 0 of frames/01\.mp4 is labelled twice"):
        convert("coco", path, tmp_path / "out")


def test_base_names_that_meet_keep_their_own_pictures(changed: Change, tmp_path: Path) -> None:
    """Two folders with pictures of the same names: both are read, and never one for the other."""

    def edit(document: dict[str, Any]) -> None:
        without_video(document)
        for image in document["images"]:
            _, video, name = image["file_name"].split("/")
            image["file_name"] = f"{video}/cam/{name}"

    out = changed(edit)
    for folder in list((out / "frames").iterdir()):
        (out / folder.name).mkdir()
        folder.rename(out / folder.name / "cam")
    folder = as_folder(FORMATS["coco"].read(out))
    assert [video.file for video in folder.videos][:2] == ["frames/01.mp4__cam", "frames/08.mp4__cam"]
    for annotation in folder.annotations:
        stem = annotation.video.removeprefix("frames/").removesuffix("__cam")
        source = folder.sources[annotation.video]
        assert isinstance(source, dict)
        assert source[annotation.frame_index] == out / stem / "cam" / f"{annotation.frame_index}.jpg"
    (out / "01.mp4" / "cam" / "0.jpg").rename(out / "0.jpg")
    with pytest.raises(InputError, match=r"the image 01\.mp4/cam/0\.jpg is not beside the labels"):
        as_folder(FORMATS["coco"].read(out))


def test_one_picture_for_two_labels_is_refused(changed: Change) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["images"][8]["file_name"] = document["images"][0]["file_name"]

    with pytest.raises(InputError, match=r"0\.jpg is also the image of frames/01\.mp4 frame 0"):
        as_folder(FORMATS["coco"].read(changed(edit)))


def named(*images: str) -> tuple[list[tuple[str, int]], list[str]]:
    labels = Labels(tuple(Label(image, image, *blank()) for image in images), Path())
    return name_frames(labels), naming_notes(labels)


@pytest.mark.parametrize("photo", ["IMG_{}.jpg", "DSC0{}.JPG", "_MG_{}.jpg", "img-{}.png", "Photo {}.jpg"])
@pytest.mark.parametrize("folder", ["", "train/", "images/", "packet/"])
def test_photos_are_a_video_each_and_said(photo: str, folder: str) -> None:
    names, notes = named(*(folder + photo.format(2700 + k) for k in range(3)))
    assert len({name for name, _ in names}) == 3
    assert [index for _, index in names] == [0, 0, 0]
    assert len(notes) == 1
    assert "3 images are each taken for a video of its own" in notes[0]


@pytest.mark.parametrize(
    ("image", "video"),
    [
        ("frame_{:06d}.PNG", "images"),
        ("images/default/frame_{:06d}.jpg", "default"),
        ("train/frame{}.jpg", "train"),
        ("52/{:04d}.webp", "52"),
        ("train/52/frame-{}.tif", "52"),
        ("52.mp4/out{:03d}.png", "52.mp4"),
        ("clip/frame_{:06d}_jpg.rf.0a1b2c.jpg", "clip"),
    ],
)
def test_a_sequence_of_one_video_is_one_video_and_said(image: str, video: str) -> None:
    names, notes = named(*(image.format(k) for k in (0, 7, 12)))
    assert names == [(video, 0), (video, 7), (video, 12)]
    assert notes == [f"taken for frames of one video, since a number names them: {video} (3 images)"]


def test_exact_names_need_no_word() -> None:
    names, notes = named("images/52_frame_3.jpg", "frames/17/4.png", "labeled-data/8.mp4/IMG_0009.png")
    assert (names, notes) == ([("52", 3), ("17", 4), ("8.mp4", 9)], [])


def test_a_subset_does_not_divide_a_video_but_tasks_do() -> None:
    names, _ = named("train/52_frame_0.jpg", "val/52_frame_1.jpg", "train/17/0.jpg", "val/17/1.jpg")
    assert [name for name, _ in names] == ["52", "52", "17", "17"]
    names, _ = named("train/frame_000000.png", "val/frame_000000.png", "train/frame_000000_1.png")
    assert [name for name, _ in names] == ["train", "val", "train_1"]


def test_labels_of_two_videos_of_one_name_are_not_put_into_one(changed: Change, footage: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        for number, image in enumerate(document["images"]):
            image["video"] = f"day {number % 2}/08.mp4"
            image["frame_index"] = number

    before = (footage / "annotations.json").read_bytes()
    with pytest.raises(InputError, match="belongs to no video of"):
        put_into("coco", changed(edit), footage)
    assert (footage / "annotations.json").read_bytes() == before


def test_label_studios_ground_truth_wins(exported: Callable[[str], Path], tmp_path: Path) -> None:
    out = Path(shutil.copytree(exported("label_studio"), tmp_path / "ls"))
    want = FORMATS["label_studio"].read(out).labels[0]
    tasks = json.loads((out / "tasks.json").read_text())
    (right,) = tasks[0]["annotations"]
    wrong = json.loads(json.dumps(right))
    for result in wrong["result"]:
        if result["type"] == "keypointlabels":
            result["value"]["x"] /= 2
    tasks[0]["annotations"] = [wrong, {**right, "ground_truth": True}, {**wrong, "ground_truth": False}]
    (out / "tasks.json").write_text(json.dumps(tasks))
    labels = FORMATS["label_studio"].read(out)
    np.testing.assert_array_equal(labels.labels[0].corners, want.corners)
    assert labels.notes == ("1 images have several annotations: the ground truth is used, else the last one",)


def test_sleaps_unused_skeletons_and_empty_instances(exported: Callable[[str], Path], tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    out = Path(shutil.copytree(exported("sleap"), tmp_path / "sleap"))
    document = sio.load_slp(str(out / "labels.slp"), open_videos=False)
    hand = sio.Skeleton(["wrist", "thumb"], name="hand")
    unused = sio.Skeleton(["upper_left_face", "nose"], name="unused")
    document.skeletons += [hand, unused]
    frames = document.labeled_frames
    frames[0].instances.append(sio.Instance.from_numpy(np.full((8, 2), np.nan), document.skeletons[0]))
    frames[1].instances.append(sio.Instance.from_numpy(np.ones((2, 2)), hand))
    frames[2].instances[:] = [sio.Instance.from_numpy(np.full((8, 2), np.nan), document.skeletons[0])]
    sio.save_slp(document, str(out / "labels.slp"), verbose=False)
    labels = FORMATS["sleap"].read(out)
    assert len(labels.labels) == 41
    assert any("1 instances of other skeletons" in note for note in labels.notes)
    want = FORMATS["sleap"].read(exported("sleap")).labels
    np.testing.assert_array_equal(labels.labels[0].corners, want[0].corners)
    np.testing.assert_array_equal(labels.labels[2].corners, want[3].corners)


@pytest.mark.parametrize("suffix", ["webp", "bmp", "tif"])
def test_other_kinds_of_pictures_are_written_as_png(changed: Change, tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    def edit(document: dict[str, Any]) -> None:
        for image in document["images"]:
            image["file_name"] = f"{image['file_name'].removesuffix('.jpg')}.{suffix}"

    out = changed(edit)
    for path in out.rglob("*.jpg"):
        Image.fromarray(read_image(path)).save(path.with_suffix(f".{suffix}"), lossless=True)
        path.unlink()
    folder = convert("coco", out, tmp_path / "out")
    first = folder.annotations[0]
    kept = read_image(tmp_path / "out" / first.video / f"{first.frame_index}.png")
    np.testing.assert_array_equal(kept, read_image(out / first.video / f"{first.frame_index}.{suffix}"))
    assert len(DatasetFolder.read(tmp_path / "out").annotations) == 42
