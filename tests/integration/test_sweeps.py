"""Sweeps that fail, stop, meet each other and continue: `cardpose.train -m` in an empty folder.

A stand-in replaces the jobs' trainings, since the sweep is what is tested; the last tests are of real processes.
"""

import csv
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from in_process import Command, Done
from trainings import Trainings, place

from cardpose import sweep_table, train
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.sweeps import jobs as sweep_jobs
from cardpose.sweeps.folder import NOTE, Job, only_sweep

SEEDS = ("-m", "seed=range(0,3)")
NAMES = {"seed-0", "seed-1", "seed-2"}
FIXED_DIR = "hydra.sweep.dir=sweep"


def runs(sweep: Path) -> set[str]:
    """Names of the finished runs."""
    return {path.parent.name for path in sweep.glob("*/metrics.json")}


def refusal(done: Done) -> str:
    """The one line of a refused command."""
    assert done.code == 2, done
    assert "Traceback" not in done.err
    (line,) = (line for line in done.err.splitlines() if line.startswith("cardpose.train: "))
    return line


def test_every_job_has_a_folder_named_by_its_overrides(
    trainings: Trainings, sweep_command: Command, tmp_path: Path
) -> None:
    done = sweep_command("-m", "experiment=baseline", "optim.lr=0.1,0.01", "seed=0,1")
    assert done.code == 0, done.err
    (sweep,) = (tmp_path / "outputs" / "multirun").iterdir()
    assert sweep.name.startswith("baseline_")
    names = [f"optim.lr-{rate}__seed-{seed}" for rate in ("0.1", "0.01") for seed in (0, 1)]
    assert trainings.folders == names
    assert runs(sweep) == set(names)
    assert done.out.splitlines()[-1] == str(sweep.relative_to(tmp_path))
    assert "4 jobs: 4 finished" in done.err
    for words in trainings.called:
        rate, seed = (part.replace("-", "=") for part in place(words).name.split("__"))
        assert {"experiment=baseline", rate, seed} <= set(words)


def test_the_example_sweeps_backbone_loss_and_augmentation_and_the_command_line_replaces_a_key(
    trainings: Trainings, sweep_command: Command
) -> None:
    words = ("-m", "experiment=quick", "sweep=backbone_loss_augment", "seed=3", FIXED_DIR)
    assert sweep_command(*words).code == 0
    assert len(trainings.folders) == len(set(trainings.folders)) == 8
    assert all("seed=3" in words for words in trainings.called)
    names = " ".join(trainings.folders)
    for word in ("model-unet_tiny", "model-hourglass", "loss.cards-0.5", "loss.cards-2", "augment-light"):
        assert names.count(word) == 4, word


def test_a_failed_job_is_reported_at_the_end_and_stops_no_other(
    trainings: Trainings, sweep_command: Command
) -> None:
    trainings.broken = {"seed-0": 2}
    done = sweep_command(*SEEDS, FIXED_DIR)
    assert done.code == 1
    assert runs(Path("sweep")) == NAMES - {"seed-0"}
    reported = [line for line in done.err.splitlines() if line.startswith("seed-0 failed: ")]
    assert reported == ["seed-0 failed: data.root: no such folder: choose another (sweep/logs/seed-0.log)"]
    assert "3 jobs: 2 finished, 1 failed" in done.err
    again = next(line for line in done.err.splitlines() if line.startswith("To try again: "))
    trainings.broken = {}
    assert sweep_command(*shlex.split(again)[6:]).code == 0  # python -m cardpose.train
    assert trainings.folders[3:] == ["seed-0"]
    assert runs(Path("sweep")) == NAMES
    assert not list(Path("sweep/logs").glob("*.failed"))


def test_an_override_that_does_not_exist_in_one_of_many_jobs(
    trainings: Trainings, sweep_command: Command
) -> None:
    done = sweep_command("-m", "model=unet,unett", "seed=0,1", FIXED_DIR)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert runs(Path("sweep")) == {"model-unet__seed-0", "model-unet__seed-1"}
    assert "model-unett__seed-0 failed: model=unett: no such choice: did you mean unet" in done.err
    assert len(trainings.called) == 2


def test_the_same_command_continues_with_resume_sweep(
    trainings: Trainings, sweep_command: Command, tmp_path: Path
) -> None:
    trainings.broken = {"seed-1": "ctrl-c"}
    stopped = sweep_command(*SEEDS, "optim.lr=0.1")
    assert stopped.code == INTERRUPTED
    assert "3 jobs: 1 finished, 2 not run. To continue: python -m cardpose.train -m" in stopped.err
    (sweep,) = (tmp_path / "outputs" / "multirun").iterdir()
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("*/metrics.json")}
    trainings.broken = {}
    other = sweep_command("-m", "optim.lr=0.1", "resume_sweep=true", "seed=range(0,3)")
    assert other.code == 0, other.err
    assert list((tmp_path / "outputs" / "multirun").iterdir()) == [sweep]
    assert trainings.folders[2:] == ["seed-1", "seed-2"], "no finished job runs twice"
    assert trainings.called[2][-1].startswith("resume="), "an interrupted one goes on from its checkpoint"
    assert before.items() <= {path: path.stat().st_mtime_ns for path in sweep.glob("*/metrics.json")}.items()
    assert sweep_command(*SEEDS, "optim.lr=0.1", "resume_sweep=true").code == 0
    assert len(trainings.called) == 4, "nothing is left to run"


