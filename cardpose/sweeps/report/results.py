"""The runs of a sweep, grouped into settings: their scores over the seeds, and their cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import ListConfig, OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.json_files import read_yaml
from cardpose.common.renamed import rename
from cardpose.common.scores import OBJECTIVE, score_of
from cardpose.evaluation.report.folds import read_scores
from cardpose.evaluation.report.tables import Cell
from cardpose.sweeps.folder import LOGS, Job
from cardpose.sweeps.significance import Comparison, compare, pareto_front
from cardpose.training.run_folder import COST, is_finished

FOLD = "split.fold"
ERRORS = {key: score_of(key).title for key in (OBJECTIVE, "val/corner_px_median")}
"""Scores that settings are compared by: validation scores, because settings are chosen by them."""
COSTS = {"cost/train_seconds": "training, s", "cost/parameters": "parameters, M"}
TESTED = {key.replace("val/", "test/"): f"test {title}" for key, title in ERRORS.items()}
SHOWN = ERRORS | TESTED | COSTS


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        name: of its folder.
        overrides: of its command line, key to value.
        scores: of metrics.json and, as cost/..., of cost.json.
    """

    name: str
    overrides: Mapping[str, str]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class SweepResults:
    """The runs of a sweep, grouped into settings.

    Args:
        swept: keys in which they differ, without the replicates.
        replicates: keys over which a setting is repeated, such as seed, if the runs differ in them.
        fixed: overrides that all runs have.
        others: name of an unfinished run to its outcome.
    """

    runs: Sequence[Run]
    swept: Sequence[str]
    replicates: Sequence[str]
    fixed: Mapping[str, str]
    others: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def settings(self) -> list[tuple[str, ...]]:
        """The values of `swept`, one tuple for each setting, best first by the mean validation card error."""
        found = list(dict.fromkeys(self._values(run) for run in self.runs))
        order = {setting: self._mean(setting) for setting in found}
        return sorted(found, key=lambda setting: (math.isnan(order[setting]), order[setting]))

    @cached_property
    def setting_of(self) -> np.ndarray:
        """(N,) index into `settings` of each run."""
        return np.array([self.settings.index(self._values(run)) for run in self.runs], int)

    def column(self, key: str) -> np.ndarray:
        """(N,) a score of each run, NaN if it has none."""
        return np.array([run.scores.get(key, math.nan) for run in self.runs])

    def mean(self, key: str) -> np.ndarray:
        """(K,) mean of a score over each setting's runs."""
        return np.array([self.column(key)[self.setting_of == k].mean() for k in range(len(self.settings))])

    def std(self, key: str) -> np.ndarray:
        """(K,) standard deviation of a score over each setting's runs (n - 1); NaN for one run."""
        values = [self.column(key)[self.setting_of == k] for k in range(len(self.settings))]
        return np.array([value.std(ddof=1) if len(value) > 1 else math.nan for value in values])

    def compare(self, key: str) -> Comparison:
        """The settings compared by one of `ERRORS`."""
        folds = [run.overrides.get(FOLD, "") for run in self.runs]
        blocks = (
            np.unique(folds, return_inverse=True)[1] if FOLD in self.replicates else np.zeros(len(folds), int)
        )
        return compare(self.column(key), self.setting_of, blocks, len(self.settings))

    def front(self, cost: str, error: str = OBJECTIVE) -> np.ndarray:
        """(K,) bool, whether a setting is on the Pareto front of error against cost."""
        return pareto_front(self.mean(error), self.mean(cost))

    def _values(self, run: Run) -> tuple[str, ...]:
        return tuple(run.overrides.get(key, "") for key in self.swept)

    def _mean(self, setting: tuple[str, ...]) -> float:
        return float(
            np.mean(
                [run.scores.get(OBJECTIVE, math.nan) for run in self.runs if self._values(run) == setting]
            )
        )


