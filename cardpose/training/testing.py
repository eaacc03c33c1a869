"""A trained model tested on labelled footage: what evaluate, calibrate and export share."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cardpose.common.errors import InputError
from cardpose.common.packet import Annotation, FrameId
from cardpose.data.datamodule import CardDataModule
from cardpose.data.splits import Split, explicit
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.test_result import Frames, TestResult
from cardpose.models import checkpoints
from cardpose.models.builder import build as build_object
from cardpose.models.from_config import build_decoder, build_net
from cardpose.training import build
from cardpose.training.callbacks.collect import CollectFrames
from cardpose.training.callbacks.progress import TrainingProgress
from cardpose.training.lightning_module import CardposeModule
from cardpose.training.settings import apply_settings
from cardpose.training.trainer import build_trainer, quiet_lightning

Layout = Literal["auto", "folder", "cardcut"]
MakeSplit = Callable[[Sequence[Annotation]], Split]

log = logging.getLogger(__name__)

READERS = {
    "auto": "cardpose.data.footage.layouts.read_any",
    "folder": "cardpose.data.footage.folder.DatasetFolder.read",
    "cardcut": "cardpose.data.footage.cardcut.read_cardcut",
}
"""Layout of other footage -> what reads it."""
SPLITS: dict[str, dict[str, Any]] = {
    "run": {},
    "all": {"_target_": "cardpose.data.splits.all_test", "_partial_": True, "exclude": []},
}
FILE_SPLIT = {"_target_": "cardpose.data.splits.from_file", "_partial_": True}
SAMPLE = {"clips": 104, "frames_per_clip": 2, "seed": 1000}
"""What is rendered to test a released model, whose own footage is not part of the package; not a seed of a training."""
ONE_DEVICE = {"devices": 1, "num_nodes": 1, "strategy": "auto", "sync_batchnorm": False}


def config_for_test(
    checkpoint: Mapping[str, Any],
    path: str | Path,
    data: Path | None = None,
    layout: Layout = "auto",
    split: str = "run",
    settings: Sequence[str] = (),
    accelerator: str = "auto",
) -> dict[str, Any]:
    """A checkpoint's configuration for a test on one device.

    Args:
        checkpoint: as `cardpose.models.checkpoints.read` returns it.
        path: of the checkpoint, for messages.
        data: other footage, None for the checkpoint's own; of a released model, for a sample rendered like it.
        layout: of `data`.
        split: "run" for the checkpoint's own split, "all" for every frame, or a JSON file as `from_file` reads it.
        settings: KEY=VALUE, see `apply_settings`.
        accelerator: "auto", "cpu" or "gpu".

    Raises:
        InputError: an unknown key, value or decoder, or a configuration that is not whole.
    """
    trained = checkpoint[checkpoints.KEY]["config"]
    with checkpoints.configuration_errors(path):
        config = {**trained, "trainer": {**trained["trainer"], **ONE_DEVICE, "accelerator": accelerator}}
        if data is not None:
            training_only = ("test", "stream", "samples_per_epoch", "synthetic_ratio")
            own = {key: value for key, value in trained["data"].items() if key not in training_only}
            reader = {"_target_": READERS[layout], "_partial_": True}
            config["data"] = {**own, "name": "folder", "root": str(data), "read": reader, "stride": 1}
            config["trainer"].pop("limit_test_batches", None)  # of debug=smoke; other footage is tested whole
        elif not any(checkpoint[checkpoints.KEY]["split"].values()) and "footage" in trained["data"]["read"]:
            log.warning(
                "%s: its footage is not part of cardpose: frames like it are rendered; --data takes yours",
                path,
            )
            config["data"] = _sample(trained["data"])  # a released model, or a calibrated copy of one
            split = "all" if split == "run" else split
        config["split"] = SPLITS.get(split, {**FILE_SPLIT, "path": split})
        config = apply_settings(config, settings)
        build.check_values(config)
        build_decoder(config)  # an unknown one is refused before the frames are read
        return config


def _sample(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of rendered footage, for a few clips that the model was not trained on."""
    read = settings["read"]
    read = {**read, "footage": {**read["footage"], **SAMPLE}}
    return {**settings, "root": f"{settings['root']}_sample", "read": read}


def make_split(
    config: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
    name: str | Path,
    needed: Sequence[str] = ("test",),
) -> MakeSplit:
    """Annotations -> split whose test frames are those of `config["split"]`, or else the checkpoint's own.

    Args:
        config: as `config_for_test` returns it.
        checkpoint: as `cardpose.models.checkpoints.read` returns it.
        needed: subsets whose frames must be in the footage; the others are left out.

    Raises:
        InputError: the checkpoint has no split, as a released model.
    """
    if split := config["split"]:
        return build_object({**split, "needed": list(needed)} if "path" in split else split, "split")
    stored = checkpoint[checkpoints.KEY]["split"]
    if not any(stored.values()):
        raise InputError(f"{name}: has no split of its own: add --split all")
    subsets = {subset: stored.get(subset, {}) for subset in needed}
    return partial(explicit, subsets=subsets, name=f"{name}'s split (for other footage add --split all)")


def evaluate_checkpoint(
    config: Mapping[str, Any], path: str | Path, checkpoint: dict[str, Any], make_split: MakeSplit
) -> TestResult:
    """Test the checkpoint's network on the test frames of `config["data"]`.

    Args:
        config: as `config_for_test` returns it.
        checkpoint: as `cardpose.models.checkpoints.read` returns it.
        make_split: annotations -> split.

    Raises:
        InputError: the footage is invalid, or the weights do not fit.
    """
    quiet_lightning()
    collect = CollectFrames()
    with checkpoints.configuration_errors(path):
        net = build_net(config, trained=True)
        data = build.build_data(config, net)
        module = build.build_module(config, net, float("nan"), checkpoint[checkpoints.KEY])
        trainer = build_trainer(config, [collect, TrainingProgress()], logger=False)
    data.make_split = make_split
    data.prepare_data()
    module.load(checkpoint, path)
    metrics = dict(trainer.test(module, data, verbose=False)[0])
    return describe_test(metrics, collect.results, module, data, checkpoint.get("global_step", 0))


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
    steps: int,
) -> TestResult:
    """The result of `trainer.test(module, data)`.

    Args:
        metrics: that it returned.
        results: that `callbacks.collect.CollectFrames` gathered.
        module: with the weights that were tested.
        data: what was tested on.
        steps: optimizer steps of the training.
    """
    description = module.description or {"split": {}, "config": {}}
    trained = len(description["split"].get("train", {}))
    start = description["config"].get("init_from")
    tested = data if data.test is None else data.test
    videos = len({result.video for result in results})
    return TestResult(
        metrics=metrics,
        results=results,
        frames=Frames(data.datasets["test"], tested.footage),
        footage=f"{tested.root}, {len(results)} frames of {videos} videos",
        constant=float(module.test_metrics.cards.constant),
        interval=module.interval,
        fusion=module.fusion,
        training=(steps, trained, start),
    )


def frames_to_test(checkpoint: dict[str, Any]) -> list[FrameId]:
    """The test side of a checkpoint's split."""
    side = checkpoint[checkpoints.KEY]["split"]["test"]
    return [(video, index) for video, indices in side.items() for index in indices]
