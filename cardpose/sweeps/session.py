"""One session of a sweep: which folder, which jobs are still to run, and how they ended.

Hydra's launchers run the jobs; they neither continue a sweep nor survive a job that fails, so this does. Only what the
jobs leave in their folders counts, not what a launcher returns: a job may have been run by an earlier session, by a
process that outlived one, or on another machine.
"""

import shlex
import signal
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from cardpose.common.errors import InputError, first_line, needs_extra
from cardpose.common.exits import FAILED
from cardpose.common.files import replace_file
from cardpose.common.hydra_entry import Exit, new_folder, plain
from cardpose.common.hydra_words import composition_line, dotted_keys, path_override
from cardpose.common.json_files import read_yaml
from cardpose.common.locks import is_held
from cardpose.common.renamed import rename
from cardpose.common.subprocesses import handling, start_worker
from cardpose.evaluation.report.tables import check_begun
from cardpose.models.migrations import migrate
from cardpose.sweeps.folder import LOGS, NOTE, Job, job_name, job_name_of_0_1, only_sweep
from cardpose.sweeps.jobs import STOP, of_train
from cardpose.sweeps.progress import PERIOD, SweepBar

Overrides = Sequence[str]
RESUME = "resume_sweep"
"""The key that continues a sweep."""


def enter(config: DictConfig) -> Path:
    """The folder of the sweep that `config` describes, which is also written into it.

    It is a new one; with resume_sweep the newest of the same choices; or the one in hydra.sweep.dir.

    Raises:
        InputError: the launcher's extra is not installed; the folder holds something else, or a sweep that
            resume_sweep does not ask for.
    """
    try:
        import_module(".".join(config.hydra.launcher._target_.split(".")[:2]))
    except ImportError:
        raise needs_extra(f"launcher={config.hydra.runtime.choices.launcher}", "sweep") from None
    if config.resume:
        raise InputError("resume is for one run: continue a sweep with resume_sweep=true")
    folder = Path(config.hydra.sweep.dir).absolute()
    if any(override.startswith("hydra.sweep.dir=") for override in config.hydra.overrides.hydra):
        if (folder / NOTE).is_file() and not config.resume_sweep:
            raise InputError(
                f"{folder}: holds a sweep: add resume_sweep=true to continue it, or choose another hydra.sweep.dir"
            )
        if not (folder / NOTE).is_file() and folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: holds something else than a sweep: choose another hydra.sweep.dir")
    else:
        same = newest_of_same_choices(config, folder.parent) if config.resume_sweep else None
        folder = same or new_folder(str(folder))
    with open_dict(config):
        config.hydra.sweep.dir = str(folder)
    return folder


def newest_of_same_choices(config: DictConfig, parent: Path) -> Path | None:
    """The newest sweep in `parent` that was begun with the same overrides; the launcher may differ."""

    def choices(overrides: Overrides) -> list[str]:
        return sorted(
            word for word in map(rename, overrides) if word.partition("=")[0] not in ("launcher", RESUME)
        )

    wanted = choices(config.hydra.overrides.task)
    notes = sorted(parent.glob(f"*/{NOTE}"), key=lambda note: note.stat().st_mtime)
    same = []
    for note in notes:
        with suppress(InputError, OmegaConfBaseException, AttributeError, TypeError):  # one that is damaged
            if choices(read_yaml(note, DictConfig).hydra.overrides.task) == wanted:
                same.append(note)
    return same[-1].parent if same else None


@contextmanager
def session_in(folder: Path, config: DictConfig, loader: ConfigLoader) -> Iterator["Session"]:
    """A session of the sweep in `folder`, which no other sweep enters meanwhile; then its report.

    Raises:
        InputError: another sweep runs in the folder, or it holds a run of another configuration.
        KeyboardInterrupt: Ctrl-C, with the command that continues.
        Exit: a job failed.
    """
    with only_sweep(folder):
        if not (folder / NOTE).is_file():
            with replace_file(folder / NOTE) as temporary:
                OmegaConf.save(config, temporary)
        with SweepBar() as bar:
            session = Session(config, loader, folder, bar)
            try:
                yield session
            except KeyboardInterrupt:
                done = report(list(session.jobs.values()))
                raise KeyboardInterrupt(f"{done}. To continue: {in_shell(config, folder)}") from None
    jobs = list(session.jobs.values())
    failed = [job for job in jobs if job.outcome() == "failed"]
    for job in failed:
        log = f" ({from_here(job.log)})" if job.log.is_file() else ""
        bar.print(f"{job.name} failed: {job.reason()}{log}")
    bar.print(report(jobs))
    if failed:
        bar.print(f"To try again: {in_shell(config, folder)}")
    print(from_here(folder))
    if failed:
        raise Exit(FAILED)


