"""One go at a sweep: which folder, which jobs are still to run, and what came of them.

Whatever launches the jobs, what they leave in their folders counts, not what they return: a job may have been run by an
earlier go, by a process that outlived one, or on another machine.
"""

import shlex
import signal
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from cardpose.common.errors import InputError, first_line
from cardpose.common.files import replace_file
from cardpose.common.hydra_entry import FAILED, Exit, new_folder
from cardpose.common.hydra_words import composition_line, dotted_keys, path_override
from cardpose.common.locks import is_held
from cardpose.common.subprocesses import handling
from cardpose.evaluation.report.tables import check_begun
from cardpose.models.encoders.base import needs_extra
from cardpose.sweeps.folder import LOGS, NOTE, Job, job_name, job_name_of_0_1, only_sweep
from cardpose.sweeps.jobs import STOP, of_train
from cardpose.sweeps.progress import PERIOD, SweepBar

Overrides = Sequence[str]


def choose_folder(config: DictConfig) -> Path:
    """The folder of the sweep that `config` describes: a new one, or with resume_sweep the one that it goes on with.

    Args:
        config: composed for a multirun.

    Raises:
        InputError: the folder holds something else, or a sweep and resume_sweep is not set.
    """
    if config.resume:
        raise InputError("resume is for one run: go on with a sweep by resume_sweep=true")
    folder = Path(config.hydra.sweep.dir).absolute()
    if any(override.startswith("hydra.sweep.dir=") for override in config.hydra.overrides.hydra):
        if (folder / NOTE).is_file() and not config.resume_sweep:
            raise InputError(
                f"{folder}: holds a sweep: add resume_sweep=true to go on with it, or choose another hydra.sweep.dir"
            )
        if not (folder / NOTE).is_file() and folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: holds something else than a sweep: choose another hydra.sweep.dir")
        return folder
    earlier = newest_alike(config, folder.parent) if config.resume_sweep else None
    return earlier or new_folder(str(folder))


def enter(config: DictConfig) -> Path:
    """Choose the folder, write it into the configuration, and see that the launcher is installed.

    Raises:
        InputError: see `choose_folder`; or the launcher's library is missing.
    """
    check_installed(config.hydra.launcher, "launcher", config)
    folder = choose_folder(config)
    with open_dict(config):
        config.hydra.sweep.dir = str(folder)
    return folder


def check_installed(plugin: DictConfig, group: str, config: DictConfig) -> None:
    """Refuse a plugin of Hydra's that is not installed.

    Raises:
        InputError: names the extra that brings it.
    """
    library = plugin._target_.split(".")[:2]
    try:
        import_module(".".join(library))
    except ImportError:
        raise needs_extra(f"{group}={config.hydra.runtime.choices.get(group)}", "sweep") from None


def newest_alike(config: DictConfig, parent: Path) -> Path | None:
    """The newest sweep in `parent` that was begun by the same choices; the launcher may be another."""
    notes = parent.glob(f"*/{NOTE}")
    for note in sorted(notes, key=lambda note: note.stat().st_mtime, reverse=True):
        begun = OmegaConf.load(note).hydra.overrides.task
        if _choices(begun) == _choices(config.hydra.overrides.task):
            return note.parent
    return None


def _choices(overrides: Overrides) -> list[str]:
    return sorted(
        o for o in overrides if o.partition("=")[0] not in ("launcher", "resume_sweep", "skip_existing")
    )


