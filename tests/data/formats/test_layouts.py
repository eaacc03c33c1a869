"""Exports as the tools lay them out, with the values that stand in them."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.images import read_image, write_image
from cardpose.common.packet import CORNERS, HIDDEN, NOT_LABELLED, VISIBLE
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.video import iterate
from cardpose.data.formats.converting import convert, put_into
from cardpose.data.formats.known import FORMATS

Exported = Callable[[str], Path]
VIDEO = "08.mp4"


@pytest.fixture
def task(exported: Exported, tiny_folder: Path, tmp_path: Path) -> Path:
    """A CVAT task made of the video 08.mp4: frames are called frame_000000, the video stands in the meta data."""
    root = tmp_path / "task"
    (root / "images").mkdir(parents=True)
    document = ElementTree.parse(exported("cvat") / "annotations.xml")
    annotations = document.getroot()
    described = annotations.find("meta/task")
    assert described is not None
    meta(described, "7", VIDEO)
    for image in annotations.findall("image"):
        name = image.get("name", "")
        if not name.startswith(VIDEO):
            annotations.remove(image)
            continue
        index = int(name.removesuffix(".jpg").rpartition("_")[2])
        image.set("name", f"frame_{index:06d}")
        shutil.copy(exported("cvat") / "images" / name, root / "images" / f"frame_{index:06d}.png")
    document.write(root / "annotations.xml")
    return root


def meta(described: ElementTree.Element, number: str, source: str) -> None:
    for child in list(described):
        described.remove(child)
    for key, text in (("id", number), ("mode", "interpolation"), ("source", source)):
        ElementTree.SubElement(described, key).text = text
    size = ElementTree.SubElement(described, "original_size")
    ElementTree.SubElement(size, "width").text = "64\n"
    ElementTree.SubElement(size, "height").text = "48"


def wanted(tiny_folder: Path) -> list[np.ndarray]:
    return [a.corners for a in DatasetFolder.read(tiny_folder).annotations if a.video == f"videos/{VIDEO}"]


def check(folder: DatasetFolder, corners: list[np.ndarray], video: str) -> None:
    assert [(a.video, a.frame_index) for a in folder.annotations] == [(video, k) for k in range(len(corners))]
    for annotation, want in zip(folder.annotations, corners, strict=True):
        np.testing.assert_allclose(annotation.corners, want, atol=1e-4)


def test_a_cvat_task_of_a_video(task: Path, tiny_folder: Path, footage: Path, tmp_path: Path) -> None:
    check(convert("cvat", task, tmp_path / "frames"), wanted(tiny_folder), f"frames/{VIDEO}")
    assert put_into("cvat", task, footage).same == len(wanted(tiny_folder))
    shutil.copy(tiny_folder / "videos" / VIDEO, task)
    folder = convert("cvat", task / "annotations.xml", tmp_path / "video")
    check(folder, wanted(tiny_folder), f"videos/{VIDEO}")
    assert len(list(iterate(tmp_path / "video" / "videos" / VIDEO))) >= len(wanted(tiny_folder))


def as_tracks(table: Path) -> None:
    """The same labels as "CVAT for video": a track, a key frame, frames between, and an end outside."""
    document = ElementTree.parse(table)
    root = document.getroot()
    track = ElementTree.Element("track", id="0", label="packet", source="manual")
    for number, image in enumerate(root.findall("image")):
        skeleton = image.find("skeleton")
        assert skeleton is not None
        skeleton.attrib = {"frame": str(number), "keyframe": str(int(number != 1)), "z_order": "0"}
        track.append(skeleton)
        root.remove(image)
    ended = ElementTree.fromstring(ElementTree.tostring(track[0]))
    ended.set("frame", "40")
    for points in ended.iter("points"):
        points.set("outside", "1")
    track.append(ended)
    root.append(track)
    document.write(table)


def test_cvat_for_video(task: Path, tiny_folder: Path, tmp_path: Path) -> None:
    as_tracks(task / "annotations.xml")
    labels = FORMATS["cvat"].read(task)
    assert labels.notes == (
        "1 labels lie between key frames: CVAT has interpolated them",
        "left out 1 frames in which the packet is outside",
    )
    check(convert("cvat", task, tmp_path / "out"), wanted(tiny_folder), f"frames/{VIDEO}")
    seen = DatasetFolder.read(tmp_path / "out").annotations
    assert {int(one) for a in seen for one in a.visibility} == {NOT_LABELLED, HIDDEN, VISIBLE}
    text = (task / "annotations.xml").read_text()
    (task / "annotations.xml").write_text(text.replace("interpolation", "annotation"))
    with pytest.raises(InputError, match=r'does not name them: export the task as "CVAT for images 1\.1"'):
        FORMATS["cvat"].read(task)


def test_a_cvat_project_of_two_videos_of_one_name(task: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """Subsets and tasks: frame_000000 of the second task is another picture."""
    table = task / "annotations.xml"
    document = ElementTree.parse(table)
    root = document.getroot()
    root.remove(root[1])
    described = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "project")
    tasks = ElementTree.SubElement(described, "tasks")
    images = root.findall("image")
    for number, subset in (("7", "train"), ("9", "val")):
        meta(ElementTree.SubElement(tasks, "task"), number, VIDEO)
        (task / "images" / subset).mkdir()
    for image in images:
        other = ElementTree.fromstring(ElementTree.tostring(image))
        image.attrib |= {"subset": "train", "task_id": "7"}
        other.attrib |= {"subset": "val", "task_id": "9"}
        root.append(other)
        name = f"{image.get('name')}.png"
        picture = read_image(task / "images" / name)
        write_image(task / "images" / "val" / name, picture[:, ::-1].copy())
        (task / "images" / name).rename(task / "images" / "train" / name)
    document.write(table)
    folder = convert("cvat", task, tmp_path / "out")
    assert [video.file for video in folder.videos] == [f"frames/7__{VIDEO}", f"frames/9__{VIDEO}"]
    one, two = (read_image(tmp_path / "out" / video.file / "3.png") for video in folder.videos)
    np.testing.assert_array_equal(one, two[:, ::-1])
    assert len(folder.annotations) == 2 * len(wanted(tiny_folder))


@pytest.fixture
def subsets(exported: Exported, tmp_path: Path) -> Path:
    """CVAT's "COCO Keypoints 1.0" of two tasks of videos in two subsets: file names alone, and all alike."""
    root = tmp_path / "subsets"
    whole = json.loads((exported("coco") / "annotations.json").read_text())
    (root / "annotations").mkdir(parents=True)
    for subset, video in (("train", "01.mp4"), ("default", "08.mp4")):
        own = [image for image in whole["images"] if image["video"] == f"videos/{video}"]
        ids = {image["id"] for image in own}
        labels = [label for label in whole["annotations"] if label["image_id"] in ids]
        images = []
        (root / "images" / subset).mkdir(parents=True)
        for image in own:
            name = f"frame_{image['frame_index']:06d}.PNG"
            shutil.copy(exported("coco") / image["file_name"], root / "images" / subset / name)
            images.append({"id": image["id"], "file_name": name, "width": 64, "height": 48})
        document = {"images": images, "annotations": labels, "categories": whole["categories"]}
        path = root / "annotations" / f"person_keypoints_{subset}.json"
        path.write_text(json.dumps(document))
    return root


