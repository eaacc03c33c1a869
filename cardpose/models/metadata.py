"""The entry "cardpose" that checkpoints and exported files hold beside the network: what both say of a model."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cardpose.common.errors import InputError
from cardpose.fusion.intervals import Interval

KEY = "cardpose"
"""Of a checkpoint, and of the metadata of an exported file."""
INTERVAL = {field.name for field in fields(Interval)}
"""Keys of its optional "interval"."""
_LARGEST = 10**9
"""No interval or calibration holds a larger number."""
OTHER_VERSION = "use the version of cardpose that trained it"
"""How to fix it where a checkpoint does not fit the network that its own configuration describes."""


def check_calibration(described: Mapping[str, Any]) -> None:
    """Check the interval and the calibration of an entry; each may be missing or None.

    Raises:
        InputError: one of them is of another type or version, or the field of view cannot be.
    """
    held = described.get("interval")
    known = isinstance(held, dict) and held.keys() == INTERVAL and all(map(_is_number, held.values()))
    if held is not None and not (known and held["noise"] >= 0):
        raise InputError(
            f"its interval is {held}, this version's holds numbers {', '.join(sorted(INTERVAL))}: {OTHER_VERSION}"
        )
    calibration = described.get("calibration")
    view = calibration.get("field_of_view") if isinstance(calibration, dict) else None
    seen = view is None or (_is_number(view) and 1 <= view <= 170)
    if not (calibration is None or isinstance(calibration, dict)) or not seen:
        raise InputError(f"its calibration is {calibration}: calibrate the original checkpoint again")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def interval(described: Mapping[str, Any]) -> Interval | None:
    """The calibration of the interval; None where there is none, as before there was one."""
    return Interval(**described["interval"]) if described.get("interval") else None


def field_of_view(described: Mapping[str, Any]) -> float | None:
    """The field of view in degrees that `cardpose.calibrate` measured, if it did."""
    return (described.get("calibration") or {}).get("field_of_view")
