"""CSV tables: videos.csv, which lists the videos of a dataset folder, and a checked reader for any other."""

import csv
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cardpose.common.errors import ErrorHandler, InputError, collecting_errors, raise_error
from cardpose.common.files import check_is_file
from cardpose.common.packet import Annotation
from cardpose.data.labels.validate import parse_cards

ANNOTATIONS, VIDEO_TABLE = "annotations.json", "videos.csv"
VIDEOS, FRAMES = "videos", "frames"
"""The two folders that contain footage."""


@dataclass(frozen=True)
class Video:
    """A row of videos.csv.

    Args:
        file: "videos/52.mp4", or "frames/52" for a folder of frames; the name of the video everywhere.
        cards: the packet's count in the whole video, 1 to 104, or None if unknown.
        extra: all other columns, unchanged.
    """

    file: str
    cards: int | None
    extra: dict[str, str] = field(default_factory=dict)


@contextmanager
def csv_errors(path: Path) -> Iterator[None]:
    """Turn a missing or damaged CSV file into an `InputError` that names it."""
    check_is_file(path)
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file: is this the right folder and format?") from error
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error}): save it as one") from error


def read_table(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row, cells by column) of a CSV file; rows are numbered as in a spreadsheet, the header is row 1.

    Raises:
        InputError: the file is missing or not CSV, one of `columns` is missing or occurs twice, or a row has another
            number of cells than the header.
    """
    with csv_errors(path), path.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, strict=True)
        header = list(table.fieldnames or ())
        for column in columns:
            if header.count(column) != 1:
                raise InputError(
                    f"{path}: has {header.count(column)} columns {column!r} instead of one: "
                    "correct the header, cells are separated by commas"
                )
        for cells in table:
            if None in cells or None in cells.values():
                raise InputError(f"{path} row {table.line_num}: not as many cells as the header: correct it")
            yield table.line_num, cells


def read_videos(root: Path, on_error: ErrorHandler = raise_error) -> tuple[Video, ...]:
    """The checked rows of `root`/videos.csv; does not check whether the footage exists.

    Args:
        on_error: called with each faulty row, which is skipped.

    Raises:
        InputError: no table, no row, a wrong path or count, or the same video twice.
    """
    path = root / VIDEO_TABLE
    videos: dict[str, Video] = {}
    for row, cells in read_table(path, ("file", "cards")):
        where = f"{path} row {row}"
        with collecting_errors(on_error):
            file = cells.pop("file")
            if not is_footage_path(file):
                raise InputError(f"{where}: file is {file!r}: write a path like videos/52.mp4 or frames/52")
            if file in videos:
                raise InputError(f"{where}: {file} is listed twice: remove one row")
            videos[file] = Video(file, parse_cards(cells.pop("cards"), where), cells)
    if not videos:
        raise InputError(f"{path}: lists no video: add a row for each")
    return tuple(videos.values())


def is_footage_path(file: str) -> bool:
    """Whether a path is relative, normalised, and below videos/ or directly below frames/."""
    parts = PurePosixPath(file).parts
    if "\\" in file or ".." in parts or str(PurePosixPath(file)) != file or len(parts) < 2:
        return False
    return parts[0] == VIDEOS or (parts[0] == FRAMES and len(parts) == 2)


def check_listed(annotation: Annotation, videos: Container[str], table: Path) -> None:
    """Check that the video of a label is one of `videos`.

    Raises:
        InputError: it is not; the message names `table` and the frame.
    """
    if annotation.video not in videos:
        raise InputError(
            f"{table}: {annotation.video} frame {annotation.frame_index}: the video is not in videos.csv: "
            "add a row or remove the label"
        )


def write_videos(path: Path, videos: Sequence[Video]) -> None:
    """Write videos.csv; rows and columns are in the order of `videos` and of their `extra`."""
    columns = ["file", "cards", *dict.fromkeys(key for video in videos for key in video.extra)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        table.writeheader()
        for video in videos:
            cards = "" if video.cards is None else video.cards
            table.writerow({"file": video.file, "cards": cards, **video.extra})
