"""Labels that no box fits, and the likely cause: one displaced corner, or two exchanged names.

The residual of a label is the RMS distance of its corners from the best box, as a share of its extent (the longest
distance between two corners).
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from cardpose.common.packet import CORNERS, NUM_CORNERS, Annotation
from cardpose.geometry.boxes import LABEL_STEPS, LeaveOneOut, extent, fit_frames, labelled, leave_one_out
from cardpose.labelling.checks.findings import Finding, Kind

EXPLAINED = 0.5
"""A cause is reported if correcting it reduces the residual below this share."""
PAIRS = tuple(combinations(range(NUM_CORNERS), 2))


def check_boxes(
    annotations: Sequence[Annotation], residual: float
) -> tuple[list[Finding], dict[int, np.ndarray]]:
    """Find the labels whose residual exceeds a limit.

    Args:
        annotations: N labels.
        residual: the limit, as a share of the extent.

    Returns:
        The findings, and for each of them, by the index of the label, the corners (8, 2) of its box in pixels, fitted
        without the outlier if there is one.
    """
    if not annotations:
        return [], {}
    corners, given, size = labelled(annotations)
    fitted = fit_frames(corners, given, size, LABEL_STEPS)
    distance, boxes = fitted.residual(given), fitted.corners
    reach = extent(corners, given)
    findings, drawn = [], {}
    for i in np.flatnonzero(distance > residual * reach).tolist():
        drawn[i] = boxes[i]
        outlier = leave_one_out(corners[i], given[i], size[i])
        finding = _exchange(annotations[i], distance[i], reach[i], outlier)
        if finding is None:
            finding, box = _no_box(annotations[i], distance[i], reach[i], outlier)
            drawn[i] = boxes[i] if box is None else box
        findings.append(finding)
    return findings, drawn


def _exchange(
    annotation: Annotation, distance: float, reach: float, outlier: LeaveOneOut | None
) -> Finding | None:
    """The finding that a box fits after two names are exchanged, if that is so."""
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
    if errors[best] > EXPLAINED * distance:
        return None
    i, j = PAIRS[best]
    if given[0][i] and given[0][j]:
        what = f"{CORNERS[i]} and {CORNERS[j]} exchanged"
    else:
        here, there = (i, j) if given[0][i] else (j, i)
        what = f"{CORNERS[here]} called {CORNERS[there]}"
    if (
        outlier and outlier.residual < EXPLAINED * errors[best]
    ):  # a single displaced corner explains it better
        return None
    text = f"{distance:.1f} px off the box ({distance / reach:.1%}); with {what} {errors[best]:.1f} px"
    return Finding(
        Kind.SWAPPED,
        text,
        annotation.video,
        annotation.frame_index,
        (CORNERS[i], CORNERS[j]),
        distance / reach,
    )


def _no_box(
    annotation: Annotation, distance: float, reach: float, outlier: LeaveOneOut | None
) -> tuple[Finding, np.ndarray | None]:
    """The finding with the outlier, and the box without it."""
    text = f"{distance:.1f} px off the box ({distance / reach:.1%})"
    corners: tuple[str, ...] = ()
    box = None
    if outlier:
        name, left = CORNERS[outlier.corner], f"{outlier.residual:.1f} px"
        if outlier.residual <= EXPLAINED * distance:
            corners, box = (name,), outlier.box
            text += f"; without {name}, {outlier.offset:.0f} px from its position in that box, {left}"
        else:
            text += f"; no single corner explains it, without {name} {left}"
    place = annotation.video, annotation.frame_index
    return Finding(Kind.NO_BOX, text, *place, corners, distance / reach), box
