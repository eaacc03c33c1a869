"""What a launcher runs for each job of a sweep: one `cardpose.train` in a process of its own.

So a job that fails, whatever it does, takes no other with it, frees its memory, and leaves a run folder like any other;
and what launches the jobs (joblib's workers, a SLURM node's first process) stays small.
"""

import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.locks import wait_for
from cardpose.common.subprocesses import call
from cardpose.sweeps.folder import PRUNED, TRIAL, Job, failure
from cardpose.training.run_folder import is_finished, last_checkpoint, remove_half, train_command

STOP = ".stop"
"""In the sweep's logs/ after Ctrl-C: jobs that have not begun do not begin."""
OF_THE_SWEEP = ("launcher", "sweep", "resume_sweep")
"""Keys of the command line that no job has."""


def of_train(overrides: Sequence[str]) -> list[str]:
    """The overrides that a job has: without those that say how the sweep is run.

    >>> of_train(["seed=1", "launcher=joblib", "resume_sweep=true"])
    ['seed=1']
    """
    return [override for override in overrides if override.partition("=")[0] not in OF_THE_SWEEP]


def run_job(cfg: DictConfig) -> None:
    """Train the job whose overrides and folder Hydra has composed; the task that launchers get.

    How it went stands in the sweep's folder, see `sweeps.Job.outcome`.

    Raises:
        KeyboardInterrupt: Ctrl-C, where the jobs run one after another.
    """
    hydra = HydraConfig.get()
    run = Path(hydra.runtime.output_dir)
    job = Job(run.parent, run.name, tuple(of_train(hydra.overrides.task)))
    stop = job.log.parent / STOP
    if not stop.exists() and train(job):
        stop.touch()
    if stop.exists() and "basic_launcher" in hydra.launcher._target_:  # which would go on with the next job
        raise KeyboardInterrupt


def train(job: Job) -> bool:
    """Train a job that is not finished yet, from its last checkpoint where it has one.

    Where SLURM runs it by several tasks, each trains its part of the batch; the first keeps the folder.

    Returns:
        Whether Ctrl-C came.
    """
    task = int(os.environ.get("SLURM_PROCID", "0"))
    if task:
        with job.log.with_suffix(f".{task}.log").open("a", encoding="utf-8") as log:
            return _call(job, log, ())[1]
    with wait_for(job.lock) as lock, job.log.open("a", encoding="utf-8") as log:
        if is_finished(job.run):  # a process of an interrupted sweep has gone on with it
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
    """Run the training with its output in `log`: its exit code, and whether Ctrl-C came."""
    words = train_command(job.run, job.overrides)
    log.write(f"$ {shlex.join(words)}\n")
    log.flush()
    environment = os.environ | {"HYDRA_FULL_ERROR": "1", "PYTHONUNBUFFERED": "1"}
    if job.trial.is_file():
        environment[TRIAL] = str(job.trial)
    in_slurm: dict[str, Any] = {"preexec_fn": _leave_requeueing} if "SLURM_JOB_ID" in os.environ else {}
    return call(words, stdout=log, stderr=log, env=environment, pass_fds=inherited, **in_slurm)


def _leave_requeueing() -> None:
    """Have the training pass over the signal by which SLURM says that time is up: submitit queues the job again, and
    Lightning, which would, too, leaves a signal alone that is ignored."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
