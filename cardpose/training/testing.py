"""A trained model tested on labelled footage: what evaluate and calibrate share."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import plain, require
from cardpose.common.packet import Annotation, FrameId
from cardpose.data.datamodule import CardDataModule
from cardpose.data.splits import Split, explicit
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.test_result import Frames, TestResult
from cardpose.models import checkpoints
from cardpose.models.from_config import build_decoder, build_net
from cardpose.training import build
from cardpose.training.callbacks.collect import CollectFrames
from cardpose.training.callbacks.progress import TrainingProgress
from cardpose.training.lightning_module import CardposeModule
from cardpose.training.trainer import build_trainer, quiet_lightning


def read_checkpoint(cfg: DictConfig) -> dict[str, Any]:
    """The checkpoint `cfg.ckpt`.

    Raises:
        InputError: it is not given, there are several, or it cannot be read.
    """
    return checkpoints.read(*checkpoint_paths(cfg))


def checkpoint_paths(cfg: DictConfig, most: int = 1) -> list[str]:
    """The one checkpoint of `cfg.ckpt`, or up to `most`, given as a list.

    Raises:
        InputError: none or too many are given.
    """
    require(cfg, {"ckpt": "outputs/<run>/checkpoints/best.ckpt"})
    paths = [str(path) for path in cfg.ckpt] if isinstance(cfg.ckpt, ListConfig) else [str(cfg.ckpt)]
    if not 0 < len(paths) <= most:
        wanted = "one checkpoint" if most == 1 else f"1 to {most} checkpoints"
        raise InputError(f"ckpt names {len(paths)}: give {wanted}")
    return paths


def run(
    config: Mapping[str, Any],
    path: str,
    checkpoint: dict[str, Any],
    make_split: Callable[[Sequence[Annotation]], Split] | None = None,
) -> TestResult:
    """Test the checkpoint's network on the test side of `config.data`.

    Args:
        config: as `merge` returns it.
        path: of the checkpoint.
        checkpoint: as `cardpose.models.checkpoints.read` returns it.
        make_split: replaces the split of `config`.

    Raises:
        InputError: what the user can mend.
    """
    quiet_lightning()
    net = build_net(config, trained=True)
    data = build.build_data(config, net)
    data.make_split = make_split or data.make_split
    data.prepare_data()
    module = build.build_module(config, net, float("nan"), checkpoint[checkpoints.KEY])
    module.load(checkpoint, path)
    collect = CollectFrames()
    trainer = build_trainer(config, [collect, TrainingProgress()], logger=False)
    metrics = dict(trainer.test(module, data, verbose=False)[0])
    return describe_test(metrics, collect.results, module, data)


def evaluate_on_own_split(cfg: DictConfig, path: str, checkpoint: dict[str, Any]) -> TestResult:
    """Test a checkpoint's network on its own test side, or on the footage and by the decoder that `cfg` names.

    Args:
        cfg: conf/evaluate.yaml, composed.
        path: of the checkpoint.
        checkpoint: as `cardpose.models.checkpoints.read` returns it.

    Raises:
        InputError: what the user can mend.
    """
    described = checkpoint[checkpoints.KEY]
    make_split = None
    if not cfg.split:
        name = f"{path}'s split (for other footage add split=all)"
        make_split = partial(explicit, subsets=described["split"], name=name)
    config = merge(described["config"], cfg)
    if cfg.heatmap.decode:
        config["heatmap"]["decode"] = cfg.heatmap.decode
        build_decoder(config)  # an unknown one is refused before the frames are read
    return run(config, path, checkpoint, make_split)


def validate(config: Mapping[str, Any], module: CardposeModule, data: CardDataModule) -> dict[str, float]:
    """Scores on the validation frames, val/..., with the weights that `module` has.

    With a trainer of its own: the training's averages the weights and would validate its last average instead.
    """
    trainer = build_trainer(config, [], logger=False, enable_progress_bar=False)
    return dict(trainer.validate(module, data, verbose=False)[0])


def describe_test(
    metrics: Mapping[str, float],
    results: Sequence[FrameResult],
    module: CardposeModule,
    data: CardDataModule,
) -> TestResult:
    """What `trainer.test(module, data)` gave.

    Args:
        metrics: that it returned.
        results: that `callbacks.collect.CollectFrames` gathered.
        module: with the weights that were tested.
        data: what was tested on.
    """
    root = data.root if data.test is None else data.test.root
    videos = len({result.video for result in results})
    return TestResult(
        metrics=metrics,
        results=results,
        frames=Frames(data.datasets["test"], data.test_videos),
        footage=f"{root}, {len(results)} frames of {videos} videos",
        constant=float(module.test_metrics.cards.constant),
        interval=module.interval,
        fusion=module.fusion,
    )


def frames_to_test(checkpoint: dict[str, Any]) -> list[FrameId]:
    """The test side of a checkpoint's split."""
    side = checkpoint[checkpoints.KEY]["split"]["test"]
    return [(video, index) for video, indices in side.items() for index in indices]


def merge(trained: dict[str, Any], cfg: DictConfig) -> dict[str, Any]:
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
    for key in ("render", "scene", "paths"):
        config[key] = cfg[key]
    config.data.cache_dir = cfg.paths.cache
    if cfg.split:
        config.split = cfg.split
        config.data.split = cfg.split
        config.trainer.pop("limit_test_batches", None)  # of debug=smoke; other footage is measured whole
    if "accelerator" in cfg:
        config.trainer.accelerator = cfg.accelerator
    alone = {"devices": 1, "num_nodes": 1, "strategy": "auto", "sync_batchnorm": False}
    config.trainer = OmegaConf.merge(config.trainer, alone)
    return plain(config)


def overrides() -> list[str]:
    """What stood on the command line."""
    return list(HydraConfig.get().overrides.task)
