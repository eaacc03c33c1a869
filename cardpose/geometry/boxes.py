"""Boxes fitted to the corners of frames, in source pixels.

`box_fit.fit_box` is the fit itself. Predictions, clips, reports and checks of labels call it through `fit_frames`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cardpose.common.packet import NOT_LABELLED, NUM_CORNERS, Annotation
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, fit_box, project

FIT_SIDE = 256.0
"""Longer side, in pixels, that frames are scaled to for the fit, so that its constants do not depend on their size."""
STEPS = 12
"""Iterations for predicted corners; one frame in three hundred needs more than the six of the count head."""
LABEL_STEPS = 30
"""Iterations for labels, which may be far from any box."""
MIN_CHECKED = 5
"""Five corners are ten coordinates for the seven parameters of a box; four corners fit almost any box."""


class FrameBoxes(NamedTuple):
    """The boxes of B frames.

    Args:
        box: of `box_fit.fit_box`, in pixels of a frame whose longer side is scaled to `FIT_SIDE`.
        corners: (B, 8, 2) of the boxes in source pixels; NaN where the given corners do not determine a box.
        distance: (B,) root mean square distance of the given corners from the box, source pixels.
    """

    box: BoxFit[np.ndarray]
    corners: np.ndarray
    distance: np.ndarray

    def residual(self, weights: np.ndarray) -> np.ndarray:
        """`distance` (B,), NaN where there is no box or fewer than `MIN_CHECKED` of the weights (B, 8) are above 0."""
        checked = self.box.determined & ((weights > 0).sum(-1) >= MIN_CHECKED)
        return np.where(checked, self.distance, np.nan)


def fit_frames(
    corners: np.ndarray,
    weights: np.ndarray,
    size: np.ndarray,
    steps: int = STEPS,
    tolerance: np.ndarray | None = None,
    focal: float | np.ndarray = PHONE_FOCAL,
) -> FrameBoxes:
    """Fit a box to each frame.

    Args:
        corners: (B, 8, 2) in source pixels, order of `packet.CORNERS`, or (1, 8, 2) of one frame for all rows of
            `weights`; ignored where the weight is 0.
        weights: (B, 8), 0 for a corner that is not given.
        size: (B, 2) or (1, 2), width and height of the source frames in pixels.
        steps: iterations of the fit.
        tolerance: (B,) as in `box_fit.fit_box`, in longer sides of the frame.
        focal: focal length, one or (B,), in longer sides of the frame; an error of a third changes the thickness by
            7 %.
    """
    # Scale every frame to one size, its centre at the origin.
    middle = (size[:, None] - 1) / 2
    scale = FIT_SIDE / size.max(1)
    points = np.where(weights[..., None] > 0, (corners - middle) * scale[:, None, None], 0.0)
    pixels = np.broadcast_to(focal * FIT_SIDE, len(weights)).astype(np.float64)
    centre = (0.0, 0.0)
    limit = None if tolerance is None else tolerance * FIT_SIDE
    with np.errstate(all="ignore"):  # corners that fit no box may diverge
        box = fit_box(points, weights.astype(np.float64), pixels, centre, steps, limit)
        drawn = project(box, pixels[:, None, None], centre)
    # Back to source pixels.
    return FrameBoxes(box, drawn / scale[:, None, None] + middle, box.reprojection / scale)


class LeaveOneOut(NamedTuple):
    """The corner whose removal improves the fit of a frame's box most.

    Args:
        corner: its index in `packet.CORNERS`.
        residual: root mean square distance of the other corners from their box, pixels.
        offset: distance of the corner from its position in that box, pixels.
        box: (8, 2) corners of that box, pixels.
    """

    corner: int
    residual: float
    offset: float
    box: np.ndarray


def labelled(annotations: Sequence[Annotation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels as `fit_frames` takes them: corners (B, 8, 2), which of them are given (B, 8), and frame sizes (B, 2)."""
    corners = np.stack([a.corners for a in annotations]).astype(np.float64)
    given = np.stack([a.visibility for a in annotations]) != NOT_LABELLED
    return corners, given, np.array([(a.width, a.height) for a in annotations], np.float64)


def boxes_without(corners: np.ndarray, given: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the box of one frame without each corner in turn.

    Args:
        corners: (8, 2) in pixels.
        given: (8,) bool, which of them there are.
        size: (2,) width and height of the frame in pixels.

    Returns:
        Residuals (8,) of the other corners, NaN where too few are left or the corner is not given, and the corners
        (8, 8, 2) of the boxes, both in pixels.
    """
    others = given & ~np.eye(NUM_CORNERS, dtype=bool)
    boxes = fit_frames(corners[None], others, size[None], LABEL_STEPS)
    return np.where(given, boxes.residual(others), np.nan), boxes.corners


def leave_one_out(corners: np.ndarray, given: np.ndarray, size: np.ndarray) -> LeaveOneOut | None:
    """Find the corner that fits the box of the others least; arguments as in `boxes_without`, None for too few."""
    residuals, boxes = boxes_without(corners, given, size)
    if np.isnan(residuals).all():
        return None
    corner = int(np.nanargmin(residuals))
    offset = float(np.linalg.norm(corners[corner] - boxes[corner, corner]))
    return LeaveOneOut(corner, float(residuals[corner]), offset, boxes[corner])


def extent(corners: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Longest distance (B,) between two of the given (B, 8) corners (B, 8, 2); 0 without any."""
    between = np.linalg.norm(corners[:, :, None] - corners[:, None], axis=-1)
    return np.where(given[:, :, None] & given[:, None], between, 0.0).max((1, 2))
