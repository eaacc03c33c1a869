"""The HTML page of the findings, with pictures of labels and the boxes that fit them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from cardpose.common.packet import VISIBLE, Annotation, FrameId
from cardpose.evaluation.report.drawing import PREDICTED_EDGES, draw_packet, enlarge
from cardpose.evaluation.report.html import Picture, Section, Table, write_page
from cardpose.labelling.checks.findings import MEANINGS, Finding, Kind

WIDTH = 640
"""Largest width of a picture on the page, in pixels."""


def draw(image: np.ndarray, annotation: Annotation, box: np.ndarray | None) -> np.ndarray:
    """Draw the label (circles, white edges) and the box (crosses, green edges) into a frame.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (8, 2) corners in pixels of the image, or None.

    Returns:
        (h, w, 3) uint8 RGB, at most `WIDTH` wide.
    """
    corners = np.stack([annotation.corners, np.full_like(annotation.corners, np.nan) if box is None else box])
    scale = WIDTH / image.shape[1]
    if scale >= 2:
        image, corners = enlarge(image, corners, int(scale))
    elif scale < 1:
        size = (WIDTH, round(image.shape[0] * scale))
        image, corners = cv2.resize(image, size, interpolation=cv2.INTER_AREA), (corners + 0.5) * scale - 0.5
    seen = np.full(len(corners[1]), VISIBLE)
    image = draw_packet(image, corners[1], seen, mark="cross", edge_colour=PREDICTED_EDGES)
    return draw_packet(image, corners[0], annotation.visibility)


def chosen_frames(findings: Sequence[Finding], limit: int) -> list[FrameId]:
    """At most `limit` frames to draw, by kind and severity."""
    order = list(Kind)
    ranked = sorted(
        (f for f in findings if f.frame_index is not None),
        key=lambda f: (order.index(f.kind), -f.value if not math.isnan(f.value) else 0.0),
    )
    return list(dict.fromkeys((f.video, int(f.frame_index or 0)) for f in ranked))[:limit]


def write(
    path: Path,
    data: str,
    findings: Sequence[Finding],
    counted: Mapping[str, int],
    frames: Sequence[FrameId],
    pictures: Mapping[FrameId, np.ndarray],
) -> None:
    """Write the page atomically.

    Args:
        path: of the HTML file.
        data: the folder that was checked.
        counted: numbers of checked items, by name.
        pictures: (H, W, 3) uint8 RGB of those that could be read.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    number = Counter(finding.kind for finding in findings)
    kinds = [(kind.value, str(number[kind]), MEANINGS[kind]) for kind in Kind]
    others = [(f.kind.value, f.video, f.text) for f in findings if f.frame_index is None]
    suspicious = len({(f.video, f.frame_index) for f in findings if f.frame_index is not None})
    shown = f"The first {len(frames)} of {suspicious} are shown." if len(frames) < suspicious else ""
    legend = (
        "White edges and circles: the label, dashed if hidden. Green edges and crosses: the box that fits, without the "
        "outlier if there is one."
    )
    sections = [
        Section(
            "Findings",
            ["Findings are suspicions: look at the picture before you change a label."],
            Table(("finding", "number", "meaning"), kinds, numbers=False),
        ),
        Section(
            "Folder and videos",
            [] if others else ["Nothing found."],
            Table(("kind", "video", "finding"), others, numbers=False) if others else None,
        ),
        Section(
            "Frames",
            [text for text in (legend if frames else "Nothing found.", shown) if text],
            _missing(frames, findings, pictures),
            [_picture(frame, pictures[frame], findings) for frame in frames if frame in pictures],
            pairs=True,
        ),
    ]
    checked = ", ".join(f"{many} {what}" for what, many in counted.items())
    write_page(
        path, "Check of footage and labels", {"folder": data, "checked": checked or "nothing"}, sections
    )


def _lines(frame: FrameId, findings: Sequence[Finding]) -> list[str]:
    return [f"{f.kind.value}: {f.text}" for f in findings if (f.video, f.frame_index) == frame]


def _picture(frame: FrameId, image: np.ndarray, findings: Sequence[Finding]) -> Picture:
    title = f"{frame[0]} frame {frame[1]}"
    caption = "\n".join([title, *_lines(frame, findings)])
    return Picture("", image, f"{title} with its label and the box that fits it", caption, "photograph")


def _missing(
    frames: Sequence[FrameId], findings: Sequence[Finding], pictures: Mapping[FrameId, np.ndarray]
) -> Table | None:
    """A table of the frames whose pictures could not be read."""
    rows = [
        (f"{frame[0]} frame {frame[1]}", "; ".join(_lines(frame, findings)))
        for frame in frames
        if frame not in pictures
    ]
    return Table(("frame", "what"), rows, numbers=False) if rows else None
