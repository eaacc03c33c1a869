"""Train a model, in one process per device: all of them follow the recipe `train`, and rank 0 writes."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cardpose.common.distributed import ranks
from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import entry, plain


def train(cfg: Mapping[Any, Any], folder: Path, overrides: Sequence[str] | None = None) -> dict[str, float]:
    """Train, test the best checkpoint, and leave everything in the run folder.

    Args:
        overrides: of the command line, for rerun.sh; None: no script is written.

    Returns:
        Scores of the best checkpoint, val/... and test/..., under the keys of metrics.json.

    Raises:
        InputError: invalid configuration or data.
        SystemExit: Ctrl-C, after a checkpoint was written.
    """
    from lightning.pytorch import seed_everything
    from lightning.pytorch.callbacks import Timer

    from cardpose.models import checkpoints
    from cardpose.sweeps.trials import trial_callbacks
    from cardpose.training import build, keep_start, resume, run_folder
    from cardpose.training.callbacks.collect import CollectFrames
    from cardpose.training.testing import describe_test
    from cardpose.training.trainer import build_trainer, quiet_lightning

    config = plain(cfg) if overrides is None else build.adopt_architecture(plain(cfg), overrides)
    quiet_lightning()
    build.check(config)
    seed_everything(config["seed"], verbose=False)
    net, data = build.build_start(config)
    if config["resume"]:
        data.make_split = resume.own_split(config["resume"])
    collect, timer, trials = CollectFrames(), Timer(), trial_callbacks()
    callbacks = [*build.build_callbacks(config), *trials, collect, timer]
    trainer = build_trainer(config, callbacks, build.build_logger(config), default_root_dir=folder)
    if trials and trainer.world_size > 1:
        raise InputError("sweep: a trial of a search trains on one device: set trainer.devices=1")
    build.prepare_data(data, trainer.world_size)
    build.start_spatial(config, net, data)
    description = checkpoints.describe(config, data.split.to_dict())
    module = build.build_module(config, net, build.mean_cards(data), description)
    if trainer.is_global_zero:
        run_folder.write_start(folder, config, data.split, overrides)
    start = keep_start.measure_start(config, module, data)
    with resume.interrupt_hint(folder / "checkpoints" / "last.ckpt"):
        trainer.fit(module, data, ckpt_path=config["resume"], weights_only=True)
        validated = keep_start.load_best(config, start, module, data, folder / "checkpoints" / "best.ckpt")
        scores = dict(trainer.test(module, data, verbose=False)[0])
    metrics = {**validated, **scores}
    if trainer.is_global_zero:
        tested = describe_test(scores, collect.results, module, data, trainer.global_step)
        seconds = timer.time_elapsed("train")  # of all sessions: the timer's state is in the checkpoints
        run_folder.write_results(folder, config, trainer, tested, metrics, description, seconds)
    return metrics


@entry("train")
def main(cfg: DictConfig) -> float:
    """Train, print the scores and the run folder; return what a sweeper minimises."""
    from rich.console import Console

    from cardpose.common.scores import OBJECTIVE
    from cardpose.evaluation.report.tables import metrics_table
    from cardpose.training import resume
    from cardpose.training.trainer import on_devices

    if cfg.resume_sweep:
        raise InputError("resume_sweep is for sweeps: add -m, or use resume=<checkpoint> for one run")
    hydra = HydraConfig.get()
    folder, overrides = Path(hydra.runtime.output_dir), list(hydra.overrides.task)
    others = [word for word in overrides if not word.startswith("resume=")]
    config = resume.resumed_config(cfg.resume, others) if cfg.resume else cfg
    logging: Any = OmegaConf.to_container(hydra.job_logging, resolve=True)
    metrics = on_devices(partial(train, config, folder, overrides), plain(config), logging)
    if ranks.is_rank_zero():
        Console().print(metrics_table(metrics))
        print(folder)
    return metrics[OBJECTIVE]


if __name__ == "__main__":
    main()
