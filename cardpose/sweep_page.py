"""A sweep's results as a table for the terminal and as one HTML page that needs nothing else."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from string import Template

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cardpose.fold_report import TITLES
from cardpose.sweep_plots import UNITS, effects, pareto, short, svg
from cardpose.sweep_results import COSTS, ERRORS, SHOWN, TESTED, SweepResults

FORMS = {"cost/train_seconds": "{:,.0f}"}
"""Of what is not written with two decimals."""
BEST, SAME, FRONT = "*", "=", "F"
LEGEND = (
    "Mean over the runs of a setting ± their standard deviation. * best, = inside the noise: a difference that chance "
    "may make, at 95 % for all settings together. F on the Pareto front of validation card error against this cost. "
    "Choose by the validation scores; the test scores are for the report, once nothing is chosen any more."
)
NO_NOISE = "No setting was run twice, so nothing says which differences are noise: sweep the seed too, seed=range(0,3)."


def headings(results: SweepResults, keys: Iterable[str]) -> list[str]:
    """Of `cells`."""
    return ["", *results.swept, "runs", *(SHOWN[key] for key in keys)]


def cells(results: SweepResults, keys: Iterable[str]) -> list[list[str]]:
    """A row a setting as text, best first.

    Args:
        results: of the sweep.
        keys: of `SHOWN`, the columns.
    """
    columns = [_scores(results, key, _marks(results, key)) for key in keys]
    runs = np.bincount(results.setting_of, minlength=len(results.settings))
    return [
        [str(k + 1), *map(short, setting), str(runs[k]), *(column[k] for column in columns)]
        for k, setting in enumerate(results.settings)
    ]


def _marks(results: SweepResults, key: str) -> np.ndarray:
    """(K,) what stands behind a score."""
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
    for mean, spread, mark in zip(results.mean(key), results.spread(key), marks, strict=True):
        text = "" if math.isnan(mean) else form.format(mean / scale)
        text += f"±{form.format(spread / scale)}" if spread > 0 else ""
        texts.append(f"{text} {mark or ' '}" if any(marks) else text)
    return texts


def notes(results: SweepResults) -> list[str]:
    """What stands below the table."""
    found = results.compare("val/card_mae")
    told = [LEGEND] if np.isfinite(found.margin).any() else [LEGEND, NO_NOISE]
    if results.replicates:
        told.append(f"Repeated over {' and '.join(results.replicates)}.")
    if results.fixed:
        told.append("All runs: " + " ".join(f"{key}={value}" for key, value in results.fixed.items()) + ".")
    return told


def terminal_tables(results: SweepResults) -> list[Table]:
    """`cells` for the terminal: what to choose by, and what to report."""
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


def html(results: SweepResults, title: str) -> str:
    """The page: the table, whose columns a click sorts, the plots, and the jobs that did not finish."""
    figures = [("Error against cost", svg(pareto(results)))]
    figures += [(f"What {key} does", svg(effects(results, key))) for key in results.swept]
    return PAGE.substitute(
        title=escape(title),
        table=_table(headings(results, SHOWN), cells(results, SHOWN)),
        notes="".join(f"<p>{escape(note)}</p>" for note in notes(results)),
        figures="".join(f"<h2>{escape(name)}</h2><figure>{drawn}</figure>" for name, drawn in figures),
        others=_others(results),
    )


def _others(results: SweepResults) -> str:
    if not results.others:
        return ""
    lines = "".join(f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in results.others.items())
    return f"<h2>Not in the figures</h2><ul>{lines}</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 90rem; margin: 2rem auto; padding: 0 1rem }
p { max-width: 60rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap }
th { cursor: pointer; border-bottom: 2px solid #888 }
tbody tr:hover { background: #f2f6fa }
figure { margin: 0; overflow-x: auto }
</style></head><body>
<h1>$title</h1>
$table
$notes
$figures
$others
<script>
document.querySelectorAll("th").forEach((head, column) => {
  let down = false;
  head.addEventListener("click", () => {
    const body = document.querySelector("tbody"), rows = [...body.rows];
    const value = row => row.cells[column].textContent;
    const number = row => parseFloat(value(row).replace(/,/g, ""));
    const words = (a, b) => value(a).localeCompare(value(b));
    rows.sort((a, b) => isNaN(number(a) - number(b)) ? words(a, b) : number(a) - number(b));
    if (down) rows.reverse();
    down = !down;
    rows.forEach(row => body.append(row));
  });
});
</script>
</body></html>
""")
