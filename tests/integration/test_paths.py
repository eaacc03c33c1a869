"""Every tool takes paths as they are typed, on its command line and as a function."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from in_process import Command

import cardpose.app
from cardpose.app import site
from cardpose.calibrate import calibrate
from cardpose.check import check
from cardpose.convert import convert
from cardpose.evaluate import evaluate
from cardpose.export import export
from cardpose.label import label
from cardpose.predict import predict
from cardpose.subsample import subsample
from cardpose.suggest import suggest
from cardpose.sweep_table import sweep_table

NAMES = (
    "my packet",
    "model=unet,seed=0",
    "IMG (1) [2] {3}",
    'it\'s "here"',
    "Küche",
    "视频",
    "20261128",
    "-dash",
    "$HOME;*?#&",
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the commands; they write there only what they are asked for."""
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "place"


@pytest.fixture
def model(drawn_checkpoint: Path, place: Path) -> Callable[[str], Path]:
    """model(name): a run folder of that name in the current folder."""

    def make(name: str) -> Path:
        folder = Path(f"{name}-run")
        (folder / "checkpoints").mkdir(parents=True)
        shutil.copy(drawn_checkpoint, folder / "checkpoints" / "best.ckpt")
        return folder

    return make


def run(in_process: Command, tool: str, words: Sequence[str | Path], last: Sequence[str | Path]) -> None:
    """Run `cardpose TOOL` with paths after `--`; it must succeed."""
    done = in_process(import_module(f"cardpose.{tool}").main, *map(str, [*words, "--", *last]))
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", NAMES)
def test_predict(
    in_process: Command, place: Path, model: Callable[[str], Path], make_clip: Callable[..., Path], name: str
) -> None:
    clip, folder = make_clip(place / f"{name}.mp4", num_frames=2), model(name)
    make_clip(place / name / "a.mp4", num_frames=2)
    words = ["--model", folder, "--out", f"{name}-out", "--accelerator", "cpu", "--overlay"]
    run(in_process, "predict", words, [clip.name, name])
    written = (place / f"{name}-out" / "clips.csv").read_text().splitlines()
    assert len(written) == 3
    assert len(list((place / f"{name}-out" / "overlay").rglob("*.mp4"))) == 2
    assert predict([clip.name, name], str(folder), Path("again"), accelerator="cpu") == Path("again")
    assert (place / "again" / "clips.csv").read_text().splitlines() == written