class Session:
    """Composes, checks and launches the jobs of a sweep."""

    def __init__(self, config: DictConfig, loader: ConfigLoader, folder: Path, bar: SweepBar) -> None:
        self.config, self.loader, self.folder, self.bar = config, loader, folder, bar
        self.jobs: dict[str, Job] = {}
        given = config.hydra.overrides.task
        self._of_the_sweep = [override for override in given if override not in of_train(given)]
        self._launched = 0

    def add(self, overrides: Overrides, swept: Collection[str]) -> Job:
        """The job of these overrides; the same one for the same overrides.

        A job that cannot be composed fails here and is not run.

        Args:
            swept: keys in which the jobs differ; its name consists of them.

        Raises:
            InputError: its folder holds a run of another configuration.
        """
        mine = of_train(overrides)
        named = [override for override in mine if override.partition("=")[0] in swept]
        name, name_of_0_1 = job_name(named or mine), job_name_of_0_1(named or mine)
        old = (self.folder / name_of_0_1).is_dir() or (self.folder / LOGS / f"{name_of_0_1}.log").is_file()
        job = Job(self.folder, name_of_0_1 if old else name, tuple(mine))
        if job.name in self.jobs:
            return self.jobs[job.name]
        self.jobs[job.name] = job
        if not is_held(job.lock):
            job.forget()
        try:
            composed = self.loader.load_sweep_config(self.config, [*mine, *self._of_the_sweep])
        except (HydraException, OmegaConfBaseException) as error:
            job.note("failed", composition_line(error, dotted_keys(OmegaConf.to_container(self.config))))
        else:
            check_same(job, composed)
        return job

    def to_run(self) -> list[Job]:
        """The jobs that have not ended yet."""
        return [job for job in self.jobs.values() if not job.outcome()]

    def launch(self, launcher: Launcher, jobs: Sequence[Job]) -> None:
        """Run jobs until each has ended, also if the launcher's processes die.

        Raises:
            KeyboardInterrupt: Ctrl-C, after the running trainings have saved their checkpoints.
        """
        if not jobs:
            return
        (self.folder / LOGS / STOP).unlink(missing_ok=True)
        self.bar.watch(jobs)
        hidden = (
            *self._of_the_sweep,
            path_override("hydra.sweep.dir", self.folder),
            "hydra/job_logging=none",
            "hydra.output_subdir=null",
        )
        given = [
            [*job.overrides, *hidden, path_override("hydra.sweep.subdir", Path(job.name))] for job in jobs
        ]
        if (joblib := getattr(launcher, "joblib", None)) is not None:  # the arguments of `joblib.Parallel`
            joblib["initializer"] = start_worker
        try:
            with handling(signal.SIGINT, self._stop):
                launcher.launch(given, initial_job_idx=self._launched)
        except Exception as error:  # a worker or a node died: the folders show which jobs have ended
            self.bar.print(f"the launcher failed: {first_line(error)}")
            while any(is_held(job.lock) for job in jobs):
                time.sleep(PERIOD)
        self._launched += len(jobs)
        if (self.folder / LOGS / STOP).exists():
            raise KeyboardInterrupt
        for job in jobs:
            if not job.outcome():
                job.note(
                    "failed", f"ended without a result: see {from_here(job.log)} and the launcher's output"
                )
        self.bar.look()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C waits for the running jobs, the second does not."""
        stop = self.folder / LOGS / STOP
        if stop.exists():
            raise KeyboardInterrupt
        stop.touch()
        self.bar.print(
            "Ctrl-C: waiting for the running jobs, no other is started; press it again to leave at once"
        )


def check_same(job: Job, composed: DictConfig) -> None:
    """Refuse to continue a run of another configuration.

    Raises:
        InputError: the job's folder holds one.
    """
    saved = job.run / ".hydra" / "config.yaml"
    if not saved.is_file():
        return
    try:
        begun, now = (_of_the_run(config) for config in (read_yaml(saved, DictConfig), composed))
    except OmegaConfBaseException as error:
        raise InputError(f"{saved}: is damaged ({first_line(error)}): restore it") from None
    check_begun(str(job.run), begun, now, "choose another hydra.sweep.dir")


def _of_the_run(composed: Any) -> dict[str, Any]:
    """A composed configuration, resolved, without what each session decides for itself."""
    config = OmegaConf.masked_copy(composed, [key for key in composed if key not in ("hydra", RESUME)])
    OmegaConf.update(config, "paths.run", "")
    return {key: value for key, value in migrate(plain(config)).items() if key != RESUME}


def report(jobs: Sequence[Job]) -> str:
    """The number of jobs by outcome.

    >>> report([Job(Path("none"), "seed=0"), Job(Path("none"), "seed=1")])
    '2 jobs: 0 finished, 2 not run'
    """
    ends = [job.outcome() for job in jobs]
    names = {"finished": "finished", "pruned": "pruned", "failed": "failed", "": "not run"}
    parts = [f"{ends.count(end)} {name}" for end, name in names.items() if end == "finished" or end in ends]
    return f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}: {', '.join(parts)}"


def from_here(path: Path) -> Path:
    """A path relative to the working directory if it lies there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def in_shell(config: DictConfig, folder: Path) -> str:
    """The command that continues a sweep."""
    given = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
    own = (f"{RESUME}=", "hydra.sweep.dir=", "hydra.mode=")
    words = [override for override in given if not override.startswith(own)]
    ends = ["resume_sweep=true", path_override("hydra.sweep.dir", from_here(folder))]
    return shlex.join(["python", "-m", "cardpose.train", "-m", *words, *ends])
