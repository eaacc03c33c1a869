"""Measure a trained model. `python -m cardpose.evaluate --help` teaches; the recipe is `evaluate`.

Network, data, split and sizes come from the checkpoint; `data` and `split` name other labelled footage.
"""

from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cardpose import build, checkpoints
from cardpose.callbacks.collect import CollectFrames
from cardpose.callbacks.progress import TrainingProgress
from cardpose.cli import entry
from cardpose.data.splits import explicit
from cardpose.errors import InputError
from cardpose.reports import metrics_table, write_metrics, write_report


def evaluate(cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Measure `cfg.ckpt` and write the report to `folder`.

    Args:
        cfg: conf/evaluate.yaml, composed.
        folder: of the report.

    Returns:
        Scores under the keys of metrics.json.

    Raises:
        InputError: what the user can mend.
    """
    if OmegaConf.is_missing(cfg, "ckpt"):
        raise InputError("ckpt is not given: add ckpt=outputs/<run>/checkpoints/best.ckpt")
    checkpoint = checkpoints.read(cfg.ckpt)
    config = merge(checkpoint[checkpoints.KEY]["config"], cfg)
    build.plain(config)
    build.quiet_lightning()
    net = build.build_net(config)
    data = build.build_data(config, net)
    if not cfg.split:
        name = f"{cfg.ckpt}'s split (for other footage add split=all)"
        data.make_split = partial(explicit, sides=checkpoint[checkpoints.KEY]["split"], name=name)
    data.prepare_data()
    module = build.build_module(config, net, float("nan"), checkpoint[checkpoints.KEY])
    module.load_state_dict(checkpoint["state_dict"])
    collect = CollectFrames()
    trainer = build.build_trainer(config, [collect, TrainingProgress()], logger=False)
    metrics = trainer.test(module, data, verbose=False)[0]
    write_report(folder, collect.results, collect.sheets(), float(module.test_metrics.cards.constant))
    write_metrics(folder / "metrics.json", metrics)
    return metrics


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
    config.trainer.accelerator = cfg.accelerator
    return config


def overrides() -> list[str]:
    """What stood on the command line."""
    return list(HydraConfig.get().overrides.task)


@entry("evaluate")
def main(cfg: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    Console().print(metrics_table(evaluate(cfg, folder)))
    print(folder)


if __name__ == "__main__":
    main()