@pytest.mark.parametrize("name", NAMES)
def test_footage_to_labels(
    in_process: Command,
    place: Path,
    model: Callable[[str], Path],
    make_clip: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """subsample, suggest, label and check, one after another on one folder."""
    pytest.importorskip("uvicorn")
    clip, folder = make_clip(place / f"{name}.mp4", num_frames=3), model(name)
    run(in_process, "subsample", ["--out", name, "--stride", "1"], [clip.name])
    assert subsample([clip.name], Path("again"), stride=1) == Path("again")
    assert (place / "again" / "videos.csv").read_text() == (place / name / "videos.csv").read_text()
    words = ["--model", folder, "--out", f"{name}.csv", "--accelerator", "cpu"]
    run(in_process, "suggest", words, [name])
    assert len((place / f"{name}.csv").read_text().splitlines()) == 4
    assert len(suggest(Path(name), str(folder), out=Path("again.csv"), accelerator="cpu").frames) == 3
    served = SimpleNamespace(run=lambda sockets: [listener.close() for listener in sockets])
    monkeypatch.setattr("cardpose.labelling.serve.server", lambda app, keys=None: served)
    words = ["--port", "0", "--frames", f"{name}.csv", "--cache", f"{name}-cache"]
    run(in_process, "label", words, [name])
    assert label(Path(name), frames=Path(f"{name}.csv"), port=0) == "0 of 3 frames labelled"
    done = in_process(import_module("cardpose.check").main, "--out", f"{name}-check", "--", name)
    assert (done.code, done.out.splitlines()[-1]) == (1, f"{name}-check/index.html")  # nothing is labelled
    assert len(check(Path(name), Path("again")).findings) == 2


@pytest.mark.parametrize("name", NAMES)
def test_convert(in_process: Command, place: Path, tiny_folder: Path, name: str) -> None:
    shutil.copytree(tiny_folder, place / name)
    run(in_process, "convert", ["--to", "coco", "--out", f"{name}-coco"], [name])
    run(in_process, "convert", ["--from", "coco", "--into", name], [f"{name}-coco"])
    assert convert(Path(name), out=Path("again")).summary == "6 videos, 42 labelled frames"


@pytest.mark.parametrize("name", NAMES)
def test_sweep_table(in_process: Command, place: Path, name: str) -> None:
    for seed in range(2):
        folder = place / name / f"seed-{seed}"
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(f"- seed={seed}\n")
        scores = {"val/card_mae": 2.0 + seed, "val/corner_px_median": 1.5}
        (folder / "metrics.json").write_text(json.dumps(scores))
        (folder / "cost.json").write_text(json.dumps({"train_seconds": 1.0, "parameters": 100}))
    run(in_process, "sweep_table", ["--out", f"{name}-table"], [name])
    assert len((place / f"{name}-table" / "runs.csv").read_text().splitlines()) == 3
    assert sweep_table(Path(name)).page == Path(name) / "table.html"


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_model(
    in_process: Command, place: Path, finished_run: Path, tiny_folder: Path, name: str
) -> None:
    """calibrate and evaluate, on a run folder and footage of that name."""
    run_folder, footage = Path(f"{name}-run"), Path(name)
    (run_folder / "checkpoints").mkdir(parents=True)
    shutil.copy(finished_run / "checkpoints" / "best.ckpt", run_folder / "checkpoints")
    shutil.copytree(tiny_folder, place / name)
    words = ["--data", footage, "--set", "data.num_workers=0"]
    clips = ["--clips", "videos/52.mp4", "videos/30.mp4", "--accelerator", "cpu"]
    run(in_process, "calibrate", [*words, *clips, "--out", f"{name}.ckpt"], [run_folder])
    again = calibrate(str(run_folder), footage, ["videos/52.mp4"], Path("again.ckpt"), accelerator="cpu")
    assert again.path.is_file()
    scored = ["--split", "all", "--out", f"{name}-scores", "--accelerator", "cpu"]
    run(in_process, "evaluate", [*words, *scored], [run_folder])
    (metrics,) = evaluate(
        [str(run_folder)], footage, split="all", out=Path("again"), accelerator="cpu"
    ).metrics
    written = json.loads((place / f"{name}-scores" / "metrics.json").read_text())
    assert written == {key: None if math.isnan(value) else value for key, value in metrics.items()}


def test_export(in_process: Command, place: Path, finished_run: Path, tiny_folder: Path) -> None:
    """One name with all of them, since a graph takes its time."""
    name = '-20261128 a=1,b (2) [3] {4} it\'s "Küche" 视频'
    shutil.copytree(tiny_folder, place / name)
    (place / f"{name}-run" / "checkpoints").mkdir(parents=True)
    shutil.copy(finished_run / "checkpoints" / "best.ckpt", place / f"{name}-run" / "checkpoints")
    words = ["--format", "torch", "--data", name, "--split", "all", "--frames", "2", "--out", f"{name}.pt2"]
    run(in_process, "export", words, [f"{name}-run"])
    assert (place / f"{name}.pt2").is_file()
    again = export(f"{name}-run", Path("again.pt2"), "torch", data=Path(name), split="all", frames=2)
    assert again.path.is_file()


@pytest.mark.parametrize("name", NAMES)
def test_app(in_process: Command, place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without ONNX Runtime Web, of which a clone has no copy: any file stands for it."""
    shutil.copytree(Path(site.__file__).parent / "page", place / name / "page")
    (place / name / "vendor").mkdir()
    (place / name / "vendor" / site.RUNTIME).touch()
    monkeypatch.setattr(site, "Site", partial(site.Site, folder=place / name))
    done = in_process(cardpose.app.main, f"--export={name}-site")
    assert done.code == 0, done.err
    assert (place / f"{name}-site" / "index.html").is_file()
    assert cardpose.app.app(export=Path(f"{name}-again")).startswith(f"{name}-again: put this folder")
    assert (place / f"{name}-again" / "index.html").is_file()
