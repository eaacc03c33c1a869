"""Commands that are killed: no process lives on, and what they were replacing is whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cardpose.models import checkpoints

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell a child")
SWEEP = """
import pathlib, sys, time
import joblib
from cardpose.common.subprocesses import call, job_of_worker, start_worker

def job(k):
    pathlib.Path(f"{k}").write_text("")
    if "early" in sys.argv:
        time.sleep(600)
    with job_of_worker():
        call([sys.executable, "-c", "import time; time.sleep(600)"])

joblib.Parallel(2, initializer=start_worker)(joblib.delayed(job)(k) for k in range(2))
"""


def processes_in(folder: Path) -> list[int]:
    """The processes that run in a folder, but for those that have ended and are not yet collected."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and os.readlink(process / "cwd") == str(folder):
                found.append(int(process.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


@linux_only
@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGTERM, []), (signal.SIGKILL, []), (signal.SIGKILL, ["early"])],
    ids=["SIGTERM", "SIGKILL", "before-training"],
)
def test_no_worker_outlives_a_sweep_that_is_killed(
    tmp_path: Path, number: signal.Signals, words: list[str]
) -> None:
    """Two workers of joblib, with a training each or still importing; joblib has them wait for minutes for jobs."""
    pytest.importorskip("joblib")
    sweep = subprocess.Popen([sys.executable, "-c", SWEEP, *words], cwd=tmp_path, stderr=subprocess.DEVNULL)
    processes = 3 if words else 5
    deadline = time.monotonic() + 100
    while len(processes_in(tmp_path)) < processes or not {"0", "1"} <= set(os.listdir(tmp_path)):
        assert time.monotonic() < deadline, "two workers and two trainings do not start"
        time.sleep(0.02)
    sweep.send_signal(number)
    sweep.wait()
    while left := processes_in(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_a_checkpoint_is_whole_when_its_command_is_killed_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoints.write({"epoch": 1}, path)
    if (child := os.fork()) == 0:
        write = Path.write_bytes

        def write_half(self: Path, data: memoryview) -> int:
            write(self, bytes(data[: len(data) // 2]))
            os.kill(os.getpid(), signal.SIGKILL)
            return 0

        Path.write_bytes = write_half  # type: ignore[assignment, method-assign]
        checkpoints.write({"epoch": 2}, path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert len(list(tmp_path.iterdir())) == 2, "and litter"
    checkpoints.write({"epoch": 3}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 3}
    assert list(tmp_path.iterdir()) == [path]
