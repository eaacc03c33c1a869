"""Videos become frames to label, and what is there already stays."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cardpose.common.images import read_image, write_image
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.video import iterate
from cardpose.data.labels.coco import read_document
from cardpose.data.labels.marks import NO_MARKS, Marks, revision
from cardpose.data.labels.store import LabelFolder
from cardpose.data.labels.tables import read_videos
from cardpose.subsample import main

Run = Callable[..., str]
DONE: Marks = tuple((10.0 + i, 20.0, 2) for i in range(8))


@pytest.fixture
def films(tmp_path: Path, make_clip: Callable[..., Path]) -> Path:
    folder = tmp_path / "films"
    for name, cards in (("07_cards.mp4", 7), ("b.mov", 20)):
        make_clip(folder / name, num_frames=7, cards=cards)
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """run(*words, code=0): the command in an empty folder; what it prints on stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def go(*words: str, code: int = 0) -> str:
        if code:
            with pytest.raises(SystemExit) as stop:
                main(words)
            assert stop.value.code == code
        else:
            main(words)
        assert not list(work.glob("*"))
        return capfd.readouterr().err

    return go


def frames(root: Path) -> dict[str, list[int]]:
    """The frames to label by video."""
    document, _ = read_document(root / "annotations.json")
    found: dict[str, list[int]] = {}
    for image in document["images"]:
        found.setdefault(image["video"], []).append(image["frame_index"])
    return found


