"""Older checkpoints, exported files and run folders: what they store is rewritten to this version's where it is read.

A class or key that is renamed gets a row in `CLASSES` or `KEYS`; a key that is new in conf/ gets the value that stands
for what older versions did in `DEFAULTS`; a class that was removed gets a row in `REMOVED`.
"""

import copy
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cardpose.common.errors import InputError
from cardpose.common.renamed import RENAMED
from cardpose.fusion.settings import FusionConfig

CLASSES = {
    "cardpose.callbacks.interrupt.StopOnCtrlC": "cardpose.training.callbacks.interrupt.GracefulInterrupt",
    "cardpose.callbacks.pictures.Pictures": "cardpose.training.callbacks.pictures.Pictures",
    "cardpose.callbacks.progress.TrainingProgress": "cardpose.training.callbacks.progress.TrainingProgress",
    "cardpose.callbacks.throughput.Throughput": "cardpose.training.callbacks.throughput.Throughput",
    "cardpose.data.cardcut.read_cardcut": "cardpose.data.footage.cardcut.read_cardcut",
    "cardpose.data.folder.DatasetFolder.read": "cardpose.data.footage.folder.DatasetFolder.read",
    "cardpose.data.layouts.read_any": "cardpose.data.footage.layouts.read_any",
    "cardpose.hardware.make_trainer": "cardpose.training.hardware.make_trainer",
    "cardpose.heatmaps.encode": "cardpose.models.heatmaps.encode",
    "cardpose.models.efficientnet_lite.EfficientNetLite": "cardpose.models.encoders.efficientnet_lite.EfficientNetLite",
    "cardpose.models.encoders.ConvEncoder": "cardpose.models.encoders.conv.ConvEncoder",
    "cardpose.models.head.FittedBox": "cardpose.models.head.BoxFeatures",
    "cardpose.models.head.NoHeatmaps": "cardpose.models.head.NoFeatures",
    "cardpose.models.head.PooledHeatmaps": "cardpose.models.head.PooledFeatures",
    "cardpose.models.head.Thickness": "cardpose.models.head.ThicknessFeatures",
    "cardpose.models.mobilenetv3.MobileNetV3": "cardpose.models.encoders.mobilenetv3.MobileNetV3",
    "cardpose.models.timm_features.TimmFeatures": "cardpose.models.encoders.timm_features.TimmFeatures",
    "cardpose.schedules.one_cycle": "cardpose.training.schedules.one_cycle",
    "cardpose.schedules.warmup_cosine": "cardpose.training.schedules.warmup_cosine",
    "cardpose.synth.distributions": "cardpose.synth.sampling.distributions",
    "cardpose.synth.generate.Footage": "cardpose.synth.dataset.Footage",
    "cardpose.synthesize.read_or_render": "cardpose.synth.dataset.read_or_render",
    "lightning.pytorch.loggers.TensorBoardLogger": "cardpose.training.loggers.TensorBoard",
}
"""Old dotted path -> new one; a module's path stands for all that it defines."""

KEYS = {**RENAMED, "data.split.without": "data.split.exclude"}
"""Old key of a stored configuration -> new one, dotted from its root."""

_SCENE = {
    "packet.absent": 0.0,
    "packet.rounded": False,
    "back.medallions": 0.0,
    "table.sheets": 0.0,
    "table.room": 0.0,
    "table.pale": 0.0,
    "sensor.sharpening": [0.0, 0.0],
    "sensor.saturation": [1.0, 1.0],
    "sensor.contrast": [0.0, 0.0],
    "occluders.objects": 0.0,
}

