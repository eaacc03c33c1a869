"""The records of a frame on its way through prediction: what goes into the network, and what is predicted."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cardpose.fusion.clips import THICKNESS, Flag

# Sources need PyAV and OpenCV's cameras; a prediction of a small array needs neither these nor edges.
if TYPE_CHECKING:
    from cardpose.edges.counting import EdgeCount
    from cardpose.prediction.sources import Source


@dataclass(frozen=True)
class FrameItem:
    """A frame ready for the network, and where it comes from.

    Args:
        image: (H, W, 3) uint8 RGB, letterboxed to the network's size.
        to_source: (2, 3) float32, maps (x, y, 1) in pixels of `image` to pixels of the source frame.
        width, height: of the source frame in pixels.
        index: position of the frame in its clip.
        timestamp: seconds from the start of the clip, NaN for pictures.
        source: the clip; None for a picture that is not part of one.
        picture: (height, width, 3) uint8 RGB, the source frame; None where nothing will be drawn on it, no edges
            counted and nothing looked at twice.
        focal: focal length in longer sides of the frame, from the EXIF data of a photograph; None without.
    """

    image: np.ndarray
    to_source: np.ndarray
    width: int
    height: int
    index: int = 0
    timestamp: float = math.nan
    source: "Source | None" = None
    picture: np.ndarray | None = None
    focal: float | None = None


@dataclass(frozen=True)
class Prediction:
    """The prediction of one frame, in pixels of the source frame (x right, y down).

    Args:
        width, height: of the frame in pixels.
        corners: (8, 2) float64, order of `packet.CORNERS`.
        confidence: (8,) height of each heatmap's peak, 0 to 1.
        found: (8,) bool, whether the peak is high enough to count as a corner.
        visibility: (8,) probability that the corner is visible, 0 to 1.
        cards: estimated count in cards, by `method`.
        cards_std: estimated standard deviation of the count by the thickness, NaN where the model does not estimate it.
        thickness_mm: thickness of the box fitted to the corners; NaN where they do not determine it.
        box: (8, 2) corners of that box, hidden ones too; NaN where there is no box.
        flag: why the frame is not used for the count of its clip, or `Flag.GOOD`.
        edges: what the edges say; None where they were not looked at.
        method: what `cards` is from: "thickness", "edges" or "both".
    """

    width: int
    height: int
    corners: np.ndarray
    confidence: np.ndarray
    found: np.ndarray
    visibility: np.ndarray
    cards: float
    cards_std: float
    thickness_mm: float
    box: np.ndarray
    flag: Flag
    edges: "EdgeCount | None" = None
    method: str = THICKNESS

    def completed(self) -> np.ndarray:
        """(8, 2) the corners that were found, those of the box for the others; NaN where there is neither."""
        of_box = self.box if self.flag in (Flag.GOOD, Flag.CUT_OFF) else np.nan
        return np.where(self.found[:, None], self.corners, of_box)