def test_videos_become_frames_to_label(run: Run, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run(str(films), f"--out={out}", "--stride=3")
    assert "07_cards.mp4: 3 frames to label as frames/07_cards, 7 cards" in said
    assert [(video.file, video.cards) for video in read_videos(out)] == [
        ("frames/07_cards", 7),
        ("frames/b", None),
    ]
    assert frames(out) == {"frames/07_cards": [0, 3, 6], "frames/b": [0, 3, 6]}
    document, _ = read_document(out / "annotations.json")
    assert document["annotations"] == []
    for image, frame in zip(document["images"][3:], iterate(films / "b.mov", 3), strict=True):
        assert image["timestamp"] == frame.timestamp
        kept = read_image(out / image["file_name"]).astype(int)
        assert np.abs(kept - frame.image).mean() < 3  # JPEG


@pytest.mark.parametrize("select", ["sharp", "diverse"])
def test_other_choices_keep_as_many(run: Run, films: Path, tmp_path: Path, select: str) -> None:
    run(str(films), f"--out={tmp_path}/out", "--stride=3", f"--select={select}")
    assert [len(indices) for indices in frames(tmp_path / "out").values()] == [3, 3]


def test_whole_videos_are_copied_unchanged(run: Run, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(str(films), f"--out={out}", "--stride=3", "--store=videos", "--count-pattern=none")
    for film in films.iterdir():
        assert (out / "videos" / film.name).read_bytes() == film.read_bytes()
    assert [video.cards for video in read_videos(out)] == [None, None]
    assert frames(out) == {"videos/07_cards.mp4": [0, 3, 6], "videos/b.mov": [0, 3, 6]}


def test_again_adds_new_videos_and_leaves_the_rest(
    run: Run, films: Path, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    out = tmp_path / "out"
    run(str(films), f"--out={out}", "--stride=3")
    table = (out / "videos.csv").read_text().replace("frames/b,,", "frames/b,33,")
    (out / "videos.csv").write_text(table)
    with LabelFolder(out) as folder:
        folder.save_marks(("frames/b", 3), DONE, revision(NO_MARKS), (64, 48))
    (films / "b.mov").rename(films / "renamed.mov")
    make_clip(films / "b.mov", num_frames=4, cards=44)  # another film under the old one's name
    before = json.loads((out / "annotations.json").read_text())
    said = run(str(films), f"--out={out}", "--stride=2")
    assert "renamed.mov: exists already as frames/b" in said
    after = json.loads((out / "annotations.json").read_text())
    assert after["annotations"] == before["annotations"]
    assert after["images"][:6] == before["images"]
    assert frames(out)["frames/b-2"] == [0, 2]
    assert (out / "videos.csv").read_text().startswith(table)
    assert [a.frame_index for a in DatasetFolder.read(out).annotations] == [3]


def test_a_run_that_was_killed_before_its_row_is_gone_on_with(run: Run, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(str(films), f"--out={out}", "--stride=3")
    whole = {path.name: path.read_bytes() for path in out.glob("*.*")}
    for path in out.glob("*.*"):
        path.unlink()
    run(str(films), f"--out={out}", "--stride=3")
    assert {path.name: path.read_bytes() for path in out.glob("*.*")} == whole
    for path in out.glob("*.*"):
        path.unlink()
    (out / "frames" / "b" / "3.jpg").write_bytes(b"mine")
    assert "frames/b: holds other frames already" in run(str(films), f"--out={out}", "--stride=3", code=2)
    assert sorted(path.name for path in (out / "frames").iterdir()) == ["07_cards", "b"]


def test_a_broken_video_is_a_line_and_the_others_go_on(run: Run, films: Path, tmp_path: Path) -> None:
    film = films / "07_cards.mp4"
    film.write_bytes(film.read_bytes()[:-200])
    said = run(str(films), f"--out={tmp_path}/out", "--stride=3")
    assert re.search(rf"{film}: not a whole video.*copy or record it again", said)
    assert frames(tmp_path / "out") == {"frames/b": [0, 3, 6]}
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert len(run(str(film), f"--out={tmp_path}/other", code=2).splitlines()) == 1
    shutil.copy(film, films / "b.mov")
    assert "none of the sources can be read" in run(str(films), f"--out={tmp_path}/other", code=2)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--out=x"], "missing argument 'VIDEO'"),
        (["{films}"], "missing option '--out'"),
        (["nothing", "--out=x"], "nothing: no such file or folder"),
        (["{films}", "--out=x", "--stride=0"], "'--stride': should be greater than or equal to 1"),
        (["{films}", "--out=x", "--select=best"], "'best' is not one of 'stride', 'sharp', 'diverse'"),
        (["{films}", "--out=x", "--store=png"], "'png' is not one of 'frames', 'videos'"),
        (["{films}", "--out=x", "--count-pattern=cards"], "has 0 groups"),
        (["{films}", "--out=x", "--count-pattern=("], "not a regular expression"),
        (["{films}/b.mov", "--out={films}/b.mov"], "b.mov"),
    ],
)
def test_bad_input_is_one_line(run: Run, films: Path, tmp_path: Path, words: list[str], named: str) -> None:
    said = run(*(word.format(films=films) for word in words), code=2)
    assert len(said.splitlines()) == 1
    assert named in said
    assert not (tmp_path / "work" / "x").exists()


def test_odd_names_and_titles_are_read_and_recognised(
    run: Run, films: Path, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    """A name and a title that are not UTF-8, a newline, 250 bytes; pictures and texts are named as left out."""
    odd = films / os.fsdecode(b"caf\xe9\n.mp4")
    (films / "07_cards.mp4").rename(odd)
    (films / "b.mov").rename(films / f"{'b' * 246}.mov")
    titled = make_clip(films / "c.mp4", num_frames=4, cards=9)
    titled.write_bytes(titled.read_bytes().replace(b"Lavf", b"\xe9\xff\xfe\xe8"))
    write_image(films / "d.webp.png", np.zeros((9, 9, 3), np.uint8))
    (films / "notes.txt").write_text("cards\n")
    out = tmp_path / "out"
    said = run(str(films), f"--out={out}", "--stride=3")
    assert f"{films}: took 4 files, left out 1: notes.txt" in said
    assert f"left out 1 that are no videos: {films}/d.webp.png" in said
    assert list(frames(out)) == [f"frames/{'b' * 246}", "frames/c", "frames/caf__"]
    assert read_videos(out)[2].extra["source"] == r"caf\udce9\n.mp4"
    before = (out / "annotations.json").read_bytes()
    assert run(str(films), f"--out={out}", "--stride=3").count("exists already") == 3
    assert (out / "annotations.json").read_bytes() == before


def test_a_name_whose_count_is_none(run: Run, films: Path, tmp_path: Path) -> None:
    (films / "07_cards.mp4").rename(films / "700_cards.mp4")
    said = run(str(films), f"--out={tmp_path}/out")
    assert "700_cards.mp4: by --count-pattern: cards is '700': write a whole number from 1 to 104" in said
    assert list(frames(tmp_path / "out")) == ["frames/b"]