def test_other_choices_begin_a_sweep_of_their_own(
    trainings: Trainings, sweep_command: Command, tmp_path: Path
) -> None:
    assert sweep_command("-m", "seed=0").code == 0
    assert sweep_command("-m", "seed=0", "optim.lr=0.1", "resume_sweep=true").code == 0
    assert len(list((tmp_path / "outputs" / "multirun").iterdir())) == 2
    assert len(trainings.called) == 2


def test_a_sweep_grows_in_its_folder(trainings: Trainings, sweep_command: Command) -> None:
    assert sweep_command("-m", "seed=0", FIXED_DIR).code == 0
    assert sweep_command("-m", "seed=0,1", FIXED_DIR, "resume_sweep=true").code == 0
    assert trainings.folders == ["seed-0", "seed-1"]


def test_half_a_run_is_run_anew(trainings: Trainings, sweep_command: Command) -> None:
    """Killed before its first checkpoint, or with half a checkpoint: what it wrote is removed."""
    assert sweep_command("-m", "seed=0,1", FIXED_DIR).code == 0
    for name in ("seed-0", "seed-1"):
        (Path("sweep") / name / "metrics.json").unlink()
        (Path("sweep") / name / "half").touch()
    (Path("sweep") / "seed-1" / "checkpoints").mkdir()
    (Path("sweep") / "seed-1" / "checkpoints" / "last.ckpt").write_bytes(b"PK\x03\x04 half")
    assert sweep_command("-m", "seed=0,1", FIXED_DIR, "resume_sweep=true").code == 0
    assert trainings.folders[2:] == ["seed-0", "seed-1"]
    assert not any("resume=" in word for words in trainings.called for word in words)
    assert not list(Path("sweep").rglob("half"))
    assert runs(Path("sweep")) == {"seed-0", "seed-1"}


def test_two_sweeps_into_one_folder(trainings: Trainings, sweep_command: Command) -> None:
    with only_sweep(Path("sweep").absolute()):
        (Path("sweep") / NOTE).touch()
        line = refusal(sweep_command(*SEEDS, FIXED_DIR, "resume_sweep=true"))
    assert "sweep: another sweep is running in this folder: wait for it, or choose another" in line
    assert not trainings.called


@pytest.mark.parametrize(
    ("present", "arguments", "message"),
    [
        (NOTE, (), "holds a sweep: add resume_sweep=true to continue it"),
        ("notes.txt", ("resume_sweep=true",), "holds something else than a sweep"),
    ],
)
def test_a_folder_that_is_taken(
    trainings: Trainings, sweep_command: Command, present: str, arguments: tuple[str, ...], message: str
) -> None:
    Path("sweep").mkdir()
    (Path("sweep") / present).write_text("mine")
    assert message in refusal(sweep_command(*SEEDS, FIXED_DIR, *arguments))
    assert [path.name for path in Path("sweep").iterdir()] == [present]


