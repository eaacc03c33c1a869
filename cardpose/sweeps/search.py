"""A search: Optuna proposes trials, each a job of the sweep, and learns from the scores in their folders.

Search spaces are overrides in Hydra's own notation: choice(a, b), range(1, 5), interval(0.1, 1.0),
tag(log, interval(0.1, 10)).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from cardpose.common.errors import InputError, needs_extra
from cardpose.common.threads import cores
from cardpose.evaluation.report.folds import read_scores
from cardpose.sweeps.folder import Job
from cardpose.sweeps.session import Session
from cardpose.sweeps.trials import note_trial, plugin
from cardpose.training.callbacks.prune import STUDY, open_storage

RESULTS = "optimization_results.yaml"
"""The best trial: its parameters and its objective."""
STORAGE_OF_0_1 = "search.db"


def check_optuna(choice: str) -> None:
    """Refuse a search without its library.

    Raises:
        InputError: names the extra that brings it.
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise needs_extra(f"sweep={choice}", "sweep") from None


def search_space(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Optuna distributions of what is searched, and the overrides that all trials have.

    Args:
        overrides: of the configuration, then of the command line; the last one of a key counts.
    """
    last = {override.partition("=")[0]: override for override in overrides}
    parsed = OverridesParser.create().parse_overrides(list(last.values()))
    searched = [override for override in parsed if override.is_sweep_override()]
    fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    return {override.get_key_element(): distribution(override) for override in searched}, fixed


def distribution(override: Override) -> Any:
    """The Optuna distribution of a sweep override: integers for whole bounds, floats otherwise.

    >>> parse = OverridesParser.create().parse_override
    >>> distribution(parse("x=range(1,5)")), distribution(parse("x=tag(log,interval(0.1,10))"))
    (IntDistribution(high=4, log=False, low=1, step=1), FloatDistribution(high=10.0, log=True, low=0.1, step=None))
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        whole = isinstance(low, int) and isinstance(high, int)
        return (IntDistribution if whole else FloatDistribution)(low, high, log="log" in value.tags)
    if isinstance(value, RangeSweep) and not value.shuffle:
        values, step = list(value.range()), abs(value.step)
        if all(isinstance(number, int) for number in values):
            return IntDistribution(min(values), max(values), step=step)
        return FloatDistribution(float(min(values)), float(max(values)), step=step)
    return CategoricalDistribution(list(override.sweep_iterator(transformer=Transformer.encode)))


class Search:
    """One session of a search.

    Args:
        settings: of conf/sweep/optuna.yaml.
        overrides: see `search_space`.

    Raises:
        InputError: nothing is searched, or the storage cannot be read or holds another search.
    """

    def __init__(self, settings: DictConfig, session: Session, overrides: Sequence[str]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.settings, self.session = settings, session
        self.at_once = settings.n_jobs if settings.n_jobs > 0 else cores()
        self.space, self.fixed = search_space(overrides)
        if not self.space:
            raise InputError("sweep: nothing to search: give an override as choice(...) or interval(...)")
        if (session.folder / STORAGE_OF_0_1).is_file():
            raise InputError(
                f"{session.folder}: this search was begun by cardpose 0.1, whose {STORAGE_OF_0_1} is no longer read: "
                "begin a new search; cardpose sweep_table reads its finished trials"
            )
        self.sampler: Mapping[str, Any] = settings.sampler
        plugin("sampler", self.sampler)
        with storage_errors(settings.storage):
            self.study = optuna.create_study(
                study_name=STUDY,
                storage=open_storage(settings.storage),
                pruner=plugin("pruner", settings.pruner),
                direction="minimize",
                load_if_exists=True,
            )
            self._check_space()

    def _check_space(self) -> None:
        from optuna.distributions import check_distribution_compatibility

        for trial in self.study.get_trials(deepcopy=False):
            for name, before in trial.distributions.items():
                try:
                    check_distribution_compatibility(before, self.space[name])
                except (KeyError, ValueError):
                    raise InputError(
                        f"{self.settings.storage}: this search was begun with other choices of {name}: give those, or "
                        "choose another hydra.sweep.dir"
                    ) from None

    def run(self, launcher: Launcher) -> None:
        """Run the trials that an interrupted session left, then new ones up to `n_trials`, `at_once` at a time.

        Raises:
            InputError: the storage cannot be written.
            KeyboardInterrupt: Ctrl-C.
        """
        while True:
            with storage_errors(self.settings.storage):
                trials = self._next()
                ended = sum(trial.state.is_finished() for trial in self.study.get_trials(deepcopy=False))
            self.session.bar.expect(self.settings.n_trials, ended)
            if not trials:
                break
            jobs = {number: self._job(number, params) for number, params in trials.items()}
            todo = {job.name: job for job in jobs.values() if not job.outcome()}
            self.session.launch(launcher, list(todo.values()))
            with storage_errors(self.settings.storage):
                for number, job in jobs.items():
                    self._tell(number, job)
        self._write_best()

    def _next(self) -> dict[int, Mapping[str, Any]]:
        """Number and parameters of the trials of the next batch, first those that a killed session has begun."""
        from optuna.trial import TrialState

        begun = self.study.get_trials(deepcopy=False)
        running = [trial for trial in begun if trial.state == TrialState.RUNNING]
        halves = [trial for trial in running if trial.params.keys() != self.space.keys()]
        for trial in halves:  # killed while its parameters were drawn: it is drawn again
            self.study.tell(trial.number, state=TrialState.FAIL)
        trials = {trial.number: trial.params for trial in running if trial not in halves}
        trials = dict(list(trials.items())[: self.at_once])
        asked = sum(trial.params.keys() == self.space.keys() for trial in begun)
        while len(trials) < self.at_once and asked < self.settings.n_trials:
            # The seed depends on the trial alone, so that a resumed search proposes what it would have proposed.
            self.study.sampler = plugin("sampler", self.sampler, seed=self.settings.seed + asked)
            trial = self.study.ask(fixed_distributions=self.space)
            trials[trial.number] = trial.params
            asked += 1
        return trials

    def _job(self, number: int, params: Mapping[str, Any]) -> Job:
        proposed = [f"{name}={params[name]}" for name in self.space]
        job = self.session.add([*self.fixed, *proposed], self.space.keys())
        note_trial(job, number, self.settings)
        return job

    def _tell(self, number: int, job: Job) -> None:
        from optuna.trial import TrialState

        outcome, value = job.outcome(), math.nan
        if outcome == "finished":
            value = read_scores(job.run / "metrics.json").get(self.settings.objective, math.nan)
        if outcome == "pruned":
            self.study.tell(number, state=TrialState.PRUNED)
        elif math.isnan(value):
            self.study.tell(number, state=TrialState.FAIL)
        else:
            self.study.tell(number, value)

    def _write_best(self) -> None:
        try:
            best = self.study.best_trial
        except ValueError:  # none has finished
            return
        found = {"name": "optuna", "best_params": best.params, "best_value": best.value}
        OmegaConf.save(OmegaConf.create(found), self.session.folder / RESULTS)
        self.session.bar.print(f"Best {self.settings.objective} {best.value:.4g}: {shown(best.params)}")


def shown(params: Mapping[str, Any]) -> str:
    """Parameters of a trial as overrides.

    >>> shown({"model": "unet", "optim.lr": 0.003})
    'model=unet optim.lr=0.003'
    """
    return " ".join(f"{key}={value}" for key, value in params.items())


@contextmanager
def storage_errors(storage: str | Path) -> Iterator[None]:
    """Turn an error of the storage's file into an `InputError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{storage}: {reason}: fix it, then continue with resume_sweep=true") from None
    except ValueError as error:  # half a line, or another file
        raise InputError(f"{storage}: cannot be read ({error}): choose another hydra.sweep.dir") from None
