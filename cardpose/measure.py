"""A trained model tested on labelled footage: what evaluate and calibrate share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cardpose import build, checkpoints
from cardpose.callbacks.collect import CollectFrames
from cardpose.callbacks.progress import TrainingProgress
from cardpose.data.splits import Split
from cardpose.errors import InputError
from cardpose.intervals import Interval
from cardpose.packet import Annotation
from cardpose.results import FrameResult


@dataclass(frozen=True)
class Measured:
    """Scores, and all tested frames.

    Args:
        metrics: under the keys of metrics.json.
        results: one a frame.
        sheets: the worst frames with their pictures, by the sheet's name.
        constant: the count that the constant predictor says.
        interval: the checkpoint's calibration, None where it has none.
    """

    metrics: dict[str, float]
    results: Sequence[FrameResult]
    sheets: Mapping[str, Sequence[tuple[FrameResult, np.ndarray]]]
    constant: float
    interval: Interval | None


def read_checkpoint(cfg: DictConfig) -> dict[str, Any]:
    """The checkpoint `cfg.ckpt`.

    Raises:
        InputError: it is not given or cannot be read.
    """
    if OmegaConf.is_missing(cfg, "ckpt"):
        raise InputError("ckpt is not given: add ckpt=outputs/<run>/checkpoints/best.ckpt")
    return checkpoints.read(cfg.ckpt)


def run(
    config: DictConfig,
    checkpoint: dict[str, Any],
    make_split: Callable[[Sequence[Annotation]], Split] | None = None,
) -> Measured:
    """Test the checkpoint's network on the test side of `config.data`.

    Args:
        config: as `merge` returns it.
        checkpoint: as `cardpose.checkpoints.read` returns it.
        make_split: replaces the split of `config`.

    Raises:
        InputError: what the user can mend.
    """
    build.plain(config)
    build.quiet_lightning()
    net = build.build_net(config, trained=True)
    data = build.build_data(config, net)
    data.make_split = make_split or data.make_split
    data.prepare_data()
    module = build.build_module(config, net, float("nan"), checkpoint[checkpoints.KEY])
    module.load(checkpoint)
    collect = CollectFrames()
    trainer = build.build_trainer(config, [collect, TrainingProgress()], logger=False)
    metrics = dict(trainer.test(module, data, verbose=False)[0])
    constant = float(module.test_metrics.cards.constant)
    return Measured(metrics, collect.results, collect.sheets(), constant, module.interval)


def merge(trained: dict[str, Any], cfg: DictConfig) -> DictConfig:
    """The checkpoint's configuration with what the command line replaces: data, split and device."""
    config = OmegaConf.create(trained)
    if "read" in cfg.data:
        own_size = [override for override in overrides() if override.startswith("data.size=")]
        size = cfg.data.size if own_size else config.data.size
        config.data = cfg.data
        config.data.size = size
    else:
        given = {key: value for key, value in cfg.data.items() if value is not None}
        config.data = OmegaConf.merge(config.data, given)
    for key in ("footage", "synth", "paths"):
        config[key] = cfg[key]
    config.data.cache_dir = cfg.paths.cache
    if cfg.split:
        config.split = cfg.split
        config.data.split = cfg.split
        config.trainer.pop("limit_test_batches", None)  # of debug=smoke; other footage is measured whole
    if "accelerator" in cfg:
        config.trainer.accelerator = cfg.accelerator
    return config


def overrides() -> list[str]:
    """What stood on the command line."""
    return list(HydraConfig.get().overrides.task)
