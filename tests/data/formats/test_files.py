"""What stands in the files, held against what the tools say of them."""

import csv
import json
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, EDGES, HIDDEN, VISIBLE
from cardpose.data.footage.folder import DatasetFolder, Video, write_folder
from cardpose.data.formats import cvat, deeplabcut, label_studio, sleap
from cardpose.data.formats.converting import export_to
from cardpose.data.formats.importing import as_folder
from cardpose.data.formats.known import FORMATS


@pytest.fixture
def copied(exported: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """copied(name): the same, to be changed."""
    return lambda name: Path(shutil.copytree(exported(name), tmp_path / name))


def test_pycocotools_opens_and_scores_the_native_labels(exported: Callable[[str], Path]) -> None:
    """Labels held against themselves are perfect; against labels of other frames they are not."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    truth = coco.COCO(str(exported("coco") / "annotations.json"))
    assert len(truth.getImgIds()) == len(truth.getAnnIds()) == 42
    assert truth.loadCats(1)[0]["keypoints"] == list(CORNERS)
    records = truth.loadAnns(truth.getAnnIds())

    def average_precision(keypoints: list[Any]) -> float:
        said = [
            {"image_id": record["image_id"], "category_id": 1, "score": 1.0, "keypoints": points}
            for record, points in zip(records, keypoints, strict=True)
        ]
        scores = evaluation.COCOeval(truth, truth.loadRes(said), "keypoints")
        scores.params.kpt_oks_sigmas = np.full(8, 0.02)
        scores.params.areaRng, scores.params.areaRngLbl = [[0, 1e10]] * 3, ["all", "medium", "large"]
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
        return float(scores.stats[0])

    points = [record["keypoints"] for record in records]
    assert average_precision(points) == pytest.approx(1)
    assert average_precision(points[3:] + points[:3]) < 0.9


def test_coco_images_lie_where_the_file_says(exported: Callable[[str], Path]) -> None:
    out = exported("coco")
    document = json.loads((out / "annotations.json").read_text())
    assert all((out / image["file_name"]).is_file() for image in document["images"])


def test_coco_of_another_tool_in_its_own_order(copied: Callable[[str], Path]) -> None:
    """Keypoints by name, another category, another body part, no video: what other tools write."""
    path = copied("coco") / "annotations.json"
    want = as_folder(FORMATS["coco"].read(path)).annotations
    document = json.loads(path.read_text())
    document["categories"][0]["keypoints"] = ["nose", *reversed(CORNERS)]
    document["categories"].append({"id": 7, "name": "table"})
    for image in document["images"]:
        del image["video"], image["frame_index"], image["timestamp"]
    for label in document["annotations"]:
        triples = np.array(label["keypoints"]).reshape(8, 3)[::-1]
        label["keypoints"] = [1.0, 1.0, 2, *triples.flatten().tolist()]
        label["attributes"] = {"cards": str(label.pop("cards"))}
    document["annotations"].append({"id": 99, "image_id": 1, "category_id": 7})
    path.write_text(json.dumps(document))
    labels = FORMATS["coco"].read(path)
    assert labels.notes == (
        "left out keypoints that are no corners: nose",
        "left out 1 annotations of other categories",
    )
    for got, expected in zip(as_folder(labels).annotations, want, strict=True):
        assert (got.video, got.frame_index, got.cards) == (
            expected.video,
            expected.frame_index,
            expected.cards,
        )
        np.testing.assert_array_equal(got.corners, expected.corners)


def test_cvat_has_what_its_importer_asks_for(exported: Callable[[str], Path], tiny_folder: Path) -> None:
    out = exported("cvat")
    images = list(ElementTree.parse(out / "annotations.xml").getroot().iter("image"))
    assert len(images) == 42
    first = DatasetFolder.read(tiny_folder).annotations[0]
    for image in images:
        assert (out / "images" / str(image.get("name"))).is_file()
        (skeleton,) = image.findall("skeleton")
        assert [points.get("label") for points in skeleton.findall("points")] == list(CORNERS)
        for points in skeleton.findall("points"):
            assert {points.get("outside"), points.get("occluded")} <= {"0", "1"}
            assert len([float(value) for value in str(points.get("points")).split(",")]) == 2
    shown = images[0].find("skeleton")
    assert shown is not None
    corner = np.array(str(shown.findall("points")[2].get("points")).split(","), float)
    np.testing.assert_allclose(corner, first.corners[2] + 0.5, atol=1e-9)
    assert shown.findall("points")[0].get("occluded") == "1"
    assert shown.findtext("attribute[@name='cards']") == "1"


def test_cvats_label_is_one_skeleton_of_named_points() -> None:
    label = cvat.constructor()
    svg = ElementTree.fromstring(f"<svg>{label['svg']}</svg>")
    circles, lines = svg.findall("circle"), svg.findall("line")
    assert [circle.get("data-label-name") for circle in circles] == list(CORNERS)
    assert {(line.get("data-node-from"), line.get("data-node-to")) for line in lines} == {
        (str(i + 1), str(j + 1)) for i, j in EDGES
    }
    assert len({(circle.get("cx"), circle.get("cy")) for circle in circles}) == 8


def test_cvats_own_coco_keypoints(copied: Callable[[str], Path]) -> None:
    """The same packet, half a pixel off, a count of 0 where nobody has filled it in."""
    path = copied("coco") / "annotations.json"
    want = as_folder(FORMATS["coco"].read(path)).annotations
    document = json.loads(path.read_text())
    for label in document["annotations"]:
        for i in range(0, 24, 3):
            label["keypoints"][i] += 0.5
            label["keypoints"][i + 1] += 0.5
        label["attributes"] = {"cards": 0 if label["cards"] == 8 else label["cards"]}
        del label["cards"]
    path.with_suffix(".cvat.json").write_text(json.dumps(document))
    got = as_folder(FORMATS["cvat"].read(path.with_suffix(".cvat.json"))).annotations
    for a, b in zip(got, want, strict=True):
        assert a.cards == (None if b.cards == 8 else b.cards)
        np.testing.assert_allclose(a.corners, b.corners, atol=1e-5)


def test_label_studio_counts_in_percent_of_the_outer_edges(tiny_folder: Path, tmp_path: Path) -> None:
    folder = DatasetFolder.read(tiny_folder)
    first = folder.annotations[0]
    corners = first.corners.copy()
    corners[:2] = [(-0.5, -0.5), (63.5, 47.5)]
    edges = replace(first, corners=corners)
    root = tmp_path / "copy"
    folder.copy(root)
    write_folder(root, folder.videos, [edges, *folder.annotations[1:]])
    export_to("label_studio", "folder", root, tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    values = [r["value"] for r in tasks[0]["annotations"][0]["result"] if r["type"] == "keypointlabels"]
    assert [(value["x"], value["y"]) for value in values[:2]] == [(0, 0), (100, 100)]


def test_label_studio_without_our_interface(copied: Callable[[str], Path]) -> None:
    """A project of corners alone, its pictures uploaded: what a user has who did not start from cardpose."""
    path = copied("label_studio") / "tasks.json"
    tasks = json.loads(path.read_text())
    for i, task in enumerate(tasks):
        name = task["data"].pop("image").rpartition("/")[2]
        task["data"]["picture"] = f"/data/upload/3/{i:08x}-{name}"
        (annotation,) = task["annotations"]
        annotation["result"] = [r for r in annotation["result"] if r["type"] == "keypointlabels"]
        task["annotations"] = [{"result": [], "was_cancelled": False}, annotation]
    tasks[5]["annotations"].clear()
    path.write_text(json.dumps(tasks))
    labels = FORMATS["label_studio"].read(path)
    assert labels.notes == ("left out 1 images without a label",)
    folder = as_folder(labels)
    assert len(folder.annotations) == 41
    assert {int(seen) for a in folder.annotations for seen in a.visibility} == {0, VISIBLE}
    assert {video.cards for video in folder.videos} == {None}
    assert {video.file for video in folder.videos} == {f"frames/{n:02d}.mp4" for n in (1, 8, 17, 30, 41, 52)}


def test_label_studios_interface_names_every_corner(exported: Callable[[str], Path]) -> None:
    view = ElementTree.parse(exported("label_studio") / label_studio.CONFIG).getroot()
    assert [label.get("value") for label in view.iter("Label")] == list(CORNERS)
    assert {choice.get("value") for choice in view.iter("Choice")} == {"visible", "hidden"}


def test_deeplabcuts_table_as_pandas_reads_it(exported: Callable[[str], Path], tiny_folder: Path) -> None:
    """`deeplabcut.convertcsv2h5` reads with these arguments."""
    pandas = pytest.importorskip("pandas")
    out = exported("deeplabcut")
    path = out / "labeled-data" / "08.mp4" / "CollectedData_cardpose.csv"
    table = pandas.read_csv(path, index_col=[0, 1, 2], header=[0, 1, 2])
    assert list(table.columns.names) == ["scorer", "bodyparts", "coords"]
    assert all((out / Path(*image)).is_file() for image in table.index)
    wanted = [a for a in DatasetFolder.read(tiny_folder).annotations if a.video == "videos/08.mp4"]
    for row, annotation in zip(table.to_numpy(), wanted, strict=True):
        np.testing.assert_allclose(row.reshape(8, 2), annotation.corners, rtol=1e-6)


def test_deeplabcuts_older_single_index_column(copied: Callable[[str], Path]) -> None:
    out = copied("deeplabcut")
    want = as_folder(FORMATS["deeplabcut"].read(out)).annotations
    for path in out.rglob("*.csv"):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        lines = [",".join([*row[:1], *row[3:]]) for row in rows[:3]]
        lines += [",".join(["/".join(row[:3]), *row[3:]]) for row in rows[3:]]
        path.write_text("\n".join(lines) + "\n")
    for got, expected in zip(as_folder(FORMATS["deeplabcut"].read(out)).annotations, want, strict=True):
        assert (got.video, got.frame_index) == (expected.video, expected.frame_index)
        np.testing.assert_array_equal(got.corners, expected.corners)
    one = next(iter(sorted(out.rglob("*.csv"))))
    assert len(deeplabcut.read(one).labels) == 6


def test_sleap_keeps_hidden_apart_and_videos_whole(
    exported: Callable[[str], Path], tiny_folder: Path
) -> None:
    sio = pytest.importorskip("sleap_io")
    out = exported("sleap")
    labels = sio.load_slp(str(out / sleap.TABLE), open_videos=False)
    assert labels.skeleton.node_names == list(CORNERS)
    assert len(labels.skeleton.edges) == 12
    assert [str(video.filename) for video in labels.videos] == [
        v.file for v in DatasetFolder.read(tiny_folder).videos
    ]
    first = DatasetFolder.read(tiny_folder).annotations[0]
    points = labels.labeled_frames[0].instances[0].points
    np.testing.assert_array_equal(points["visible"], first.visibility == VISIBLE)
    hidden = int(np.flatnonzero(first.visibility == HIDDEN)[0])
    np.testing.assert_array_equal(points[hidden]["xy"], first.corners[hidden])


def test_sleap_says_what_it_lacks(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sleap-io, its extra is named."""
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    with pytest.raises(InputError) as caught:
        sleap.read(tmp_path / "a.slp")
    assert 'pip install -e ".[interop]"' in str(caught.value)
    with pytest.raises(InputError):
        export_to("sleap", "folder", tiny_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cardpoints_have_rows_and_columns_swapped(exported: Callable[[str], Path], tiny_folder: Path) -> None:
    out = exported("cardcut")
    rows = list(csv.DictReader((out / "cardpoints.csv").open()))
    first = DatasetFolder.read(tiny_folder).annotations[0]
    corner = CORNERS[2]
    assert float(rows[0][f"{corner}_x"]) * 48 == pytest.approx(first.corners[2, 1])
    assert float(rows[0][f"{corner}_y"]) * 64 == pytest.approx(first.corners[2, 0])
    assert rows[0]["upper_left_face_visible"] == "0"
    assert (rows[0]["cards_counted"], rows[0]["annotated"]) == ("1", "1")


def test_the_published_table_is_written_as_it_was(cardcut_root: Path, tmp_path: Path) -> None:
    """Every cell of the seed's own table, to its six digits, and every picture byte for byte."""
    export_to("cardcut", "cardcut", cardcut_root, tmp_path / "out")
    with (cardcut_root / "cardpoints.csv").open() as a, (tmp_path / "out" / "cardpoints.csv").open() as b:
        published = {row["imageName"]: row for row in csv.DictReader(a)}
        written = {row["imageName"]: row for row in csv.DictReader(b)}
    assert published.keys() == written.keys()
    for image, row in written.items():
        for key, cell in row.items():
            if key == "videoId" or key == "imageName":
                continue
            assert math.isclose(float(cell), float(published[image][key]), abs_tol=6e-7), (image, key)
        picture = cardcut_root / "images" / image
        assert (tmp_path / "out" / "images" / image).read_bytes() == picture.read_bytes()


def test_frames_to_label_travel_too(loose_frames: Path, tmp_path: Path) -> None:
    """Pictures without a label yet are what a labelling tool is for."""
    for name, files in (("cvat", 42), ("label_studio", 42), ("deeplabcut", 42), ("cardcut", 42)):
        export_to(name, "folder", loose_frames, tmp_path / name)
        pictures = [p for p in (tmp_path / name).rglob("*") if p.suffix in (".png", ".jpg")]
        assert len(pictures) == files, name
        labels = FORMATS[name].read(tmp_path / name).labels
        assert len(labels) == 7, name


@pytest.fixture
def loose_frames(tiny_folder: Path, tmp_path: Path) -> Path:
    """Loose PNG frames of the tiny footage, of which one video alone is labelled."""
    source = DatasetFolder.read(tiny_folder)
    root = tmp_path / "loose"
    for video in source.videos:
        folder = root / "frames" / Path(video.file).stem
        folder.mkdir(parents=True)
        own = [a.frame_index for a in source.annotations if a.video == video.file]
        for index, image in source.read_frames(video.file, own):
            cv2.imwrite(str(folder / f"{index}.png"), image)
    videos = [Video(f"frames/{Path(v.file).stem}", v.cards) for v in source.videos]
    labelled = [
        replace(a, video="frames/08", timestamp=math.nan)
        for a in source.annotations
        if a.video == "videos/08.mp4"
    ]
    write_folder(root, videos, labelled)
    return root
