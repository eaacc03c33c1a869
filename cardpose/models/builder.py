"""Objects from configuration: the one builder, for conf/ in a training and for what a checkpoint stores.

A checkpoint comes from anywhere, and `_target_` names what is called. So the list of what may be called is closed:
`ALLOWED`, and every class that a module of `cardpose.models` defines. Plugins of Hydra itself (launcher, sweeper) are
built by Hydra and are not in it.

Adding a backbone, a head or a decoder needs no entry here. Adding anything else that conf/ names does.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, get_type_hints

from cardpose.common.errors import InputError, first_line

MODELS = "cardpose.models."
ALLOWED = frozenset(
    {
        "cardpose.data.augment.Augmenter",
        "cardpose.data.augment.Warp",
        "cardpose.data.datamodule.CardDataModule",
        "cardpose.data.datamodule.TestFootage",
        "cardpose.data.dataset.unchanged",
        "cardpose.data.footage.cardcut.read_cardcut",
        "cardpose.data.footage.folder.DatasetFolder.read",
        "cardpose.data.footage.layouts.read_any",
        "cardpose.data.splits.all_test",
        "cardpose.data.splits.by_video",
        "cardpose.data.splits.by_video_fraction",
        "cardpose.data.splits.from_file",
        "cardpose.data.splits.random_frames",
        "cardpose.models.heatmaps.encode",
        "cardpose.synth.dataset.Footage",
        "cardpose.synth.sampling.distributions.BackRanges",
        "cardpose.synth.sampling.distributions.CameraRanges",
        "cardpose.synth.sampling.distributions.LightRanges",
        "cardpose.synth.sampling.distributions.OccluderRanges",
        "cardpose.synth.sampling.distributions.PacketRanges",
        "cardpose.synth.sampling.distributions.SceneConfig",
        "cardpose.synth.sampling.distributions.SensorRanges",
        "cardpose.synth.sampling.distributions.TableRanges",
        "cardpose.synth.stream.SceneStream",
        "cardpose.synth.dataset.read_or_render",
        "cardpose.training.callbacks.best_scores.BestScores",
        "cardpose.training.callbacks.distillation.Distillation",
        "cardpose.training.callbacks.interrupt.GracefulInterrupt",
        "cardpose.training.callbacks.pictures.Pictures",
        "cardpose.training.callbacks.progress.TrainingProgress",
        "cardpose.training.callbacks.throughput.Throughput",
        "cardpose.training.hardware.make_trainer",
        "cardpose.training.loggers.TensorBoard",
        "cardpose.training.loggers.mlflow",
        "cardpose.training.loggers.wandb",
        "cardpose.training.schedules.one_cycle",
        "cardpose.training.schedules.warmup_cosine",
        "lightning.pytorch.callbacks.EMAWeightAveraging",
        "lightning.pytorch.callbacks.EarlyStopping",
        "lightning.pytorch.callbacks.LearningRateMonitor",
        "lightning.pytorch.callbacks.ModelCheckpoint",
        "lightning.pytorch.loggers.CSVLogger",
        "torch.optim.AdamW",
    }
)
"""Dotted names of what a configuration may name outside of the classes of `cardpose.models`."""

_NUMBERS: dict[Any, Any] = {int: (int,), float: (int, float)}
"""Types of the values that an argument of a type takes."""
_LARGEST = 2**53
"""No setting of a network is larger."""
DIRECTIVES = ("_target_", "_partial_", "_convert_")
"""Keys that are not arguments. `_convert_` is Hydra's and has no effect: all containers here are plain."""


def check(config: Any, key: str = "") -> None:
    """Check every node of a configuration before anything is built from it.

    Args:
        config: plain containers.
        key: where it stands in the whole configuration, for messages.

    Raises:
        InputError: a `_target_` is not allowed; names its key.

    >>> check({"optim": {"_target_": "os.system", "command": "true"}})
    Traceback (most recent call last):
        ...
    cardpose.common.errors.InputError: optim: _target_ os.system is not allowed: only classes of cardpose.models and \
the names in cardpose/models/builder.py are
    """
    try:
        for place, node in _nodes(config, key):
            if "_target_" in node:
                _find(node["_target_"], place)
            for word in node:
                if isinstance(word, str) and word.startswith("_") and word not in DIRECTIVES:
                    raise InputError(
                        f"{_join(place, word)}: no such directive: choose {', '.join(DIRECTIVES)}"
                    )
    except RecursionError:
        raise InputError(f"{key or 'the configuration'}: is nested too deeply") from None


def build(config: Any, key: str = "") -> Any:
    """Build what a part of a configuration describes: nested mappings with a `_target_` become objects.

    Args:
        config: plain containers; `_partial_: true` gives a `functools.partial`. Values that are no containers are
            handed over as they are, so a caller may add objects: `build({**config["data"], "mean": mean})`.
        key: where it stands in the whole configuration, for messages.

    Raises:
        InputError: a `_target_` is not allowed, or its arguments do not fit; names the key.

    >>> build({"_target_": "cardpose.models.head.PooledFeatures", "grid": [2, 3]}).size
    48
    """
    check(config, key)
    return _build(config, key)


def _build(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return [_build(item, _join(key, number)) for number, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    settings = {
        name: _build(value, _join(key, name)) for name, value in node.items() if name not in DIRECTIVES
    }
    if "_target_" not in node:
        return settings
    target = _find(node["_target_"], key)
    _check_numbers(target, settings, key)
    if node.get("_partial_"):
        return partial(target, **settings)
    try:
        return target(**settings)
    except InputError:
        raise
    except Exception as error:  # each library has its own class for a wrong value
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{key or node['_target_']} cannot be built: {message}") from error


def _check_numbers(target: Any, settings: Mapping[str, Any], key: str) -> None:
    """Check the arguments that a class of `cardpose.models` takes as numbers: it may use them as late as in forward."""
    hints = get_type_hints(target.__init__) if target.__module__.startswith(MODELS) else {}
    for name, value in settings.items():
        kinds = _NUMBERS.get(hints.get(name))
        if kinds and (isinstance(value, bool) or not isinstance(value, kinds) or not abs(value) < _LARGEST):
            raise InputError(f"{_join(key, name)} is {value!r:.40}: write a number")


def _nodes(node: Any, key: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Every mapping in a configuration, with its key."""
    if isinstance(node, Mapping):
        yield key, node
        for name, value in node.items():
            yield from _nodes(value, _join(key, name))
    elif isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from _nodes(item, _join(key, number))


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _find(target: object, key: str) -> Any:
    """The class or function of an allowed dotted name.

    Nothing is imported for a name outside of `ALLOWED` and `cardpose.models`.
    """
    if isinstance(target, str) and target in ALLOWED:
        try:
            return pkgutil.resolve_name(target)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{key}: _target_ {target} is not installed: {first_line(error)}") from error
    found = _class_of_models(str(target))
    if found is None:
        raise InputError(
            f"{key or 'the configuration'}: _target_ {target} is not allowed: only classes of cardpose.models and "
            "the names in cardpose/models/builder.py are"
        )
    return found


def _class_of_models(target: str) -> type | None:
    """The class of that name, if the module of `cardpose.models` in the name defines it."""
    module, _, name = target.rpartition(".")
    if not f"{module}.".startswith(MODELS) or not all(part.isidentifier() for part in target.split(".")):
        return None
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError:
        return None
    return found if isinstance(found, type) and found.__module__ == module else None
