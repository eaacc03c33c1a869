"""Progress of a sweep: a line for each job that ends and, on a terminal, a bar with the running jobs."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cardpose.common.locks import is_held
from cardpose.common.scores import OBJECTIVE, score_of
from cardpose.evaluation.report.folds import read_scores
from cardpose.sweeps.folder import Job

PERIOD = 1.0
"""Seconds between two reads of the folders."""
SHOWN = (OBJECTIVE, "val/corner_px_median")
TAIL = 400
"""Bytes at the end of a log in which its last line is looked for."""


class SweepBar(AbstractContextManager):
    """Reads the folders of jobs, so that it does not matter which process or machine runs them."""

    def __init__(self) -> None:
        columns = (
            TextColumn("jobs"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("left  {task.fields[now]}", markup=False),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=2)
        self._task = self._bar.add_task("", total=None, now="")
        self._jobs: list[Job] = []
        self._looking = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "SweepBar":
        self._bar.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self.look()
        self._bar.stop()

    def expect(self, total: int, done: int) -> None:
        """Set the number of jobs, and how many of them ended in an earlier session."""
        self._bar.update(self._task, total=total, completed=done)

    def watch(self, jobs: Sequence[Job]) -> None:
        """Add jobs to watch."""
        with self._looking:
            self._jobs += jobs

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _watch(self) -> None:
        while not self._closed.wait(PERIOD):
            self.look()

    def look(self) -> None:
        """Report the jobs that have ended since the last call, and the last log line of a running one."""
        with self._looking:
            for job in [job for job in self._jobs if job.outcome()]:
                self._jobs.remove(job)
                self._bar.advance(self._task)
                self.print(job_line(job))
            running = [job for job in self._jobs if is_held(job.lock)]
        names = ", ".join(job.name for job in running)
        last = last_line(running[-1]) if running else ""
        self._bar.update(self._task, now=f"{names}: {last}" if last else names)


def job_line(job: Job) -> str:
    """One line on a job that has ended."""
    outcome = job.outcome()
    if outcome != "finished":
        return f"{job.name}: {outcome}: {job.reason()}"
    scores = read_scores(job.run / "metrics.json")
    shown = [score_of(key).sentence(scores[key]) for key in SHOWN if key in scores]
    return f"{job.name}: {', '.join(shown)}"


def last_line(job: Job) -> str:
    """The last whole line of a job's log."""
    with job.log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - TAIL))
        lines = file.read().decode("utf-8", errors="replace").split("\n")[:-1]
    return lines[-1].strip() if lines else ""
