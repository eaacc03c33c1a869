"""Predictions drawn onto the footage: an H.264 video for a video, pictures for pictures."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cardpose.common.file_names import shortened
from cardpose.common.images import write_image
from cardpose.common.packet import HIDDEN, VISIBLE
from cardpose.data.footage.video_writer import VideoWriter
from cardpose.evaluation.report.drawing import PREDICTED_EDGES, draw_packet
from cardpose.fusion.clips import EDGES, Clip
from cardpose.prediction.records import FrameItem, Prediction
from cardpose.prediction.sources import Source

SMALLEST, LARGEST = 480, 1280
"""Limits of the longer side of a drawing in pixels; marks and text have a fixed size."""
_KEPT = {".jpg", ".jpeg", ".png"}
_FONT, _SCALE, _LINE = cv2.FONT_HERSHEY_SIMPLEX, 0.55, 22
_WHITE, _DARK = (255, 255, 255), (25, 25, 25)


def draw_frame(
    image: np.ndarray, prediction: Prediction, tracked: np.ndarray | None, clip: Clip
) -> np.ndarray:
    """Draw the box with hidden edges dashed, a cross in its own colour for each corner, and the count so far.

    Args:
        image: (H, W, 3) uint8 RGB, the frame.
        tracked: (8, 2) corners smoothed over time; None for those of `prediction`, completed by its box.
        clip: the count so far.

    Returns:
        (H', W', 3) uint8 RGB of the same aspect ratio, even numbers of pixels, the longer side 480 to 1280.
    """
    height, width = image.shape[:2]
    scale = np.clip(max(height, width), SMALLEST, LARGEST) / max(height, width)
    size = tuple(max(2, round(side * scale / 2) * 2) for side in (width, height))
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    corners = prediction.completed() if tracked is None else tracked
    corners = (corners + 0.5) * (np.array(size) / (width, height)) - 0.5
    visibility = np.where(prediction.visibility > 0.5, VISIBLE, HIDDEN)
    canvas = draw_packet(canvas, corners, visibility, mark="cross", edge_colour=PREDICTED_EDGES)
    return _banner(canvas, count_line(prediction, clip))


def count_line(prediction: Prediction, clip: Clip) -> str:
    """Text of a drawing: the count so far with its interval, whether it has settled, and the flag of the frame."""
    if not clip.frames_used:
        return "no packet found"
    interval = "" if np.isnan(clip.low) else f" ({clip.low:.0f} to {clip.high:.0f})"
    if clip.method == EDGES:
        interval = " (edges counted)"
    notes = ["settled" if clip.settled else "", prediction.flag.label]
    return ", ".join([f"{clip.cards:.1f} cards{interval}", *filter(None, notes)])


def _banner(canvas: np.ndarray, text: str) -> np.ndarray:
    """Write a line of text on a dark background in the upper left corner, in place."""
    (width, _), _ = cv2.getTextSize(text, _FONT, _SCALE, 1)
    cv2.rectangle(canvas, (0, 0), (width + 12, _LINE + 4), _DARK, cv2.FILLED)
    cv2.putText(canvas, text, (6, _LINE - 4), _FONT, _SCALE, _WHITE, 1, cv2.LINE_AA)
    return canvas


class Overlay:
    """Draws the frames of one source into files; a context manager, so that a video is complete or absent.

    Args:
        path: of the drawing. A video gets the suffix .mp4, a picture keeps its suffix if it can be written, a folder of
            frames becomes a folder.
        source: what is drawn on.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path, self._source = path, source
        self._writer: VideoWriter | None = None
        self._stack = ExitStack()
        self._last = -1.0

    def __enter__(self) -> "Overlay":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, item: FrameItem, prediction: Prediction, tracked: np.ndarray | None, clip: Clip) -> None:
        """Draw a frame whose picture was kept; arguments as in `draw_frame`.

        Raises:
            InputError: the disk is full or the folder may not be written to.
        """
        assert item.picture is not None
        drawing = draw_frame(item.picture, prediction, tracked, clip)
        if not self._source.rate:
            return self._write_picture(drawing, item.index)
        if self._writer is None:
            height, width = drawing.shape[:2]
            path = (
                self.path
                if self.path.suffix == ".mp4"
                else self.path.with_name(f"{shortened(self.path.name, 4)}.mp4")
            )
            self._writer = self._stack.enter_context(VideoWriter(path, width, height, self._source.rate))
        self._last = max(item.timestamp, self._last + 1e-3)  # timestamps of a video have to increase
        return self._writer.write(drawing, self._last)

    def _write_picture(self, drawing: np.ndarray, index: int) -> None:
        path = self.path
        if self._source.num_frames != 1:
            path = path / f"{index}.jpg"
        elif path.suffix.lower() not in _KEPT:
            path = path.with_name(f"{shortened(path.name, 4)}.png")
        write_image(path, drawing)


def overlay_paths(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Paths of the clips' drawings: in `folder`, with the same relative folders as the clips.

    >>> paths = overlay_paths(Path("out"), ["/clips/a/1.mp4", "/clips/b/1.mp4"])
    >>> [path.as_posix() for path in paths.values()]
    ['out/a/1.mp4', 'out/b/1.mp4']
    """
    absolute = {name: os.path.abspath(name) for name in names}
    base = os.path.commonpath([os.path.dirname(path) for path in absolute.values()]) if names else ""
    inside = {name: Path(os.path.relpath(path, base)).parts for name, path in absolute.items()}
    return {name: folder.joinpath(*map(shortened, parts)) for name, parts in inside.items()}
