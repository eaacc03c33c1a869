"""A second look at a small packet, cut out of the source frame so that the network sees it as large as in training.

The network's input is smaller than the frame: a packet that fills a quarter of it is 64 pixels wide there, though the
camera has given it 160 or more. Thickness and corners are read more precisely from a cut-out, even from one that has to
be enlarged (docs/models.md, Two looks).
"""

from dataclasses import replace

import numpy as np

from cardpose.fusion.clips import Flag
from cardpose.fusion.settings import FusionConfig
from cardpose.geometry.letterbox import letterbox
from cardpose.prediction.records import FrameItem

FILL = 0.6
"""Largest share of the cut-out that the packet fills, in width or height."""
STEP = 16
"""The width of a cut-out is a multiple, in source pixels, so that a hand that trembles does not change it."""
DECISIVE = (Flag.GOOD, Flag.NO_PACKET)
"""Flags of the second look that replace the first. NO_PACKET is one: on empty tables it removes false detections."""


def is_small(
    flag: int, corners: np.ndarray, frame: tuple[int, int], size: tuple[int, int], config: FusionConfig
) -> bool:
    """Whether a packet is looked at twice. `flag` is that of the first look; others as in `filled`."""
    return flag == Flag.GOOD and filled(corners, frame, size) < config.second_look


def filled(corners: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> float:
    """Share of the network's input that a packet fills, in width or height, the larger of both.

    Args:
        corners: (N, 2) in source pixels; a NaN makes the result NaN.
        frame: (width, height) of the source frame.
        size: (H, W) of the network's input.

    >>> corners = np.zeros((8, 2))
    >>> corners[7] = 160, 60
    >>> filled(corners, (640, 480), (192, 256)), filled(corners, (480, 640), (192, 256))  # the second is 192 high
    (0.25, 0.1875)
    """
    return _width(np.ptp(corners, axis=0), size) / _width(np.array(frame), size)


def cut_out(item: FrameItem, corners: np.ndarray, size: tuple[int, int]) -> FrameItem:
    """A frame with the packet and its surroundings as the network's image.

    Args:
        item: with its source frame, `picture`.
        corners: (8, 2) of the packet in source pixels.
        size: (H, W) of the network's input.
    """
    assert item.picture is not None
    left, top, right, bottom = window(corners, (item.width, item.height), size)
    image, to_source = letterbox(item.picture[top:bottom, left:right], size)
    to_source[:, 2] += left, top
    return replace(item, image=image, to_source=to_source)


def window(corners: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the cut-out in whole source pixels, right and bottom excluded.

    Centred on the packet, which fills `FILL` of it or, because of `STEP`, a little less; shifted and cropped to stay in
    the frame. Arguments as in `filled`.

    >>> corners = np.zeros((8, 2))
    >>> corners[::2] = 310, 200
    >>> corners[1::2] = 370, 230  # 60 wide: 100 would be filled to 0.6
    >>> window(corners, (640, 480), (192, 256)), window(corners + [-310, 0], (640, 480), (192, 256))
    ((284, 173, 396, 257), (0, 173, 112, 257))
    """
    height, width = size
    across = np.ceil(_width(np.ptp(corners, axis=0), size) / FILL / STEP) * STEP
    lengths = np.minimum([across, np.floor(across * height / width + 0.5)], frame)
    middle = (corners.min(0) + corners.max(0)) / 2
    start = np.clip(np.floor(middle - lengths / 2 + 0.5), 0, np.array(frame) - lengths)
    left, top, right, bottom = np.concatenate([start, start + lengths]).astype(int).tolist()
    return left, top, right, bottom


def _width(extent: np.ndarray, size: tuple[int, int]) -> float:
    """Width of the smallest rectangle of the network's shape (H, W) that holds `extent` (2,), width and height."""
    return float(max(extent[0], extent[1] * size[1] / size[0]))
