"""What a command leaves in run folders, and what it never touches: the entries' own `main`, in an empty folder."""

import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from in_process import Command, Done
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig
from same_state import same

from cardpose import evaluate, train
from cardpose.common.errors import InputError
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.data.datamodule import CardDataModule
from cardpose.models import checkpoints
from cardpose.training import trainer as trainers

MAINS = {"train": train.main, "evaluate": evaluate.main}
TINY = (
    "data=folder",
    "data.root=footage",
    "data.size=[32,64]",
    "data.batch_size=4",
    "data.num_workers=0",
    "split.folds=3",
    "split.val_videos=1",
    "model.encoder.widths=[4,6,8]",
    "model.encoder.depths=[1,1,1]",
    "model.decoder.width=4",
    "model.head.hidden=8",
    "model.head.dropout=0.5",
    "optim.lr=0.01",
    "augment=strong",
    "trainer=cpu",
    "trainer.max_epochs=2",
)


class Break(Callback):
    """Ctrl-C in batch `batch` of epoch `epoch`; without a batch a crash before the epoch's first."""

    def __init__(self, epoch: int, batch: int | None = None) -> None:
        self.epoch, self.batch = epoch, batch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.batch is None and trainer.current_epoch == self.epoch:
            raise RuntimeError("power cut")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def global_state() -> Iterator[None]:
    """Put back what a command sets for its whole process."""
    root, on_ctrl_c = logging.getLogger(), signal.getsignal(signal.SIGINT)
    handlers, level, deterministic = (
        root.handlers[:],
        root.level,
        torch.are_deterministic_algorithms_enabled(),
    )
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    signal.signal(signal.SIGINT, on_ctrl_c)
    torch.use_deterministic_algorithms(deterministic)
    HydraConfig.instance().cfg = None


