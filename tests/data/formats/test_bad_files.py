"""Damaged and foreign files: one line that names the file, and a data folder that is as it was."""

import contextlib
import json
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.json_files import read_json
from cardpose.data.formats.converting import convert, export_to, put_into
from cardpose.data.formats.known import FORMATS

TABLES = {
    "cardcut": "cardpoints.csv",
    "coco": "annotations.json",
    "cvat": "annotations.xml",
    "deeplabcut": "labeled-data/08.mp4/CollectedData_cardpose.csv",
    "label_studio": "tasks.json",
    "sleap": "labels.slp",
}
TRIES = 45
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2.5,
    1e400,
    10**400,
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    "../../a_frame_1.jpg",
)


@pytest.fixture
def broken(name: str, exported: Callable[[str], Path], tmp_path: Path) -> Path:
    """The table of an export, without its pictures, to be broken."""
    table = tmp_path / "broken" / TABLES[name]
    table.parent.mkdir(parents=True)
    return Path(shutil.copy(exported(name) / TABLES[name], table))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_line(error: InputError) -> str:
    line = str(error)
    assert "\n" not in line
    assert len(line) < 900, line
    assert ":" in line
    return line


def hurt_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut, flipped, doubled or overwritten somewhere."""
    at, width = rng.randrange(len(data)), rng.choice((1, 1, 2, 8, 200))
    kind = rng.randrange(5)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + width :]
    if kind == 2:
        return data[:at] + data[at : at + width] + data[at:]
    if kind == 3:
        return data[:at] + bytes(rng.randrange(256) for _ in range(width)) + data[at + width :]
    digits = b"0123456789-+.e,;:\"'<>/&[]{}nx \n\0\xff"
    return data[:at] + bytes(rng.choice(digits) for _ in range(width)) + data[at + width :]


def hurt_json(document: Any, rng: random.Random) -> Any:
    """A value anywhere in the document replaced or removed."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        children = (
            node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        )
        for key, child in children:
            places.append((node, key))
            walk(child)

    walk(document)
    node, key = rng.choice(places)
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(JUNK)
    return document


