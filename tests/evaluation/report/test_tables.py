"""The files of an evaluation agree with the metrics, hold every digit, and are whole or absent."""

import csv
import errno
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, Batch, ModelOutput
from cardpose.evaluation.metrics.frame_metrics import FrameMetrics
from cardpose.evaluation.metrics.results import FrameResult, frame_results
from cardpose.evaluation.report import tables as reports
from cardpose.fusion.clips import Flag, fuse
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import flag_frames
from cardpose.geometry.affine import apply_affine

VIDEOS = ["videos/3.mp4", "videos/20.mp4", "videos/x.mp4"]


@pytest.fixture
def evaluated() -> tuple[list[FrameResult], dict[str, float]]:
    """Fourteen frames of three videos, the last of unknown count, and their scores."""
    generator = torch.Generator().manual_seed(3)
    visibility = torch.randint(0, 3, (14, 8), generator=generator)
    video = torch.arange(14) % 3
    batch: Batch = {
        "image": torch.zeros(14, 3, 1, 1),
        "corners": torch.rand(14, 8, 2, generator=generator) * 100 * (visibility > 0)[..., None],
        "visibility": visibility,
        "cards": torch.tensor([3.0, 20.0, torch.nan])[video],
        "video": video,
        "frame_index": torch.arange(14) * 5,
        "to_source": torch.tensor([[2.5, 0.0, 0.75], [0.0, 2.5, 0.75]]).repeat(14, 1, 1),
        "source_size": torch.tensor([[640.0, 480.0]]).repeat(14, 1),
    }
    batch["source_corners"] = apply_affine(batch["to_source"], batch["corners"])
    prediction = ModelOutput(
        corners=torch.rand(14, 8, 2, generator=generator) * 250,
        confidence=torch.rand(14, 8, generator=generator),
        visibility=torch.rand(14, 8, generator=generator),
        cards=torch.rand(14, generator=generator) * 52,
        cards_std=torch.rand(14, generator=generator),
    )
    metrics = FrameMetrics(12.5, FusionConfig())
    flags = flag_frames(prediction, batch, FusionConfig())
    metrics.update(prediction, batch, flags)
    return frame_results(prediction, batch, flags, VIDEOS), {
        k: float(v) for k, v in metrics.compute().items()
    }


def write_both(folder: Path, results: list[FrameResult], interval: Interval | None = None) -> None:
    reports.write_tables(folder, results, reports.video_rows(results, interval, FusionConfig()))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_agree_with_the_metrics(
    tmp_path: Path, evaluated: tuple[list[FrameResult], dict[str, float]]
) -> None:
    results, scores = evaluated
    write_both(tmp_path, results)
    frames, videos = read_csv(tmp_path / "frames.csv"), read_csv(tmp_path / "videos.csv")
    assert len(frames) == 14
    assert [row["video"] for row in videos] == VIDEOS

    def mean(rows: list[dict[str, str]], column: str) -> float:
        return float(np.mean([float(row[column]) for row in rows if row[column]]))

    assert mean(frames, "card_error") == pytest.approx(scores["card_mae"], rel=1e-12)
    assert mean(videos, "card_error") == pytest.approx(scores["card_mae_video"], rel=1e-12)
    errors = [float(row[f"{name}_px"]) for row in frames for name in CORNERS if row[f"{name}_px"]]
    assert np.median(errors) == pytest.approx(scores["corner_px_median"], rel=1e-12)
    assert np.mean(errors) == pytest.approx(scores["corner_px_mean"], rel=1e-12)
    thickness = np.concatenate([result.thickness_px for result in results])
    assert np.nanmean(thickness) == pytest.approx(scores["thickness_px_bias"], rel=1e-12)
    for row, result in zip(frames, results, strict=True):
        known = [value for value in result.thickness_px if not math.isnan(value)]
        assert row["thickness_px_bias"] == (str(np.mean(known)) if known else "")
    for row in videos:
        known = np.concatenate([result.thickness_px for result in results if result.video == row["video"]])
        assert float(row["thickness_px_bias"]) == pytest.approx(np.nanmean(known), rel=1e-12)


