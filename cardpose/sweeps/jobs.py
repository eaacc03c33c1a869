"""Runs one job of a sweep, for any launcher: `cardpose.train` in a process of its own.

So a job that fails does not end another, frees its memory and leaves an ordinary run folder, and the process that
launches the jobs (a joblib worker, the first process of a SLURM node) stays small.
"""

import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.exits import PRUNED
from cardpose.common.locks import wait_for
from cardpose.common.subprocesses import call, job_of_worker
from cardpose.sweeps.folder import TRIAL, Job, failure
from cardpose.training.run_folder import is_finished, last_checkpoint, remove_half, train_command

STOP = ".stop"
"""File in the sweep's logs/ after Ctrl-C: no further job starts."""
OF_THE_SWEEP = ("launcher", "sweep", "resume_sweep")
"""Keys of the command line that are not passed to the jobs."""


def of_train(overrides: Sequence[str]) -> list[str]:
    """The overrides for the jobs: without those that configure the sweep.

    >>> of_train(["seed=1", "launcher=joblib", "resume_sweep=true"])
    ['seed=1']
    """
    return [override for override in overrides if override.partition("=")[0] not in OF_THE_SWEEP]


def run_job(cfg: DictConfig) -> None:
    """Train the job whose overrides and folder Hydra has composed; the task that launchers get.

    `Job.outcome` reads from the sweep's folder how it ended.

    Raises:
        KeyboardInterrupt: Ctrl-C, if the jobs run one after another.
    """
    hydra = HydraConfig.get()
    run = Path(hydra.runtime.output_dir)
    job = Job(run.parent, run.name, tuple(of_train(hydra.overrides.task)))
    stop = job.log.parent / STOP
    with job_of_worker():
        if not stop.exists() and train(job):
            stop.touch()
    if stop.exists() and "basic_launcher" in hydra.launcher._target_:  # which would start the next job
        raise KeyboardInterrupt


def train(job: Job) -> bool:
    """Train a job that is not finished, from its last checkpoint if it has one.

    If SLURM runs it as several tasks, each trains its part of the batch, and the first one locks the folder.

    Returns:
        Whether Ctrl-C came.
    """
    task = int(os.environ.get("SLURM_PROCID", "0"))
    if task:
        with job.log.with_suffix(f".{task}.log").open("a", encoding="utf-8") as log:
            return _call(job, log, ())[1]
    with wait_for(job.lock) as lock, job.log.open("a", encoding="utf-8") as log:
        if is_finished(job.run):  # by a process that outlived an interrupted sweep
            return False
        job.forget()
        if last_checkpoint(job.run) is None:
            remove_half(job.run)
        begun = log.tell()
        code, interrupted = _call(job, log, (lock,))
        if not interrupted and not is_finished(job.run):
            with job.log.open(encoding="utf-8", errors="replace") as file:
                file.seek(begun)
                reason = failure(code, file.read())
            job.note("pruned" if code == PRUNED else "failed", reason)
    return interrupted


def _call(job: Job, log: TextIO, inherited: tuple[int, ...]) -> tuple[int, bool]:
    """Run the training with its output in `log`; return its exit code and whether Ctrl-C came."""
    words = train_command(job.run, job.overrides)
    log.write(f"$ {shlex.join(words)}\n")
    log.flush()
    environment = os.environ | {"HYDRA_FULL_ERROR": "1", "PYTHONUNBUFFERED": "1"}
    if job.trial.is_file():
        environment[TRIAL] = str(job.trial)
    in_slurm: dict[str, Any] = {"preexec_fn": _leave_requeueing} if "SLURM_JOB_ID" in os.environ else {}
    return call(words, stdout=log, stderr=log, env=environment, pass_fds=inherited, **in_slurm)


def _leave_requeueing() -> None:
    """Ignore in the training the signal of SLURM's time limit: submitit requeues the job, and Lightning, which would
    requeue it too, leaves an ignored signal alone."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
