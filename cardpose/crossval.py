"""Train and test on every fold. `python -m cardpose.crossval --help` teaches; the recipe is `crossval`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from cardpose import fold_report, fold_runs, measure
from cardpose.cli import FAILED, entry, forget_empty_run


def crossval(cfg: DictConfig) -> tuple[Path, list[int], list[Table]]:
    """Run the folds and write what they say together.

    Args:
        cfg: conf/crossval.yaml, composed.

    Returns:
        The folder of the folds, the folds that failed, and the tables for the terminal.

    Raises:
        InputError: what the user can mend.
        SystemExit: Ctrl-C, after the fold in hand left a checkpoint.
    """
    overrides = measure.overrides()
    data, splits = fold_runs.check(cfg, overrides)
    folder = fold_runs.open_folder(cfg, splits)
    failed = fold_runs.run_folds(folder, len(splits), overrides)
    runs = {fold: fold_runs.fold_folder(folder, fold) for fold in range(len(splits)) if fold not in failed}
    if not runs:
        return folder, failed, []
    command = fold_runs.in_shell(folder, overrides)
    tables = fold_report.write_scores(folder, runs, command, failed)
    fold_report.write_frames(folder, runs, data, command, failed)
    return folder, failed, tables


@entry("crossval")
def main(cfg: DictConfig) -> None:
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))  # the folds have a folder of their own
    folder, failed, tables = crossval(cfg)
    for table in tables:
        Console().print(table)
    print(folder)
    if failed:
        raise SystemExit(FAILED)


if __name__ == "__main__":
    main()
