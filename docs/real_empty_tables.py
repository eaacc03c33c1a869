"""Real tables without a packet: `python docs/real_empty_tables.py DATA [MODEL]`.

DATA is the folder of the published footage. Of each labelled frame the parts at the left, at the right, above and below
of the packet are predicted, as pictures of their own, where they are large enough. Nothing is written.
"""

import sys
from collections.abc import Iterator

import numpy as np

from cardpose.common.progress import ProgressBar
from cardpose.data.footage.cardcut import read_cardcut
from cardpose.fusion.clips import Flag
from cardpose.prediction.predictor import Predictor

CORNERS_SEEN = 6
"""Frames with fewer labelled corners are left out: their packet goes beyond them."""

MARGIN = 40
"""Pixels between the labelled corners and a part; a hidden corner lies within them."""

SMALLEST = 120
"""Shorter side of a part, in pixels of the source frame."""


def parts_without_packet(image: np.ndarray, corners: np.ndarray) -> Iterator[np.ndarray]:
    """The parts of an (H, W, 3) image beside `corners`, (N, 2) in its pixels, that are large enough."""
    height, width = image.shape[:2]
    left, top = np.maximum(corners.min(0).astype(int) - MARGIN, 0)
    right, bottom = np.minimum(corners.max(0).astype(int) + 1 + MARGIN, (width, height))
    for part in (image[:, :left], image[:, right:], image[:top], image[bottom:]):
        if min(part.shape[:2]) >= SMALLEST:
            yield part


def main(root: str, model: str = "packet") -> None:
    """Print how many parts there are, and in how many the model finds a packet."""
    data, predictor = read_cardcut(root), Predictor.from_file(model)
    parts, found, videos = 0, 0, set()
    with ProgressBar("predicting", len(data.annotations)) as bar:
        for annotation in data.annotations:
            corners = annotation.corners[annotation.visibility == 2]
            [(_, image)] = data.read_frames(annotation.video, [annotation.frame_index])
            parts_of_frame = parts_without_packet(image, corners) if len(corners) >= CORNERS_SEEN else ()
            for prediction in predictor.stream(parts_of_frame):
                parts += 1
                videos.add(annotation.video)
                found += prediction.flag is not Flag.NO_PACKET
            bar.advance()
    print(
        f"{model}: a packet found in {found} of {parts} parts of frames without one, of {len(videos)} videos"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
