"""A run's folder: what a training writes there, whether it is finished, and the command that starts or resumes it."""

import logging
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from cardpose.common.files import is_zip, replace_file
from cardpose.common.hydra_words import path_override
from cardpose.data.splits import Split
from cardpose.evaluation.report.sections import describe_run, write_report
from cardpose.evaluation.report.tables import write_metrics
from cardpose.evaluation.report.test_result import TestResult
from cardpose.models.checkpoints import git_commit
from cardpose.training import hardware
from cardpose.training.hparams import log_hyperparameters
from cardpose.training.loggers import log_images, log_test_scores

log = logging.getLogger(__name__)

COST = "cost.json"
"""In a run folder: seconds of training and parameters of the network."""

RERUN = "rerun.sh"
"""In a run folder: the script that repeats the run."""
SCRIPT = """#!/usr/bin/env bash
# Repeats this run in a new folder; overrides may follow: {file} seed=1
# Commit {commit}, torch {torch}, {threads} threads of {processor}, GPU {gpu}.
# On the CPU, and a processor like that one, the metrics are the same to the last digit.
set -euo pipefail
cd {folder}
export OMP_NUM_THREADS={threads}
exec "${{PYTHON:-{python}}}" -m cardpose.train {arguments} "$@"
"""


def write_start(
    folder: Path, config: Mapping[str, Any], split: Split, overrides: Sequence[str] | None
) -> None:
    """Write split.json and, for a new run that has a command line, rerun.sh.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    split.save(folder / "split.json")
    if overrides is not None and not config["resume"]:
        write_rerun(folder, overrides, chosen_by_the_machine(config))


def write_rerun(run: Path, overrides: Sequence[str], chosen: Sequence[str]) -> None:
    """Write rerun.sh; relative paths in the overrides refer to the working directory.

    Args:
        overrides: of the run's command line.
        chosen: values that `auto` resolved to, as overrides: another machine may resolve it differently.
    """
    text = SCRIPT.format(
        file=RERUN,
        commit=git_commit(),
        folder=shlex.quote(str(Path.cwd())),
        python=sys.executable,
        arguments=shlex.join([*overrides, *chosen]),
        **hardware.describe(),
    )
    with replace_file(run / RERUN) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o755)


def chosen_by_the_machine(config: Mapping[str, Any]) -> list[str]:
    """The values that `auto` resolves to on this machine, as overrides."""
    trainer = config["trainer"]
    if trainer["precision"] != "auto":
        return []
    return [f"trainer.precision={hardware.choose_precision(trainer['accelerator'])}"]


def write_results(
    folder: Path,
    config: Mapping[str, Any],
    trainer: Trainer,
    tested: TestResult,
    metrics: Mapping[str, float],
    description: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write the report, cost.json and metrics.json of a finished run, and log them.

    Args:
        trainer: whose loggers get the test pictures and scores.
        tested: the test of the best checkpoint.
        metrics: scores of the best checkpoint, val/... and test/...
        description: the best checkpoint's "cardpose" entry.
        seconds: of training.
    """
    facts = describe_run(folder / "checkpoints" / "best.ckpt", description)
    pictures = write_report(folder / "test", f"Test of {folder.name}", tested, facts)
    parameters = sum(parameter.numel() for parameter in trainer.lightning_module.net.parameters())
    write_metrics(folder / COST, {"train_seconds": seconds, "parameters": float(parameters)})
    for logger in trainer.loggers:
        images = {f"test/{name}": image for name, image in pictures.items()}
        log_images(logger, images, trainer.global_step)
        log_test_scores(logger, metrics, trainer.global_step)
    log_hyperparameters(trainer, config, folder, metrics)
    if tested.remark:
        log.warning(tested.remark)
    write_metrics(folder / "metrics.json", dict(metrics))  # last: it marks the run as finished


def is_finished(run: Path) -> bool:
    """Whether a run has written all that it writes; metrics.json is the last of it."""
    return (run / "metrics.json").is_file()


def last_checkpoint(run: Path) -> Path | None:
    """The checkpoint from which an interrupted run is resumed; None if there is none, or half of one."""
    last = run / "checkpoints" / "last.ckpt"
    return last if is_zip(last) else None


def train_command(run: Path, overrides: Sequence[str]) -> list[str]:
    """The command that trains in the folder `run`: from its last checkpoint if there is one, else with `overrides`."""
    last = last_checkpoint(run)
    if last is not None:
        arguments = [path_override("resume", last)]
    else:
        arguments = [*overrides, path_override("hydra.run.dir", run)]
    return [sys.executable, "-m", "cardpose.train", *arguments]


def remove_half(run: Path) -> None:
    """Remove what a run wrote that ended before its first checkpoint; a folder of anything else stays."""
    if (run / ".hydra" / "overrides.yaml").is_file():
        shutil.rmtree(run)
