"""Labels that make no box, and what would mend them: one corner elsewhere, or two names exchanged.

*Misfit* is the root mean square distance of a frame's labelled corners from the box that fits them best, over the
longest distance between two of them.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch

from cardpose.checks.findings import Finding, Kind
from cardpose.geometry import PHONE_FOCAL, fit_box, project
from cardpose.packet import CORNERS, NOT_LABELLED, NUM_CORNERS, Annotation

FIT_SIDE = 256.0  # pixels of the frame's longer side when the box is fitted: one focal length for every size
STEPS = 30
MIN_LABELLED = 5
"""Five corners are ten coordinates for the box's seven numbers; four fit almost anything."""
MENDED = 0.5
"""An exchange of names is named where it brings the misfit below this share of it."""
PAIRS = tuple(combinations(range(NUM_CORNERS), 2))


def fit(corners: np.ndarray, given: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that lie closest to the corners, seen by a phone's camera.

    Args:
        corners: (B, 8, 2) in pixels; the values where `given` is False are ignored.
        given: (B, 8) bool, which corners there are.
        size: (B, 2) width and height of the frames in pixels.

    Returns:
        The corners' root mean square distance (B,) from the box and the box's corners (B, 8, 2), both in pixels; NaN
        where there are fewer than `MIN_LABELLED`, or all lie on one surface.
    """
    middle = (size[:, None] - 1) / 2
    scale = FIT_SIDE / size.max(1)
    points = np.where(given[..., None], (corners - middle) * scale[:, None, None], 0.0)
    weights = torch.from_numpy(given.astype(np.float64))
    focal, centre = PHONE_FOCAL * FIT_SIDE, (0.0, 0.0)  # a wrong focal length hardly matters
    box = fit_box(torch.from_numpy(points), weights, focal, centre, STEPS)
    enough = box.determined.numpy() & (given.sum(1) >= MIN_LABELLED)
    error = np.where(enough, box.reprojection.numpy() / scale, np.nan)
    corners = project(box, focal, centre).numpy() / scale[:, None, None] + middle
    return error, np.where(enough[:, None, None], corners, np.nan)


def extent(corners: np.ndarray) -> np.ndarray:
    """(B,) longest distance between two of the corners (B, 8, 2), NaN being none."""
    between = np.linalg.norm(corners[:, :, None] - corners[:, None], axis=-1)
    return np.where(np.isnan(between), 0.0, between).max((1, 2))


def stack(annotations: Sequence[Annotation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (N, 8, 2), which are labelled (N, 8) and the frames' sizes (N, 2), float64."""
    corners = np.stack([a.corners for a in annotations]).astype(np.float64)
    given = np.stack([a.visibility for a in annotations]) != NOT_LABELLED
    return corners, given, np.array([(a.width, a.height) for a in annotations], np.float64)


def check_boxes(
    annotations: Sequence[Annotation], misfit: float
) -> tuple[list[Finding], dict[int, np.ndarray]]:
    """Frames whose misfit is above a limit.

    Args:
        annotations: N labels.
        misfit: the limit, a share of the packet's extent.

    Returns:
        The findings, and by the label's number the corners (8, 2) of a box: that without the corner at fault, where one
        is.
    """
    if not annotations:
        return [], {}
    corners, given, size = stack(annotations)
    error, boxes = fit(corners, given, size)
    reach = extent(np.where(given[..., None], corners, np.nan))
    findings, drawn = [], {}
    for i in np.flatnonzero(error > misfit * reach).tolist():
        drawn[i] = boxes[i]
        finding = _exchange(annotations[i], error[i], reach[i])
        if finding is None:
            finding, box = _blame(annotations[i], error[i], reach[i])
            drawn[i] = boxes[i] if box is None else box
        findings.append(finding)
    return findings, drawn


def _exchange(annotation: Annotation, error: float, reach: float) -> Finding | None:
    """The two names whose exchange makes the box, where there are such."""
    corners, given, size = stack([annotation])
    order = np.tile(np.arange(NUM_CORNERS), (len(PAIRS), 1))
    for row, (i, j) in zip(order, PAIRS, strict=True):
        row[[i, j]] = j, i
    exchanged = given[0][order]
    errors, _ = fit(corners[0][order], exchanged, np.tile(size, (len(PAIRS), 1)))
    errors[~(given[0][np.array(PAIRS)].any(1))] = np.nan  # neither is labelled
    if np.isnan(errors).all():
        return None
    best = int(np.nanargmin(errors))
    if errors[best] > MENDED * error:
        return None
    i, j = PAIRS[best]
    if given[0][i] and given[0][j]:
        what = f"{CORNERS[i]} and {CORNERS[j]} exchanged"
    else:
        here, there = (i, j) if given[0][i] else (j, i)
        what = f"{CORNERS[here]} called {CORNERS[there]}"
    without, _ = _leave_out(annotation)
    if (without < MENDED * errors[best]).any():  # one corner that is simply wrong explains more
        return None
    text = f"{error:.1f} px off the box ({error / reach:.1%}); with {what} {errors[best]:.1f} px"
    return Finding(
        Kind.SWAPPED,
        text,
        annotation.video,
        annotation.frame_index,
        (CORNERS[i], CORNERS[j]),
        error / reach,
    )


def _blame(annotation: Annotation, error: float, reach: float) -> tuple[Finding, np.ndarray | None]:
    """The finding with the corner that troubles the box most, and the box without it."""
    text = f"{error:.1f} px off the box ({error / reach:.1%})"
    errors, boxes = _leave_out(annotation)
    corners: tuple[str, ...] = ()
    box = None
    if not np.isnan(errors).all():
        worst = int(np.nanargmin(errors))
        away = float(np.linalg.norm(annotation.corners[worst] - boxes[worst, worst]))
        if errors[worst] <= MENDED * error:
            corners, box = (CORNERS[worst],), boxes[worst]
            text += f"; without {CORNERS[worst]}, {away:.0f} px from its place in that box, {errors[worst]:.1f} px"
        else:
            text += f"; no single corner is to blame, without {CORNERS[worst]} {errors[worst]:.1f} px"
    place = annotation.video, annotation.frame_index
    return Finding(Kind.MISFIT, text, *place, corners, error / reach), box


def _leave_out(annotation: Annotation) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the box (8,) without each corner in turn, and those boxes (8, 8, 2); NaN where it has no label."""
    corners, given, size = stack([annotation])
    without = given & ~np.eye(NUM_CORNERS, dtype=bool)
    errors, boxes = fit(np.repeat(corners, NUM_CORNERS, 0), without, np.repeat(size, NUM_CORNERS, 0))
    return np.where(given[0], errors, np.nan), boxes
