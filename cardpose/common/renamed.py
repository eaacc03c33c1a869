"""Configuration keys of cardpose 0.1.0 that have another name now, on command lines and in stored configurations."""

import re
from collections.abc import Mapping

RENAMED = {
    "footage": "render",
    "synth": "scene",
    "head": "count_features",
    "count": "count_head",
    "weights": "init_from",
    "weights_parts": "init_modules",
    "skip_existing": "resume_sweep",
    "what": "benchmarks",
    "split.without": "split.exclude",
    "data.film": "data.stream",
    "data.film_frames": "data.samples_per_epoch",
    "data.film_ratio": "data.synthetic_ratio",
    "model.head.describe": "model.head.heatmap_features",
    "model.head.readout": "model.head.count_head",
}
"""Old key -> new one, dotted from the root of the configuration."""


def rename(key: str, names: Mapping[str, str] = RENAMED) -> str:
    """The new name of a dotted key or override; the same text where nothing was renamed.

    >>> rename("synth.deck"), rename("head=box"), rename("heads"), rename("+data.film=true")
    ('scene.deck', 'count_features=box', 'heads', '+data.stream=true')
    """
    sign, key = re.match(r"([+~]*)(.*)", key, re.DOTALL).groups()  # type: ignore[union-attr]
    for old, new in names.items():
        if re.match(rf"{re.escape(old)}(?![\w-])", key):
            return sign + new + key.removeprefix(old)
    return sign + key
