"""The box that fits a frame's corners: where the missing ones must be, and whether the labelled ones make one."""

from dataclasses import dataclass

import numpy as np
import torch

from cardpose.data.marks import Marks, arrays
from cardpose.geometry import PHONE_FOCAL, BoxFit, fit_box, project
from cardpose.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS, NUM_CORNERS
from cardpose.threads import one_torch_thread

MISFIT = 0.02
"""Root mean square distance of the corners from the box, of the longest distance between two of them. The published
labels are above in 10 of 765 frames, half of which are wrong (docs/label_errors.md); a corner set wrong by a tenth of
that distance is told in 9 frames of 10."""
CHECKED_FROM = 6
"""Corners; a box has seven numbers, so fewer fit almost whatever they are."""
STEPS = 12
"""Of the fit; one frame in three hundred needs more than six."""


@dataclass(frozen=True)
class BoxCheck:
    """What the fitted box says of a frame.

    Args:
        box: (8, 2) its corners in source pixels; None where the labelled ones determine none.
        hidden: (8,) whether the packet itself hides the corner from the camera.
        misfit: distance of the labelled corners from the box, of their extent; NaN where there is no box.
        blamed: the corner without which the box fits best, where `misfit` is too large; None otherwise.
        away: how far that one is from the box of the others, source pixels.
    """

    box: np.ndarray | None
    hidden: np.ndarray
    misfit: float
    blamed: int | None
    away: float

    @property
    def words(self) -> str:
        """What to tell the person, "" where all is well."""
        if self.blamed is None:
            return ""
        name = CORNERS[self.blamed].replace("_", " ")
        return f"These corners make no box: {name} is {self.away:.0f} px from where the others want it."


def check_box(marks: Marks, width: int, height: int) -> BoxCheck:
    """Fit the box to the corners that are placed, hidden ones too; the size is the frame's in pixels."""
    corners, visibility = arrays(marks)
    given = visibility > 0
    focal, centre = PHONE_FOCAL * max(width, height), ((width - 1) / 2, (height - 1) / 2)
    weights = torch.from_numpy(given.astype(np.float64)).repeat(1 + NUM_CORNERS, 1)
    weights[1:] -= torch.diag(weights[0])  # row i + 1 leaves corner i out
    points = torch.from_numpy(np.nan_to_num(corners).astype(np.float64)).repeat(1 + NUM_CORNERS, 1, 1)
    with one_torch_thread():  # so small that threads only wait for each other
        fit = fit_box(points, weights, focal, centre, STEPS)
    if not fit.determined[0]:
        return BoxCheck(None, np.zeros(NUM_CORNERS, bool), np.nan, None, np.nan)
    boxes = project(fit, focal, centre).numpy()
    placed = corners[given]
    extent = np.linalg.norm(placed[:, None] - placed[None], axis=-1).max()
    misfit = float(fit.reprojection[0]) / max(float(extent), 1e-6)
    blamed, away = None, np.nan
    if misfit > MISFIT and given.sum() >= CHECKED_FROM:
        without = np.where(given & fit.determined.numpy()[1:], fit.reprojection.numpy()[1:], np.inf)
        blamed = int(without.argmin())
        away = float(np.linalg.norm(boxes[1 + blamed, blamed] - corners[blamed]))
    return BoxCheck(boxes[0], hidden_corners(fit), misfit, blamed, away)


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
