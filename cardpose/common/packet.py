"""A packet of cards: the names of its corners, and the records that are passed between wings.

Coordinates everywhere: x right, y down, in pixels, an integer is the centre of a pixel.
Visibility is COCO's: 0 not labelled (no coordinates), 1 labelled but hidden, 2 visible
(https://cocodataset.org/#format-data).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

import numpy as np

if TYPE_CHECKING:  # a prediction with an ONNX file needs no torch
    from torch import Tensor

CORNERS = (
    "upper_left_face",
    "upper_right_face",
    "upper_left_back",
    "upper_right_back",
    "lower_left_face",
    "lower_right_face",
    "lower_left_back",
    "lower_right_back",
)
NUM_CORNERS = len(CORNERS)

FLIP_INDEX = tuple(
    CORNERS.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
    for name in CORNERS
)
"""Slot i of a mirrored image holds what slot FLIP_INDEX[i] held before."""

FACE = tuple(i for i, name in enumerate(CORNERS) if name.endswith("face"))
"""The corners of the surface on the table."""
BACK = tuple(i for i, name in enumerate(CORNERS) if name.endswith("back"))
"""The corners of the surface that faces up."""
VERTICAL_EDGES = tuple(zip(FACE, BACK, strict=True))
"""Face and back corner of the four edges along the thickness of the packet."""
BACK_DIAGONALS = (
    (CORNERS.index("upper_left_back"), CORNERS.index("lower_right_back")),
    (CORNERS.index("upper_right_back"), CORNERS.index("lower_left_back")),
)


def _edges() -> tuple[tuple[int, int], ...]:
    """Pairs of corners whose names differ in exactly one of the three words: the twelve edges of a box."""
    words = [name.split("_") for name in CORNERS]
    return tuple(
        (i, j)
        for i in range(NUM_CORNERS)
        for j in range(i + 1, NUM_CORNERS)
        if sum(a != b for a, b in zip(words[i], words[j], strict=True)) == 1
    )


EDGES = _edges()

CARDS_PER_DECK = 52
MAX_CARDS = 2 * CARDS_PER_DECK
CARD_WIDTH_MM, CARD_HEIGHT_MM = 63.0, 88.0

HIDDEN, VISIBLE = 1, 2
NOT_LABELLED = 0


FrameId = tuple[str, int]
"""Name of the video in its dataset folder, and index of the frame in it."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """The label of one frame.

    Args:
        video: name of the video in the dataset folder, the `file` of videos.csv.
        frame_index: position of the frame in its video, counted from 0.
        timestamp: seconds from the video's start, NaN if unknown (loose frames).
        width, height: size of the source frame in pixels, phone rotation applied.
        corners: (8, 2) float32, source pixels, NaN if not labelled; order of `CORNERS`.
        visibility: (8,) int8, 0, 1 or 2.
        cards: the packet's count, 1 to 104 (two decks), or None if unknown.
    """

    video: str
    frame_index: int
    timestamp: float
    width: int
    height: int
    corners: np.ndarray
    visibility: np.ndarray
    cards: int | None

    @property
    def frame_id(self) -> FrameId:
        """Video and frame index."""
        return self.video, self.frame_index


class Sample(TypedDict):
    """One example as the dataset returns it, before collation.

    Attributes:
        image: (3, H, W) uint8 RGB.
        corners: (8, 2) float32 in pixels of `image`, 0 if not labelled.
        visibility: (8,) int64, 0, 1 or 2.
        cards: () float32, NaN if unknown.
        video: () int64, index into the data module's `videos`, -1 for a synthetic stream.
        frame_index: () int64.
        to_source: (2, 3) float32, maps (x, y, 1) in pixels of `image` before augmentation to source pixels.
        source_size: (2,) float32, width and height of the source frame.
    """

    image: "Tensor"
    corners: "Tensor"
    visibility: "Tensor"
    cards: "Tensor"
    video: "Tensor"
    frame_index: "Tensor"
    to_source: "Tensor"
    source_size: "Tensor"


class Batch(Sample):
    """A collated `Sample` (every tensor with a leading B), as it leaves `on_after_batch_transfer`.

    `image` is float32 there, normalised for the encoder; `heatmaps` (B, 8, h, w) float32 are the targets, and
    `source_corners` (B, 8, 2) float32 the corners in source pixels.
    """

    heatmaps: "NotRequired[Tensor]"
    source_corners: "NotRequired[Tensor]"


Array = TypeVar("Array", np.ndarray, "Tensor")


class ModelOutput(NamedTuple, Generic[Array]):
    """Output of the model for a batch of frames. The field names are those of an exported file's outputs.

    Args:
        corners: (B, 8, 2) in pixels of the network's image; in evaluation already mapped to source pixels.
        confidence: (B, 8) height of each heatmap's peak, 0 to 1.
        visibility: (B, 8) probability that the corner is visible, 0 to 1.
        cards: (B,) estimated count in cards.
        cards_std: (B,) estimated standard deviation of `cards`; NaN where the model does not estimate it.
    """

    corners: Array
    confidence: Array
    visibility: Array
    cards: Array
    cards_std: Array
