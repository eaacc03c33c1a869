"""A sweep's results as a table for the terminal and as one HTML page."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cardpose.common.scores import OBJECTIVE, score_of
from cardpose.evaluation.report.folds import TITLES
from cardpose.evaluation.report.html import Picture, Section, write_page
from cardpose.evaluation.report.html import Table as PageTable
from cardpose.sweeps.report.plots import PANELS, UNITS, effect, pareto, short
from cardpose.sweeps.report.results import COSTS, ERRORS, SHOWN, TESTED, SweepResults

FORMS = {"cost/train_seconds": "{:,.0f}"}
"""Formats other than two decimals."""
BEST, SAME, FRONT = "*", "=", "F"
LEGEND = (
    "Mean over the runs of a setting ± their standard deviation. * best, = inside the noise: not significantly "
    "worse, at 95 % for all settings together. F on the Pareto front of validation card error against this cost. "
    "Choose by the validation scores, and report the test scores of the final choice."
)
NO_NOISE = "No setting was run twice, so the noise is unknown: sweep the seed too, seed=range(0,3)."


def verdict(results: SweepResults) -> str:
    """Which setting is best by the validation card error, and whether its lead is more than the noise: one sentence."""
    found = results.compare(OBJECTIVE)
    if found.best is None:
        return f"best: unknown, no run has {OBJECTIVE}"
    means, order = results.mean(OBJECTIVE), np.argsort(found.ratio)  # NaN last
    named = [
        " ".join(f"{key}={value}" for key, value in zip(results.swept, setting, strict=True))
        or "the only setting"
        for setting in results.settings
    ]
    best = f"best: {named[found.best]} with {means[found.best]:.2f} {score_of(OBJECTIVE).unit} ({OBJECTIVE})"
    following = [int(k) for k in order if k != found.best and math.isfinite(found.ratio[k])]
    if not following:
        return f"{best}; no other setting has a score"
    k = following[0]
    if math.isnan(found.margin[k]):
        where = "may be noise, which is unknown without repeated runs"
    else:
        where = f"is {'within' if found.inside_noise()[k] else 'above'} the noise"
    return f"{best}; the difference to the next, {named[k]} with {means[k]:.2f}, {where}"


def headings(results: SweepResults, keys: Iterable[str]) -> list[str]:
    """Column headings of `cells`."""
    return ["", *results.swept, "runs", *(SHOWN[key] for key in keys)]


def cells(results: SweepResults, keys: Iterable[str]) -> list[list[str]]:
    """One row of text for each setting, best first.

    Args:
        keys: of `SHOWN`, the columns.
    """
    columns = [_scores(results, key, _marks(results, key)) for key in keys]
    runs = np.bincount(results.setting_of, minlength=len(results.settings))
    return [
        [str(k + 1), *map(short, setting), str(runs[k]), *(column[k] for column in columns)]
        for k, setting in enumerate(results.settings)
    ]


def _marks(results: SweepResults, key: str) -> np.ndarray:
    """(K,) mark behind a score."""
    if key in COSTS:
        return np.where(results.front(key), FRONT, "")
    if key not in ERRORS:
        return np.full(len(results.settings), "")
    found = results.compare(key)
    marks = np.where(found.inside_noise(), SAME, "")
    if found.best is not None:
        marks[found.best] = BEST
    return marks


def _scores(results: SweepResults, key: str, marks: np.ndarray) -> list[str]:
    scale, form = UNITS.get(key, 1), FORMS.get(key, "{:.2f}")
    texts = []
    for mean, std, mark in zip(results.mean(key), results.std(key), marks, strict=True):
        text = "" if math.isnan(mean) else form.format(mean / scale)
        text += f"±{form.format(std / scale)}" if std > 0 else ""
        texts.append(f"{text} {mark or ' '}" if any(marks) else text)
    return texts


def notes(results: SweepResults) -> list[str]:
    """The lines below the table."""
    found = results.compare(OBJECTIVE)
    lines = [LEGEND] if np.isfinite(found.margin).any() else [LEGEND, NO_NOISE]
    if results.replicates:
        lines.append(f"Repeated over {' and '.join(results.replicates)}.")
    if results.fixed:
        lines.append("All runs: " + " ".join(f"{key}={value}" for key, value in results.fixed.items()) + ".")
    return lines


def terminal_tables(results: SweepResults) -> list[Table]:
    """`cells` for the terminal: validation scores to choose by, test scores to report."""
    tables = []
    for title, keys in (("val", (*ERRORS, *COSTS)), ("test", TESTED)):
        table = Table(title=TITLES[title], title_justify="left", box=SIMPLE_HEAD, padding=0)
        left = len(results.swept)
        for i, heading in enumerate(headings(results, keys)):
            words = heading.replace(" ", "\n")
            swept = 0 < i <= left
            table.add_column(words, justify="left" if swept else "right", no_wrap=not swept, overflow="fold")
        for row in cells(results, keys):
            table.add_row(*row)
        tables.append(table)
    return tables


def write_sweep_page(path: Path, title: str, results: SweepResults) -> None:
    """Write the page: the table, error against cost, what each override does, and the jobs that did not finish.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    fronts = [Picture("", pareto(results, cost), f"Card error against {SHOWN[cost]}") for cost in COSTS]
    sections = [
        Section(
            "Settings",
            [verdict(results), *notes(results)],
            PageTable(headings(results, SHOWN), cells(results, SHOWN)),
        ),
        Section("Error against cost", ["A dot a setting, with its row in the table."], pictures=fronts),
        *(_effects(results, key) for key in results.swept),
    ]
    if results.others:
        rows = [[name, why] for name, why in results.others.items()]
        sections.append(Section("Not in the figures", table=PageTable(["job", "why"], rows, numbers=False)))
    facts = {"settings": str(len(results.settings)), "runs": str(len(results.runs))}
    write_page(path, title, facts, sections)


def _effects(results: SweepResults, key: str) -> Section:
    pictures = [Picture("", effect(results, key, score), f"{SHOWN[score]} over {key}") for score in PANELS]
    return Section(f"What {key} does", ["A dot a run; the bar is their mean."], pictures=pictures)
