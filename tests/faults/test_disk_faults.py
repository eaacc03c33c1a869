"""Full, read-only and shared disks, damaged files, and trainings that cannot go well: a case of each kind.

A command that cannot do its work prints one line, exits with code 2, and leaves nothing half-written.
"""

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from full_disk import largest_file
from in_process import Command, Done

from cardpose import (
    bench,
    calibrate,
    check,
    convert,
    evaluate,
    export,
    predict,
    subsample,
    suggest,
    synthesize,
    train,
)
from cardpose.common.files import new_folder, replace_file
from cardpose.data import loading
from cardpose.models import checkpoints

OLD = Path(__file__).parents[1] / "fixtures" / "v0_1_0" / "run" / "checkpoints" / "best.ckpt"
TINY = (
    *("data=folder", "data.root=footage", "data.size=[32,64]", "data.batch_size=4", "data.num_workers=0"),
    *("split.folds=3", "split.val_videos=1", "heatmap.stride=2", "heatmap.sigma=1", "trainer=cpu"),
    *("model.encoder.widths=[4,8,8]", "model.encoder.depths=[1,1,1]", "model.decoder.width=4"),
    *("model.head.hidden=8", "logger=csv", "trainer.max_epochs=2"),
)
TOOLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "predict": (predict.main, ("clip.mp4", "--model", "old.ckpt", "--overlay", "--out")),
    "evaluate": (evaluate.main, ("old.ckpt", "--data", "footage", "--split", "all", "--out")),
    "calibrate": (
        calibrate.main,
        ("old.ckpt", "--data", "footage", "--clips", "videos/08.mp4", "videos/30.mp4", "--out"),
    ),
    "export": (
        export.main,
        ("old.ckpt", "--format", "torch", "--data", "footage", "--split", "all", "--frames", "2", "--out"),
    ),
    "convert": (convert.main, ("footage", "--out")),
    "subsample": (subsample.main, ("clip.mp4", "--out")),
    "suggest": (suggest.main, ("clips", "--model", "old.ckpt", "-n", "2", "--out")),
    "check": (check.main, ("footage", "--out")),
}
"""Each tool's words but for the path that it writes."""


