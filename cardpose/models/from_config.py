"""The network of a checkpoint's stored configuration, built without Hydra and without trust.

A checkpoint comes from anywhere, and `_target_` names what is called: here only classes of `cardpose.models` are.
"""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from cardpose.common.errors import InputError
from cardpose.models.end_to_end import EndToEnd
from cardpose.models.heatmaps import decode
from cardpose.models.peaks import locator

PACKAGE = "cardpose.models."


def end_to_end(config: Mapping[str, Any]) -> EndToEnd:
    """The module of a run's resolved configuration, with random weights.

    Raises:
        InputError: keys are missing, a target lies outside of `cardpose.models`, or the parts do not fit.
    """
    try:
        model, heatmap = dict(config["model"]), config["heatmap"]
        if "pretrained" in model["encoder"]:  # the checkpoint's own weights follow
            model["encoder"] = {**model["encoder"], "pretrained": False}
        locate = locator(heatmap.get("decode", "quadratic"), heatmap["sigma"])
        return EndToEnd(build(model), partial(decode, stride=heatmap["stride"], locate=locate))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the configuration is not one of this version's networks ({error!r})") from error


def build(node: Any) -> Any:
    """What a part of the configuration describes: nested mappings with a `_target_` become objects.

    `_partial_` gives a partial; `_convert_` says nothing here, where all containers are plain.

    >>> build({"_target_": "cardpose.models.head.PooledFeatures", "grid": [2, 3]}).size
    48
    >>> build({"_target_": "os.system", "command": "true"})
    Traceback (most recent call last):
        ...
    cardpose.common.errors.InputError: _target_ os.system is no class of cardpose.models
    """
    if isinstance(node, list):
        return [build(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    settings = {key: build(value) for key, value in node.items() if not key.startswith("_")}
    if "_target_" not in node:
        return settings
    target = _find(node["_target_"])
    return partial(target, **settings) if node.get("_partial_") else target(**settings)


def _find(target: str) -> type:
    """The class of that name, if a module of `cardpose.models` defines it."""
    module, _, name = str(target).rpartition(".")
    if f"{module}.".startswith(PACKAGE) and module.replace(".", "").replace("_", "").isalnum():
        try:
            found = getattr(import_module(module), name, None)
        except ModuleNotFoundError:
            found = None
        if isinstance(found, type) and found.__module__ == module:
            return found
    raise InputError(f"_target_ {target} is no class of cardpose.models")
