"""The published footage of cardcut_cnn in its own layout: cardpoints.csv, images/<video>_frame_<index>.jpg.

The columns `<corner>_x` contain row / height and `<corner>_y` column / width, so the axes are swapped here; the clicked
pixel is restored exactly. Its visibility 0 has no coordinates and stays 0, 1 becomes 2. The count is `cards_counted`;
`total_cards` is the size of the deck.
"""

import logging
import math
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from cardpose.common.errors import ErrorHandler, InputError, collecting_errors, raise_error
from cardpose.common.images import read_image
from cardpose.common.json_files import number
from cardpose.common.packet import CORNERS, NOT_LABELLED, VISIBLE, Annotation
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.sources import Source
from cardpose.data.labels.tables import FRAMES, Video, read_table
from cardpose.data.labels.validate import check_annotation, check_unique, parse_cards

TABLE = "cardpoints.csv"
_IMAGE = re.compile(r"(?P<video>.+)_frame_(?P<index>\d{1,9})\.jpe?g")
_COLUMNS = (
    "imageName",
    "annotated",
    "cards_counted",
    *(f"{corner}_{part}" for corner in CORNERS for part in ("visible", "x", "y")),
)

log = logging.getLogger(__name__)


def read_cardcut(root: str | Path, *, on_error: ErrorHandler = raise_error) -> DatasetFolder:
    """Read the published layout; a video `MAQ01036` is named frames/MAQ01036, as in its converted copy.

    Rows with annotated=0 are skipped and counted in a message. Nothing is written to `root`.

    Args:
        on_error: called with each faulty row, which is skipped.

    Raises:
        InputError: the folder, a column or an image is missing, or a row breaks a rule.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: check the path")
    path = root / TABLE
    sources: dict[str, dict[int, Path]] = defaultdict(dict)
    sizes: dict[str, tuple[int, int]] = {}
    annotations: list[Annotation] = []
    skipped = 0
    for row, cells in read_table(path, _COLUMNS):
        where = f"{path} row {row}"
        with collecting_errors(on_error):
            video, index, image = _image(root, cells["imageName"], where)
            if _flag(cells, "annotated", where) == 0:
                skipped += 1
                continue
            if video not in sizes:
                height, width = read_image(image).shape[:2]
                sizes[video] = (width, height)
            annotations.append(_annotation(cells, video, index, sizes[video], where))
            sources[video][index] = image
    if skipped:
        log.warning("%s: left out %d rows with annotated=0", path, skipped)
    if not annotations:
        raise InputError(f"{path}: no annotated row: label some images first")
    annotations = check_unique(annotations, str(path), on_error)
    videos = tuple(Video(video, _count(video, annotations, path, on_error)) for video in sources)
    order = {video: i for i, video in enumerate(sources)}
    annotations.sort(key=lambda a: (order[a.video], a.frame_index))
    footage: dict[str, Source] = {video: dict(sorted(frames.items())) for video, frames in sources.items()}
    return DatasetFolder(root, videos, tuple(annotations), footage)


def _image(root: Path, name: str, where: str) -> tuple[str, int, Path]:
    """Video, frame and file of an image name."""
    match = _IMAGE.fullmatch(name)
    if match is None or "/" in name or "\\" in name:
        raise InputError(f"{where}: imageName is {name!r}: write <video>_frame_<index>.jpg")
    path = root / "images" / name
    if not path.is_file():
        raise InputError(f"{where}: images/{name} is not on disk: put it there or remove the row")
    return f"{FRAMES}/{match['video']}", int(match["index"]), path


def _flag(cells: dict[str, str], column: str, where: str) -> int:
    if cells[column] not in ("0", "1"):
        raise InputError(f"{where}: {column} is {cells[column]!r}: write 0 or 1")
    return int(cells[column])


def _fraction(cells: dict[str, str], column: str, where: str) -> float:
    value = number(cells[column], column, where)
    if not 0 <= value <= 1:
        raise InputError(f"{where}: {column} is {cells[column]!r}: write a fraction of the image from 0 to 1")
    return value


def _pixel(cells: dict[str, str], column: str, side: int, where: str) -> float:
    """A fraction of the image in pixels.

    The six digits of the published table resolve 0.0004 pixels: rounding to 0.01 restores the clicked pixel. Tables
    that cardpose wrote have enough digits to restore a corner between two pixels.
    """
    fraction = _fraction(cells, column, where)
    published = abs(fraction - round(fraction, 6)) < 1e-12
    return round(fraction * side, 2) if published else fraction * side


def _annotation(
    cells: dict[str, str], video: str, index: int, size: tuple[int, int], where: str
) -> Annotation:
    corners = np.full((len(CORNERS), 2), np.nan, dtype=np.float32)
    visibility = np.full(len(CORNERS), NOT_LABELLED, dtype=np.int8)
    for i, corner in enumerate(CORNERS):
        if _flag(cells, f"{corner}_visible", where):
            corners[i, 0] = _pixel(cells, f"{corner}_y", size[0], where)
            corners[i, 1] = _pixel(cells, f"{corner}_x", size[1], where)
            visibility[i] = VISIBLE
    cards = parse_cards(cells["cards_counted"], where)
    annotation = Annotation(video, index, math.nan, *size, corners, visibility, cards)
    check_annotation(annotation, where)
    return annotation


def _count(video: str, annotations: list[Annotation], path: Path, on_error: ErrorHandler) -> int | None:
    """The one count of a video's rows."""
    counts = {annotation.cards for annotation in annotations if annotation.video == video}
    if len(counts) > 1:
        named = video.partition("/")[2]
        on_error(InputError(f"{path}: {named} has several counts in cards_counted: give all rows the same"))
        return None
    return counts.pop()
