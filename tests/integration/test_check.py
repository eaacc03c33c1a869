"""cardpose check: every fault at once, a page and a table."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process import Command

from cardpose.check import check, main
from cardpose.labelling.checks.findings import Kind


@pytest.fixture
def broken(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny folder with a fault of nearly every kind."""
    root = Path(shutil.copytree(tiny_folder, tmp_path / "broken"))
    rows = (root / "videos.csv").read_text().splitlines()
    rows[2] = rows[2].replace(",8,", ",,")  # no count
    rows[4] = rows[4].replace(",30,", ",300,")  # a count that cannot be
    (root / "videos.csv").write_text("\n".join(rows) + "\n")
    shutil.copy(root / "videos" / "52.mp4", root / "videos" / "41.mp4")  # the same film twice
    document = json.loads((root / "annotations.json").read_text())
    labels = document["annotations"]
    labels[1]["keypoints"][2] = 7  # no visibility
    labels[2]["keypoints"][0] = 900.0  # outside
    labels[3]["keypoints"] = list(labels[4]["keypoints"])  # copied
    labels[8]["cards"] = None
    (root / "annotations.json").write_text(json.dumps(document))
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_fault_is_found_at_once(broken: Path, tmp_path: Path) -> None:
    before = contents(broken)
    out = tmp_path / "out"
    findings, page_path = check(broken, out)
    assert page_path == out / "index.html"
    assert contents(broken) == before, "nothing is changed"
    rules = " | ".join(finding.text for finding in findings if finding.kind is Kind.RULE)
    for text in (
        "row 5: cards is '300'",
        "annotations[1] (videos/01.mp4 frame 1): a visibility is not 0",
        "annotations[2] (videos/01.mp4 frame 2): upper_left_face at (900",
        "has no row for videos/30.mp4",
    ):
        assert text in rules
    videos = {(finding.kind, finding.video) for finding in findings}
    assert (Kind.COUNT, "videos/08.mp4") in videos
    assert (Kind.DUPLICATE, "videos/52.mp4") in videos
    assert (Kind.COPIED, "videos/01.mp4") in videos
    near = [finding for finding in findings if finding.kind is Kind.NEAR]
    assert any("videos/41.mp4 and videos/52.mp4" in finding.text for finding in near)
    with (out / "findings.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["finding"] for row in rows] == [finding.text for finding in findings]
    page = (out / "index.html").read_text()
    assert page.count("<img") == len(
        {(f.video, f.frame_index) for f in findings if f.frame_index is not None}
    )
    assert "data:image/jpeg;base64," in page
    assert {path.name for path in out.iterdir()} == {"findings.csv", "index.html"}


def test_a_good_folder_has_no_broken_rule(in_process: Command, tiny_folder: Path, tmp_path: Path) -> None:
    """And the command says so by its exit code."""
    for data, code in ((tiny_folder, 0), (tmp_path / "broken", 1)):
        if code:
            shutil.copytree(tiny_folder, data)
            (data / "videos" / "08.mp4").write_bytes(b"no video")
        done = in_process(main, str(data), f"--out={tmp_path}/out")
        assert done.code == code
        printed = done.out.splitlines()
        assert printed[-1] == f"{tmp_path}/out/index.html"
        assert any(line.endswith("rule") for line in printed) == bool(code)
        assert any("videos/08.mp4: " in line for line in printed) == bool(code), "which file it is"


def test_a_folder_that_cannot_be_read_is_one_finding(tiny_folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "broken"))
    (root / "annotations.json").write_text("{")
    (finding,) = check(root, tmp_path / "out").findings
    assert finding.kind is Kind.RULE
    assert "annotations.json: not valid JSON" in finding.text
    assert "not valid JSON" in (tmp_path / "out" / "index.html").read_text()


def test_a_folder_that_is_not_labelled_yet(tiny_folder: Path, tmp_path: Path) -> None:
    """Its videos are looked at all the same."""
    root = Path(shutil.copytree(tiny_folder, tmp_path / "fresh"))
    (root / "annotations.json").unlink()
    rows = (root / "videos.csv").read_text().replace(",8,", ",,")
    (root / "videos.csv").write_text(rows)
    assert [(finding.kind, finding.video) for finding in check(root, tmp_path / "out").findings] == [
        (Kind.RULE, ""),
        (Kind.COUNT, "videos/08.mp4"),
    ]


def test_turned_pictures_and_videos_of_another_shape_are_found(
    tiny_folder: Path, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "turned"))
    make_clip(root / "videos" / "tall.mp4", size=(48, 64))
    with (root / "videos.csv").open("a") as rows:
        rows.write("videos/tall.mp4,20,,\n")
    document = json.loads((root / "annotations.json").read_text())
    image, label = dict(document["images"][0]), dict(document["annotations"][0])
    image |= {"id": 999, "video": "videos/tall.mp4", "width": 48, "height": 64}
    label |= {
        "id": 999,
        "image_id": 999,
        "keypoints": [value / 2 if i % 3 < 2 else value for i, value in enumerate(label["keypoints"])],
    }
    label["cards"] = 20
    document["images"].append(image)
    document["annotations"].append(label)
    (root / "annotations.json").write_text(json.dumps(document))
    findings = check(root, tmp_path / "out").findings
    rotated = [finding for finding in findings if finding.kind is Kind.ROTATED]
    assert [finding.video for finding in rotated] == ["videos/tall.mp4"]
    assert "its frames are portrait, those of most videos landscape" in rotated[0].text


def test_published_footage(cardcut_root: Path, tmp_path: Path) -> None:
    """The wrong labels of docs/label_errors.md, and no rule broken."""
    findings = check(cardcut_root, tmp_path / "out", pictures=0).findings
    found = {(f.kind, f.video.removeprefix("frames/"), f.frame_index) for f in findings}
    assert {
        (Kind.SWAPPED, "MAQ01085", 40),
        (Kind.NO_BOX, "MAQ01077", 140),
        (Kind.NO_BOX, "MAQ01072", 360),
        (Kind.NO_BOX, "MAQ01077", 160),
        (Kind.NO_BOX, "MAQ01057", 160),
        (Kind.PLACE, "MAQ01052", 280),
    } <= found
    assert {kind for kind, _, _ in found} == {Kind.SWAPPED, Kind.NO_BOX, Kind.PLACE, Kind.CLOSE}
