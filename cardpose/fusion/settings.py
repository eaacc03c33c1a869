"""The constants of the fusion (conf/fusion), stored with every model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cardpose.common.errors import InputError

LIMITS = {
    "found": (0.0, 1.0),
    "tolerance": (0.0, 1.0),
    "border": (0.0, 0.5),
    "max_residual": (0.0, 10.0),
    "min_thickness_mm": (-100.0, 100.0),
    "outlier_deviations": (0.0, 1000.0),
    "outlier_cards": (0.0, 1000.0),
    "min_cards_std": (0.0, 100.0),
    "second_look": (0.0, 1.0),
}
"""Lowest and highest value of each setting."""
POSITIVE = ("tolerance", "min_cards_std")
"""Settings that are divided by, so must not be 0."""


@dataclass(frozen=True)
class FusionConfig:
    """How frames are flagged and fused.

    The defaults are the values of cardpose 0.1.0: a checkpoint or exported file without settings was made with them.

    Args:
        found: height of a heatmap's peak above which the corner counts as found.
        tolerance: see `cardpose.geometry.box_fit.fit_box`; share of the frame's longer side.
        border: share of the frame's longer side. The outermost pixel of a heatmap is about as wide, and there the peak
            of a corner outside the frame ends up.
        max_residual: largest distance of the corners from their box, as a share of the packet's extent in the image.
            Good corners stay below 0.02 and one misplaced corner mostly below 0.2.
        min_thickness_mm: below this, back and face of the box are exchanged; a single card may come out slightly
            below 0.
        outlier_deviations, outlier_cards: an outlier is farther from the clip's median than both, in robust standard
            deviations and in cards.
        min_cards_std: lower bound, in cards, of a frame's standard deviation when it is weighted.
        second_look: a packet that fills less than this share of the network's input is predicted a second time, cut
            out of the source frame (`cardpose.prediction.second_look`); 0: never. For models that have seen packets
            of all sizes; a training and its scores look once.

    Raises:
        InputError: a value is no number or outside `LIMITS`.

    >>> FusionConfig(border=2)
    Traceback (most recent call last):
        ...
    cardpose.common.errors.InputError: fusion.border=2: choose a number from 0 to 0.5
    """

    found: float = 0.3
    tolerance: float = 0.024
    border: float = 0.01
    max_residual: float = 0.2
    min_thickness_mm: float = -2.0
    outlier_deviations: float = 5.0
    outlier_cards: float = 4.0
    min_cards_std: float = 0.1
    second_look: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high or (name in POSITIVE and value == 0):
                above = "above 0, at most" if name in POSITIVE else f"from {low:g} to"
                raise InputError(f"fusion.{name}={value}: choose a number {above} {high:g}")

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> "FusionConfig":
        """Read the settings of a configuration or of an exported file.

        Args:
            stored: setting to value; None where the file is older than the settings.

        Raises:
            InputError: an unknown setting, or a wrong value.
        """
        names = [field.name for field in fields(cls)]
        for name in stored or {}:
            if name not in names:
                raise InputError(f"fusion.{name}: no such setting: choose {', '.join(names)}")
        return cls(**(stored or {}))
