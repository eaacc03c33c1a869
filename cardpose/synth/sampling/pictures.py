"""The user's own pictures of tables and card backs."""

import hashlib
import logging
from functools import cache
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import file_digest
from cardpose.common.images import read_image
from cardpose.data.footage.media import Kind, sort_out, taken

log = logging.getLogger(__name__)

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
    kinds = sort_out(sorted(root.iterdir()))
    paths = [str(path) for path in kinds[Kind.PICTURE]]
    if not paths:
        raise InputError(f"{folder}: has no pictures: add some or write null")
    if others := kinds[Kind.VIDEO] + kinds[Kind.OTHER]:
        log.warning(taken(root, len(paths), others))
    for path in paths:
        read(path)
    return tuple(paths)


@cache
def digest(folder: str) -> str:
    """A hash of the folder's pictures."""
    return hashlib.sha256("".join(map(file_digest, find(folder))).encode()).hexdigest()[:16]


def read(path: str) -> np.ndarray:
    """(H, W, 3) float32 RGB, 0 to 1.

    Raises:
        InputError: the picture is broken or too small.
    """
    image = read_image(Path(path))
    if min(image.shape[:2]) < MIN_SIDE:
        raise InputError(
            f"{path}: is {image.shape[1]}x{image.shape[0]}: needs at least {MIN_SIDE} pixels per side"
        )
    return image.astype(np.float32) / 255