def test_cvats_coco_keypoints_with_subsets(subsets: Path, tmp_path: Path, exported: Exported) -> None:
    folder = convert("cvat", subsets, tmp_path / "out")
    assert [(v.file, v.cards) for v in folder.videos] == [("frames/default", 8), ("frames/train", 1)]
    picture = read_image(tmp_path / "out" / "frames" / "train" / "2.PNG")
    np.testing.assert_array_equal(picture, read_image(exported("coco") / "frames" / "01.mp4" / "2.jpg"))
    one = convert("cvat", subsets / "annotations" / "person_keypoints_train.json", tmp_path / "one")
    assert [video.file for video in one.videos] == ["frames/train"]


@pytest.mark.parametrize("inside", ["", "project/"])
def test_a_zip_is_read_as_it_is(subsets: Path, tmp_path: Path, footage: Path, inside: str) -> None:
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(subsets.rglob("*.*")):
            file.write(path, f"{inside}{path.relative_to(subsets)}")
    folder = convert("cvat", archive, tmp_path / "out")
    assert [video.file for video in folder.videos] == ["frames/default", "frames/train"]
    with pytest.raises(InputError, match=r"export\.zip/.*belongs to no video"):
        put_into("cvat", archive, footage)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("__MACOSX/._export", b"x")
    assert len(convert("cvat", archive, tmp_path / "again").annotations) == len(folder.annotations)
    archive.write_bytes(archive.read_bytes()[:-900].replace(b"keypoints", b"keyp\x00ints", 3))
    with pytest.raises(InputError, match=r"export\.zip"):
        convert("cvat", archive, tmp_path / "torn")
    assert not (tmp_path / "torn").exists()


