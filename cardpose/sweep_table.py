"""What a sweep has found. `python -m cardpose.sweep_table --help` teaches; the recipe is `sweep_table`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from cardpose.common.hydra_entry import entry, forget_empty_run, require
from cardpose.evaluation.report.tables import write_csv
from cardpose.sweeps.report.page import notes, terminal_tables, write_sweep_page
from cardpose.sweeps.report.results import SweepResults, read_sweep, run_rows, setting_rows


def sweep_table(cfg: DictConfig) -> SweepResults:
    """Read the runs in `cfg.dir` and write table.csv, runs.csv and table.html.

    Args:
        cfg: conf/sweep_table.yaml, composed.

    Raises:
        InputError: what the user can mend.
    """
    require(cfg, {"dir": "outputs/multirun/<the sweep>"})
    folder = Path(cfg.dir)
    results = read_sweep(folder, list(cfg.over))
    write_csv(folder / "table.csv", setting_rows(results))
    write_csv(folder / "runs.csv", run_rows(results))
    write_sweep_page(folder / "table.html", f"Sweep {folder.resolve().name}", results)
    return results


@entry("sweep_table")
def main(cfg: DictConfig) -> None:
    results = sweep_table(cfg)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
    console = Console()
    for table in terminal_tables(results):
        console.print(table)
    for note in notes(results):
        console.print(note, highlight=False, markup=False)
    for name, why in results.others.items():
        console.print(f"{name}: {why}", highlight=False, markup=False, soft_wrap=True)
    print(Path(cfg.dir) / "table.html")


if __name__ == "__main__":
    main()
