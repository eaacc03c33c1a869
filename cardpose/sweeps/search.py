"""A search: Optuna proposes trials, each a job of the sweep, and learns from what they leave in their folders.

Search spaces are written as hydra-optuna-sweeper reads them; the loop is cardpose's own, since that plugin's begins
anew when it is started again and knows no pruning.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import plain
from cardpose.common.threads import cores
from cardpose.evaluation.report.folds import read_scores
from cardpose.models.builder import build
from cardpose.models.encoders.base import needs_extra
from cardpose.sweeps.folder import Job
from cardpose.sweeps.session import Session
from cardpose.sweeps.trials import note_trial
from cardpose.training.callbacks.prune import STUDY, open_storage

RESULTS = "optimization_results.yaml"
"""The best trial, as hydra-optuna-sweeper writes it."""


def check_optuna(choice: str) -> None:
    """Refuse a search without its libraries.

    Raises:
        InputError: names the extra that brings them.
    """
    for library in ("optuna", "hydra_plugins.hydra_optuna_sweeper"):
        try:
            import_module(library)
        except ImportError:
            raise needs_extra(f"sweep={choice}", "sweep") from None


def search_space(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Distributions of what is searched, and the overrides that all trials have.

    Args:
        overrides: of the configuration, then of the command line; the last one of a key counts.
    """
    from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

    last = {override.partition("=")[0]: override for override in overrides}
    space, fixed = create_params_from_overrides(list(last.values()))
    return space, [last[key] for key in last if key in fixed]


class Search:
    """One go at a search.

    Args:
        settings: of conf/sweep/optuna.yaml.
        session: of the sweep.
        overrides: see `search_space`.

    Raises:
        InputError: the storage is locked or of another search.
    """

    def __init__(self, settings: DictConfig, session: Session, overrides: Sequence[str]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.settings, self.session = settings, session
        self.at_once = settings.n_jobs if settings.n_jobs > 0 else cores()
        self.space, self.fixed = search_space(overrides)
        if not self.space:
            raise InputError("there is nothing to search: give an override as choice(...) or interval(...)")
        self.make_sampler: Callable[..., Any] = build(plain(settings.sampler), "hydra.sweeper.sampler")
        with storage_errors(settings.storage):
            self.study = optuna.create_study(
                study_name=STUDY,
                storage=open_storage(settings.storage, settings.storage_timeout),
                pruner=build(plain(settings.pruner), "hydra.sweeper.pruner"),
                direction="minimize",
                load_if_exists=True,
            )

    def run(self, launcher: Launcher) -> None:
        """Run what an interrupted go left, then new trials up to `n_trials`, `at_once` at a time.

        Raises:
            InputError: the storage is locked.
            KeyboardInterrupt: Ctrl-C.
        """
        while True:
            with storage_errors(self.settings.storage):
                trials = self._next()
                ended = sum(trial.state.is_finished() for trial in self.study.get_trials(deepcopy=False))
            self.session.bar.expect(self.settings.n_trials, ended)
            if not trials:
                break
            jobs = [self._job(trial) for trial in trials]
            todo = {job.name: job for job in jobs if not job.outcome()}
            self.session.launch(launcher, list(todo.values()))
            with storage_errors(self.settings.storage):
                for trial, job in zip(trials, jobs, strict=True):
                    self._tell(trial, job)
        self._write_best()

    def _next(self) -> list[Any]:
        """The trials of the next batch, those first that a killed go has begun."""
        import optuna

        trials = [
            optuna.trial.Trial(self.study, begun._trial_id)
            for begun in self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        ][: self.at_once]
        asked = len(self.study.get_trials(deepcopy=False))
        while len(trials) < self.at_once and asked < self.settings.n_trials:
            # Of the trial alone, so that a search that was killed proposes what it would have proposed.
            self.study.sampler = self.make_sampler(seed=self.settings.seed + asked)
            trials.append(self.study.ask())
            asked += 1
        for trial in trials:
            for name, distribution in self.space.items():
                trial._suggest(name, distribution)  # the value that it has, where it was suggested before
        return trials

    def _job(self, trial: Any) -> Job:
        proposed = [f"{name}={trial.params[name]}" for name in self.space]
        job = self.session.add([*self.fixed, *proposed], self.space.keys())
        note_trial(job, trial.number, self.settings)
        return job

    def _tell(self, trial: Any, job: Job) -> None:
        from optuna.trial import TrialState

        outcome, value = job.outcome(), math.nan
        if outcome == "finished":
            value = read_scores(job.run / "metrics.json").get(self.settings.objective, math.nan)
        if outcome == "pruned":
            self.study.tell(trial, state=TrialState.PRUNED)
        elif math.isnan(value):
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, value)

    def _write_best(self) -> None:
        try:
            best = self.study.best_trial
        except ValueError:  # none has finished
            return
        found = {"name": "optuna", "best_params": best.params, "best_value": best.value}
        OmegaConf.save(OmegaConf.create(found), self.session.folder / RESULTS)
        self.session.bar.say(f"Best {self.settings.objective} {best.value:.4g}: {shown(best.params)}")


def shown(params: Mapping[str, Any]) -> str:
    """Parameters of a trial as overrides.

    >>> shown({"model": "unet", "optim.lr": 0.003})
    'model=unet optim.lr=0.003'
    """
    return " ".join(f"{key}={value}" for key, value in params.items())


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Turn what SQLAlchemy and Optuna say of a storage into an `InputError` of one line."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        said = str(getattr(cause, "orig", None) or cause).splitlines()[0]
        mend = "wait until no other process writes to it" if "locked" in said else "choose another folder"
        raise InputError(f"{storage}: {said}: {mend}, then go on with resume_sweep=true") from None
    except ValueError as error:
        if "dynamic value space" not in str(error):
            raise
        raise InputError(
            f"{storage}: was begun with other choices: give the search space that it was begun with, or choose "
            "another hydra.sweep.dir"
        ) from None
