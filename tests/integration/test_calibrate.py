"""A calibrated copy counts as the clips say, and nothing else of it changes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from cardpose import checkpoints
from cardpose.calibrate import calibrate, fit_count
from cardpose.data.folder import DatasetFolder
from cardpose.errors import InputError
from cardpose.evaluate import evaluate

Compose = Callable[..., DictConfig]


@pytest.fixture
def best(finished_run: Path) -> Path:
    return finished_run / "checkpoints" / "best.ckpt"


@pytest.fixture
def of_footage(tiny_folder: Path) -> tuple[str, ...]:
    return "data=folder", f"data.root={tiny_folder}", "data.num_workers=0", "accelerator=cpu"


def medians(compose_entry: Compose, folder: Path, ckpt: Path, *footage: str) -> dict[str, float]:
    evaluate(compose_entry("evaluate", folder, f"ckpt={ckpt}", "split=all", *footage), folder)
    lines = (folder / "videos.csv").read_text().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    return {row["video"]: float(row["cards_predicted"]) for row in rows}


def test_one_clip_gives_the_scale(
    compose_entry: Compose, tmp_path: Path, best: Path, tiny_folder: Path, of_footage: tuple[str, ...]
) -> None:
    video = DatasetFolder.read(tiny_folder).videos[1]
    before = medians(compose_entry, tmp_path / "before", best, *of_footage)
    arguments = f"ckpt={best}", f"clips=[{video.file}]", f"out={tmp_path / 'own.ckpt'}", *of_footage
    out = calibrate(compose_entry("calibrate", tmp_path / "calibrate", *arguments))
    assert out == tmp_path / "own.ckpt"
    after = medians(compose_entry, tmp_path / "after", out, *of_footage)
    assert after[video.file] == pytest.approx(video.cards, abs=0.01)
    scale = checkpoints.read(out)[checkpoints.KEY]["calibration"]["scale"]
    for name, count in before.items():
        assert after[name] == pytest.approx(scale * count, abs=0.01)
    weights, own = (torch.load(path, weights_only=True)["state_dict"] for path in (best, out))
    assert [key for key in weights if not torch.equal(weights[key], own[key])] == ["net.head.calibration"]

    arguments = f"ckpt={out}", f"clips=[{video.file}]", *of_footage  # again: nothing is left to correct
    again = calibrate(compose_entry("calibrate", tmp_path / "calibrate", *arguments))
    assert again == tmp_path / "own_calibrated.ckpt"
    assert checkpoints.read(again)[checkpoints.KEY]["calibration"]["scale"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("clips", "message"), [("[]", "clips is empty"), ("[videos/nowhere.mp4]", r"nowhere\.mp4")]
)
def test_bad_clips_are_named(
    compose_entry: Compose, tmp_path: Path, best: Path, of_footage: tuple[str, ...], clips: str, message: str
) -> None:
    cfg = compose_entry("calibrate", tmp_path / "calibrate", f"ckpt={best}", f"clips={clips}", *of_footage)
    with pytest.raises(InputError, match=message):
        calibrate(cfg)


def test_several_clips_give_scale_and_offset() -> None:
    counts = np.array([5.0, 20, 52])
    assert fit_count(counts, (counts + 4) / 1.25) == pytest.approx((1.25, -4.0))
    assert fit_count(np.array([52.0, 52]), np.array([40.0, 40])) == pytest.approx((1.3, 0.0))
    with pytest.raises(InputError, match="do not grow"):
        fit_count(np.array([10.0, 50]), np.array([30.0, 20]))
