"""Compare the runs of a sweep."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cardpose.common.command_line import Tool, checked

if TYPE_CHECKING:
    from cardpose.sweeps.report.results import SweepResults


class SweepTable(NamedTuple):
    """The results by setting, and the page that shows them."""

    results: "SweepResults"
    page: Path


@checked
def sweep_table(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of a sweep, or of any run folders.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write.", show_default="of the sweep")
    ] = None,
    aggregate_over: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Key that repeats a setting.")
    ] = None,
) -> SweepTable:
    """Compare the runs of a sweep, one row per setting, the best by validation first.

        cardpose sweep_table outputs/multirun/NAME_TIME
        cardpose sweep_table outputs/multirun/NAME_TIME --aggregate-over seed
        cardpose sweep_table outputs

    A setting is what the runs of the same overrides have in common, except for the keys of --aggregate-over
    (one option per key). The
    table shows mean and standard deviation of the card and corner errors, time and number of parameters, which
    settings are on the Pareto front of error against cost, and which differences are within the noise, estimated
    from the differences between runs of one setting.

    Files in --out:

        table.html  the table and the plots
        table.csv   a row per setting with every score
        runs.csv    a row per run

    Returns:
        The results, and the path of the page.

    Raises:
        InputError: there is no such folder, it holds no finished run, or `out` cannot be written to.
    """
    from cardpose.evaluation.report.tables import write_csv
    from cardpose.sweeps.report.page import write_sweep_page
    from cardpose.sweeps.report.results import read_sweep, run_rows, setting_rows

    if aggregate_over is None:
        aggregate_over = ["seed", "split.fold"]
    results = read_sweep(folder, aggregate_over)
    target = folder if out is None else out
    write_csv(target / "table.csv", setting_rows(results))
    write_csv(target / "runs.csv", run_rows(results))
    write_sweep_page(target / "table.html", f"Sweep {folder.resolve().name}", results)
    return SweepTable(results, target / "table.html")


def show(table: SweepTable) -> None:
    """Print which setting is best, the table, and the path of the page."""
    from rich.console import Console

    from cardpose.sweeps.report.page import notes, terminal_tables, verdict

    console = Console(markup=False)
    console.print(verdict(table.results), highlight=False, soft_wrap=True)
    for one in terminal_tables(table.results):
        console.print(one)
    for note in notes(table.results):
        console.print(note, highlight=False)
    for name, why in table.results.others.items():
        console.print(f"{name}: {why}", highlight=False, soft_wrap=True)
    print(table.page)


main = Tool(sweep_table, finish=show, old_words={"dir": "", "over": "--aggregate-over"})

if __name__ == "__main__":
    main()
