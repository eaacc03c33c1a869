"""Folders, names and locks of the jobs of a sweep."""

import subprocess
import sys
from pathlib import Path

import pytest

from cardpose.common.locks import is_held, wait_for
from cardpose.sweeps import jobs as sweep_jobs
from cardpose.sweeps.folder import Job, job_name


def test_names_are_short_distinct_and_fit_for_a_file() -> None:
    many = [[f"data.root=../a/{'b' * 300}{i}", "+x.y='a b'", f"seed={i}"] for i in range(50)]
    names = {job_name(overrides) for overrides in many}
    assert len(names) == 50
    assert all(len(name) < 200 and not set(name) & set("/ =,'[]") for name in names)
    assert job_name(["seed=1"]) == "seed-1"
    assert not job_name(["~callbacks.pictures"]).startswith(("~", ".", "-"))


def test_a_training_keeps_its_folder_when_its_sweep_is_killed(tmp_path: Path) -> None:
    """The lock goes on in the process that inherited it; another waits until that ends."""
    job = Job(tmp_path, "seed=0")
    job.log.parent.mkdir()
    with wait_for(job.lock) as lock:
        orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    assert is_held(job.lock)
    orphan.communicate(b"\n")
    assert not is_held(job.lock)


def test_slurms_tasks_share_a_job_and_leave_the_queue_to_submitit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second task does not wait for the first one's lock; neither training hears the signal of the time limit."""
    job = Job(tmp_path, "seed=0")
    job.log.parent.mkdir()
    say = "import signal; print(signal.getsignal(signal.SIGUSR1).name)"
    monkeypatch.setattr(sweep_jobs, "train_command", lambda run, overrides: [sys.executable, "-c", say])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with wait_for(job.lock):
        monkeypatch.setenv("SLURM_PROCID", "1")
        assert sweep_jobs.train(job) is False
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert sweep_jobs.train(job) is False
    for log in (job.log, job.log.with_suffix(".1.log")):
        assert log.read_text().splitlines()[-1] == "SIG_IGN"
