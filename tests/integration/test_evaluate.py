"""The report of a checkpoint, and two checkpoints side by side."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cardpose import evaluate
from cardpose.common.errors import InputError
from cardpose.edges.counting import EdgeCount, EdgeCounter
from cardpose.fusion.clips import Flag
from cardpose.models import checkpoints
from cardpose.prediction import predictor, tested
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.torch_backend import TorchBackend

Compose = Callable[..., DictConfig]

REPORT = {
    "frames.csv",
    "videos.csv",
    "metrics.json",
    "report.html",
    "scatter.png",
    "error_by_count.png",
    "visibility.png",
    "confusion.png",
    "worst_cards.png",
    "best_cards.png",
    "worst_corners.png",
    "best_corners.png",
}


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def images(folder: Path) -> set[str]:
    (file,) = (folder / "tensorboard").glob("events*")
    events = EventAccumulator(str(file))
    events.Reload()
    return set(events.Tags()["images"])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def both(finished_run: Path, changed: Path) -> list[str]:
    return [str(finished_run), str(changed)]


@pytest.fixture(scope="module")
def changed(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run's checkpoint with a count that is two cards higher."""
    checkpoint = checkpoints.read(finished_run / "checkpoints" / "best.ckpt")
    weights = checkpoint["state_dict"]["net.head.calibration"]
    checkpoint["state_dict"]["net.head.calibration"] = weights + torch.tensor([0.0, 2 / 52])
    return save(checkpoint, tmp_path_factory.mktemp("changed") / "higher.ckpt")


def save(checkpoint: dict, path: Path) -> Path:
    torch.save(checkpoint, path)
    return path


def test_a_report_has_everything(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    (metrics,) = evaluate.evaluate([str(finished_run)], out=folder).metrics
    assert files(folder) >= REPORT
    drawn = {path.stem for path in folder.glob("*.png")}
    assert images(folder) == {f"test/{name}" for name in drawn}
    page = (folder / "report.html").read_text()
    for text in (f"{finished_run}/checkpoints/best.ckpt", f"{metrics['test/card_mae']:.2f}", "commit "):
        assert text in page
    assert (finished_run / "test" / "frames.csv").read_bytes() == (folder / "frames.csv").read_bytes()
    for name in drawn:
        same = (finished_run / "test" / f"{name}.png").read_bytes() == (folder / f"{name}.png").read_bytes()
        assert same, f"{name}: the report of train and that of evaluate are alike"


def test_edges_of_large_frames_are_counted(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "MIN_SIDE", 64)
    monkeypatch.setattr(predictor, "LOOKED_AT", tuple(Flag))
    monkeypatch.setattr(EdgeCounter, "from_file", lambda: lambda *_: EdgeCount(30, 0.95, 4.0))
    folder = tmp_path / "report"
    (metrics,) = evaluate.evaluate([str(finished_run)], out=folder).metrics
    frames = rows(folder / "frames.csv")
    assert {(row["method"], row["cards_predicted"]) for row in frames} == {("edges", "30.0")}
    mean = sum(abs(float(row["cards"]) - 30) for row in frames) / len(frames)
    assert metrics["test/card_mae"] == pytest.approx(mean)
    assert f"{len(frames)} of these have their count from edges" in (folder / "report.html").read_text()


def test_settings_reach_the_prediction_from_source_frames(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Predictor] = []
    monkeypatch.setattr(tested, "predict_again", lambda one, make: made.append(make()) or one)
    settings = ["fusion.second_look=1", "heatmap.decode=argmax"]
    evaluate.evaluate([str(finished_run)], out=tmp_path / "report", settings=settings)
    (one,) = made
    assert one.fusion.second_look == 1
    assert isinstance(one.backend, TorchBackend)
    assert one.backend.described["config"]["heatmap"]["decode"] == "argmax"


def test_two_checkpoints_side_by_side(both: list[str], changed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    shown = evaluate.evaluate(both, out=folder).comparison
    a, b = (json.loads((folder / name / "metrics.json").read_text()) for name in "ab")
    assert files(folder / "a") >= REPORT
    assert files(folder / "b") >= REPORT
    first = next(row for row in shown if row[""] == "card error (MAE), per frame, cards")
    assert (first["a"], first["b"]) == (f"{a['test/card_mae']:.2f}", f"{b['test/card_mae']:.2f}")
    for row in rows(folder / "comparison.csv"):
        if row["a"] and row["b"]:
            assert (float(row["a"]), float(row["b"])) == (a[row["score"]], b[row["score"]])
    changes = rows(folder / "changes.csv")
    assert len(changes) == len(rows(folder / "a" / "frames.csv"))
    for row in changes:
        assert float(row["cards_predicted_b"]) - float(row["cards_predicted_a"]) == pytest.approx(2, abs=1e-3)
        assert float(row["corner_px_mean_change"]) == 0
    assert {"test/changed_cards", "test/changed_corners"} <= images(folder)
    assert images(folder / "a") == images(folder / "b")
    page = (folder / "report.html").read_text()
    assert str(changed) in page
    assert "The two were trained with the same configuration." in page
    assert "Frames whose count became worse with b" in page
    assert "Frames whose corners became" not in page


def test_checkpoints_of_two_splits_are_not_compared_but_on_named_footage(
    finished_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    checkpoint = checkpoints.read(finished_run / "checkpoints" / "best.ckpt")
    sides = checkpoint[checkpoints.KEY]["split"]
    sides["test"], sides["val"] = sides["val"], sides["test"]
    other = save(checkpoint, tmp_path / "other.ckpt")
    models = [str(finished_run), str(other)]
    with pytest.raises(InputError, match=r"not tested on the same frames, a on .* 0 in common"):
        evaluate.evaluate(models, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    evaluate.evaluate(models, tiny_folder, "folder", "all", out=tmp_path / "all")
    assert len(rows(tmp_path / "all" / "changes.csv")) == 42


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "c"], "3 models are given: give one, or two to compare"),
        ([], "missing argument 'MODEL [MODEL]'"),
        (["a.ckpt", "b.ckpt"], "a.ckpt: no such file"),
        (["ckpt=[a,b]", "split=all"], "type: cardpose evaluate a b --split all"),
        (["a.onnx"], "a.onnx: no such file"),
    ],
)
def test_wrong_words_are_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        evaluate.main(words)
    assert stop.value.code == 2
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
