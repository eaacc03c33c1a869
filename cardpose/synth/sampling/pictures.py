"""The user's own pictures of tables and card backs."""

import hashlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from cardpose.common.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MIN_SIDE = 64
"""Smallest width and height of a picture, in pixels."""


@cache
def find(folder: str) -> tuple[str, ...]:
    """Paths of the folder's pictures, sorted by name and checked.

    Raises:
        InputError: the folder does not exist or has no picture, or a picture is broken or too small.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{folder}: no such folder of pictures: check the path")
    paths = sorted(str(path) for path in root.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: has no pictures: add {', '.join(SUFFIXES)} files or write null")
    for path in paths:
        read(path)
    return tuple(paths)


@cache
def digest(folder: str) -> str:
    """A hash of the folder's pictures."""
    sums = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in find(folder)]
    return hashlib.sha256("".join(sums).encode()).hexdigest()[:16]


def read(path: str) -> np.ndarray:
    """(H, W, 3) float32 RGB, 0 to 1.

    Raises:
        InputError: the picture is broken or too small.
    """
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: cannot be read as a picture: remove it or save it again")
    if min(image.shape[:2]) < MIN_SIDE:
        raise InputError(
            f"{path}: is {image.shape[1]}x{image.shape[0]}: needs at least {MIN_SIDE} pixels per side"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