def read_sweep(folder: Path, aggregate_over: Sequence[str]) -> SweepResults:
    """The runs in the folders of `folder`.

    Args:
        folder: of a sweep, or of any run folders.
        aggregate_over: keys over which a setting is repeated.

    Raises:
        InputError: no such folder, or no finished run in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: choose one of outputs/multirun")
    runs, others = [], {}
    names = {path.parent.parent.name for path in folder.glob("*/.hydra/overrides.yaml")}
    for end in ("failed", "pruned"):
        names |= {path.name.removesuffix(f".{end}") for path in (folder / LOGS).glob(f"*.{end}")}
    for name in sorted(names):
        job = Job(folder, name)
        if is_finished(job.run):
            runs.append(read_run(job.run))
        else:
            others[name] = ": ".join(filter(None, [job.outcome(), job.reason()])) or "not finished"
    if not runs:
        hint = f" ({next(iter(others.items()))[1]})" if others else ""
        raise InputError(f"{folder}: holds no finished run{hint}: choose the folder of a sweep")
    keys = list(dict.fromkeys(key for run in runs for key in run.overrides))
    differing = [key for key in keys if len({run.overrides.get(key) for run in runs}) > 1]
    return SweepResults(
        runs,
        swept=[key for key in differing if key not in aggregate_over],
        replicates=[key for key in differing if key in aggregate_over],
        fixed={key: runs[0].overrides[key] for key in keys if key not in differing},
        others=others,
    )


def read_run(run: Path) -> Run:
    """A finished run from its folder.

    Raises:
        InputError: a file of it is damaged.
    """
    lines = read_yaml(run / ".hydra" / "overrides.yaml", ListConfig)
    words: Any = OmegaConf.to_container(
        lines, resolve=False
    )  # `name=${now:%H}` is a word of the command line
    overrides = dict(split_override(str(word)) for word in words)
    scores = dict(read_scores(run / "metrics.json"))
    if (run / COST).is_file():
        scores |= {f"cost/{key}": value for key, value in read_scores(run / COST).items()}
    return Run(run.name, overrides, scores)


def split_override(line: str) -> tuple[str, str]:
    """Key and value of an override.

    >>> split_override("+loss.x=a=b"), split_override("~callbacks.pictures")
    (('loss.x', 'a=b'), ('callbacks.pictures', 'deleted'))
    """
    if line.startswith("~"):
        return rename(line[1:].partition("=")[0]), "deleted"
    key, _, value = line.lstrip("+").partition("=")
    return rename(key), value


def setting_rows(results: SweepResults) -> list[dict[str, Cell]]:
    """table.csv: one row for each setting, best first, with mean and std of every score, and the comparisons."""
    comparisons = {key: results.compare(key) for key in ERRORS}
    fronts = {cost: results.front(cost) for cost in COSTS}
    keys = list(dict.fromkeys(key for run in results.runs for key in run.scores))
    means, stds = ({key: of(key) for key in keys} for of in (results.mean, results.std))
    rows = []
    for k, setting in enumerate(results.settings):
        row: dict[str, Cell] = {"rank": k + 1, **dict(zip(results.swept, setting, strict=True))}
        row["runs"] = int((results.setting_of == k).sum())
        for key, comparison in comparisons.items():
            row[f"{key} to the best"] = float(comparison.ratio[k])
            row[f"{key} noise up to"] = float(comparison.margin[k])
            row[f"{key} inside noise"] = str(bool(comparison.inside_noise()[k])).lower()
        row |= {f"on the front of {cost}": str(bool(front[k])).lower() for cost, front in fronts.items()}
        for key in keys:
            row |= {f"{key} mean": float(means[key][k]), f"{key} std": float(stds[key][k])}
        rows.append(row)
    return rows


def run_rows(results: SweepResults) -> list[dict[str, Cell]]:
    """runs.csv: one row for each run with its overrides and every score."""
    keys = list(dict.fromkeys(key for run in results.runs for key in run.scores))
    named = [*results.swept, *results.replicates]
    return [
        {
            "run": run.name,
            **{key: run.overrides.get(key, "") for key in named},
            **{key: run.scores.get(key, math.nan) for key in keys},
        }
        for run in results.runs
    ]
