"""A contact sheet: one frame of each clip, with its labels drawn in."""

import cv2
import numpy as np

from cardpose.common.packet import EDGES, HIDDEN, VISIBLE, Annotation
from cardpose.synth.dataset import Footage
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.render import Renderer
from cardpose.synth.sampling.scene import sample_shot

_COLOURS = {VISIBLE: (60, 255, 60), HIDDEN: (255, 160, 0)}
_SUBPIXEL = 16


def draw_label(image: np.ndarray, annotation: Annotation) -> None:
    """Draw the box and its corners into `image` (H, W, 3) uint8 RGB: green visible, orange hidden."""
    points = np.round(np.nan_to_num(annotation.corners) * _SUBPIXEL).astype(int).tolist()
    seen = annotation.visibility.tolist()
    for a, b in EDGES:
        if seen[a] and seen[b]:
            colour = _COLOURS[min(seen[a], seen[b])]
            cv2.line(image, points[a], points[b], colour, 1, cv2.LINE_AA, 4)
    for point, visibility in zip(points, seen, strict=True):
        if visibility:
            cv2.circle(image, point, 3 * _SUBPIXEL, _COLOURS[visibility], 1, cv2.LINE_AA, 4)


def contact_sheet(footage: Footage, columns: int = 4, tiles: int = 20) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the middle frames of up to `tiles` clips, spread over the footage, with labels."""
    images = []
    for number in np.unique(np.linspace(0, footage.clips - 1, tiles).round().astype(int)).tolist():
        clip = footage.clip(number)
        shot = sample_shot(clip, clip.frames // 2)
        image = Renderer(clip).frame(shot)
        draw_label(image, annotate(clip, shot, footage.file(number)))
        text = f"{clip.packet.cards} cards"
        for place, colour in (((11, 27), (0, 0, 0)), ((10, 26), (255, 255, 255))):
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 1, cv2.LINE_AA)
        images.append(image)
    images += [np.zeros_like(images[0])] * (-len(images) % columns)
    rows = [np.hstack(images[start : start + columns]) for start in range(0, len(images), columns)]
    return np.vstack(rows)