def test_a_zip_of_one_file(task: Path, tiny_folder: Path, footage: Path, tmp_path: Path) -> None:
    """CVAT without *Save images*."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(task / "annotations.xml", "annotations.xml")
    assert put_into("cvat", tmp_path / "a.zip", footage).same == len(wanted(tiny_folder))
    with pytest.raises(InputError, match=r"a\.zip: image 0 .*export with images, or use --into FOLDER"):
        convert("cvat", tmp_path / "a.zip", tmp_path / "out")


def test_coco_of_a_video_task_names_the_export_that_names_the_video(subsets: Path, footage: Path) -> None:
    with pytest.raises(InputError, match=r'export it as "CVAT for images 1\.1", which names the video'):
        put_into("cvat", subsets, footage)


def test_a_zip_may_not_write_outside(tmp_path: Path) -> None:
    archive = tmp_path / "deep" / "export.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../annotations.xml", "<annotations/>")
    with pytest.raises(InputError, match="holds no label"):
        convert("cvat", archive, tmp_path / "out")
    assert not list(tmp_path.rglob("annotations.xml"))


@pytest.mark.parametrize(
    ("layout", "name", "content", "said"),
    [
        ("cvat", "task.json", b"{}", "is a backup of CVAT: choose Export dataset"),
        (
            "cvat",
            "annotations/instances_default.json",
            b"{}",
            "COCO without keypoints: export as COCO Keypoints",
        ),
        ("cvat", "x.xml", b"<?xml version='1.0'?><kml/>", "is XML, but not of CVAT: export as"),
        ("coco", "x.json", b"<?xml version='1.0'?>", "is XML, not JSON: --from cvat reads"),
        ("label_studio", "x.json", b"\x89HDF\r\n\x1a\n", "is HDF5, not JSON: --from sleap reads .slp"),
        ("deeplabcut", "x.h5", b"\x89HDF\r\n\x1a\n", "is HDF5, not CSV: give the table CollectedData_"),
        ("deeplabcut", "x.json", b"[]", "is JSON, not CSV: --from coco, cvat and label_studio"),
        ("sleap", "x.slp", b"{}", "is JSON, not HDF5"),
        ("cvat", "x.rar", b"Rar!\x1a\x07", "is an archive that is no zip, not JSON or XML: unpack it"),
        ("coco", "x.png", b"\x89PNG\r\n\x1a\n", "is a picture, not JSON: give the labels"),
    ],
)
def test_a_refusal_says_what_the_file_is(
    tmp_path: Path, layout: str, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / "given" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    root = path if name.startswith("x.") else tmp_path / "given"
    with pytest.raises(InputError) as refused:
        convert(layout, root, tmp_path / "out")
    assert said in str(refused.value)


@pytest.fixture
def project(exported: Exported, tmp_path: Path) -> Path:
    """A DeepLabCut project after create_training_dataset: copies of the table, and one of another scorer."""
    root = Path(shutil.copytree(exported("deeplabcut"), tmp_path / "project"))
    (root / "config.yaml").write_text("Task: cards\nscorer: cardpose\nmultianimalproject:\nbodyparts:\n- a\n")
    tables = sorted(root.glob("labeled-data/*/*.csv"))
    copy = root / "training-datasets" / "iteration-0" / "UnaugmentedDataSet_cards" / tables[0].name
    copy.parent.mkdir(parents=True)
    shutil.copy(tables[0], copy)
    for table in tables:
        table.with_suffix(".h5").write_bytes(b"\x89HDF\r\n\x1a\n")
        moved = table.read_text().replace("cardpose", "somebody").replace(".", ".9")
        table.with_name("CollectedData_somebody.csv").write_text(moved)
        (table.parent / "machinelabels-iter0.csv").write_text("x")
        (table.parent / f"._{table.name}").write_bytes(b"\0\5\x16\7")
    (root / "labeled-data" / "01.mp4_labeled").mkdir()
    return root


def test_a_deeplabcut_project_after_its_training_set(
    project: Path, exported: Exported, tmp_path: Path
) -> None:
    want = convert("deeplabcut", exported("deeplabcut"), tmp_path / "want").annotations
    for number, root in enumerate((project, project / "config.yaml")):
        got = convert("deeplabcut", root, tmp_path / f"out{number}").annotations
        assert [a.frame_id for a in got] == [a.frame_id for a in want]
        assert all(
            np.array_equal(a.corners, b.corners, equal_nan=True) for a, b in zip(got, want, strict=True)
        )
    one = FORMATS["deeplabcut"].read(next(project.glob("training-datasets/*/*/*.csv")))
    assert one.base == project
    (project / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"has CollectedData_cardpose\.csv and CollectedData_somebody\.csv"):
        FORMATS["deeplabcut"].read(project)
    for table in project.rglob("*.csv"):
        table.unlink()
    with pytest.raises(InputError, match=r"write CollectedData_cardpose\.csv from each \.h5 with pandas"):
        FORMATS["deeplabcut"].read(project)
    (project / "config.yaml").write_text("scorer: cardpose\nmultianimalproject: true\n")
    with pytest.raises(InputError, match=r"config\.yaml: a multi-animal project"):
        FORMATS["deeplabcut"].read(project)


@pytest.mark.parametrize(("delimiter", "point"), [(";", ","), (";", "."), ("\t", ".")])
def test_deeplabcuts_table_saved_by_a_spreadsheet(project: Path, delimiter: str, point: str) -> None:
    """Semicolons, decimal commas, and a row that nobody has labelled."""
    path = project / "labeled-data" / VIDEO / "CollectedData_cardpose.csv"
    want = FORMATS["deeplabcut"].read(path).labels
    rows = list(csv.reader(path.open(newline="")))
    cells = [[*row[:3], *(cell.replace(".", point) for cell in row[3:])] for row in rows[3:]]
    cells.append(["labeled-data", VIDEO, "img000099.jpg", *["NaN"] * 16])
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter).writerows([*rows[:3], *cells])
    labels = FORMATS["deeplabcut"].read(path)
    assert labels.notes == ("left out 1 rows without a label",)
    for got, label in zip(labels.labels, want, strict=True):
        assert got.image == label.image
        np.testing.assert_array_equal(got.corners, label.corners)


def test_a_package_of_sleap_has_its_pictures_inside(
    exported: Exported, tiny_folder: Path, footage: Path, tmp_path: Path
) -> None:
    """Several videos; the frames keep their indices, and their colours."""
    sio = pytest.importorskip("sleap_io")
    source = Path(shutil.copytree(exported("sleap"), tmp_path / "sleap"))
    document = sio.load_slp(str(source / "labels.slp"), open_videos=False)
    for video in document.videos:
        video.replace_filename(str(source / video.filename))
    document.labeled_frames = document.labeled_frames[2:]
    package = tmp_path / "labels.pkg.slp"
    sio.save_slp(document, str(package), embed=True, verbose=False)
    shutil.rmtree(source)
    folder = convert("sleap", package, tmp_path / "out")
    want = DatasetFolder.read(tiny_folder)
    assert [video.file for video in folder.videos] == [f"frames/{Path(v.file).name}" for v in want.videos]
    assert [a.frame_index for a in folder.annotations] == [a.frame_index for a in want.annotations[2:]]
    for index, picture in want.read_frames("videos/01.mp4", [2, 4]):
        kept = read_image(tmp_path / "out" / "frames" / "01.mp4" / f"{index}.png")
        assert np.abs(kept.astype(int) - picture).mean() < 4
    assert put_into("sleap", package, footage).same == 40
    assert len(CORNERS) == folder.annotations[0].corners.shape[0]


def test_a_folder_of_roboflow(exported: Exported, tmp_path: Path) -> None:
    root = tmp_path / "roboflow"
    whole = json.loads((exported("coco") / "annotations.json").read_text())
    for part, subset in enumerate(("train", "valid")):
        (root / subset).mkdir(parents=True)
        images = [image for image in whole["images"] if image["id"] % 2 == part]
        ids = {image["id"] for image in images}
        for image in images:
            _, video, name = image["file_name"].split("/")
            new = f"{video}_frame_{name.removesuffix('.jpg')}_jpg.rf.0{image['id']}ab.jpg"
            shutil.copy(exported("coco") / image["file_name"], root / subset / new)
            image.pop("video"), image.pop("frame_index")
            image["file_name"] = new
        labels = [label for label in whole["annotations"] if label["image_id"] in ids]
        (root / subset / "_annotations.coco.json").write_text(
            json.dumps({"images": images, "annotations": labels, "categories": whole["categories"]})
        )
    folder = convert("coco", root, tmp_path / "out")
    assert len(folder.videos) == 6, "the frames of a video are not divided by the subsets"
    assert len(folder.annotations) == 42
