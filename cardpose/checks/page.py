"""The page of suspicious frames: one HTML file that needs nothing else."""

import base64
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape

import cv2
import numpy as np

from cardpose.checks.findings import MEANINGS, Finding, Kind
from cardpose.packet import Annotation
from cardpose.viz import PREDICTED_EDGES, draw_packet, enlarge

FrameKey = tuple[str, int]
WIDTH = 640
"""Pixels of a frame on the page, at most."""
_QUALITY = 80
_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 86rem; padding: 0 1rem; color: #222;
  background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
.frames { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; } img { width: 100%; height: auto; display: block; background: #ddd; }
figcaption { padding-top: .3rem; overflow-wrap: anywhere; } .kind { font-weight: 600; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } }
"""


def draw(image: np.ndarray, annotation: Annotation, box: np.ndarray | None) -> np.ndarray:
    """The packet in its frame with its label, circles and white edges, and the box, crosses and green edges.

    Args:
        image: (H, W, 3) uint8 RGB.
        annotation: the label.
        box: (8, 2) corners in pixels of the image, or None.

    Returns:
        (h, w, 3) uint8 RGB, at most `WIDTH` wide.
    """
    scale = WIDTH / image.shape[1]
    if scale >= 2:
        image, corners = enlarge(image, annotation.corners, int(scale))
        other = None if box is None else (box + 0.5) * int(scale) - 0.5
    else:
        factor = min(1.0, scale)
        size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        corners = (annotation.corners + 0.5) * factor - 0.5
        other = None if box is None else (box + 0.5) * factor - 0.5
    if other is not None:
        seen = np.full(len(other), 2)
        image = draw_packet(image, other, seen, mark="cross", edge_colour=PREDICTED_EDGES)
    return draw_packet(image, corners, annotation.visibility)


def data_url(picture: np.ndarray) -> str:
    """An (H, W, 3) uint8 RGB picture as the address of an <img>."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def chosen_frames(findings: Sequence[Finding], limit: int) -> list[FrameKey]:
    """The frames to draw, the worst of the first kinds first, at most `limit`."""
    order = list(Kind)
    ranked = sorted(
        (f for f in findings if f.frame_index is not None),
        key=lambda f: (order.index(f.kind), -f.value if not math.isnan(f.value) else 0.0),
    )
    return list(dict.fromkeys((f.video, int(f.frame_index or 0)) for f in ranked))[:limit]


def render(
    name: str,
    findings: Sequence[Finding],
    counted: Mapping[str, int],
    frames: Sequence[FrameKey],
    picture: Callable[[FrameKey], str | None],
) -> str:
    """The page.

    Args:
        name: of the data folder.
        findings: all of them.
        counted: what was looked at, by its name.
        frames: those to show.
        picture: the address of a frame's picture, None where it cannot be read.
    """
    by_kind = Counter(finding.kind for finding in findings)
    rows = "".join(
        f"<tr><td class=kind>{escape(kind.value)}</td><td>{by_kind[kind]}</td><td>{escape(MEANINGS[kind])}</td></tr>"
        for kind in Kind
    )
    looked = ", ".join(f"{number} {what}" for what, number in counted.items())
    figures = "".join(_figure(frame, findings, picture(frame)) for frame in frames)
    suspicious = len({(f.video, f.frame_index) for f in findings if f.frame_index is not None})
    more = f" The first {len(frames)} of {suspicious} are shown." if len(frames) < suspicious else ""
    others = "".join(
        f"<tr><td class=kind>{escape(f.kind.value)}</td><td>{escape(f.video)}</td><td>{escape(f.text)}</td></tr>"
        for f in findings
        if f.frame_index is None
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(name)}: check</title>"
        f"<meta name=viewport content='width=device-width, initial-scale=1'><style>{_STYLE}</style>"
        f"<h1>{escape(name)}</h1><p>{escape(looked)}. A finding is a suspicion: look before you change a label.</p>"
        f"<table><tr><th>finding<th>number<th>meaning</tr>{rows}</table>"
        f"<h2>Folder and videos</h2><table>{others or '<tr><td>nothing found</td></tr>'}</table>"
        f"<h2>Frames</h2><p>White edges and circles: the label, dashed where it is hidden. Green edges and crosses: "
        f"the box that fits, without the corner that is at fault where there is one.{escape(more)}</p>"
        f"<div class=frames>{figures or 'nothing found'}</div></html>\n"
    )


def _figure(frame: FrameKey, findings: Sequence[Finding], address: str | None) -> str:
    video, index = frame
    lines = "".join(
        f"<br><span class=kind>{escape(f.kind.value)}</span>: {escape(f.text)}"
        for f in findings
        if (f.video, f.frame_index) == frame
    )
    title = f"{video} frame {index}"
    shown = (
        f"<img src='{address}' alt='{escape(title, quote=True)}' loading=lazy>" if address else "no picture"
    )
    return f"<figure>{shown}<figcaption><b>{escape(title)}</b>{lines}</figcaption></figure>"
