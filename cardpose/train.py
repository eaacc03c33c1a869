"""Train a model. `python -m cardpose.train --help` teaches; the recipe is `train`.

With several devices every process follows the recipe, and the first one writes.
"""

import logging
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from cardpose.common.distributed import launch, ranks
from cardpose.common.errors import InputError, Pruned
from cardpose.common.hydra_entry import entry, is_run_checkpoint, path_override, plain
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.data.datamodule import CardDataModule
from cardpose.data.splits import explicit
from cardpose.evaluation.metrics.scores import OBJECTIVE
from cardpose.evaluation.report.sections import describe_run, write_report
from cardpose.evaluation.report.tables import metrics_table, write_metrics
from cardpose.models import builder, checkpoints
from cardpose.models.from_config import build_net
from cardpose.sweeps.folder import PRUNED
from cardpose.sweeps.trials import trial_callbacks
from cardpose.training import build
from cardpose.training import testing as measure
from cardpose.training.callbacks.collect import CollectFrames
from cardpose.training.hardware import choose_precision
from cardpose.training.hparams import log_hyperparameters
from cardpose.training.lightning_module import CardposeModule
from cardpose.training.loggers import log_images, log_test_scores
from cardpose.training.rerun import write_rerun
from cardpose.training.run_folder import COST
from cardpose.training.testing import describe_test
from cardpose.training.trainer import build_trainer, quiet_lightning

log = logging.getLogger(__name__)


def train(cfg: Mapping[Any, Any], folder: Path, overrides: Sequence[str] | None = None) -> dict[str, float]:
    """Train, test the best checkpoint, and leave everything in the run folder.

    Args:
        cfg: conf/train.yaml, composed.
        folder: of the run.
        overrides: what stood on the command line, for rerun.sh; None: there was none, and the script is left out.

    Returns:
        Scores of the best checkpoint, val/... and test/..., under the keys of metrics.json.

    Raises:
        InputError: what the user can mend.
        SystemExit: Ctrl-C, after a checkpoint was left.
    """
    config = plain(cfg)
    resume = config["resume"]
    checkpoint = checkpoints.read(resume) if resume else None
    quiet_lightning()
    build.check(config)
    seed_everything(config["seed"], verbose=False)
    net = build_net(config)
    build.load_start(config, net)
    data = build.build_data(config, net)
    if checkpoint is not None:
        data.make_split = partial(explicit, subsets=checkpoint[checkpoints.KEY]["split"], name=resume)
    collect = CollectFrames()
    chosen = [
        callback
        for callback in builder.build(config["callbacks"], "callbacks").values()
        if callback is not None
    ]
    timer = Timer()  # its state is in the checkpoints, so that a resume goes on counting
    trials = trial_callbacks()
    logger = builder.build(config["logger"], "logger")
    trainer = build_trainer(config, [*chosen, *trials, collect, timer], logger, default_root_dir=folder)
    if trials and trainer.world_size > 1:
        raise InputError("sweep: a trial of a search trains on one device: set trainer.devices=1")
    data.check_divisible(trainer.world_size)
    data.prepare_data()
    if not (data.split.train and data.split.val):
        raise InputError("split: no frame to train or to validate with: choose another split")
    description = checkpoints.describe(config, data.split.to_dict())
    module = build.build_module(config, net, mean_cards(data.train_cards), description)
    if trainer.is_global_zero:
        data.split.save(folder / "split.json")
        if overrides is not None and not resume:
            write_rerun(folder, overrides, chosen_by_the_machine(config))
    with say_how_to_go_on(folder / "checkpoints" / "last.ckpt"):
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        best = folder / "checkpoints" / "best.ckpt"
        module.load(checkpoints.read(best), best)
        validated = validate(config, module, data)
        scores = dict(trainer.test(module, data, verbose=False)[0])
    metrics = {**validated, **scores}
    cost = {"train_seconds": timer.time_elapsed("train"), "parameters": float(parameters(net))}
    if trainer.is_global_zero:
        tested = describe_test(scores, collect.results, module, data)
        facts = describe_run(folder / "checkpoints" / "best.ckpt", description)
        pictures = write_report(folder / "test", f"Test of {folder.name}", tested, facts)
        write_metrics(folder / COST, cost)
        for logger in trainer.loggers:
            log_images(
                logger, {f"test/{name}": image for name, image in pictures.items()}, trainer.global_step
            )
            log_test_scores(logger, metrics, trainer.global_step)
        log_hyperparameters(trainer, config, folder, metrics)
        write_metrics(folder / "metrics.json", metrics)  # the last of all: it says that the run is whole
    return metrics