def test_frame_rows_hold_every_digit_and_leave_the_unknown_empty(
    tmp_path: Path, evaluated: tuple[list[FrameResult], dict[str, float]]
) -> None:
    results, _ = evaluated
    write_both(tmp_path, results)
    for row, result in zip(read_csv(tmp_path / "frames.csv"), results, strict=True):
        assert (row["video"], int(row["frame_index"])) == (result.video, result.frame_index)
        assert float(row["cards_predicted"]) == result.cards_predicted
        assert (row["cards"] == "") == math.isnan(result.cards)
        for i, name in enumerate(CORNERS):
            assert float(row[f"{name}_x_predicted"]) == result.corners_predicted[i, 0]
            assert (row[f"{name}_x"] == "") == (result.visibility[i] == 0)


def test_the_interval_stands_beside_the_estimate_and_flags_beside_the_frames(
    tmp_path: Path, evaluated: tuple[list[FrameResult], dict[str, float]]
) -> None:
    results, _ = evaluated
    lost = [replace(r, flag=int(Flag.NO_PACKET)) if r.video == VIDEOS[1] else r for r in results]
    interval = Interval(floor=2.0, slope=0.1, noise=0.5, videos=8)
    write_both(tmp_path, lost, interval)
    first, second, third = read_csv(tmp_path / "videos.csv")
    for row in (first, third):
        low, high = interval.bounds(float(row["cards_predicted"]), int(row["frames_used"]))
        assert (float(row["low"]), float(row["high"])) == (low, high)
    assert (second["frames_used"], second["low"], second["high"]) == ("0", "", "")
    estimates = [r.cards_predicted for r in results if r.video == VIDEOS[1]]
    assert float(second["cards_predicted"]) == np.median(estimates)  # no packet found, and yet scored
    flags = {row["flag"] for row in read_csv(tmp_path / "frames.csv") if row["video"] == VIDEOS[1]}
    assert flags == {"no packet"}


def test_an_unknown_count_still_has_a_video_estimate(
    evaluated: tuple[list[FrameResult], dict[str, float]],
) -> None:
    row = reports.video_rows(evaluated[0], None, FusionConfig())[2]
    assert math.isnan(float(row["cards"]))
    own = [result for result in evaluated[0] if result.video == VIDEOS[2]]
    columns = np.array([(r.cards_predicted, r.cards_std, r.flag) for r in own]).T
    clip = fuse(*columns, FusionConfig())
    assert (row["cards_predicted"], row["frames_used"]) == (clip.cards, clip.frames_used)
    assert clip.frames_used > 0
    assert math.isnan(float(row["low"]))


def test_metrics_are_sorted_and_exact(tmp_path: Path) -> None:
    values = {"test/z": torch.tensor(0.1, dtype=torch.float64), "test/a": 1 / 3, "test/n": math.nan}
    reports.write_metrics(tmp_path / "metrics.json", values)
    text = (tmp_path / "metrics.json").read_text()
    assert list(json.loads(text)) == ["test/a", "test/n", "test/z"]
    assert json.loads(text) == {"test/a": 1 / 3, "test/n": None, "test/z": 0.1}
    assert "NaN" not in text


def test_a_full_disk_is_one_line_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.json"
    reports.write_metrics(path, {"a": 1.0})

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"metrics\.json") as caught:
        reports.write_metrics(path, {"a": 2.0})
    assert "\n" not in str(caught.value)
    assert json.loads(path.read_text()) == {"a": 1.0}
    assert list(tmp_path.iterdir()) == [path]


def test_the_table_has_the_baseline_beside_the_model_and_leaves_nan_out() -> None:
    metrics = {
        "test/card_mae": 1.234,
        "test/card_mae_video": 0.987,
        "test/card_mae_constant": 12.5,
        "test/card_mae_video_constant": 13.5,
        "test/interval_coverage": 0.875,
        "test/interval_width": 4.321,
        "test/pck_5": 0.75,
        "test/visibility_auroc": math.nan,
        "val/card_rmse": 3.0,
    }
    console = Console(file=io.StringIO(), width=120)
    console.print(reports.metrics_table(metrics))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    (card_line,) = (line for line in lines if "MAE" in line)
    assert all(text in card_line for text in ("1.23", "0.99", "12.50", "13.50"))
    for text in ("75.0%", "87.5%", "4.32"):
        assert any(text in line for line in lines)
    assert not any("AUROC" in line or "RMSE" in line or "nan" in line for line in lines)


def test_flat_config_has_scalars_only() -> None:
    flat = reports.flatten_config({"a": {"b": {"c": 1}, "on": True}, "l": [1, {"x": 2}], "none": None})
    assert flat == {"a.b.c": 1, "a.on": True, "l": "[1, {'x': 2}]", "none": "None"}
