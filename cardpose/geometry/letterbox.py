"""Resize an image of any shape to the input size of the network, and the inverse map."""

import cv2
import numpy as np

PAD_GREY = 114
"""Grey level of the padding; near 0 once normalised."""


def letterbox(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resize to `size` with the aspect ratio kept, centred on grey.

    Shrinks by area interpolation, so that a card edge thinner than an output pixel is averaged, not skipped.

    Args:
        image: (h, w, 3) uint8.
        size: (H, W) of the result.

    Returns:
        The image, (H, W, 3) uint8, and `to_source`, (2, 3) float32: maps (x, y, 1) in pixels of the result to pixels
        of `image`.

    >>> image, to_source = letterbox(np.zeros((480, 640, 3), np.uint8), (192, 256))
    >>> image.shape, (to_source @ [0.0, 0.0, 1.0]).tolist()  # (0 + 0.5) * 2.5 - 0.5
    ((192, 256, 3), [0.75, 0.75])
    """
    (h, w), (height, width) = image.shape[:2], size
    scale = min(height / h, width / w)
    inner_h, inner_w = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (height - inner_h) // 2, (width - inner_w) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    inner = cv2.resize(image, (inner_w, inner_h), interpolation=interpolation)
    if (inner_h, inner_w) != (height, width):
        padded = np.full((height, width, 3), PAD_GREY, np.uint8)
        padded[top : top + inner_h, left : left + inner_w] = inner
        inner = padded
    step_x, step_y = w / inner_w, h / inner_h  # per axis: the rounded inner size changes the ratio
    to_source = [[step_x, 0, (0.5 - left) * step_x - 0.5], [0, step_y, (0.5 - top) * step_y - 0.5]]
    return inner, np.array(to_source, np.float32)


def invert_affine(affine: np.ndarray) -> np.ndarray:
    """Invert a (2, 3) affine map; the result is float32.

    >>> invert_affine(np.array([[2.0, 0.0, 1.0], [0.0, 4.0, 2.0]])).tolist()
    [[0.5, 0.0, -0.5], [0.0, 0.25, -0.5]]
    """
    return cv2.invertAffineTransform(affine.astype(np.float64)).astype(np.float32) + np.float32(0)  # no -0