DEFAULTS: dict[str, Any] = {
    "callbacks.best_scores": {
        "_target_": "cardpose.training.callbacks.best_scores.BestScores",
        "monitor": "val/loss",
    },
    "heatmap.decode": "quadratic",
    "loss.coordinates": 0.0,
    "loss.distribution": 0.0,
    "loss.intermediate": 1.0,
    "spatial": {"_target_": "cardpose.models.spatial.NoSpatial"},
    "model.spatial": {"_target_": "cardpose.models.spatial.NoSpatial"},
    "count_head": {"_target_": "cardpose.models.counts.Regression"},
    "fusion": asdict(FusionConfig()),
    "fusion.second_look": 0.0,
    "keep_start": False,
    "trainer.max_steps": -1,
    "fixed_modules": None,
    "data.read.footage.second": None,
    "data.exclude_labels": None,
    **{
        f"{scene}.{key}": value
        for scene in ("scene", "data.read.footage.scene", "data.stream.scene")
        for key, value in _SCENE.items()
    },
}
"""Key that older configurations lack -> the value that means what they did.

It is set where the key's parent exists; at the root, in the configuration of a model.
"""

DROPPED: dict[str, Any] = {"loss.heatmap_loss": "mse", "loss.card_loss": "mse"}
"""Key that no longer exists -> the value that means what every version does; another value stays, to be refused."""

REMOVED = {"cardpose.models.counts.Ordinal": "count=ordinal"}
"""Class that no longer exists -> the choice on the command line that named it."""

OUTPUTS = {"spread": "cards_std"}
"""Output of older exported files -> its name today."""


def migrate(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrite a stored configuration of any version to today's; the argument stays as it is.

    Raises:
        InputError: it names a choice that was removed.

    >>> migrate({"head": {"_target_": "cardpose.models.head.FittedBox"}})["count_features"]
    {'_target_': 'cardpose.models.head.BoxFeatures'}
    """
    migrated: dict[str, Any] = copy.deepcopy(dict(config))
    for old, new in KEYS.items():
        parent, name = _parent(migrated, old)
        if parent is not None and name in parent:
            value = parent.pop(name)
            target, new_name = _parent(migrated, new)
            if target is not None:
                target.setdefault(new_name, value)
    for key, value in DEFAULTS.items():
        parent, name = _parent(migrated, key)
        if parent is not None and (parent is not migrated or "model" in migrated):
            parent.setdefault(name, copy.deepcopy(value))
    for key, value in DROPPED.items():
        parent, name = _parent(migrated, key)
        if parent is not None and parent.get(name) == value:
            del parent[name]
    _rename_targets(migrated)
    return migrated


def migrate_export(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrite the metadata of an exported file of any version to today's; the argument stays as it is.

    >>> migrate_export({"outputs": {"spread": "in cards"}})["outputs"]
    {'cards_std': 'in cards'}
    """
    outputs = {OUTPUTS.get(name, name): about for name, about in metadata.get("outputs", {}).items()}
    return {"fusion": DEFAULTS["fusion"], **metadata, "outputs": outputs}


def new_target(target: str) -> str:
    """Today's dotted path of a class.

    >>> new_target("cardpose.synth.distributions.SceneConfig")
    'cardpose.synth.sampling.distributions.SceneConfig'

    Raises:
        InputError: the class was removed.
    """
    if target in REMOVED:
        raise InputError(
            f"trained with {REMOVED[target]}, which this version no longer has: use cardpose 0.1.0, or train again"
        )
    for old, new in CLASSES.items():
        if target == old or target.startswith(f"{old}."):
            return new + target.removeprefix(old)
    return target


def _rename_targets(node: Any) -> None:
    if isinstance(node, dict):
        if isinstance(target := node.get("_target_"), str):
            node["_target_"] = new_target(target)
        for value in node.values():
            _rename_targets(value)
    elif isinstance(node, list):
        for value in node:
            _rename_targets(value)


def _parent(config: dict[str, Any], key: str) -> tuple[dict[str, Any] | None, str]:
    """The mapping that holds the last name of a dotted key, None where there is none, and that name."""
    *path, name = key.split(".")
    node: Any = config
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    return (node if isinstance(node, dict) else None), name
