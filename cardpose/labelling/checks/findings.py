"""One suspicion about footage or labels, and the table of all."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cardpose.common.files import replace_file

COLUMNS = ("kind", "video", "frame_index", "corners", "value", "finding")


class Kind(Enum):
    """What is suspected; the page shows them in this order."""

    RULE = "rule"
    MISFIT = "no box"
    SWAPPED = "swapped"
    PLACE = "names and places"
    CLOSE = "one place"
    COPIED = "copied label"
    DUPLICATE = "same picture"
    NEAR = "near-identical"
    ROTATED = "rotated"
    COUNT = "no count"


MEANINGS = {
    Kind.RULE: "breaks a rule of the dataset folder; training refuses it",
    Kind.MISFIT: "corners that are far from any box",
    Kind.SWAPPED: "two names exchanged would make a box",
    Kind.PLACE: "a corner lies on the wrong side of another for its name",
    Kind.CLOSE: "two corners that should be apart lie on one place",
    Kind.COPIED: "the same label, to the last digit, as another frame of the video",
    Kind.DUPLICATE: "the same picture, to the last pixel, as another frame",
    Kind.NEAR: "almost the same picture on both sides of a split, or in two videos",
    Kind.ROTATED: "turned when it is shown, or unlike the other videos",
    Kind.COUNT: "a video without a count trains corners alone",
}


@dataclass(frozen=True)
class Finding:
    """One suspicion.

    Args:
        kind: what is suspected.
        text: in a sentence, for a person.
        video: the footage, "" for the folder as a whole.
        frame_index: the frame, None for the whole video.
        corners: names of the corners that it is about.
        value: how bad, in the unit that the text says; NaN where there is no degree.
    """

    kind: Kind
    text: str
    video: str = ""
    frame_index: int | None = None
    corners: tuple[str, ...] = ()
    value: float = math.nan


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """A CSV row each, in their order; the file is whole or as it was.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for finding in findings:
            frame = "" if finding.frame_index is None else finding.frame_index
            value = "" if math.isnan(finding.value) else f"{finding.value:.4g}"
            corners = " ".join(finding.corners)
            table.writerow([finding.kind.value, finding.video, frame, corners, value, finding.text])
