"""Image files, and folders of loose frames named by their index."""

import io
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import check_is_file, replace_file
from cardpose.common.jpeg import is_whole_jpeg

LIMIT = "CARDPOSE_MAX_MEGAPIXELS"
"""Environment variable that raises the largest size of an image, see `max_megapixels`."""
SUFFIXES = (".jpg", ".jpeg", ".png")
"""Of the frames in a dataset folder, which a browser shows; other pictures are read by their content."""
SMALL_QUALITY = 60
"""JPEG quality of `small_jpeg`, at which letters and thin lines are still legible."""
_JPEG = ("JPEG", "MPO")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF", "JPEG2000", "PPM")
"""The formats of Pillow that are read; others are stubs or drawings."""
_BY_PILLOW = ("HEIF", "AVIF", "TIFF")
"""Formats that OpenCV lacks or, like TIFF, rotates by other rules."""
_TURNED_BY_PILLOW = ("HEIF", "TIFF")
"""Formats whose orientation Pillow applies itself."""
_RAW = (50706, 37398, 33421)
"""Tags of raw photographs in a TIFF file: DNGVersion, TIFF/EP's version, and the pattern of a colour filter."""
_RAW_NAMES = frozenset([".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"])
_REDUCED = 254
"""NewSubfileType (TIFF 6.0, section 8), odd for a thumbnail: Nikon's and Sony's raw photographs begin with one."""
_ORIENTATION = 0x0112
_CAMERA, _EQUIVALENT, _RECORDED = 0x8769, 0xA405, (0xA002, 0xA003)
_FILM_MM = math.hypot(36, 24)
_CODING = {".png": (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT)}
"""Charts are smaller by a third than with OpenCV's default, in the same time."""


@dataclass(frozen=True)
class ImageHeader:
    """Header of an image file, read before any pixel is decoded.

    Args:
        format: name of the format as Pillow spells it, such as "JPEG", "PNG" or "HEIF".
        width, height: stored pixels, before the EXIF orientation is applied.
        pages: pictures in the file: frames of an animation or pages of a document.
        orientation: EXIF orientation, 1 to 8; 1 if there is none.
    """

    format: str
    width: int
    height: int
    pages: int
    orientation: int


def read_header(path: Path) -> ImageHeader:
    """Read the header of an image file. Costs under a millisecond, whatever the size of the image.

    Raises:
        InputError: the file is missing or no image that can be read.
    """
    check_is_file(path)
    try:
        with path.open("rb") as file:
            return _header(path, file)
    except OSError as error:
        raise _not_an_image(path) from error


def read_focal(path: Path) -> float | None:
    """Focal length of a photograph, in longer sides of the picture; None where its EXIF does not say.

    From the 35 mm equivalent (EXIF 2.32, tag 0xA405), which compares diagonals with that of a film, 43.27 mm. It
    includes a digital zoom, whose own tag is not applied again. A picture of another shape than the camera
    recorded was cut, so that its EXIF describes another picture.
    """
    try:
        with _pillow().open(path, formats=_FORMATS) as image:
            width, height = image.size
            camera = image.getexif().get_ifd(_CAMERA)
        equivalent = float(camera.get(_EQUIVALENT, 0))
        recorded = float(camera.get(_RECORDED[0], width)), float(camera.get(_RECORDED[1], height))
        shape, was = (max(size) / min(size) for size in ((width, height), recorded))
    except Exception:  # as in `_header`; a camera may write anything
        return None
    if not 5 <= equivalent <= 1000 or abs(shape / was - 1) > 0.01:
        return None
    return equivalent / _FILM_MM * math.hypot(width, height) / max(width, height)


