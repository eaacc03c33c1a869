"""A second look at a small packet: cut out of the source frame, so that the network sees it as large as in training.

The network's input is smaller than the frame. A packet that fills a quarter of it is 64 pixels wide there, though the
camera has given it 160 or more; thickness and corners are read more precisely from those.
"""

from dataclasses import replace

import numpy as np

from cardpose.fusion.clips import Flag
from cardpose.geometry.letterbox import letterbox
from cardpose.prediction.records import FrameItem

FILL = 0.6
"""Share of the cut-out that the packet fills, in width or height."""
DECISIVE = (Flag.GOOD, Flag.NO_PACKET)
"""Flags with which the second look replaces the first: on empty tables it mostly finds none of what the first found."""


def filled(corners: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> float:
    """Share of the network's input that a packet fills, in width or height, the larger of both.

    Args:
        corners: (8, 2) in source pixels; a NaN makes the result NaN.
        frame: (width, height) of the source frame.
        size: (H, W) of the network's input.

    >>> corners = np.zeros((8, 2))
    >>> corners[7] = 160, 60
    >>> filled(corners, (640, 480), (192, 256)), filled(corners, (480, 640), (192, 256))  # the second is 192 high
    (0.25, 0.1875)
    """
    return _width(np.ptp(corners, axis=0), size) / _width(np.array(frame), size)


def cut_out(item: FrameItem, corners: np.ndarray, size: tuple[int, int]) -> FrameItem:
    """A frame with what surrounds the packet as the network's image.

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

    In the middle is the packet, which fills `FILL` of it, or the cut-out ends at the frame. Arguments as in `filled`.

    >>> corners = np.zeros((8, 2))
    >>> corners[::2] = 310, 200
    >>> corners[1::2] = 370, 230  # 60 wide, 100 to fill 0.6
    >>> window(corners, (640, 480), (192, 256)), window(corners + [-310, 0], (640, 480), (192, 256))
    ((290, 178, 390, 253), (0, 178, 100, 253))
    """
    height, width = size
    across = _width(np.ptp(corners, axis=0), size) / FILL
    lengths = np.minimum([across, across * height / width], frame)
    middle = (corners.min(0) + corners.max(0)) / 2
    start = np.clip(middle - lengths / 2, 0, np.array(frame) - lengths)
    left, top, right, bottom = np.floor(np.concatenate([start, start + lengths]) + 0.5).astype(int).tolist()
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _width(extent: np.ndarray, size: tuple[int, int]) -> float:
    """Width of the smallest rectangle of the network's shape (H, W) that holds `extent` (2,), width and height."""
    return float(max(extent[0], extent[1] * size[1] / size[0]))