@pytest.fixture
def work(tiny_folder: Path, make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: Any) -> Path:
    """The working directory: footage, a clip and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "GIT_DIR", str(tmp_path / "none")
    )  # git, cut off by `largest_file`, would leave its lock
    Path("footage").symlink_to(tiny_folder)
    make_clip(tmp_path / "clip.mp4")
    make_clip(tmp_path / "clips" / "videos" / "20_cards.mp4")
    (tmp_path / "clips" / "videos.csv").write_text("file,cards\nvideos/20_cards.mp4,20\n")
    shutil.copy(OLD, "old.ckpt")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder, but for the frame cache, lock files, and what may stay of an interrupted `suggest`."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "cache" not in path.parts and ".lock" not in path.name
    }


def refused(done: Done) -> str:
    """The one line of a command that was refused."""
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    line = done.err.strip().splitlines()[-1]
    assert line.startswith("cardpose"), done.err
    return line


@pytest.mark.parametrize("tool", ["predict", "evaluate", "calibrate", "export", "convert", "suggest"])
def test_a_full_disk_is_one_line_and_leaves_nothing(work: Path, in_process: Command, tool: str) -> None:
    main, words = TOOLS[tool]
    before = content(work)
    with largest_file(2000):
        done = in_process(main, *words, "out/result")
    assert "raise the limit on file sizes" in refused(done)
    left = content(work).keys() - before.keys()
    assert not [name for name in left if "partial" in name or not name.startswith("out/result/")], left


@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_in_a_folders_place_is_one_line(work: Path, in_process: Command, tool: str) -> None:
    main, words = TOOLS[tool]
    Path("mine").write_text("mine")
    before = content(work)
    assert "mine" in refused(in_process(main, *words, "mine/result"))
    assert content(work) == before


@pytest.mark.parametrize("entry", [train, bench])
def test_no_place_for_a_run_folder_is_one_line(work: Path, in_process: Command, entry: Any) -> None:
    """The folder of runs is a file, or read-only: Hydra meets it as it resolves the name of the run."""
    Path("outputs").write_text("mine")
    line = refused(in_process(entry.main, *(TINY if entry is train else ())))
    assert re.search(r"outputs: .*: choose another hydra\.run\.dir$", line), line
    assert Path("outputs").read_text() == "mine"


def test_synthesize_in_a_folders_place(work: Path, in_process: Command) -> None:
    Path("sheet.png").mkdir()
    words = ("clips=1", "frames_per_clip=1", "width=64", "height=64", "scene=quick")
    assert "sheet.png: Is a directory" in refused(in_process(synthesize.main, *words, "preview=sheet.png"))
    with largest_file(300):
        line = refused(in_process(synthesize.main, *words, "out=syn", "workers=1"))
    assert "raise the limit on file sizes" in line
    assert not list(work.rglob("*.partial"))


def test_a_training_on_a_full_disk_keeps_the_last_checkpoint(work: Path, in_process: Command) -> None:
    assert in_process(train.main, *TINY, "trainer.max_epochs=1", "hydra.run.dir=whole").code == 0
    last = Path("whole/checkpoints/last.ckpt")
    with largest_file(last.stat().st_size // 2):
        assert "raise the limit on file sizes" in refused(in_process(train.main, *TINY, "hydra.run.dir=half"))
        Path("whole/metrics.json").unlink()
        before = last.read_bytes()
        in_process(train.main, f"resume={last}")
    assert last.read_bytes() == before
    assert not [*Path("half/checkpoints").glob(".*"), *Path("half/checkpoints").glob("*.ckpt")]
    assert "holds a run: choose another" in refused(in_process(train.main, *TINY, "hydra.run.dir=whole"))


def test_a_run_folder_that_cannot_be(work: Path, in_process: Command) -> None:
    Path("mine").write_text("mine")
    assert "mine/run: Not a directory" in refused(in_process(train.main, *TINY, "hydra.run.dir=mine/run"))
    Path("outputs").write_text("mine")
    assert "outputs" in refused(in_process(train.main, *TINY))
    assert Path("outputs").read_text() == Path("mine").read_text() == "mine"


def test_two_commands_do_not_share_a_run_folder(work: Path, in_process: Command) -> None:
    hold = "import fcntl, os; fcntl.flock(os.open('run', 0), fcntl.LOCK_EX); print(flush=True); input()"
    Path("run").mkdir()
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    assert "another command runs in this folder" in refused(
        in_process(train.main, *TINY, "hydra.run.dir=run")
    )
    assert content(Path("run")) == {}
    other.communicate(b"\n")


def test_a_training_that_diverges_ends_with_an_error(work: Path, in_process: Command) -> None:
    done = in_process(train.main, *TINY, "optim.lr=1e30", "hydra.run.dir=run")
    assert "the training diverged" in refused(done)
    assert "lower optim.lr" in done.err
    for path in Path("run/checkpoints").glob("*.ckpt"):
        checkpoints.check_finite(torch.load(path, weights_only=True)["state_dict"])


def test_no_shared_memory_names_the_key(work: Path, in_process: Command, monkeypatch: Any) -> None:
    def no_semaphore() -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing, "Lock", no_semaphore)
    words = (*TINY, "data.num_workers=1")
    assert "set data.num_workers=0" in refused(in_process(train.main, *words, "hydra.run.dir=run"))
    monkeypatch.undo()
    with pytest.raises(Exception, match=r"data\.num_workers=2: the workers need .* set data\.num_workers=0"):
        loading.check_shared_memory(2, 10**15)


def test_one_video_gets_advice_that_can_be_followed(work: Path, in_process: Command) -> None:
    document = json.loads(Path("footage/annotations.json").read_text())
    shutil.copytree("footage/videos", "one/videos", ignore=lambda _, names: set(names) - {"17.mp4"})
    kept = {image["id"] for image in document["images"] if image["video"] == "videos/17.mp4"}
    document["images"] = [image for image in document["images"] if image["id"] in kept]
    document["annotations"] = [label for label in document["annotations"] if label["image_id"] in kept]
    Path("one/annotations.json").write_text(json.dumps(document))
    Path("one/videos.csv").write_text("file,cards\nvideos/17.mp4,17\n")
    words = (*TINY, "data.root=one", "data.batch_size=1", "trainer.max_epochs=1", "hydra.run.dir=run")
    others = tuple(word for word in words if not word.startswith("split."))
    for given in (words, (*words, "split.folds=1"), (*others, "split=by_video_fraction")):
        line = refused(in_process(train.main, *given))
        assert "1 labelled video, 3 are needed" in line
        assert "train with split=random" in line
    assert in_process(train.main, *others, "split=random").code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("experiment=quick", "split=random", "debug=smoke"),
        ("debug=smoke", "split=file", "split.path=split.json", "experiment=quick"),
        ("split=all", "debug=smoke", "experiment=quick"),
    ],
    ids=lambda words: next(word for word in words if word.startswith("split=")),
)
def test_the_quick_experiment_goes_with_every_split(
    work: Path, in_process: Command, words: tuple[str, ...]
) -> None:
    videos = {part: {f"videos/{name}.mp4": "all"} for part, name in (("val", "08"), ("test", "17"))}
    Path("split.json").write_text(json.dumps({"train": {"videos/01.mp4": "all"}, **videos}))
    others = (word for word in TINY if not word.startswith(("split.", "trainer.max_epochs")))
    done = in_process(train.main, *words, *others, "hydra.run.dir=run")
    if "split=all" in words:
        assert "choose split=by_video or random" in refused(done)
    else:
        assert done.code == 0, done.err
        assert Path("run/metrics.json").is_file()


def test_a_split_file_is_judged_by_what_it_tests(work: Path, in_process: Command) -> None:
    """Fewer training frames than a batch, and training videos that are not there."""
    split = {"train": {"videos/01.mp4": [0], "gone": "all"}, "val": {}, "test": {"videos/08.mp4": "all"}}
    Path("split.json").write_text(json.dumps(split))
    words = ("old.ckpt", "--data", "footage", "--split", "split.json", "--out", "report")
    assert in_process(evaluate.main, *words).code == 0
    rows = Path("report/videos.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["videos/08.mp4"]


def test_litter_of_killed_commands_goes_and_files_of_others_stay(tmp_path: Path) -> None:
    """What a process that still runs is writing stays, too."""
    target, folder = tmp_path / "a.csv", tmp_path / "frames"
    hold = (
        "from cardpose.common.files import replace_file\n"
        f"with replace_file({str(target)!r}): print(flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    (tmp_path / ".a.csv.77.partial").write_text("litter")
    (tmp_path / ".frames.77.partial").mkdir()
    (tmp_path / ".frames.77.partial" / "0.jpg").write_text("litter")
    (tmp_path / ".other.77.partial").write_text("mine")
    (tmp_path / ".a.csv.partial").write_text("mine")
    with replace_file(target) as path, new_folder(folder):
        path.write_text("new")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.csv", "frames", ".other.77.partial", ".a.csv.partial", f".a.csv.{other.pid}.partial"}
    other.communicate(b"\n")
    assert target.read_text() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell a child")
def test_a_command_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    child = (
        "import os, time, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    parent = (
        f"import sys; from cardpose.common.subprocesses import call; call([sys.executable, '-c', {child!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stderr=subprocess.DEVNULL)
    _wait(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text() != "")
    pid = int((tmp_path / "pid").read_text())
    process.kill()
    process.wait()
    _wait(
        lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
    )


def _wait(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("did not happen")


def test_output_to_a_full_disk(work: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("the system has no /dev/full")
    words = [sys.executable, "-m", "cardpose", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "No space left on device" in done.stderr
