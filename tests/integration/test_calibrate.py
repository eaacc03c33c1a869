"""A calibrated copy counts as the clips say, and nothing else of it changes."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from cardpose.calibrate import calibrate
from cardpose.common.errors import InputError
from cardpose.common.packet import VISIBLE, Annotation
from cardpose.data.footage.folder import DatasetFolder, write_folder
from cardpose.evaluate import evaluate
from cardpose.geometry.box_fit import BoxFit, focal_length, project
from cardpose.models import checkpoints
from cardpose.prediction.counting import estimate_counts
from cardpose.prediction.predictor import Predictor
from cardpose.training.calibration import fit_count

Compose = Callable[..., DictConfig]


@pytest.fixture
def best(finished_run: Path) -> Path:
    return finished_run / "checkpoints" / "best.ckpt"


def medians(folder: Path, ckpt: Path, footage: Path) -> dict[str, float]:
    evaluate([str(ckpt)], footage, split="all", out=folder, accelerator="cpu")
    lines = (folder / "videos.csv").read_text().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    return {row["video"]: float(row["cards_predicted"]) for row in rows}


def test_a_clip_shifts_every_count_alike(tmp_path: Path, best: Path, tiny_folder: Path) -> None:
    video = DatasetFolder.read(tiny_folder).videos[1]
    before = medians(tmp_path / "before", best, tiny_folder)
    out = calibrate(str(best), tiny_folder, [video.file], tmp_path / "own.ckpt").path
    assert out == tmp_path / "own.ckpt"
    after = medians(tmp_path / "after", out, tiny_folder)
    assert video.cards is not None
    assert abs(after[video.file] - video.cards) < 0.8 * abs(before[video.file] - video.cards)
    fitted = checkpoints.read(out)[checkpoints.KEY]["calibration"]
    assert fitted["clips"] == [video.file]
    for name, count in before.items():
        assert after[name] == pytest.approx(fitted["scale"] * count + fitted["offset"], abs=0.01)
    weights, own = (torch.load(path, weights_only=True)["state_dict"] for path in (best, out))
    assert [key for key in weights if not torch.equal(weights[key], own[key])] == ["net.head.calibration"]

    again = calibrate(
        str(out), tiny_folder, [video.file], tmp_path / "again.ckpt"
    ).path  # starts from the first
    last = medians(tmp_path / "last", again, tiny_folder)
    assert abs(last[video.file] - video.cards) < abs(after[video.file] - video.cards)


@pytest.mark.parametrize(
    ("clips", "message"), [([], "no clip is given"), (["videos/nowhere.mp4"], r"nowhere\.mp4")]
)
def test_bad_clips_are_named(
    tmp_path: Path, best: Path, tiny_folder: Path, clips: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(str(best), tiny_folder, clips, tmp_path / "own.ckpt")
    assert not (tmp_path / "own.ckpt").exists()


def test_the_copy_knows_the_camera(tmp_path: Path, best: Path, tiny_folder: Path) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "footage"))
    read = DatasetFolder.read(root)
    all_seen = np.full(8, VISIBLE, np.int8)
    labels = [replace(a, corners=seen_by(focal_length(70), a), visibility=all_seen) for a in read.annotations]
    write_folder(root, read.videos, labels)
    clips = [video.file for video in read.videos]
    out = calibrate(str(best), root, clips, tmp_path / "own.ckpt").path
    view = checkpoints.read(out)[checkpoints.KEY]["calibration"]["field_of_view"]
    assert view == pytest.approx(70, abs=2)
    assert Predictor.from_file(out).focal == focal_length(view)


def seen_by(focal: float, label: Annotation) -> np.ndarray:
    """(8, 2) float32 corners of a packet before a camera of this focal length, from the side of the label's index."""
    tilt, ones = np.deg2rad(20 + 5 * label.frame_index), torch.ones(1, dtype=torch.float64)
    down = [[1, 0, 0], [0, -np.sin(tilt), -np.cos(tilt)], [0, np.cos(tilt), -np.sin(tilt)]]
    place = torch.tensor([[0.0, 0.0, 200.0]], dtype=torch.float64)
    box = BoxFit(10 * ones, torch.tensor([down]), place, ones, ones, ones > 0)
    centre = (label.width - 1) / 2, (label.height - 1) / 2
    return project(box, focal * label.width, centre)[0].float().numpy()


def test_many_clips_give_scale_and_offset_and_few_are_held_back() -> None:
    counts = np.arange(1.0, 53)
    predicted = (counts + 4) / 1.25
    assert fit_count(np.tile(counts, 1000), np.tile(predicted, 1000)) == pytest.approx((1.25, -4.0), abs=0.01)
    scale, offset = fit_count(np.array([26.0, 52]), np.array([29.0, 45]))  # a line would have the slope 1.6
    assert 1 < scale < 1.25
    assert abs(offset) < 3
    with pytest.raises(InputError, match="fall where the counts"):
        fit_count(np.tile([10.0, 50], 500), np.tile([50.0, 10], 500))


def test_clips_without_labels_fit_the_count(
    tmp_path: Path, drawn_checkpoint: Path, tiny_folder: Path
) -> None:
    video = DatasetFolder.read(tiny_folder).videos[3]
    assert video.cards is not None
    clip = str(tiny_folder / video.file)
    estimate = estimate_counts(Predictor.from_file(drawn_checkpoint), [clip])
    own = calibrate(str(drawn_checkpoint), clip=[clip], cards=[video.cards], out=tmp_path / "own.ckpt")
    assert own.path == tmp_path / "own.ckpt"
    assert (own.fit.clips, own.fit.field_of_view) == (1, None)
    assert (own.fit.scale, own.fit.offset) == fit_count(np.array([float(video.cards)]), estimate)
    before, after = (Predictor.from_file(path) for path in (drawn_checkpoint, own.path))
    image = np.full((48, 64, 3), 90, np.uint8)
    expected = own.fit.scale * before(image).cards + own.fit.offset
    assert after(image).cards == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no clip is given: add --clip"),
        ({"clip": ["a.mp4"]}, "--cards: give 1 counts"),
        ({"clip": ["a.mp4"], "cards": [0]}, "cards"),
        ({"clip": ["nowhere.mp4"], "cards": [52]}, r"nowhere\.mp4"),
    ],
)
def test_clips_that_cannot_be_counted_are_named(
    tmp_path: Path, best: Path, given: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(str(best), out=tmp_path / "own.ckpt", **given)
    assert not (tmp_path / "own.ckpt").exists()
