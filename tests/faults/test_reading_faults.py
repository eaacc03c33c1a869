"""Footage and labels of other tools that used to be misread: one quick case of each kind."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import Command
from PIL import Image

from cardpose.common.errors import InputError
from cardpose.common.images import read_image
from cardpose.common.packet import CORNERS
from cardpose.convert import main as convert_main
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.converting import convert
from cardpose.data.labels.validate import parse_cards
from cardpose.data.splits import by_video
from cardpose.prediction.sources import find_sources
from cardpose.subsample import main as subsample_main
from cardpose.sweep_table import main as sweep_table_main

SIZE = (64, 48)


def keypoints(shift: float) -> list[float]:
    """The eight corners of a packet, all visible, in COCO's order."""
    return [value for k in range(8) for value in (10 + 4 * k + shift, 12 + 3 * k, 2)]


def write_coco(root: Path, names: list[str], **changes: Any) -> Path:
    """A COCO file of one label per picture, of a colour of its own; `changes` replace parts of the document."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (20 * number, 90, 30)).save(root / name)
    document = {
        "categories": [{"id": 1, "name": "packet", "keypoints": list(CORNERS)}],
        "images": [
            {"id": k, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for k, name in enumerate(names)
        ],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "keypoints": keypoints(k / 4), "iscrowd": 0}
            for k in range(len(names))
        ],
    } | changes
    (root / "annotations.json").write_text(json.dumps(document))
    return root


def test_names_and_titles_that_are_not_utf8(
    in_process: Command, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    clip = make_clip(tmp_path / "v" / "a.mp4", num_frames=4)
    clip.write_bytes(clip.read_bytes().replace(b"Lavf", b"\xe9\xff\xfe\xe8"))
    clip.rename(clip.with_name(os.fsdecode(b"caf\xe9\n.mp4")))
    make_clip(tmp_path / "v" / f"{'x' * 246}.mp4", num_frames=5)
    sources = find_sources([str(tmp_path / "v")], ()).sources
    assert [len(list(source.frames())) for source in sources] == [4, 5]
    assert sources[0].name.endswith(r"caf\udce9\n.mp4")
    done = in_process(subsample_main, str(tmp_path / "v"), f"--out={tmp_path}/out", "--stride=2")
    assert done.code == 0, done.err
    assert sorted(path.name[:5] for path in (tmp_path / "out" / "frames").iterdir()) == ["caf__", "xxxxx"]


def test_a_folder_passes_nothing_over(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip(tmp_path / "a.mp4", num_frames=2).rename(tmp_path / "a.cam")
    pages = [Image.new("RGB", SIZE, (90 * k, 0, 0)) for k in range(2)]
    pages[0].save(tmp_path / "b.gif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "c", "WEBP")
    (tmp_path / "d.pdf").write_bytes(b"%PDF-1.7")
    sources, problems, notes = find_sources([str(tmp_path)], ())
    assert [len(list(source.frames())) for source in sources] == [2, 2, 1]
    assert not problems
    assert notes == [
        f"{tmp_path}: took 3 files, left out 1: d.pdf",
        f"{tmp_path}/b.gif: an animation of 2 pictures, read as a video",
    ]


def test_ids_that_occur_twice(in_process: Command, tmp_path: Path) -> None:
    images = [{"id": 0, "file_name": f"{k}.jpg", "width": 64, "height": 48} for k in range(2)]
    root = write_coco(tmp_path / "in", ["0.jpg", "1.jpg"], images=images)
    done = in_process(convert_main, str(root), "--from=coco", f"--out={tmp_path}/out")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "images[1]: id 0 is taken: give every image its own" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pattern", "videos"), [("train/IMG_27{:02d}.jpg", 6), ("train/frame_{:06d}.jpg", 1), ("52/{}.bmp", 1)]
)
def test_photos_and_sequences(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pattern: str, videos: int
) -> None:
    root = write_coco(tmp_path / "in", [pattern.format(k) for k in range(6)])
    folder = convert("coco", root, tmp_path / "out")
    assert len(folder.videos) == videos
    assert "taken for" in caplog.text, "what was taken for a video is said"
    for number, annotation in enumerate(folder.annotations):
        (picture,) = (tmp_path / "out" / annotation.video).glob(f"{annotation.frame_index}.*")
        assert abs(int(read_image(picture)[9, 9, 0]) - 20 * number) <= 3, "the label lies on its own picture"
        assert annotation.corners[0, 0] == 10 + number / 4


def test_frames_of_a_video_stay_on_one_side(tmp_path: Path) -> None:
    names = [f"{subset}/{v}_frame_{k}.png" for v in "abcde" for k, subset in enumerate(("train", "val"))]
    folder = convert("coco", write_coco(tmp_path / "in", names), tmp_path / "out")
    split = by_video(folder.annotations)
    sets = [{video for video, _ in part} for part in (split.train, split.val, split.test)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 5


def test_one_picture_for_two_labels(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "in", ["a/1_frame_0.png", "b/2_frame_0.png"])
    text = (root / "annotations.json").read_text().replace("b/2_frame_0", "a/1_frame_0")
    (root / "annotations.json").write_text(text)
    with pytest.raises(InputError, match="labelled twice"):
        convert("coco", root, tmp_path / "out")


SKELETON = "".join(
    f'<points label="{name}" outside="0" occluded="0" keyframe="1" points="{10.5 + 4 * k},{12.5 + 3 * k}"/>'
    for k, name in enumerate(CORNERS)
)
META = (
    "<meta><task><id>3</id><mode>interpolation</mode><original_size><width>64</width><height>48</height>"
    "</original_size><source>clip.mp4</source></task></meta>"
)


@pytest.mark.parametrize("export", ["images", "video"])
def test_a_zip_of_a_cvat_task_of_a_video(tmp_path: Path, export: str) -> None:
    content = {
        "images": f'<image name="frame_000007" width="64" height="48"><skeleton>{SKELETON}</skeleton></image>',
        "video": f'<track id="0"><skeleton frame="7" keyframe="1">{SKELETON}</skeleton></track>',
    }[export]
    Image.new("RGB", SIZE).save(tmp_path / "frame.png")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("annotations.xml", f"<annotations>{META}{content}</annotations>")
        archive.write(tmp_path / "frame.png", "images/frame_000007.png")
    (label,) = convert("cvat", tmp_path / "export.zip", tmp_path / "out").annotations
    assert label.frame_id == ("frames/clip.mp4", 7)
    np.testing.assert_allclose(label.corners[1], (14, 15))


def test_a_deeplabcut_project_with_copies_and_semicolons(tmp_path: Path) -> None:
    head = [["scorer", "", "", *["me"] * 16], ["bodyparts", "", "", *np.repeat(CORNERS, 2)]]
    head.append(["coords", "", "", *["x", "y"] * 8])
    row = ["labeled-data", "clip", "img3.png", *[f"{10 + k},5" for k in range(16)]]
    for place in ("labeled-data/clip", "training-datasets/iteration-0/cards"):
        (tmp_path / "dlc" / place).mkdir(parents=True)
        table = tmp_path / "dlc" / place / "CollectedData_me.csv"
        table.write_text("\n".join(";".join(cells) for cells in [*head, row]) + "\n")
        table.with_suffix(".h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    Image.new("RGB", SIZE).save(tmp_path / "dlc" / "labeled-data" / "clip" / "img3.png")
    (tmp_path / "dlc" / "config.yaml").write_text("scorer: me\n")
    (label,) = convert("deeplabcut", tmp_path / "dlc", tmp_path / "out").annotations
    assert label.frame_id == ("frames/clip", 3)
    assert label.corners[0].tolist() == [10.5, 11.5]
    with pytest.raises(InputError, match=r"is HDF5, not CSV: give the table CollectedData_<scorer>\.csv"):
        convert("deeplabcut", table.with_suffix(".h5"), tmp_path / "other")


def test_a_package_of_sleap_needs_its_extra_or_is_read(tmp_path: Path, tiny_folder: Path) -> None:
    package = tmp_path / "labels.pkg.slp"
    try:
        import sleap_io as sio
    except ImportError:
        package.write_bytes(b"\x89HDF\r\n\x1a\n")
        with pytest.raises(InputError, match=r'needs sleap-io: pip install -e "\.\[interop\]"'):
            convert("sleap", package, tmp_path / "out")
        return
    skeleton = sio.Skeleton(list(CORNERS))
    instance = sio.Instance.from_numpy(np.arange(16, dtype=float).reshape(8, 2), skeleton)
    video = sio.Video.from_filename(str(tiny_folder / "videos" / "08.mp4"))
    frame = sio.LabeledFrame(video=video, frame_idx=4, instances=[instance])
    sio.save_slp(sio.Labels([frame]), str(package), embed=True, verbose=False)
    (label,) = convert("sleap", package, tmp_path / "out").annotations
    assert label.frame_id == ("frames/08.mp4", 4)
    ((_, want),) = DatasetFolder.read(tiny_folder).read_frames("videos/08.mp4", [4])
    assert np.abs(read_image(tmp_path / "out/frames/08.mp4/4.png").astype(int) - want).mean() < 2


def test_a_count_of_thousands_of_digits() -> None:
    with pytest.raises(InputError, match=r"row 2: cards is '9{59}: write a whole number from 1 to 104"):
        parse_cards("9" * 5000, "row 2")


def test_a_table_of_runs_with_odd_words_and_numbers(tmp_path: Path, in_process: Command) -> None:
    """A word of the command line may hold an interpolation; a score that cannot be is no score."""
    for seed in range(3):
        (tmp_path / f"{seed}" / ".hydra").mkdir(parents=True)
        (tmp_path / f"{seed}" / ".hydra" / "overrides.yaml").write_text(
            f"- name='[/a,{seed}]'\n- seed=${{x}}_a\n"
        )
        scores = '{"val/card_mae": 3.5, "test/card_mae": 2.5}'
        (tmp_path / f"{seed}" / "metrics.json").write_text(scores)
    assert in_process(sweep_table_main, str(tmp_path), "--out", str(tmp_path / "out")).code == 0
    for odd in ("1e308", "Infinity", "9" * 5000, "[]"):
        (tmp_path / "1" / "metrics.json").write_text('{"val/card_mae": ' + odd + "}")
        done = in_process(sweep_table_main, str(tmp_path), "--out", str(tmp_path / "out"))
        assert "Traceback" not in done.err
        assert done.code == (2 if odd == "[]" or odd.startswith("9") else 0), done.err