@contextmanager
def session_in(folder: Path, config: DictConfig, loader: ConfigLoader) -> Iterator["Session"]:
    """A session of the sweep in `folder`, which no other sweep enters meanwhile; its report follows.

    Args:
        folder: of the sweep.
        config: composed for a multirun.
        loader: Hydra's.

    Raises:
        InputError: another sweep is in there, or a run of another configuration.
        KeyboardInterrupt: Ctrl-C, with a word on how to go on.
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
                raise KeyboardInterrupt(f"{done}. To go on: {in_shell(config, folder)}") from None
    jobs = list(session.jobs.values())
    failed = [job for job in jobs if job.outcome() == "failed"]
    for job in failed:
        where = f" ({from_here(job.log)})" if job.log.is_file() else ""
        bar.say(f"{job.name} failed: {job.reason()}{where}")
    bar.say(report(jobs))
    if failed:
        bar.say(f"To try again: {in_shell(config, folder)}")
    print(from_here(folder))
    if failed:
        raise Exit(FAILED)


class Session:
    """Composes, checks, launches and reports the jobs of a sweep.

    Args:
        config: composed for a multirun.
        loader: Hydra's.
        folder: of the sweep.
        bar: that shows how far it is.
    """

    def __init__(self, config: DictConfig, loader: ConfigLoader, folder: Path, bar: SweepBar) -> None:
        self.config, self.loader, self.folder, self.bar = config, loader, folder, bar
        self.jobs: dict[str, Job] = {}
        given = config.hydra.overrides.task
        self._of_the_sweep = [override for override in given if override not in of_train(given)]
        self._launched = 0

    def add(self, overrides: Overrides, swept: Collection[str]) -> Job:
        """A job of these overrides, once however often they come.

        One that cannot be composed fails here and is not run.

        Args:
            overrides: of the job.
            swept: keys in which the jobs differ; they name it.

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
            check_same(job.run, composed)
        return job

    def to_run(self) -> list[Job]:
        """The jobs that have neither finished nor failed yet."""
        return [job for job in self.jobs.values() if not job.outcome()]

    def launch(self, launcher: Launcher, jobs: Sequence[Job]) -> None:
        """Run jobs until each has ended, whatever happens to the launcher's processes.

        Raises:
            KeyboardInterrupt: Ctrl-C, once the trainings that it reached have left their checkpoints.
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
        try:
            with handling(signal.SIGINT, self._stop):
                launcher.launch(given, initial_job_idx=self._launched)
        except Exception as error:  # a worker died, or a node: the folders say what is done
            self.bar.say(f"the launcher broke off: {first_line(error)}")
            while any(is_held(job.lock) for job in jobs):
                time.sleep(PERIOD)
        self._launched += len(jobs)
        if (self.folder / LOGS / STOP).exists():
            raise KeyboardInterrupt
        for job in jobs:
            if not job.outcome():
                job.note(
                    "failed", f"ended without a word: see {from_here(job.log)} and what the launcher says"
                )
        self.bar.look()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C lets the jobs that run end, the second does not wait for them."""
        stop = self.folder / LOGS / STOP
        if stop.exists():
            raise KeyboardInterrupt
        stop.touch()
        self.bar.say(
            "Ctrl-C: no other job begins, those that run are waited for; press it again to leave at once"
        )


def check_same(run: Path, composed: DictConfig) -> None:
    """Refuse to go on with a run of another configuration.

    Raises:
        InputError: the folder `run` holds one.
    """
    saved = run / ".hydra" / "config.yaml"
    if not saved.is_file():
        return
    before, now = (_of_job(cfg) for cfg in (OmegaConf.load(saved), composed))
    check_begun(str(run), before, now, "choose another hydra.sweep.dir")


def _of_job(cfg: DictConfig | ListConfig) -> dict[str, Any]:
    """Every key that a run's configuration and its composed one have in common, not resolved."""
    container = OmegaConf.to_container(cfg)
    assert isinstance(container, dict)
    return {
        str(key): value
        for key, value in container.items()
        if key not in ("hydra", "resume_sweep", "skip_existing")
    }


def report(jobs: Sequence[Job]) -> str:
    """How many jobs there are, by how they ended.

    >>> report([Job(Path("none"), "seed=0"), Job(Path("none"), "seed=1")])
    '2 jobs: 0 finished, 2 not run'
    """
    ends = [job.outcome() for job in jobs]
    names = {"finished": "finished", "pruned": "pruned", "failed": "failed", "": "not run"}
    parts = [f"{ends.count(end)} {name}" for end, name in names.items() if end == "finished" or end in ends]
    return f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}: {', '.join(parts)}"


def from_here(path: Path) -> Path:
    """A path in the working directory as seen from there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def in_shell(config: DictConfig, folder: Path) -> str:
    """The command that goes on with a sweep."""
    given = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
    own = ("resume_sweep=", "hydra.sweep.dir=", "hydra.mode=")
    words = [override for override in given if not override.startswith(own)]
    ends = ["resume_sweep=true", path_override("hydra.sweep.dir", from_here(folder))]
    return shlex.join(["python", "-m", "cardpose.train", "-m", *words, *ends])
