"""A run, a checkpoint and an exported file of cardpose 0.1.0 (commit 5126b85) work in this version.

The fixture: a small training of six epochs that was interrupted after two, what the uninterrupted one exported and
scored, and the configuration of a cross-validation. Its footage is synthetic and rendered anew.
"""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from in_process import Command
from omegaconf import DictConfig, OmegaConf
from trainings import Trainings

from cardpose.common.errors import InputError
from cardpose.data.footage.video import iterate
from cardpose.evaluate import evaluate
from cardpose.export import export
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.models import checkpoints, migrations
from cardpose.models.released import find_model
from cardpose.predict import predict
from cardpose.prediction.backends import OnnxBackend
from cardpose.prediction.predictor import Predictor
from cardpose.sweeps import fold_runs
from cardpose.sweeps.folder import NOTE
from cardpose.sweeps.report.results import read_sweep
from cardpose.sweeps.search import STORAGE_OF_0_1
from cardpose.train import train
from cardpose.training.hparams import hyperparameters
from cardpose.training.resume import resumed_config

OLD = Path(__file__).parents[1] / "fixtures" / "v0_1_0"


@pytest.fixture
def old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interrupted run, moved to a temporary folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(OLD / "run", tmp_path / "moved run")
    return tmp_path / "moved run"


def test_the_interrupted_run_is_resumed_in_its_new_place(old_run: Path) -> None:
    """It scores what the uninterrupted training of the old version did."""
    config = resumed_config(old_run / "checkpoints" / "last.ckpt")
    assert config["paths"]["run"] == str(old_run)
    train(config, old_run)
    metrics = json.loads((old_run / "metrics.json").read_text())
    expected = json.loads((OLD / "uninterrupted_metrics.json").read_text())
    assert expected.keys() <= metrics.keys()
    for key, value in expected.items():  # another processor rounds differently
        assert metrics[key] == (value if value is None else pytest.approx(value, rel=1e-3)), key


NEW_WORDS = {"head=box": "count_features=box", "count=distribution": "count_head=distribution"}


@pytest.fixture
def old_words() -> list[str]:
    """The overrides of the old run."""
    return [str(word) for word in OmegaConf.load(OLD / "run" / ".hydra" / "overrides.yaml")]


@pytest.fixture
def old_sweep(trainings: Trainings, tmp_path: Path, old_words: list[str]) -> Path:
    """A sweep over `head` with one interrupted job."""
    sweep = tmp_path / "outputs" / "multirun" / "smoke"
    shutil.copytree(OLD / "run", sweep / "head=box")
    task = [word for word in old_words if word != "head=box"] + ["head=box,pooled"]
    OmegaConf.save({"hydra": {"overrides": {"task": task}}}, sweep / NOTE)
    return sweep


def todays(words: list[str]) -> list[str]:
    return [NEW_WORDS.get(word, word).replace("footage.", "render.") for word in words]


def test_a_sweep_is_continued_with_todays_keys(
    old_sweep: Path, old_words: list[str], trainings: Trainings, sweep_command: Command
) -> None:
    """Its job lies in a folder named by the old key; only the new keys are given."""
    words = [word for word in todays(old_words) if word != "count_features=box"]
    given = ("-m", *words, "count_features=box,pooled", "resume_sweep=true")
    other = sweep_command(*given, "optim.lr=0.5", f"hydra.sweep.dir={old_sweep}")
    assert other.code == 2
    assert "head=box: was started with optim.lr=0.003, not 0.5" in other.err
    done = sweep_command(*given)
    assert done.code == 0, done.err
    assert trainings.folders == ["head=box", "count_features-pooled"]
    assert trainings.called[0][-1].startswith("resume=")


def test_old_and_new_jobs_of_a_sweep_have_the_same_columns(old_sweep: Path, old_words: list[str]) -> None:
    """In the table of the sweep and in TensorBoard's HParams tab."""
    new = old_sweep / "count_features-pooled" / ".hydra"
    new.mkdir(parents=True)
    words = [word.replace("count_features=box", "count_features=pooled") for word in todays(old_words)]
    OmegaConf.save(words, new / "overrides.yaml")
    runs = old_sweep / "head=box", new.parent
    for run in runs:
        (run / "metrics.json").write_text("{}")
    assert [hyperparameters({}, run) for run in runs] == [
        {"count_features": "box"},
        {"count_features": "pooled"},
    ]
    assert read_sweep(old_sweep, []).swept == ["count_features"]


def test_a_search_is_refused_with_what_still_works(old_sweep: Path, sweep_command: Command) -> None:
    pytest.importorskip("optuna", reason="the extra sweep is not installed")
    (old_sweep / STORAGE_OF_0_1).touch()
    given = ("sweep=optuna", f"hydra.sweep.dir={old_sweep}", "resume_sweep=true")
    done = sweep_command("-m", *given, "count_features=choice(box,pooled)")
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    (line,) = (line for line in done.err.splitlines() if line.startswith("cardpose.train: "))
    assert "begun by cardpose 0.1" in line
    assert "cardpose sweep_table" in line


