"""Labels that no box fits, and the likely cause: one displaced corner, or two exchanged names.

The residual of a label is the RMS distance of its corners from the best box, as a share of its extent (the longest
distance between two corners).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS, NUM_CORNERS, Annotation
from cardpose.data.labels.marks import Marks, arrays
from cardpose.geometry.box_fit import BoxFit
from cardpose.geometry.boxes import LABEL_STEPS, LeaveOneOut, extent, fit_frames, labelled, leave_one_out
from cardpose.labelling.checks import MAX_RESIDUAL
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
    boxes = fit_frames(corners[None], given[None], size[None], LABEL_STEPS)
    if not boxes.box.determined[0]:
        return BoxCheck(None, np.zeros(NUM_CORNERS, bool), np.nan, None, np.nan)
    residual = float(boxes.distance[0] / max(extent(corners[None], given[None])[0], 1e-6))
    found = leave_one_out(corners, given, size) if residual > MAX_RESIDUAL else None
    outlier, offset = (found.corner, found.offset) if found else (None, np.nan)
    return BoxCheck(boxes.corners[0], hidden_corners(boxes.box), residual, outlier, offset)


def hidden_corners(box: BoxFit[np.ndarray]) -> np.ndarray:
    """(8,) whether the first box of `box` hides a corner: none of its three faces is turned to the camera."""
    rotation, translation = box.rotation[0], box.translation[0]
    x, y, z = -rotation.T @ translation  # position of the camera in the box's frame
    turned = {
        "left": x < -CARD_WIDTH_MM / 2,
        "right": x > CARD_WIDTH_MM / 2,
        "lower": y < -CARD_HEIGHT_MM / 2,
        "upper": y > CARD_HEIGHT_MM / 2,
        "back": z > 0,
        "face": z < -float(box.thickness[0]),
    }
    return np.array([not any(turned[word] for word in name.split("_")) for name in CORNERS])
