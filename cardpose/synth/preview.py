"""A contact sheet: one frame of each clip with its label drawn in."""

from pathlib import Path

import cv2
import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import write_image
from cardpose.common.packet import EDGES, HIDDEN, VISIBLE, Annotation
from cardpose.synth.dataset import Footage
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling.scene import sample_shot

_COLOURS = {VISIBLE: (60, 255, 60), HIDDEN: (255, 160, 0)}
_SUBPIXEL_BITS = 4


def draw_preview(footage: Footage, path: str | Path) -> Path:
    """Write the contact sheet of the footage to `path`.

    Raises:
        InputError: `path` is not a PNG, or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"preview={path}: is not a PNG: name it {path.with_suffix('.png')}")
    write_image(path, contact_sheet(footage))
    return path


def contact_sheet(footage: Footage, columns: int = 4, tiles: int = 20) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the middle frames of up to `tiles` clips, spread over the footage, with labels."""
    images = []
    for number in np.unique(np.linspace(0, footage.clips - 1, tiles).round().astype(int)).tolist():
        clip = footage.clip(number)
        shot = sample_shot(clip, clip.frames // 2)
        image = Renderer(clip).frame(shot)
        _draw_label(image, annotate(clip, shot, footage.file(number)))
        text = f"{clip.packet.cards} cards"
        for place, colour in (((11, 27), (0, 0, 0)), ((10, 26), (255, 255, 255))):
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 1, cv2.LINE_AA)
        images.append(image)
    images += [np.zeros_like(images[0])] * (-len(images) % columns)
    rows = [np.hstack(images[start : start + columns]) for start in range(0, len(images), columns)]
    return np.vstack(rows)


def _draw_label(image: np.ndarray, annotation: Annotation) -> None:
    """Draw the box and its corners into `image` (H, W, 3) uint8 RGB: green visible, orange hidden."""
    points = np.round(np.nan_to_num(annotation.corners) * (1 << _SUBPIXEL_BITS)).astype(int).tolist()
    visibility = annotation.visibility.tolist()
    for a, b in EDGES:
        if visibility[a] and visibility[b]:
            colour = _COLOURS[min(visibility[a], visibility[b])]
            cv2.line(image, points[a], points[b], colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    for point, seen in zip(points, visibility, strict=True):
        if seen:
            cv2.circle(image, point, 3 << _SUBPIXEL_BITS, _COLOURS[seen], 1, cv2.LINE_AA, _SUBPIXEL_BITS)