def test_folds_are_continued_with_todays_keys(
    compose_entry: Callable[..., DictConfig], tmp_path: Path
) -> None:
    shutil.copy(OLD / "crossval.yaml", tmp_path / fold_runs.NOTE)
    given = ("experiment=quick", *NEW_WORDS.values(), "render.clips=8", f"dir={tmp_path}")

    def folds(*more: str) -> DictConfig:
        cfg = compose_entry("crossval", tmp_path / "none", *given, *more)
        cfg.paths = {"run": "fold", "cache": "outputs/cache"}
        return cfg

    assert fold_runs.open_folder(folds(), []) == tmp_path
    with pytest.raises(InputError, match=r"was started with optim\.lr=.*, not 0\.5"):
        fold_runs.open_folder(folds("optim.lr=0.5"), [])


def test_its_best_checkpoint_is_evaluated_and_exported(old_run: Path) -> None:
    (metrics,) = evaluate([str(old_run)], out=Path("report"), accelerator="cpu").metrics
    assert np.isfinite([metrics["test/card_mae"], metrics["test/corner_px_mean"], metrics["test/loss"]]).all()
    _, report = export(str(old_run), Path("model.pt2"), "torch")
    assert report["within_limits"] is True
    assert report["scores"]["pytorch"]["card_mae"] == pytest.approx(metrics["test/card_mae"], abs=0.01)


def test_every_name_of_the_old_configuration_is_todays() -> None:
    described = checkpoints.read(OLD / "run" / "checkpoints" / "best.ckpt")[checkpoints.KEY]
    config = described["config"]
    assert not {"head", "count", "footage", "synth", "weights", "weights_parts"} & config.keys()
    assert config["heatmap"]["decode"] == "quadratic"
    assert not {"heatmap_loss", "card_loss"} & config["loss"].keys()
    assert migrations.migrate(config) == config, "a second time changes nothing"


def test_checkpoint_and_exported_file_predict(
    old_run: Path, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    _, image = next((i, frame.image) for i, frame in enumerate(iterate(make_clip(tmp_path / "clip.mp4"))))
    for predictor in (
        Predictor.from_checkpoint(find_model(old_run)),
        Predictor.from_onnx(find_model(OLD / "model.onnx")),
    ):
        result = predictor(image)
        assert np.isfinite(result.corners).all()
        assert 0 < result.cards < 105
        assert result.cards_std > 0


def test_the_exported_file_is_read_whole(
    old_run: Path, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    """Calibration and interval are read too; predictions are under today's names; it cannot be evaluated."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    backend = OnnxBackend(OLD / "model.onnx")
    assert (backend.size, backend.fusion, backend.interval) == ((96, 128), FusionConfig(), None)
    file, calibrated = onnx.load(OLD / "model.onnx"), tmp_path / "calibrated.onnx"
    about = json.loads(file.metadata_props[0].value)
    about |= {"interval": {"floor": 1.0, "slope": 0.1, "noise": 2.0, "videos": 9}}
    about |= {"calibration": {"scale": 1.1, "offset": 0.5, "field_of_view": 61.5}}
    onnx.helper.set_model_props(file, {"cardpose": json.dumps(about)})
    onnx.save(file, calibrated)
    clip = make_clip(tmp_path / "clip.mp4")
    predict([str(clip)], str(calibrated), tmp_path / "out")
    with (tmp_path / "out" / "frames.csv").open(newline="") as table:
        assert all(float(row["cards_std"]) > 0 for row in csv.DictReader(table))
    backend = OnnxBackend(calibrated)
    assert (backend.field_of_view, backend.interval) == (61.5, Interval(1.0, 0.1, 2.0, 9))
    with pytest.raises(InputError, match=r"model\.onnx: is an exported file: choose the checkpoint"):
        evaluate([str(OLD / "model.onnx")])
    about["interval"] = {"width": 3}
    onnx.helper.set_model_props(file, {"cardpose": json.dumps(about)})
    onnx.save(file, calibrated)
    with pytest.raises(InputError, match=r"calibrated\.onnx: its interval is .*use the version of cardpose"):
        OnnxBackend(calibrated)


@pytest.mark.parametrize(
    ("key", "value"), [("heatmap_loss", "focal"), ("card_loss", "huber"), ("card_loss", "relative")]
)
def test_a_removed_loss_is_one_line_where_it_is_needed(key: str, value: str) -> None:
    from cardpose.training.build import build_loss

    config = migrations.migrate({"loss": {key: value}})
    with pytest.raises(InputError, match=rf"loss\.{key}={value} was removed"):
        build_loss({**config, "heatmap": {"sigma": 1.0}})


def test_the_removed_head_is_one_line() -> None:
    with pytest.raises(InputError, match=r"trained with count=ordinal.* use cardpose 0\.1\.0"):
        migrations.migrate({"count": {"_target_": "cardpose.models.counts.Ordinal"}})