def train_on_devices(
    cfg: Mapping[Any, Any],
    folder: Path,
    overrides: Sequence[str] | None = None,
    logging: dict[str, Any] | None = None,
) -> dict[str, float]:
    """`train`, in a process for each device of `cfg.trainer`, which are started here.

    Unless there is one device, or SLURM or torchrun started them, this one among them.

    Args:
        cfg: conf/train.yaml, composed.
        folder: of the run.
        overrides: what stood on the command line, for rerun.sh; None: there was none, and the script is left out.
        logging: of the first of the processes that are started here, as `logging.config.dictConfig` takes it.

    Returns:
        As `train`, and what it raises.

    Raises:
        RuntimeError: a process failed, and the others were ended.
    """
    config = plain(cfg)
    quiet_lightning()
    build.check(config)
    count = launch.processes_to_start(build_trainer(config, [], logger=False))
    if not count:
        return train(config, folder, overrides)
    return launch.run(partial(train, config, folder, overrides), count, logging)


def validate(config: Mapping[str, Any], module: CardposeModule, data: CardDataModule) -> dict[str, float]:
    """Scores of the validation side, val/..., with the weights that `module` has.

    By a trainer of its own: the training's averages the weights, and would validate the last average instead.
    """
    trainer = build_trainer(config, [], logger=False, enable_progress_bar=False)
    return dict(trainer.validate(module, data, verbose=False)[0])


def chosen_by_the_machine(config: Mapping[str, Any]) -> list[str]:
    """What `auto` stands for here, as overrides."""
    trainer = config["trainer"]
    if trainer["precision"] != "auto":
        return []
    return [f"trainer.precision={choose_precision(trainer['accelerator'])}"]


def parameters(net: nn.Module) -> int:
    """How many numbers a network has learnt."""
    return sum(parameter.numel() for parameter in net.parameters())


def mean_cards(counts: np.ndarray) -> float:
    """The answer of the constant predictor; NaN where no training frame has a count."""
    return float(counts.mean()) if len(counts) else float("nan")


@contextmanager
def say_how_to_go_on(last: Path) -> Iterator[None]:
    """After Ctrl-C, on which Lightning ends the process, name the command that goes on from `last`."""
    try:
        yield
    except SystemExit:
        if last.is_file():
            log.warning("Interrupted. To go on: python -m cardpose.train %s", resume_argument(last))
        else:
            log.warning("Interrupted before anything was saved")
        raise SystemExit(INTERRUPTED) from None


def resume_argument(last: Path) -> str:
    """`resume=<path>` as shell and Hydra both read it.

    >>> resume_argument(Path("outputs/a/checkpoints/last.ckpt"))
    'resume=outputs/a/checkpoints/last.ckpt'
    >>> print(resume_argument(Path("a=1,b/last.ckpt")))
    'resume='"'"'a=1,b/last.ckpt'"'"''
    """
    return shlex.quote(path_override("resume", last))


def resumed(cfg: DictConfig) -> DictConfig:
    """The configuration of the run that goes on: its own, from its checkpoint.

    Raises:
        InputError: another override beside `resume`, or a checkpoint that cannot be read.
    """
    others = [override for override in HydraConfig.get().overrides.task if not override.startswith("resume=")]
    if others:
        raise InputError(
            f"resume goes on as the run was configured: leave out {' '.join(others)}, or start a new run from "
            "its weights with init_from=<checkpoint>"
        )
    if not is_run_checkpoint(cfg.resume):
        checkpoints.read(cfg.resume)
        raise InputError(f"{cfg.resume}: lies in no run folder: give outputs/<run>/checkpoints/last.ckpt")
    own = OmegaConf.create(checkpoints.read(cfg.resume)[checkpoints.KEY]["config"])
    if Path(own.paths.run).resolve() != Path(cfg.resume).resolve().parent.parent:
        raise InputError(
            f"{cfg.resume}: this run was at {own.paths.run}: move it back, or start a new run with init_from="
        )
    own.resume = cfg.resume
    return own


@entry("train")
def main(cfg: DictConfig) -> float:
    if cfg.resume_sweep:
        raise InputError(
            "resume_sweep is for sweeps: add -m, or go on with one run by resume=<its last checkpoint>"
        )
    folder = Path(HydraConfig.get().runtime.output_dir)
    logging = OmegaConf.to_container(HydraConfig.get().job_logging, resolve=True)
    own = resumed(cfg) if cfg.resume else cfg
    try:
        metrics = train_on_devices(own, folder, measure.overrides(), logging)  # type: ignore[arg-type]
    except Pruned as stop:
        print(f"cardpose.train: {stop}", file=sys.stderr)  # the line that the sweep keeps
        raise SystemExit(PRUNED) from None
    if ranks.is_rank_zero():
        Console().print(metrics_table(metrics))
        print(folder)
    return metrics[OBJECTIVE]  # what a sweeper of Hydra chooses by: never by the test


if __name__ == "__main__":
    main()