def test_a_run_of_another_configuration_is_not_taken_for_finished(
    trainings: Trainings, sweep_command: Command
) -> None:
    trainings.noting = True
    assert sweep_command("-m", "seed=0,1", "optim.lr=0.1", FIXED_DIR).code == 0
    assert sweep_command("-m", "seed=0,1", "optim.lr=0.1", FIXED_DIR, "resume_sweep=true").code == 0
    line = refusal(sweep_command("-m", "seed=0,1", "optim.lr=0.2", FIXED_DIR, "resume_sweep=true"))
    assert "sweep/seed-0: was started with optim.lr=0.1, not 0.2" in line
    assert len(trainings.called) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resume_sweep=true",), "resume_sweep is for sweeps: add -m"),
        (("-m", "resume=a/checkpoints/last.ckpt", "seed=0,1"), "resume is for one run"),
    ],
)
def test_keys_of_the_other_kind_of_run(
    trainings: Trainings, sweep_command: Command, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refusal(sweep_command(*arguments))
    assert not [path for path in Path().rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("choice", "library"),
    [
        ("launcher=joblib", "hydra_plugins.hydra_joblib_launcher"),
        ("launcher=slurm", "hydra_plugins.hydra_submitit_launcher"),
        ("sweep=optuna", "optuna"),
        ("sweep=random", "optuna"),
    ],
)
def test_a_missing_extra_is_named(
    trainings: Trainings, sweep_command: Command, monkeypatch: pytest.MonkeyPatch, choice: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    line = refusal(sweep_command(*SEEDS, choice))
    assert line.endswith(f'{choice} needs the extra "sweep": pip install -e ".[sweep]"')
    assert not [path for path in Path().rglob("*") if path.is_file()]


def test_an_override_that_no_job_has_is_hydras_own_message(
    trainings: Trainings, sweep_command: Command
) -> None:
    done = sweep_command("-m", "seed=0,1", "optim.learning_rate=1")
    assert done.code == 2
    assert "learning_rate" in done.err
    assert not list(Path().iterdir())


def test_a_launcher_that_breaks_off_costs_no_finished_job(
    trainings: Trainings, sweep_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As joblib does where a worker is killed: what the folders hold counts, the rest can be tried again."""
    basic = next(kind for kind in Plugins.instance().discover(Launcher) if kind.__name__ == "BasicLauncher")
    launch = basic.launch

    def break_off(self: Launcher, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> None:
        launch(self, jobs[:1], initial_job_idx)
        raise RuntimeError("a worker died\nmore of it")

    with monkeypatch.context() as patch:
        patch.setattr(basic, "launch", break_off)
        done = sweep_command(*SEEDS, FIXED_DIR)
    assert done.code == 1
    assert "the launcher failed: a worker died" in done.err
    assert "3 jobs: 1 finished, 2 failed" in done.err
    assert sweep_command(*SEEDS, FIXED_DIR, "resume_sweep=true").code == 0
    assert trainings.folders == ["seed-0", "seed-1", "seed-2"]


def test_a_sweep_of_version_0_1_continues_under_its_own_names(
    trainings: Trainings, sweep_command: Command
) -> None:
    assert sweep_command("-m", "seed=0,1", FIXED_DIR).code == 0
    sweep = Path("sweep")
    (sweep / "seed-0").rename(sweep / "seed=0")
    (sweep / "seed-1").rename(sweep / "seed=1")
    (sweep / "seed=1" / "metrics.json").unlink()
    assert sweep_command("-m", "seed=range(0,3)", FIXED_DIR, "resume_sweep=true").code == 0
    assert trainings.folders[2:] == ["seed=1", "seed-2"]


def test_a_job_that_another_process_has_finished_meanwhile_does_not_run(
    trainings: Trainings, tmp_path: Path
) -> None:
    job = Job(tmp_path, "seed=0", ("seed=0",))
    job.run.mkdir()
    job.log.parent.mkdir()
    (job.run / "metrics.json").write_text("{}")
    assert sweep_jobs.train(job) is False
    assert not trainings.called


def rows(path: Path) -> list[dict[str, str]]:
    """A table without what differs from time to time."""
    with path.open(newline="") as file:
        return [
            {key: cell for key, cell in row.items() if "train_seconds" not in key}
            for row in csv.DictReader(file)
        ]


@pytest.fixture
def tiny_sweep(tiny_choices: tuple[str, ...], tiny_folder: Path) -> tuple[str, ...]:
    """Overrides of a sweep of two real trainings."""
    one_epoch = [choice for choice in tiny_choices if "max_epochs" not in choice]
    return ("-m", *one_epoch, "trainer.max_epochs=1", f"data.root={tiny_folder}", "seed=0,1")


def processes_in(folder: Path) -> list[str]:
    """Other processes whose working directory is `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.resolve() == folder and link.parent.name != str(os.getpid()):
                found.append(link.parent.name)
    return found


def test_a_killed_sweep_ends_as_one_that_was_not(
    tiny_sweep: tuple[str, ...], sweep_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL after the first of two real jobs, by joblib; what it started ends with it."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(train.__file__).parents[1]))  # for the jobs' own processes
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = [*tiny_sweep, "launcher=joblib", "hydra.launcher.n_jobs=1"]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "cardpose.train", *words, f"hydra.sweep.dir={killed}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while not runs(killed) and time.monotonic() < deadline:
        time.sleep(0.02)
    sweep.kill()
    sweep.wait()
    while processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not processes_in(tmp_path), "neither a worker nor a training lives on"
    assert runs(killed) == {"seed-0"}
    done = sweep_command(*words, f"hydra.sweep.dir={killed}", "resume_sweep=true")
    assert done.code == 0, done.err
    assert "2 jobs: 2 finished" in done.err
    for name in ("seed-0", "seed-1"):
        log = (killed / "logs" / f"{name}.log").read_text()
        finished = [line for line in log.splitlines() if line == str(killed / name)]
        assert len(finished) == 1 or name == "seed-0", f"{name} has run to its end once"
    assert sweep_command(*tiny_sweep, "launcher=slurm_local", f"hydra.sweep.dir={whole}").code == 0
    for folder in (killed, whole):
        assert sweep_command(str(folder), main=sweep_table.main).code == 0
    for table in ("table.csv", "runs.csv"):
        assert rows(killed / table) == rows(whole / table)