@pytest.mark.parametrize("seed", range(3))
def test_fuzzed_files_are_read_or_refused_in_one_line(
    name: str, broken: Path, tiny_folder: Path, tmp_path: Path, seed: int
) -> None:
    """Whatever becomes of the file: labels, or one line; the folder that they go into keeps its bytes."""
    rng = random.Random(seed)
    whole = broken.read_bytes()
    root = broken if name != "cardcut" else broken.parent
    into = Path(shutil.copytree(tiny_folder, tmp_path / "into"))
    before, refused = contents(into), 0
    for _ in range(TRIES // 3):
        if name in ("coco", "label_studio") and rng.random() < 0.6:
            text = json.dumps(hurt_json(json.loads(whole), rng))
            broken.write_bytes(text.encode("utf-8", "surrogatepass"))
        else:
            broken.write_bytes(hurt_bytes(whole, rng))
        try:
            put_into(name, root, into)
        except InputError as error:
            one_line(error)
            refused += 1
            assert contents(into) == before
        else:
            shutil.rmtree(into)
            shutil.copytree(tiny_folder, into)
    assert refused, "nothing that was tried breaks the file"


@pytest.mark.parametrize(
    "junk", [b"", b"\0" * 64, b"[]", b"{}", b"[1]", b"null", b"<a/>", b"a,b\n1,2\n", b"[" * 5000]
)
def test_a_file_of_something_else_is_named(name: str, broken: Path, tmp_path: Path, junk: bytes) -> None:
    broken.write_bytes(junk)
    root = broken.parent if name == "cardcut" else broken
    with pytest.raises(InputError) as caught:
        convert(name, root, tmp_path / "out")
    assert broken.name in one_line(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    for root in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError) as caught:
            convert(name, root, tmp_path.parent / f"{tmp_path.name}_out")
        assert str(root) in one_line(caught.value)


def test_labels_without_their_pictures_name_the_way_out(name: str, broken: Path, tmp_path: Path) -> None:
    root = broken.parent if name == "cardcut" else broken
    with pytest.raises(InputError) as caught:
        convert(name, root, tmp_path / "out")
    line = one_line(caught.value)
    assert "--into FOLDER" in line or name == "cardcut"
    assert not (tmp_path / "out").exists()


def change(name: str, path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text, count=1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("cvat", 'label="upper_left_face"', 'label="nose"', "'nose' is no corner: rename it"),
        ("cvat", 'occluded="1"', 'occluded="maybe"', "occluded is 'maybe': write 0 or 1"),
        ("cvat", 'points="[^"]*"', 'points="1,2;3,4"', "has no single point"),
        ("cvat", 'points="[^"]*"', 'points="nan,2"', "upper_left_face is 'nan': write a number"),
        ("cvat", 'points="[^"]*"', 'points="400,2"', "lies outside the 64x48 image"),
        ("cvat", 'width="64"', 'width="80"', "labelled at 80x48, but the footage is 64x48"),
        ("cvat", ">8</attribute>", ">9</attribute>", "9 cards, but videos.csv says 8"),
        ("cvat", ">8</attribute>", ">few</attribute>", "cards is 'few'"),
        ("cvat", "01.mp4_frame_0.jpg", "99.mp4_frame_0.jpg", "belongs to no video of"),
        ("cvat", "01.mp4_frame_0.jpg", "01.mp4_frame_1.jpg", "frame 1 of videos/01.mp4 is labelled twice"),
        ("cvat", "01.mp4_frame_0.jpg", "01.mp4_frame_77.jpg", "frame 77: no such frame, the video has 6"),
        ("label_studio", '"upper_left_face"\n', '"nose"\n', "'nose' is no corner"),
        ("label_studio", '"image_rotation": 0', '"image_rotation": 90', "was rotated in Label Studio"),
        ("label_studio", '"hidden"', '"perhaps"', "visibility is ['perhaps']: choose visible or hidden"),
        ("label_studio", '"hidden"', "{}", "visibility is [{}]: choose visible or hidden"),
        ("label_studio", '"annotations"', '"corner"', "export the project as JSON, not as JSON-MIN"),
        ("coco", '"upper_left_face"', '"nose"', "names upper_left_face 0 times"),
        ("coco", '"category_id": 1', '"category_id": 1.5', "category_id is 1.5: write a whole number"),
        ("coco", '"id": 2,', '"id": "1",', "images[1]: id 1 is taken: give every image its own"),
        ("deeplabcut", "scorer", "person", "its first rows are not scorer, bodyparts, coords"),
        ("deeplabcut", "bodyparts", "individuals", "is a multi-animal project's"),
        ("deeplabcut", "upper_left_face", "nose", "names x and y of a body part differently"),
        ("deeplabcut", "(upper_left_face,){2}", "nose,nose,", "names upper_left_face 0 times: name each"),
        ("deeplabcut", ",x,y", ",x,likelihood", "its coords are not x, y in turn"),
        ("deeplabcut", r"(img000000.jpg),[\d.]+", r"\1,", "upper_left_face is '': write a number"),
        ("deeplabcut", r"(img000000.jpg),[\d.]+", r"\1,1,2", "cells, not 19: correct it"),
        ("deeplabcut", r"(img000000.jpg),[\d.]+", r"\1,900", "lies outside the 64x48 image"),
    ],
)
def test_a_wrong_place_is_named(
    name: str, broken: Path, tiny_folder: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    into = Path(shutil.copytree(tiny_folder, tmp_path / "into"))
    before = contents(into)
    change(name, broken, old, new)
    with pytest.raises(InputError) as caught:
        put_into(name, broken, into)
    line = one_line(caught.value)
    assert message in line
    assert contents(into) == before


def test_a_number_that_is_no_json_is_refused(exported: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    document = json.loads((exported("coco") / "annotations.json").read_text())
    document["annotations"][0]["keypoints"][0] = float("nan")
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="a keypoint is nan: write a number"):
        FORMATS["coco"].read(path)


@pytest.mark.parametrize("name", ["", "/", "frames", "x" * 5000, "a\0b", "..", "videos/../../a"])
@pytest.mark.parametrize("key", ["video", "file_name"])
def test_names_that_no_file_can_have_find_none(
    exported: Callable[[str], Path], footage: Path, tmp_path: Path, key: str, name: str
) -> None:
    """A frame may still be known by the other of the two."""
    path = tmp_path / "annotations.json"
    document = json.loads((exported("coco") / "annotations.json").read_text())
    document["images"][0][key] = name
    path.write_text(json.dumps(document))
    with pytest.raises(InputError):
        convert("coco", path, tmp_path / "out")
    before = contents(footage)
    with contextlib.suppress(InputError):
        put_into("coco", path, footage)
    assert contents(footage) == before


def test_an_archive_may_not_lead_outside(exported: Callable[[str], Path], tmp_path: Path) -> None:
    """A name with .. in it finds no file there and makes none."""
    out = Path(shutil.copytree(exported("cvat"), tmp_path / "cvat"))
    (tmp_path / "secret_frame_3.jpg").write_bytes(b"x")
    change("cvat", out / "annotations.xml", "01.mp4_frame_0.jpg", "../../secret_frame_3.jpg")
    with pytest.raises(InputError, match="is not beside the labels"):
        convert("cvat", out, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_videos_of_one_name_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "two"))
    (root / "videos" / "a").mkdir()
    shutil.copy(root / "videos" / "08.mp4", root / "videos" / "a" / "b.mp4")
    shutil.copy(root / "videos" / "08.mp4", root / "videos" / "a__b.mp4")
    with (root / "videos.csv").open("a") as rows:
        rows.write("videos/a/b.mp4,8,,\nvideos/a__b.mp4,8,,\n")
    with pytest.raises(InputError, match=r"are both called a__b\.mp4 outside the folder: rename one"):
        export_to("cvat", "folder", root, tmp_path / "out")


def test_an_interrupted_conversion_leaves_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cardpose.data.formats import exporting

    written: list[Path] = []

    def stop(path: Path, image: np.ndarray) -> None:
        written.append(path)
        if len(written) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "write_image", stop)
    with pytest.raises(KeyboardInterrupt):
        export_to("cvat", "folder", tiny_folder, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_zip_that_expands_a_thousandfold_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", bytes(101_000_000))
    with pytest.raises(InputError, match=r"a\.zip: 0\.1 GB in a zip of 0\.1 MB is no export"):
        convert("cvat", tmp_path / "a.zip", tmp_path / "out")


def test_an_empty_zip_is_one_line(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "a.zip", "w").close()
    with pytest.raises(InputError, match=r"a\.zip/annotations\.xml: no such file"):
        convert("cvat", tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_as_windows_writes_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_text('{"é": 1}', encoding=encoding)
    assert read_json(tmp_path / "a.json") == {"é": 1}
