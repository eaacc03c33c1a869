"""Names that contradict positions, coinciding corners and copied labels, which a fitted box does not reveal."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cardpose.common.packet import CORNERS, EDGES, VERTICAL_EDGES, Annotation
from cardpose.geometry.boxes import extent, labelled
from cardpose.labelling.checks.findings import Finding, Kind

MARGIN = 0.03
"""Tolerance of the order of two corners, and smallest distance of two, as a share of the packet's extent."""
UPSIDE_DOWN = 0.5
"""Share of a video's frames with the upper corners below the lower ones from which the whole video is reported."""
_WORDS = {
    ("left", "right"): (0, "lies to the right of"),
    ("upper", "lower"): (1, "lies below"),
    ("back", "face"): (1, "lies below"),
}
"""Of two corners that differ in this word, the first has the smaller coordinate on this axis."""


def check_labels(annotations: Sequence[Annotation]) -> list[Finding]:
    """Corners in the wrong order, coinciding corners, copied labels and upside-down videos."""
    if not annotations:
        return []
    corners, given, _ = labelled(annotations)
    corners, reach = np.where(given[..., None], corners, np.nan), extent(corners, given)
    findings = []
    for annotation, points, size in zip(annotations, corners, reach, strict=True):
        findings += _places(annotation, points, size)
        findings += _close(annotation, points, size)
    return findings + _copies(annotations) + _upside_down(annotations, corners, reach)


def _ordered() -> list[tuple[int, int, int, str]]:
    """(first, second, axis, words) for every edge: the first corner has the smaller coordinate."""
    pairs = []
    for i, j in EDGES:
        for (low, high), (axis, words) in _WORDS.items():
            names = [CORNERS[k].split("_") for k in (i, j)]
            if low in names[0] and high in names[1]:
                pairs.append((i, j, axis, words))
            if high in names[0] and low in names[1]:
                pairs.append((j, i, axis, words))
    return pairs


_ORDERED = _ordered()


def _places(annotation: Annotation, points: np.ndarray, reach: float) -> list[Finding]:
    """At most one finding: the pair of corners with the largest violation of the order."""
    wrong = [
        (float(points[i, axis] - points[j, axis]) / reach, i, j, words)
        for i, j, axis, words in _ORDERED
        if points[i, axis] - points[j, axis] > MARGIN * reach > 0
    ]
    if not wrong:
        return []
    worst, i, j, words = max(wrong)
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    text = f"{CORNERS[i]} {words} {CORNERS[j]} by {worst * reach:.0f} px{more}"
    place = annotation.video, annotation.frame_index
    return [Finding(Kind.PLACE, text, *place, (CORNERS[i], CORNERS[j]), worst)]


def _close(annotation: Annotation, points: np.ndarray, reach: float) -> list[Finding]:
    findings = []
    for i in range(len(CORNERS)):
        for j in range(i + 1, len(CORNERS)):
            apart = float(np.linalg.norm(points[i] - points[j]))
            if (i, j) not in VERTICAL_EDGES and apart <= MARGIN * reach:
                text = f"{CORNERS[i]} and {CORNERS[j]} are {apart:.1f} px apart"
                place = annotation.video, annotation.frame_index
                findings.append(Finding(Kind.CLOSE, text, *place, (CORNERS[i], CORNERS[j]), apart / reach))
    return findings


def _copies(annotations: Sequence[Annotation]) -> list[Finding]:
    """Labels that are exactly equal to an earlier one of their video."""
    first: dict[tuple[str, bytes], int] = {}
    findings = []
    for annotation in annotations:
        if np.isnan(annotation.corners).all():
            continue
        key = annotation.video, annotation.corners.tobytes()
        if key in first:
            text = f"all corners are exactly those of frame {first[key]}"
            findings.append(Finding(Kind.COPIED, text, annotation.video, annotation.frame_index))
        first.setdefault(key, annotation.frame_index)
    return findings


def _upside_down(annotations: Sequence[Annotation], corners: np.ndarray, reach: np.ndarray) -> list[Finding]:
    """Videos in which the far edge is usually below the near one."""
    turned: dict[str, list[bool]] = defaultdict(list)
    for annotation, points, size in zip(annotations, corners, reach, strict=True):
        upper, lower = (points[[word in name for name in CORNERS], 1] for word in ("upper", "lower"))
        if np.isfinite(upper).any() and np.isfinite(lower).any():
            turned[annotation.video].append(bool(np.nanmean(upper) - np.nanmean(lower) > MARGIN * size))
    return [
        Finding(
            Kind.ROTATED,
            f"the upper corners lie below the lower ones in {sum(frames)} of {len(frames)} labelled frames: "
            "the video or the names are upside down",
            video,
            value=sum(frames) / len(frames),
        )
        for video, frames in turned.items()
        if sum(frames) > UPSIDE_DOWN * len(frames)
    ]
