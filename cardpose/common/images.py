"""Loose frames: image files named by their frame index."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file

SUFFIXES = (".jpg", ".jpeg", ".png")
SMALL_QUALITY = 60
"""Of `small_jpeg`, of 100: letters and thin lines can still be read."""
_CODING = {".png": (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT)}
"""Charts are smaller by a third than with OpenCV's own choice, in the same time."""


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image file, turned as its EXIF orientation says.

    Grey becomes three alike channels, 16 bits become 8, CMYK RGB, and transparency is left out.

    Raises:
        InputError: the file is missing, empty, no image, or too large.
    """
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() and path.stat().st_size else None
    except cv2.error as error:  # more pixels than OpenCV opens, 2^30
        raise InputError(f"{path}: too large an image ({error.err}): make it smaller") from error
    if image is None:
        raise InputError(f"{path}: missing or not a whole image: copy it again from its source")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB, coded as the suffix says; the file is whole or absent.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    encoded = encode_image(image, path.suffix)
    with replace_file(path) as temporary:  # not cv2.imwrite, which answers a full disk with False
        temporary.write_bytes(encoded)


def encode_image(image: np.ndarray, suffix: str, settings: Sequence[int] = ()) -> bytes:
    """The file of (H, W, 3) uint8 RGB, coded as its suffix says, ".png" or ".jpg"; `settings` as OpenCV takes them."""
    settings = settings or _CODING.get(suffix, ())
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    return encoded.tobytes()


def small_jpeg(image: np.ndarray, width: int) -> bytes:
    """A file of few bytes, for a page of many pictures: what notebooks show.

    Args:
        image: (H, W, 3) uint8 RGB.
        width: to which it is shrunk, in pixels; a narrower one stays as it is.
    """
    if image.shape[1] > width:
        size = (width, round(width * image.shape[0] / image.shape[1]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return encode_image(image, ".jpg", (cv2.IMWRITE_JPEG_QUALITY, SMALL_QUALITY))


def list_frames(folder: Path) -> dict[int, Path]:
    """The images of a folder of frames by frame index, ascending; hidden and other files are passed over.

    Raises:
        InputError: no image, a name that is no index, or two images of one frame.
    """
    frames: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES:
            continue
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise InputError(f"{path}: not named by its frame: rename it to <index>{path.suffix}")
        index = int(path.stem)
        if index in frames:
            raise InputError(f"{path}: the same frame as {frames[index].name}: remove one")
        frames[index] = path
    if not frames:
        raise InputError(f"{folder}: holds no frame: add images named <index>.jpg or remove its row")
    return dict(sorted(frames.items()))
