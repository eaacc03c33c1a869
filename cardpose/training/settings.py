"""KEY=VALUE settings of a tool, applied to a checkpoint's configuration."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import yaml

from cardpose.common.errors import InputError

GROUPS = ("data.", "fusion.", "heatmap.decode", "split.", "trainer.")
"""Keys that a test may change; the others belong to the weights."""
TARGETS = "data.encode_heatmaps"
"""Of the target heatmaps: they follow `data.size` and the weights."""


def apply_settings(config: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """A copy of the configuration with other values.

    Args:
        config: plain containers.
        settings: KEY=VALUE each, the key dotted, the value as YAML.

    Raises:
        InputError: no KEY=VALUE, or no such key; names the nearest ones.

    >>> apply_settings({"data": {"batch_size": 16}}, ["data.batch_size=4"])
    {'data': {'batch_size': 4}}
    """
    changed = copy.deepcopy(dict(config))
    known = [
        key
        for key in _keys(changed)
        if key.startswith(GROUPS) and "_target_" not in key and not key.startswith(TARGETS)
    ]
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise InputError(f"--set {setting}: write KEY=VALUE, for example --set heatmap.decode=dark")
        if key not in known:
            near = get_close_matches(key, known, n=3, cutoff=0.5) or ["heatmap.decode", "data.num_workers"]
            raise InputError(f"--set {key}: no such key, choose for example {', '.join(near)}")
        *path, name = key.split(".")
        node = changed
        for part in path:
            node = node[part]
        try:
            node[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"--set {setting}: the value is not YAML: put it in quotes") from None
        if key == "data.size" and "encode_heatmaps" in changed["data"]:
            changed["data"]["encode_heatmaps"]["size"] = node[name]
    return changed


def _keys(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
