"""Folds that run, fail, stop and go on; the table that they make together."""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from in_process import Command
from omegaconf import DictConfig, OmegaConf, open_dict

from cardpose.common.errors import InputError
from cardpose.common.locks import only_command
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.crossval import crossval, main
from cardpose.sweeps import fold_runs
from cardpose.train import train
from cardpose.training.resume import resumed_config

Compose = Callable[..., DictConfig]
Folds = Callable[..., tuple[Path, dict[int, int]]]
Broken = dict[int, int | dict]
FoldsHere = Callable[..., None]

TWO_FOLDS = "split.folds=2"
CTRL_C = "test_resume.Interrupt"
FILES = {
    "table.csv",
    "table.md",
    "frames.csv",
    "videos.csv",
    "scatter.png",
    "error_by_count.png",
    "errors.csv",
    "errors.png",
    "worst_cards.png",
    "worst_corners.png",
    "best_cards.png",
    "best_corners.png",
    "visibility.png",
    "confusion.png",
    "report.html",
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folds_here(compose_entry: Compose, monkeypatch: pytest.MonkeyPatch) -> FoldsHere:
    """folds_here(broken={fold: callback or exit code}): from now on folds are trained in this process."""

    def here(broken: Broken | None = None) -> None:
        def call(words: Sequence[str], pass_fds: tuple[int, ...]) -> tuple[int, bool]:
            given = [word for word in words[3:] if not word.startswith("hydra.run.dir=")]
            places = [
                Path(word.partition("=")[2])
                for word in words
                if word.startswith(("hydra.run.dir=", "resume="))
            ]
            place = places[0].parent.parent if places[0].suffix else places[0]
            with monkeypatch.context() as patch:  # Hydra composes one command at a time
                patch.setattr(GlobalHydra.instance(), "hydra", None)
                cfg = compose_entry("train", place, *given)
            cfg = OmegaConf.create(resumed_config(cfg.resume)) if cfg.resume else cfg
            todo = (broken or {}).get(int(place.name.removeprefix("fold_")))
            if isinstance(todo, int):
                return todo, False
            with open_dict(cfg):
                cfg.callbacks.pop("ctrl_c", None)
                if todo:
                    cfg.callbacks = {"ctrl_c": todo, **cfg.callbacks}
            try:
                train(cfg, place)
            except SystemExit as stop:
                return 0, stop.code == INTERRUPTED
            return 0, False

        monkeypatch.setattr(fold_runs, "call", call)

    return here


@pytest.fixture
def run_folds(
    compose_entry: Compose,
    folds_here: FoldsHere,
    tiny_choices: tuple[str, ...],
    tiny_folder: Path,
    tmp_path: Path,
) -> Folds:
    """run_folds(name, *overrides, broken={fold: callback or exit code}) cross-validates in this process."""

    def run(name: str, *overrides: str, broken: Broken | None = None) -> tuple[Path, dict[int, int]]:
        folds_here(broken)
        chosen = [*tiny_choices, TWO_FOLDS, f"data.root={tiny_folder}", f"dir={tmp_path / name}", *overrides]
        cfg = compose_entry("crossval", tmp_path / "none", *chosen)
        folder, failed, _ = crossval(cfg)
        return folder, failed

    return run


def test_every_video_is_tested_once_and_the_table_is_of_the_runs(run_folds: Folds, tiny_folder: Path) -> None:
    folder, failed = run_folds("folds")
    assert not failed
    assert {path.name for path in folder.iterdir() if path.is_file()} == FILES | {
        fold_runs.NOTE,
        fold_runs.LOCK,
    }
    videos = rows(folder / "videos.csv")
    assert sorted(row["video"] for row in videos) == sorted(
        row["file"] for row in rows(tiny_folder / "videos.csv")
    )
    assert len(rows(folder / "frames.csv")) == sum(int(row["frames"]) for row in videos) == 42
    table = {row["fold"]: row for row in rows(folder / "table.csv")}
    assert list(table) == ["0", "1", "mean", "std"]
    for fold in range(2):
        metrics = json.loads((folder / f"fold_{fold}" / "metrics.json").read_text())
        assert {
            "val/card_mae",
            "val/card_mae_video",
            "val/corner_px_median",
            "test/card_mae",
        } <= metrics.keys()
        assert float(table[str(fold)]["val/card_mae"]) == metrics["val/card_mae"]
    for key in ("val/card_mae", "test/card_mae_video", "test/card_mae_constant"):
        assert float(table["mean"][key]) == pytest.approx(sum(float(table[fold][key]) for fold in "01") / 2)
    text = (folder / "table.md").read_text()
    assert text.index("Validation: choose by these") < text.index("Test: report these")
    assert f"dir={folder}" in text


def test_continuing_equals_no_interruption(run_folds: Folds, allow_target: Callable[[str], str]) -> None:
    allow_target(CTRL_C)
    whole, _ = run_folds("whole")
    ctrl_c = {"_target_": CTRL_C, "epoch": 1, "batch": 1}
    with pytest.raises(SystemExit) as stop:
        run_folds("stopped", broken={1: ctrl_c})
    assert stop.value.code == INTERRUPTED
    kept = whole.parent / "stopped" / "fold_0"
    before = (kept / "metrics.json").stat().st_mtime_ns
    stopped, failed = run_folds("stopped")
    assert not failed
    assert (kept / "metrics.json").stat().st_mtime_ns == before, "a finished fold is kept"
    for name in ("table.csv", "frames.csv", "videos.csv", "errors.csv"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_failed_fold_is_reported_and_loses_no_other(
    run_folds: Folds, caplog: pytest.LogCaptureFixture
) -> None:
    folder, failed = run_folds("folds", broken={0: 1})
    assert failed == {0: 1}
    assert "fold 0 failed with exit code 1" in caplog.text
    assert "To try again: python -m cardpose.crossval data=folder" in caplog.text
    assert [row["fold"] for row in rows(folder / "table.csv")] == ["1", "mean", "std"]
    assert "Failed and not included: fold 0." in (folder / "table.md").read_text()
    assert run_folds("folds") == (folder, {})
    assert [row["fold"] for row in rows(folder / "table.csv")] == ["0", "1", "mean", "std"]
    assert "Failed" not in (folder / "table.md").read_text()


def test_two_into_one_folder(run_folds: Folds) -> None:
    folder, _ = run_folds("folds", broken={0: 1, 1: 1})
    with (
        only_command(folder / fold_runs.LOCK, ""),
        pytest.raises(InputError, match=r"folds: another cardpose\.crossval runs there: wait for it"),
    ):
        run_folds("folds")
    assert run_folds("folds", broken={0: 1, 1: 1})[1] == {0: 1, 1: 1}


def test_without_a_finished_fold_there_is_no_table(run_folds: Folds) -> None:
    folder, failed = run_folds("folds", broken={0: 1, 1: -9})
    assert failed == {0: 1, 1: -9}
    assert not (folder / "table.csv").exists()


@pytest.mark.parametrize(("broken", "code"), [({0: 2, 1: 2}, 2), ({0: 2, 1: 1}, 1)])
def test_the_exit_code_is_that_of_the_folds_if_none_can_run(
    tiny_choices: tuple[str, ...],
    tiny_folder: Path,
    in_process: Command,
    folds_here: FoldsHere,
    tmp_path: Path,
    broken: Broken,
    code: int,
) -> None:
    """Code 2 on a full disk, for example, where each fold prints its line."""
    folds_here(broken)
    done = in_process(main, *tiny_choices, TWO_FOLDS, f"data.root={tiny_folder}", f"dir={tmp_path / 'folds'}")
    assert done.code == code
    assert "Failed: fold 0, 1. To try again: python -m cardpose.crossval" in done.err


def test_other_choices_or_footage_do_not_continue(
    run_folds: Folds, tiny_folder: Path, tmp_path: Path
) -> None:
    footage = shutil.copytree(tiny_folder, tmp_path / "footage")
    own = f"data.root={footage}"
    folder, _ = run_folds("folds", own, broken={1: 1})
    with pytest.raises(InputError, match=r"was started with optim\.lr=0\.003, not 0\.5: repeat the choices"):
        run_folds("folds", own, "optim.lr=0.5")
    document = json.loads((footage / "annotations.json").read_text())
    last = document["annotations"].pop()
    document["images"] = [image for image in document["images"] if image["id"] != last["image_id"]]
    (footage / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"fold_0/split\.json: names other frames"):
        run_folds("folds", own)
    assert folder.is_dir()


def test_a_path_with_any_letter_stays_one_argument(tmp_path: Path) -> None:
    folder = tmp_path / "a=1,b (c) 'd'"
    for words in (
        fold_runs.command(folder, 1, ["seed=1", "dir=x"]),
        shlex.split(fold_runs.in_shell(folder, ["seed=1", "dir=x"])),
    ):
        first, *_, place = OverridesParser.create().parse_overrides(words[3:])
        assert (first.key_or_group, place.value()) == ("seed", str(folder))


def test_ctrl_c_in_a_terminal_and_the_printed_command(
    tiny_choices: tuple[str, ...],
    tiny_folder: Path,
    in_process: Command,
    folds_here: FoldsHere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Real processes, which both hear Ctrl-C: nothing is lost, and what is printed goes on, here, to the table."""
    monkeypatch.chdir(tmp_path)
    arguments = [*tiny_choices, TWO_FOLDS, f"data.root={tiny_folder}", "trainer.max_epochs=4"]
    command = [sys.executable, "-m", "cardpose.crossval", *arguments]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("outputs/*/fold_0/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == INTERRUPTED, err
    assert "Traceback" not in err
    (folder,) = tmp_path.glob("outputs/run_folds_*")
    words = shlex.split(err.splitlines()[-1].partition("To continue: ")[2])
    assert words[-1] == f"dir={folder}"
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {"cache", folder.name}
    assert words[:3] == ["python", "-m", "cardpose.crossval"]
    folds_here()
    done = in_process(main, *words[3:])
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == str(folder)
    assert {path.name for path in folder.iterdir()} >= FILES
    assert [row["fold"] for row in rows(folder / "table.csv")] == ["0", "1", "mean", "std"]
