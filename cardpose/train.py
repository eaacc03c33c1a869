"""Train a model. `python -m cardpose.train --help` teaches; the recipe is `train`."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cardpose import build, checkpoints
from cardpose.callbacks.collect import CollectFrames
from cardpose.cli import entry
from cardpose.errors import InputError
from cardpose.reports import flatten_config, metrics_table, write_metrics, write_report

log = logging.getLogger(__name__)

INTERRUPTED = 130
"""Exit code after Ctrl-C, as the shell's own."""


def train(cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Train, test the best checkpoint, and leave everything in the run folder.

    Args:
        cfg: conf/train.yaml, composed.
        folder: of the run.

    Returns:
        Scores of the test side under the keys of metrics.json.

    Raises:
        InputError: what the user can mend.
        SystemExit: Ctrl-C, after a checkpoint was left.
    """
    config = build.plain(cfg)
    build.quiet_lightning()
    seed_everything(cfg.seed, verbose=False)
    build.check(cfg)
    net = build.build_net(cfg)
    if cfg.weights:
        checkpoints.load_weights(net, checkpoints.read(cfg.weights), cfg.weights)
    data = build.build_data(cfg, net)
    data.prepare_data()
    description = checkpoints.describe(config, data.split.to_dict())
    module = build.build_module(cfg, net, mean_cards(data.train_cards), description)
    data.split.save(folder / "split.json")
    collect = CollectFrames()
    callbacks = [*instantiate(cfg.callbacks).values(), collect]
    trainer = build.build_trainer(cfg, callbacks, instantiate(cfg.logger), default_root_dir=folder)
    fit(trainer, module, data, cfg.resume)
    best = checkpoints.read(folder / "checkpoints" / "best.ckpt")
    module.load_state_dict(best["state_dict"])
    metrics = trainer.test(module, data, verbose=False)[0]
    write_report(folder / "test", collect.results, collect.sheets(), mean_cards(data.train_cards))
    write_metrics(folder / "metrics.json", metrics)
    log_hyperparameters(trainer, config, metrics)
    return metrics


def mean_cards(counts: np.ndarray) -> float:
    """The answer of the constant predictor; NaN where no training frame has a count."""
    return float(counts.mean()) if len(counts) else float("nan")


def fit(trainer: Trainer, module: LightningModule, data: Any, resume: str | None) -> None:
    """Train; say after Ctrl-C how to go on."""
    try:
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    except SystemExit:
        last = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
        if last.is_file():
            log.warning("Interrupted. To go on: python -m cardpose.train resume=%s", last)
        else:
            log.warning("Interrupted before anything was saved")
        raise SystemExit(INTERRUPTED) from None


def log_hyperparameters(trainer: Trainer, config: dict[str, Any], metrics: dict[str, float]) -> None:
    """Fill TensorBoard's HParams tab."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(flatten_config(config), metrics)
            logger.save()


def resumed(cfg: DictConfig) -> DictConfig:
    """The configuration of the run that goes on: its own, from its checkpoint.

    Raises:
        InputError: another override beside `resume`, or a checkpoint that cannot be read.
    """
    others = [override for override in HydraConfig.get().overrides.task if not override.startswith("resume=")]
    if others:
        raise InputError(
            f"resume goes on as the run was configured: leave out {' '.join(others)}, or start a new run from "
            "its weights with weights=<checkpoint>"
        )
    own = OmegaConf.create(checkpoints.read(cfg.resume)[checkpoints.KEY]["config"])
    own.resume = cfg.resume
    return own


@entry("train")
def main(cfg: DictConfig) -> float:
    folder = Path(HydraConfig.get().runtime.output_dir)
    metrics = train(resumed(cfg) if cfg.resume else cfg, folder)
    Console().print(metrics_table(metrics))
    print(folder)
    return metrics["test/card_mae"]


if __name__ == "__main__":
    main()
