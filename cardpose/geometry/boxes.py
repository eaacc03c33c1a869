"""The boxes that fit the corners of footage's frames, a phone's camera before them: all in the frames' own pixels.

`geometry.fit_box` is the fit itself. Predictions, clips, reports and checks of labels ask it here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from cardpose.common.packet import NOT_LABELLED, NUM_CORNERS, Annotation
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, fit_box, project

FIT_SIDE = 256.0
"""Pixels of the frame's longer side when the box is fitted: one focal length and tolerance for frames of every size."""
STEPS = 12
"""Of the fit; one frame in three hundred needs more than the six of a head."""
LABEL_STEPS = 30
"""The same for labels, which may be far from any box."""
MIN_CHECKED = 5
"""Five corners are ten coordinates for the box's seven numbers; four fit almost anything."""


class FrameBoxes(NamedTuple):
    """The boxes of B frames.

    Args:
        fit: as `geometry.fit_box` returns it, in pixels of a frame whose longer side has `FIT_SIDE`.
        corners: (B, 8, 2) of the boxes in source pixels; NaN where the given ones do not determine it.
        distance: (B,) root mean square of the given corners from the box, source pixels.
    """

    fit: BoxFit
    corners: np.ndarray
    distance: np.ndarray

    def misfit(self, weights: np.ndarray) -> np.ndarray:
        """(B,) `distance`, NaN where there is no box or fewer than `MIN_CHECKED` of the weights (B, 8) are above 0."""
        checked = self.fit.determined.numpy() & ((weights > 0).sum(-1) >= MIN_CHECKED)
        return np.where(checked, self.distance, np.nan)


def fit_frames(
    corners: np.ndarray,
    weights: np.ndarray,
    size: np.ndarray,
    steps: int = STEPS,
    tolerance: float | None = None,
    focal: float = PHONE_FOCAL,
) -> FrameBoxes:
    """Fit a box to each frame.

    Args:
        corners: (B, 8, 2) in source pixels, order of `packet.CORNERS`, or one frame's (1, 8, 2) for all rows of
            `weights`; values of no weight are ignored.
        weights: (B, 8), 0 for a corner that is not given.
        size: (B, 2) width and height of the source frames in pixels, or one (1, 2).
        steps: of the fit.
        tolerance: as in `geometry.fit_box`, of the frame's longer side.
        focal: focal length, of the frame's longer side; where it is a third off, the thickness is by 7 %.
    """
    middle = (size[:, None] - 1) / 2
    scale = FIT_SIDE / size.max(1)
    points = np.where(weights[..., None] > 0, (corners - middle) * scale[:, None, None], 0.0)
    pixels, centre = focal * FIT_SIDE, (0.0, 0.0)
    fit = fit_box(
        torch.from_numpy(points),
        torch.from_numpy(weights.astype(np.float64)),
        pixels,
        centre,
        steps,
        None if tolerance is None else tolerance * FIT_SIDE,
    )
    return FrameBoxes(
        fit,
        project(fit, pixels, centre).numpy() / scale[:, None, None] + middle,
        fit.reprojection.numpy() / scale,
    )


class Blame(NamedTuple):
    """The corner without which a frame's labels fit a box best.

    Args:
        corner: which.
        distance: root mean square of the others from their box, pixels.
        away: distance of the corner from its place in that box, pixels.
        box: (8, 2) that box, pixels.
    """

    corner: int
    distance: float
    away: float
    box: np.ndarray


def labelled(annotations: Sequence[Annotation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels as `fit_frames` takes them: corners (B, 8, 2), which are given (B, 8), and the frames' sizes (B, 2)."""
    corners = np.stack([a.corners for a in annotations]).astype(np.float64)
    given = np.stack([a.visibility for a in annotations]) != NOT_LABELLED
    return corners, given, np.array([(a.width, a.height) for a in annotations], np.float64)


def leave_one_out(corners: np.ndarray, given: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the box of one frame's labels is without each corner in turn.

    Args:
        corners: (8, 2) in pixels.
        given: (8,) bool, which of them there are.
        size: (2,) width and height of the frame in pixels.

    Returns:
        The others' distance (8,) from their box, NaN where too few are left or the corner is not given, and the corners
        (8, 8, 2) of those boxes, both in pixels.
    """
    without = given & ~np.eye(NUM_CORNERS, dtype=bool)
    boxes = fit_frames(corners[None], without, size[None], LABEL_STEPS)
    return np.where(given, boxes.misfit(without), np.nan), boxes.corners


def blame(corners: np.ndarray, given: np.ndarray, size: np.ndarray) -> Blame | None:
    """The corner that troubles the box of one frame's labels most, arguments as of `leave_one_out`; None of too few."""
    distances, boxes = leave_one_out(corners, given, size)
    if np.isnan(distances).all():
        return None
    corner = int(np.nanargmin(distances))
    away = float(np.linalg.norm(corners[corner] - boxes[corner, corner]))
    return Blame(corner, float(distances[corner]), away, boxes[corner])


def extent(corners: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(B,) longest distance between two of the given (B, 8) corners (B, 8, 2); 0 where there are none."""
    between = np.linalg.norm(corners[:, :, None] - corners[:, None], axis=-1)
    return np.where(given[:, :, None] & given[:, None], between, 0.0).max((1, 2))
