"""Labels that make no box, and what would mend them: one corner elsewhere, or two names exchanged.

*Residual* is the root mean square distance of a frame's labelled corners from the box that fits them best, over the
longest distance between two of them.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from cardpose.common.packet import CORNERS, NUM_CORNERS, Annotation
from cardpose.geometry.boxes import LABEL_STEPS, LeaveOneOut, extent, fit_frames, labelled, leave_one_out
from cardpose.labelling.checks.findings import Finding, Kind

MENDED = 0.5
"""An exchange of names is named where it brings the residual below this share of it."""
PAIRS = tuple(combinations(range(NUM_CORNERS), 2))


def check_boxes(
    annotations: Sequence[Annotation], residual: float
) -> tuple[list[Finding], dict[int, np.ndarray]]:
    """Frames whose residual is above a limit.

    Args:
        annotations: N labels.
        residual: the limit, a share of the packet's extent.

    Returns:
        The findings, and by the label's number the corners (8, 2) of a box: that without the corner at fault, where one
        is.
    """
    if not annotations:
        return [], {}
    corners, given, size = labelled(annotations)
    fitted = fit_frames(corners, given, size, LABEL_STEPS)
    error, boxes = fitted.residual(given), fitted.corners
    reach = extent(corners, given)
    findings, drawn = [], {}
    for i in np.flatnonzero(error > residual * reach).tolist():
        drawn[i] = boxes[i]
        blamed = leave_one_out(corners[i], given[i], size[i])
        finding = _exchange(annotations[i], error[i], reach[i], blamed)
        if finding is None:
            finding, box = _one_corner(annotations[i], error[i], reach[i], blamed)
            drawn[i] = boxes[i] if box is None else box
        findings.append(finding)
    return findings, drawn


def _exchange(
    annotation: Annotation, error: float, reach: float, blamed: LeaveOneOut | None
) -> Finding | None:
    """The two names whose exchange makes the box, where there are such."""
    corners, given, size = labelled([annotation])
    order = np.tile(np.arange(NUM_CORNERS), (len(PAIRS), 1))
    for row, (i, j) in zip(order, PAIRS, strict=True):
        row[[i, j]] = j, i
    exchanged = given[0][order]
    errors = fit_frames(corners[0][order], exchanged, size, LABEL_STEPS).residual(exchanged)
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
    if blamed and blamed.residual < MENDED * errors[best]:  # one corner that is simply wrong explains more
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


def _one_corner(
    annotation: Annotation, error: float, reach: float, blamed: LeaveOneOut | None
) -> tuple[Finding, np.ndarray | None]:
    """The finding with the corner that troubles the box most, and the box without it."""
    text = f"{error:.1f} px off the box ({error / reach:.1%})"
    corners: tuple[str, ...] = ()
    box = None
    if blamed:
        name, left = CORNERS[blamed.corner], f"{blamed.residual:.1f} px"
        if blamed.residual <= MENDED * error:
            corners, box = (name,), blamed.box
            text += f"; without {name}, {blamed.offset:.0f} px from its place in that box, {left}"
        else:
            text += f"; no single corner is to blame, without {name} {left}"
    place = annotation.video, annotation.frame_index
    return Finding(Kind.MISFIT, text, *place, corners, error / reach), box
