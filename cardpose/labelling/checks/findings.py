"""A finding about footage or labels, and the table of all findings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cardpose.evaluation.report.tables import write_csv

COLUMNS = ("kind", "video", "frame_index", "corners", "value", "finding")


class Kind(Enum):
    """The kinds of findings, in the order of the page."""

    RULE = "rule"
    GONE = "no picture"
    NO_BOX = "no box"
    SWAPPED = "swapped"
    PLACE = "names and places"
    CLOSE = "one place"
    COPIED = "copied label"
    DUPLICATE = "same picture"
    NEAR = "near-identical"
    ROTATED = "rotated"
    COUNT = "no count"


MEANINGS = {
    Kind.RULE: "violates a rule of the dataset folder; training refuses it",
    Kind.GONE: "a frame to label that annotations.json lists, but that is not there: put it back or remove its entry",
    Kind.NO_BOX: "no box fits the corners",
    Kind.SWAPPED: "a box fits if two names are exchanged",
    Kind.PLACE: "a corner's name contradicts its position relative to another",
    Kind.CLOSE: "two different corners at almost the same position",
    Kind.COPIED: "exactly the same label as another frame of the video",
    Kind.DUPLICATE: "exactly the same picture as another frame",
    Kind.NEAR: "almost the same picture in two sets of a split, or in two videos",
    Kind.ROTATED: "rotated by metadata, or oriented unlike the other videos",
    Kind.COUNT: "a video without a count trains corners only",
}


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        kind: what was found.
        video: the footage, "" for the folder as a whole.
        frame_index: the frame, None for the whole video.
        corners: names of the corners concerned.
        value: severity, in the unit of the text; NaN if there is none.
    """

    kind: Kind
    text: str
    video: str = ""
    frame_index: int | None = None
    corners: tuple[str, ...] = ()
    value: float = math.nan


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Write one CSV row per finding.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    rows = []
    for finding in findings:
        frame = "" if finding.frame_index is None else finding.frame_index
        value = "" if math.isnan(finding.value) else f"{finding.value:.4g}"
        cells = (finding.kind.value, finding.video, frame, " ".join(finding.corners), value, finding.text)
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    write_csv(path, rows, COLUMNS)
