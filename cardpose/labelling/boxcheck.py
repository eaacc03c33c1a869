"""The box fitted to a frame's corners: predicts the missing ones and detects an outlier among the labelled ones."""

from dataclasses import dataclass

import numpy as np

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS, NUM_CORNERS
from cardpose.common.threads import one_torch_thread
from cardpose.data.labels.marks import Marks, arrays
from cardpose.geometry.box_fit import BoxFit
from cardpose.geometry.boxes import LABEL_STEPS, extent, fit_frames, leave_one_out

MAX_RESIDUAL = 0.02
"""Largest RMS distance of the corners from the box, as a share of the longest distance between two of them. 10 of 765
published labels exceed it, half of which are wrong (docs/label_errors.md); a corner displaced by a tenth of that
distance is detected in 9 frames of 10."""


@dataclass(frozen=True)
class BoxCheck:
    """The result of a box fit for one frame.

    Args:
        box: (8, 2) its corners in source pixels; None if the labelled corners do not determine a box.
        hidden: (8,) whether the packet itself hides the corner.
        residual: RMS distance of the labelled corners from the box, as a share of their extent; NaN without a box.
        outlier: the corner without which the box fits best, if `residual` is too large; else None.
        offset: distance of that corner from the box of the others, source pixels.
    """

    box: np.ndarray | None
    hidden: np.ndarray
    residual: float
    outlier: int | None
    offset: float

    @property
    def warning(self) -> str:
        """A message for the user, "" if there is no outlier."""
        if self.outlier is None:
            return ""
        name = CORNERS[self.outlier].replace("_", " ")
        return f"No box fits these corners: {name} is {self.offset:.0f} px from its expected position."


def check_box(marks: Marks, width: int, height: int) -> BoxCheck:
    """Fit the box to all placed corners, including hidden ones; `width` and `height` of the frame in pixels."""
    corners, visibility = arrays(marks)
    given, size = visibility > 0, np.array([width, height], np.float64)
    with one_torch_thread():  # threads do not pay off for so small a problem
        boxes = fit_frames(corners[None], given[None], size[None], LABEL_STEPS)
        if not boxes.fit.determined[0]:
            return BoxCheck(None, np.zeros(NUM_CORNERS, bool), np.nan, None, np.nan)
        residual = float(boxes.distance[0] / max(extent(corners[None], given[None])[0], 1e-6))
        found = leave_one_out(corners, given, size) if residual > MAX_RESIDUAL else None
    outlier, offset = (found.corner, found.offset) if found else (None, np.nan)
    return BoxCheck(boxes.corners[0], hidden_corners(boxes.fit), residual, outlier, offset)


def hidden_corners(fit: BoxFit) -> np.ndarray:
    """(8,) whether the first box of `fit` hides a corner: none of its three faces is turned to the camera."""
    rotation, translation = fit.rotation[0].numpy(), fit.translation[0].numpy()
    x, y, z = -rotation.T @ translation  # position of the camera in the box's frame
    turned = {
        "left": x < -CARD_WIDTH_MM / 2,
        "right": x > CARD_WIDTH_MM / 2,
        "lower": y < -CARD_HEIGHT_MM / 2,
        "upper": y > CARD_HEIGHT_MM / 2,
        "back": z > 0,
        "face": z < -float(fit.thickness[0]),
    }
    return np.array([not any(turned[word] for word in name.split("_")) for name in CORNERS])