def is_image_name(path: Path) -> bool:
    """Whether the suffix of a file is that of a format that can be read, or of a raw photograph, which is refused."""
    suffix = path.suffix.lower()
    return suffix in _RAW_NAMES or _pillow().registered_extensions().get(suffix) in _FORMATS


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image file, with its EXIF orientation applied.

    Grey becomes three equal channels, 16 bits become 8, CMYK becomes RGB, and transparency is dropped. Of several
    pages the first one is read. A tiled HEIC is read as one image.

    Raises:
        InputError: the file is missing, empty, no image, cut short, or has more than `max_megapixels`.
    """
    check_is_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _not_an_image(path) from error
    header = _header(path, io.BytesIO(data))
    check_megapixels(path, header.width, header.height)
    if header.format in _JPEG and not is_whole_jpeg(data):
        raise InputError(f"{path}: the JPEG is cut short or damaged: copy it again from its source")
    image = _decode_pillow(data) if header.format in _BY_PILLOW else _decode_opencv(data)
    if image is None:
        raise _not_an_image(path)
    return _turned(image, header.orientation)


def check_megapixels(path: Path, width: int, height: int) -> None:
    """Raise an `InputError` about a picture of more than `max_megapixels`; sizes are in pixels."""
    megapixels = width * height / 1e6
    if megapixels > max_megapixels():
        raise InputError(
            f"{path}: {megapixels:.0f} megapixels, more than the limit of {max_megapixels():.0f}: make it smaller, or "
            f"raise the limit with {LIMIT}={math.ceil(megapixels)}"
        )


def max_megapixels() -> float:
    """Largest image that is decoded: `CARDPOSE_MAX_MEGAPIXELS`, or 200.

    Raises:
        InputError: the variable is not a number above 0.
    """
    text = os.environ.get(LIMIT, "200")
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise InputError(f"{LIMIT}={text}: write a number above 0")
    return limit


def _not_an_image(path: Path) -> InputError:
    if path.suffix.lower() in _RAW_NAMES:
        return InputError(f"{path}: a camera's raw photograph, or damaged: save it as JPEG")
    return InputError(f"{path}: missing or not a whole image: copy it again from its source")


def _header(path: Path, file: BinaryIO) -> ImageHeader:
    try:
        with _pillow().open(file, formats=_FORMATS) as image:
            # The further pictures of a phone's JPEG (MPO) are its depth and gain maps.
            pages = 1 if image.format in _JPEG else getattr(image, "n_frames", 1)
            if image.format == "TIFF" and _is_raw(image):
                raise InputError(f"{path}: a camera's raw photograph: save it as JPEG")
            if image.format == "PNG":  # Pillow would decode the whole picture to find it
                image.info.setdefault("exif", _png_exif(file))
            orientation = 1 if image.format in _TURNED_BY_PILLOW else image.getexif().get(_ORIENTATION, 1)
            valid = isinstance(orientation, int) and 1 <= orientation <= 8
            width, height = image.size
            return ImageHeader(image.format or "", width, height, pages, orientation if valid else 1)
    except InputError:
        raise
    except Exception as error:  # each reader raises other types for damaged files
        raise _not_an_image(path) from error


def _png_exif(file: BinaryIO) -> bytes:
    """The chunk eXIf of a PNG file, before or after the pixels; empty if there is none."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return file.read(length)
        file.seek(length + 4, os.SEEK_CUR)
    return b""


def _is_raw(image: Any) -> bool:
    """Whether an opened TIFF file is a camera's raw photograph, of which Pillow would show a thumbnail."""
    tags = image.tag_v2
    return any(tag in tags for tag in _RAW) or bool(int(tags.get(_REDUCED, 0)) & 1)


@cache
def _pillow() -> Any:
    """Pillow's `Image` module, with HEIC and without its own size limit: `read_image` checks the size first.

    Neither it nor OpenCV prints lines of its own about a damaged file.
    """
    import pi_heif
    from PIL import Image

    pi_heif.register_heif_opener()
    warnings.filterwarnings("ignore", module="PIL")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    Image.MAX_IMAGE_PIXELS = None
    return Image


def _decode_pillow(data: bytes) -> np.ndarray | None:
    try:
        with _pillow().open(io.BytesIO(data)) as image:
            if image.mode.startswith("I;16"):  # Pillow would clip the values instead of scaling them
                return np.repeat((np.array(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except Exception:  # as in `_header`
        return None


def _decode_opencv(data: bytes) -> np.ndarray | None:
    """From memory: `cv2.imread` crashes on a name that is not UTF-8."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """The stored image (H, W, 3) as it is shown (EXIF 2.32, tag 0x0112)."""
    if orientation in (2, 4, 5, 7):  # mirrored, before it is turned
        image = image[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(image, quarter_turns))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB, in the format of the suffix, atomically.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    encoded = encode_image(image, path.suffix)
    with replace_file(path) as temporary:  # not cv2.imwrite, which returns False on a full disk
        temporary.write_bytes(encoded)


def encode_image(image: np.ndarray, suffix: str, settings: Sequence[int] = ()) -> bytes:
    """Encode (H, W, 3) uint8 RGB in the format of the suffix, ".png" or ".jpg"; `settings` are OpenCV's."""
    settings = settings or _CODING.get(suffix, ())
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    return encoded.tobytes()


def small_jpeg(image: np.ndarray, width: int) -> bytes:
    """Encode a small JPEG for a page with many images, such as a notebook.

    Args:
        image: (H, W, 3) uint8 RGB.
        width: in pixels, to which a wider image is reduced.
    """
    if image.shape[1] > width:
        size = (width, round(width * image.shape[0] / image.shape[1]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return encode_image(image, ".jpg", (cv2.IMWRITE_JPEG_QUALITY, SMALL_QUALITY))


def list_frames(folder: Path) -> dict[int, Path]:
    """The images of a folder of frames by frame index, ascending; hidden and other files are ignored.

    Raises:
        InputError: no image, one of another format than `SUFFIXES`, a name that is not an index, or two images of one
            frame.
    """
    frames: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not is_image_name(path):
            continue
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise InputError(f"{path}: not named by its frame: rename it to <index>{path.suffix}")
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: is not {', '.join(SUFFIXES)}: save it as one")
        index = int(path.stem)
        if index in frames:
            raise InputError(f"{path}: the same frame as {frames[index].name}: remove one")
        frames[index] = path
    if not frames:
        raise InputError(f"{folder}: holds no frame: add images named <index>.jpg or remove its row")
    return dict(sorted(frames.items()))
