"""Train and test on every fold. `python -m cardpose.crossval --help` explains the keys; the recipe is `crossval`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from cardpose.common.exits import FAILED, USER_ERROR
from cardpose.common.hydra_entry import entry
from cardpose.common.locks import only_command


def crossval(cfg: DictConfig) -> tuple[Path, dict[int, int], list[Table]]:
    """Run the folds, and write tables and report of those that did not fail.

    Returns:
        The folder of the folds, the exit codes of the folds that failed, and the tables for the terminal.

    Raises:
        InputError: invalid configuration or footage, or a folder of something else.
        SystemExit: Ctrl-C, after the running fold has saved a checkpoint.
    """
    from cardpose.evaluation.report import fold_report
    from cardpose.sweeps import fold_runs

    overrides = list(HydraConfig.get().overrides.task)
    data, splits = fold_runs.check(cfg, overrides)
    folder = fold_runs.open_folder(cfg, splits)
    taken = f"dir={folder}: another cardpose.crossval runs there: wait for it, or leave dir out"
    with only_command(folder / fold_runs.LOCK, taken) as lock:
        failed = fold_runs.run_folds(folder, len(splits), overrides, lock)
        runs = {
            fold: fold_runs.fold_folder(folder, fold) for fold in range(len(splits)) if fold not in failed
        }
        if not runs:
            return folder, failed, []
        command = fold_runs.in_shell(folder, overrides)
        tables = fold_report.write_scores(folder, runs, command, failed)
        fold_report.write_frames(folder, runs, data, command, failed)
        return folder, failed, tables


@entry("crossval")
def main(cfg: DictConfig) -> None:
    folder, failed, tables = crossval(cfg)
    for table in tables:
        Console().print(table)
    print(folder)
    if failed:
        invalid = not tables and set(failed.values()) == {USER_ERROR}
        raise SystemExit(USER_ERROR if invalid else FAILED)


if __name__ == "__main__":
    main()
