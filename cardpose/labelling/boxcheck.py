"""The box that fits a frame's corners: where the missing ones must be, and whether the labelled ones make one."""

from dataclasses import dataclass

import numpy as np

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS, NUM_CORNERS
from cardpose.common.threads import one_torch_thread
from cardpose.data.labels.marks import Marks, arrays
from cardpose.geometry.box_fit import BoxFit
from cardpose.geometry.boxes import LABEL_STEPS, extent, fit_frames, leave_one_out

MAX_RESIDUAL = 0.02
"""Root mean square distance of the corners from the box, of the longest distance between two of them. The published
labels are above in 10 of 765 frames, half of which are wrong (docs/label_errors.md); a corner set wrong by a tenth of
that distance is told in 9 frames of 10."""


@dataclass(frozen=True)
class BoxCheck:
    """What the fitted box says of a frame.

    Args:
        box: (8, 2) its corners in source pixels; None where the labelled ones determine none.
        hidden: (8,) whether the packet itself hides the corner from the camera.
        residual: distance of the labelled corners from the box, of their extent; NaN where there is no box.
        blamed: the corner without which the box fits best, where `residual` is too large; None otherwise.
        away: how far that one is from the box of the others, source pixels.
    """

    box: np.ndarray | None
    hidden: np.ndarray
    residual: float
    blamed: int | None
    away: float

    @property
    def warning(self) -> str:
        """What to tell the person, "" where all is well."""
        if self.blamed is None:
            return ""
        name = CORNERS[self.blamed].replace("_", " ")
        return f"These corners make no box: {name} is {self.away:.0f} px from where the others want it."


def check_box(marks: Marks, width: int, height: int) -> BoxCheck:
    """Fit the box to the corners that are placed, hidden ones too; the size is the frame's in pixels."""
    corners, visibility = arrays(marks)
    given, size = visibility > 0, np.array([width, height], np.float64)
    with one_torch_thread():  # so small that threads only wait for each other
        boxes = fit_frames(corners[None], given[None], size[None], LABEL_STEPS)
        if not boxes.fit.determined[0]:
            return BoxCheck(None, np.zeros(NUM_CORNERS, bool), np.nan, None, np.nan)
        residual = float(boxes.distance[0] / max(extent(corners[None], given[None])[0], 1e-6))
        found = leave_one_out(corners, given, size) if residual > MAX_RESIDUAL else None
    blamed, away = (found.corner, found.offset) if found else (None, np.nan)
    return BoxCheck(boxes.corners[0], hidden_corners(boxes.fit), residual, blamed, away)


def hidden_corners(fit: BoxFit) -> np.ndarray:
    """(8,) whether the first box hides a corner: none of the three faces that meet there turns to the camera."""
    rotation, translation = fit.rotation[0].numpy(), fit.translation[0].numpy()
    x, y, z = -rotation.T @ translation  # the camera in the box's axes
    turned = {
        "left": x < -CARD_WIDTH_MM / 2,
        "right": x > CARD_WIDTH_MM / 2,
        "lower": y < -CARD_HEIGHT_MM / 2,
        "upper": y > CARD_HEIGHT_MM / 2,
        "back": z > 0,
        "face": z < -float(fit.thickness[0]),
    }
    return np.array([not any(turned[word] for word in name.split("_")) for name in CORNERS])
