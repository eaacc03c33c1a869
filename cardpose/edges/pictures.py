"""Show what a photograph gives the counter: `python -m cardpose.edges.pictures OUT.jpg DATASET [DATASET ...]`.

Of each labelled dataset folder the first labelled frame: the frame, the widest part of its clearest side in source
pixels, and what the edges say of it where the corners are those of the label. Makes docs/exact_count.jpg.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from cardpose.common.images import write_image
from cardpose.data.footage.folder import DatasetFolder
from cardpose.edges.counting import EdgeCounter
from cardpose.edges.strips import CARD_MM, LEVEL_MM, MARGIN_MM, Side, find_sides
from cardpose.geometry.box_fit import PHONE_FOCAL
from cardpose.geometry.boxes import fit_frames

SIZE = (400, 300)
"""Width and height of each of the two pictures of a row."""
_TEXT = 22
_AROUND_MM = 1.5  # above and below the packet


def row(root: Path, counter: EdgeCounter) -> np.ndarray:
    """(h, w, 3) uint8 RGB of the first labelled frame of a dataset folder."""
    folder = DatasetFolder.read(root)
    label = folder.annotations[0]
    image = next(folder.read_frames(label.video, [label.frame_index]))[1]
    given, size = label.visibility > 0, np.array([image.shape[1::-1]])
    points = label.corners[None].astype(np.float64)
    box = fit_frames(points, given[None].astype(np.float64), size).box
    sides = find_sides(box, (image.shape[1], image.shape[0]), PHONE_FOCAL)
    found = counter(image, box, PHONE_FOCAL)
    said = found.reason or f"{found.cards} edges, probability {found.probability:.2f}"
    text = f"{label.cards} cards, {found.pitch:.1f} pixels a card: {said}"
    small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
    pair = np.hstack([small, enlarge(image, sides[0]) if sides else np.zeros_like(small)])
    head = np.full((_TEXT, pair.shape[1], 3), 255, np.uint8)
    cv2.putText(head, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([head, pair])


def enlarge(image: np.ndarray, side: Side) -> np.ndarray:
    """The middle of a side, (h, w, 3) of `SIZE`; neither axis is stretched more than the other."""
    width, height = SIZE
    shown = side.thickness + 2 * _AROUND_MM
    scale = height / (shown / CARD_MM * side.pitch)  # shown pixels a source pixel
    cut = MARGIN_MM + LEVEL_MM - _AROUND_MM
    whole = shown + 2 * cut
    length = (
        float(np.linalg.norm(side.quad[1] - side.quad[0]) + np.linalg.norm(side.quad[2] - side.quad[3])) / 2
    )
    half = min(0.5, width / scale / length / 2)
    x, y = np.array([0.5 - half, 0.5 + half]), np.array([cut, cut + shown]) / whole
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    to_frame = cv2.getPerspectiveTransform(unit, side.quad.astype(np.float32))
    corners = np.array([[[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]]]], np.float32)
    source = cv2.perspectiveTransform(corners, to_frame)[0]
    target = unit * np.array(SIZE, np.float32) - np.float32(0.5)
    warp = cv2.getPerspectiveTransform(source, target)
    kind = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    return np.asarray(cv2.warpPerspective(image, warp, SIZE, flags=kind))


def main(out: Path, roots: list[Path]) -> None:
    """Write the picture."""
    counter = EdgeCounter.from_file()
    write_image(out, np.vstack([row(root, counter) for root in roots]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