@pytest.fixture
def work(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; the footage lies in it."""
    folder = tmp_path / "work"
    shutil.copytree(tiny_folder, folder / "footage")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """command("train", *arguments, callback=None) is `python -m cardpose.train` with one callback more."""
    build_trainer = trainers.build_trainer

    def run(name: str, *arguments: str, callback: Callback | None = None) -> Done:
        def with_callback(
            cfg: DictConfig, callbacks: Sequence[Callback], *args: Any, **kwargs: Any
        ) -> Trainer:
            extra = [] if callback is None else [callback]
            return build_trainer(cfg, [*callbacks, *extra], *args, **kwargs)

        monkeypatch.setattr(trainers, "build_trainer", with_callback)
        monkeypatch.setattr(sys, "argv", [f"cardpose.{name}", *arguments])
        code: Any = 0
        try:
            MAINS[name]()
        except SystemExit as stop:
            code = stop.code
        except RuntimeError:  # Python's own traceback and exit code
            code = 1
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def interrupted(work: Path, command: Command) -> Path:
    """The folder of a run that Ctrl-C ended in its second epoch."""
    assert command("train", *TINY, callback=Break(epoch=1, batch=2)).code == INTERRUPTED
    return next((work / "outputs").glob("run_*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def test_the_resumed_command_ends_where_the_uninterrupted_one_does(work: Path, command: Command) -> None:
    assert command("train", *TINY, "name=whole").code == 0
    whole = next((work / "outputs").glob("whole_*"))
    for name, callback in {"crashed": Break(epoch=1), "stopped": Break(epoch=1, batch=2)}.items():
        assert command("train", *TINY, f"name={name}", callback=callback).code != 0
        run = next((work / "outputs").glob(f"{name}_*"))
        before = contents(run / ".hydra")
        done = command("train", f"resume={run.relative_to(work)}/checkpoints/last.ckpt")
        assert done.code == 0, done.err
        assert done.out.splitlines()[-1] == str(run), "it goes on in its own folder"
        assert contents(run / ".hydra").items() >= before.items(), "its configuration stays"
        assert metrics(run) == metrics(whole)
        assert_same_checkpoints(run, whole)


def assert_same_checkpoints(run: Path, other: Path) -> None:
    """Weights, their average, optimizer, schedule and place in the training."""
    parts = {
        "best": ("state_dict", "epoch", "global_step"),
        "last": ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "loops"),
    }
    for name in parts:
        mine, theirs = (checkpoints.read(folder / "checkpoints" / f"{name}.ckpt") for folder in (run, other))
        for part in parts[name]:
            assert same(mine[part], theirs[part]), f"{run.name}: {part} of {name}.ckpt"


def test_a_moved_run_is_resumed_where_it_lies_now(work: Path, command: Command, interrupted: Path) -> None:
    moved = Path(shutil.move(interrupted, work / "moved"))
    done = command("train", f"resume={moved}/checkpoints/last.ckpt")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == str(moved)
    assert metrics(moved)
    assert not interrupted.exists(), "nothing is written where it was"


def test_a_resume_keeps_the_split_when_footage_was_added(
    work: Path, command: Command, interrupted: Path
) -> None:
    split = (interrupted / "split.json").read_text()
    add_video(work / "footage", "videos/08.mp4", "videos/09.mp4", cards=9)
    done = command("train", f"resume={interrupted}/checkpoints/last.ckpt")
    assert done.code == 0, done.err
    assert (interrupted / "split.json").read_text() == split, "no tested video is trained on"


def add_video(footage: Path, source: str, target: str, cards: int) -> None:
    """Add a copy of a video with its labels."""
    shutil.copy(footage / source, footage / target)
    rows = (footage / "videos.csv").read_text().splitlines()
    header, row = rows[0].split(","), next(row for row in rows if row.startswith(source)).split(",")
    row[header.index("file")], row[header.index("cards")] = target, str(cards)
    (footage / "videos.csv").write_text("\n".join([*rows, ",".join(row)]) + "\n")
    document = json.loads((footage / "annotations.json").read_text())
    names = {image["id"]: image for image in document["images"] if image["video"] == source}
    for label in [label for label in document["annotations"] if label["image_id"] in names]:
        image = names[label["image_id"]]
        number = len(document["images"]) + 1000
        file = str(image["file_name"]).replace(Path(source).stem, Path(target).stem)
        document["images"].append({**image, "id": number, "video": target, "file_name": file})
        document["annotations"].append({**label, "id": number, "image_id": number, "cards": cards})
    (footage / "annotations.json").write_text(json.dumps(document))


def test_a_refused_resume_leaves_the_run_as_it_was(command: Command, interrupted: Path) -> None:
    last = interrupted / "checkpoints" / "last.ckpt"
    truncated = last.with_name("truncated.ckpt")
    truncated.write_bytes(last.read_bytes()[:1000])
    before = contents(interrupted)
    for mistake in ([f"resume={last}", "seed=3"], [f"resume={truncated}"]):
        done = command("train", *mistake)
        assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
        assert contents(interrupted) == before


def test_a_refused_resume_removes_no_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """The checkpoint's grandparent is no run folder here, but for all that it holds, it could be an empty one."""
    (tmp_path / "notes.log").write_text("mine")
    monkeypatch.chdir(tmp_path)
    for path in ("last.ckpt", "here/last.ckpt", "here/checkpoints/last.ckpt"):
        done = command("train", f"resume={path}")
        assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
        assert contents(tmp_path) == {"notes.log": b"mine"}


@pytest.mark.parametrize("there", ["mine.log", "train.log", "x.log/data.txt", ".hydra/notes.txt", ""])
def test_a_refused_run_removes_no_file_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, there: str
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    (mine / there).parent.mkdir(parents=True, exist_ok=True)
    mine.mkdir(exist_ok=True)
    if there:
        (mine / there).write_text("mine")
    done = command("train", *TINY, "data.root=none", "hydra.run.dir=mine")
    assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
    assert contents(tmp_path) == ({f"mine/{there}": b"mine"} if there else {})
    assert mine.is_dir(), "an empty folder of the user stays, too"


def test_a_run_that_fails_later_keeps_its_files(work: Path, command: Command) -> None:
    """A full disk in the second epoch, say: the checkpoints stay with the configuration and the log."""

    class Full(Callback):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 1:
                raise InputError("last.ckpt: the disk is full: make room")

    assert command("train", *TINY, callback=Full()).code == 2
    run = next((work / "outputs").glob("run_*"))
    assert contents(run).keys() >= {
        "train.log",
        "split.json",
        "checkpoints/last.ckpt",
        ".hydra/overrides.yaml",
    }


def test_the_printed_command_continues_from_any_path(work: Path, command: Command) -> None:
    """A path may hold =, commas, spaces and brackets."""
    arguments = (*TINY, "hydra.run.dir='outputs/0_loss.cards=2,seed=1 (b)'")
    done = command("train", *arguments, callback=Break(epoch=0, batch=1))
    assert done.code == INTERRUPTED, done.err
    words = shlex.split(done.err.partition("To resume: ")[2])
    assert words[:3] == ["python", "-m", "cardpose.train"]
    (override,) = OverridesParser.create().parse_overrides(words[3:])
    assert override.key_or_group == "resume"
    assert not override.is_sweep_override()
    assert Path(str(override.value())) == work / "outputs/0_loss.cards=2,seed=1 (b)/checkpoints/last.ckpt"


def test_evaluation_finds_footage_that_was_moved(work: Path, command: Command) -> None:
    assert command("train", *TINY, "trainer.max_epochs=1").code == 0
    run = next((work / "outputs").glob("run_*"))
    shutil.move(work / "footage", work / "elsewhere")
    assert command("evaluate", str(run)).code == 2
    done = command("evaluate", str(run), "--data", "elsewhere")
    assert not done.code, done.err
    tested = {key: value for key, value in metrics(run).items() if key.startswith("test/")}
    assert metrics(Path(done.out.splitlines()[-1])) == tested


def test_ctrl_c_in_a_terminal(work: Path) -> None:
    """The real process: exit code 130, no traceback, a checkpoint, and the command to go on as the last line."""
    call = [sys.executable, "-m", "cardpose.train", *TINY, "trainer.max_epochs=1000"]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not list(work.glob("outputs/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == INTERRUPTED, err
    assert "Traceback" not in err
    assert "Ctrl-C: stopping after this batch" in err
    last = next(work.glob("outputs/*/checkpoints/last.ckpt"))
    assert err.splitlines()[-1] == f"Interrupted. To resume: python -m cardpose.train resume={last}"
    assert checkpoints.read(last)["global_step"] > 0
    assert out == ""


def test_ctrl_c_before_the_training(work: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """While footage is read or the frame cache is built: one line, and no run folder is left."""

    def interrupted(self: CardDataModule) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CardDataModule, "prepare_data", interrupted)
    done = command("train", *TINY)
    assert done.code == INTERRUPTED
    assert done.err.splitlines()[-1] == "cardpose.train: interrupted: run the same command again"
    assert "Traceback" not in done.err
    assert not list(work.glob("outputs/run_*"))
