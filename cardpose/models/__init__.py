"""The network and its checkpoints.

encoders/         image -> feature maps; "Adding a new backbone" is described there
decoder.py        feature maps -> eight heatmaps
hourglass.py      the stacked hourglass in the decoder's place
spatial.py        heatmaps corrected by each other: priors of offsets, the fitted box (conf/spatial)
heatmaps.py       corners <-> heatmaps
peaks.py          sub-pixel localisation of a heatmap's peak (heatmap.decode)
head.py           deepest features and detached heatmaps -> count and visibility; the features of the heatmaps
counts.py         the head's numbers -> count and standard deviation: regression, distribution
unet.py           encoder, decoder and head in one module
end_to_end.py     image bytes -> corners and count: the trained network with decoding, as it is exported
builder.py        objects from plain configuration, restricted to an allowlist
from_config.py    the network of a checkpoint's configuration
checkpoints.py    self-describing checkpoints, read with weights_only=True
metadata.py       what checkpoints and exported files say of a model
migrations.py     configurations of older checkpoints -> today's names
released.py       a model's name or path -> its file
listing.py        `cardpose models`: the released models and their scores
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """The command `cardpose.models.main` and its function `models`, imported when they are asked for (PEP 562)."""
    if name in ("main", "models"):
        from cardpose.models import listing

        return getattr(listing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
