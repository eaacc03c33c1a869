"""The dataset folder: footage, videos.csv and annotations.json, read and written without loss.

::

    videos.csv          file,cards and any further columns, which are kept
    videos/             the footage, any container that FFmpeg reads
    frames/<video>/     instead of a video: <index>.jpg (or .jpeg, .png)
    annotations.json    COCO keypoints, see `cardpose.data.coco`

A video is known everywhere by its `file` of videos.csv, a path relative to the folder with forward slashes.
"""

import csv
import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from cardpose.data.coco import read_coco, to_coco
from cardpose.data.files import new_folder, replace_file
from cardpose.data.validate import check_annotation, check_unique, parse_cards
from cardpose.data.video import iterate, probe
from cardpose.errors import InputError
from cardpose.packet import Annotation

VIDEOS, FRAMES = "videos", "frames"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

Source = Path | Mapping[int, Path]
"""The footage of a video: its file, or the image file of each frame."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Video:
    """A row of videos.csv.

    Args:
        file: "videos/52.mp4", or "frames/52" for a folder of frames; the name of the video everywhere.
        cards: the packet's count in the whole video, 1 to 52, or None where unknown.
        extra: the further columns, kept as they are.
    """

    file: str
    cards: int | None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFolder:
    """Labelled footage, ready to be read frame by frame.

    Args:
        root: the folder.
        videos: in the order of videos.csv.
        annotations: sorted by video, in that order, and by frame.
        sources: where each video's footage lies, by `Video.file`.
    """

    root: Path
    videos: tuple[Video, ...]
    annotations: tuple[Annotation, ...]
    sources: Mapping[str, Source] = field(repr=False)

    @classmethod
    def read(cls, root: str | Path) -> "DatasetFolder":
        """Read a canonical folder and check every file, row and label of it.

        Raises:
            InputError: anything is missing, damaged or contradictory; the message names file, row or key.
        """
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder: check the path")
        videos = read_videos(root)
        sources = _find_sources(root, videos)
        annotations = _join(videos, read_coco(root / "annotations.json"), root / "annotations.json")
        for video in videos:
            own = [annotation for annotation in annotations if annotation.video == video.file]
            _check_footage(video.file, sources[video.file], own, root)
        return cls(root, videos, annotations, sources)

    def write(self, root: str | Path | None = None) -> None:
        """Write videos.csv and annotations.json to `root`, by default the folder itself; no footage is copied."""
        write_folder(self.root if root is None else root, self.videos, self.annotations)

    def copy(self, root: str | Path) -> None:
        """Write a canonical folder, footage included and its bytes unchanged; whole or not at all.

        Raises:
            InputError: `root` exists and is not empty, or the disk is full.
        """
        with new_folder(root) as folder:
            for video in self.videos:
                source = self.sources[video.file]
                if isinstance(source, Path):
                    pairs = [(source, folder / video.file)]
                else:
                    pairs = [(path, folder / video.file / f"{i}{path.suffix}") for i, path in source.items()]
                for path, target in pairs:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
            self.write(folder)

    def read_frames(self, video: str, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, (H, W, 3) uint8 RGB) for each of `indices`, in ascending order.

        Raises:
            InputError: the footage is missing, damaged or ends before a wanted frame.
        """
        source = self.sources[video]
        if isinstance(source, Path):
            for frame in iterate(source, indices=indices):
                yield frame.index, frame.image
            return
        for index in sorted(set(indices)):
            if index not in source:
                raise InputError(
                    f"{self.root / video}: no image of frame {index}: add it or correct the index"
                )
            yield index, read_image(source[index])

    def fingerprint(self, video: str) -> str:
        """A short text that changes when a file of the footage is replaced, from names, sizes and times.

        Raises:
            InputError: a file has gone.
        """
        source = self.sources[video]
        digest = hashlib.sha256(video.encode())
        for path in [source] if isinstance(source, Path) else source.values():
            try:
                status = path.stat()
            except FileNotFoundError as error:
                raise InputError(f"{path}: the file has gone: put it back") from error
            digest.update(f"\n{path.name} {status.st_size} {status.st_mtime_ns}".encode())
        return digest.hexdigest()[:32]


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image file, its EXIF orientation applied."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() and path.stat().st_size else None
    if image is None:
        raise InputError(f"{path}: not a whole image: copy it again from its source")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_folder(root: str | Path, videos: Sequence[Video], annotations: Iterable[Annotation]) -> None:
    """Write videos.csv and annotations.json beside footage that stands in `root` already (or soon will).

    Raises:
        InputError: a label breaks a rule, or the disk is full; the files then stay as they were.
    """
    root = Path(root)
    annotations = _join(tuple(videos), list(annotations), root / "annotations.json")
    for annotation in annotations:
        check_annotation(annotation, f"{annotation.video} frame {annotation.frame_index}")
    check_unique(annotations, str(root))
    document = json.dumps(to_coco(annotations), indent=1, allow_nan=False) + "\n"
    columns = ["file", "cards", *dict.fromkeys(key for video in videos for key in video.extra)]
    with replace_file(root / "annotations.json") as path:
        path.write_text(document, encoding="utf-8")
    with replace_file(root / "videos.csv") as path, path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        table.writeheader()
        for video in videos:
            cards = "" if video.cards is None else video.cards
            table.writerow({"file": video.file, "cards": cards, **video.extra})


def read_table(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row, cells by column) of a CSV file with a header; rows count as a spreadsheet does, from 2.

    Raises:
        InputError: the file is missing or no text, a column is missing, or a row has another number of cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream, strict=True)
            missing = [column for column in columns if column not in (table.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: has no column {missing[0]!r}: add it, cells are parted by commas")
            for row, cells in enumerate(table, start=2):
                if None in cells or None in cells.values():
                    raise InputError(f"{path} row {row}: has not as many cells as the header: correct it")
                yield row, cells
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file: is this the right folder?") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error}): save it as one") from error


def read_videos(root: Path) -> tuple[Video, ...]:
    """Read and check videos.csv; whether the footage is there is not looked at."""
    path = root / "videos.csv"
    videos: dict[str, Video] = {}
    for row, cells in read_table(path, ("file", "cards")):
        where = f"{path} row {row}"
        file = cells.pop("file")
        parts = PurePosixPath(file).parts
        if "\\" in file or ".." in parts or len(parts) < 2 or parts[0] not in (VIDEOS, FRAMES):
            raise InputError(f"{where}: file is {file!r}: write a path like videos/52.mp4 or frames/52")
        if file in videos:
            raise InputError(f"{where}: {file} stands there twice: remove one row")
        videos[file] = Video(file, parse_cards(cells.pop("cards"), where), cells)
    if not videos:
        raise InputError(f"{path}: lists no video: add a row for each")
    return tuple(videos.values())


def _find_sources(root: Path, videos: Sequence[Video]) -> dict[str, Source]:
    """The footage of every video; complains of rows without footage and of footage without a row."""
    table = root / "videos.csv"
    sources: dict[str, Source] = {}
    for video in videos:
        path = root / video.file
        if not path.exists():
            raise InputError(f"{table}: {video.file} is not on disk: put it there or remove its row")
        sources[video.file] = list_frames(path) if path.is_dir() else path
    on_disk = [path for path in sorted((root / VIDEOS).rglob("*")) if path.is_file()]
    on_disk += [path for path in sorted((root / FRAMES).glob("*")) if path.is_dir()]
    for path in on_disk:
        name = path.relative_to(root).as_posix()
        if name not in sources and not path.name.startswith("."):
            raise InputError(f"{table}: has no row for {name}: add one or move it out of the folder")
    return sources


def list_frames(folder: Path) -> dict[int, Path]:
    """The images of a folder of frames, by frame index, ascending."""
    frames: dict[int, Path] = {}
    for path in folder.iterdir():
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise InputError(f"{path}: not named by its frame: rename it to <index>{path.suffix}")
        if int(path.stem) in frames:
            raise InputError(f"{path}: the same frame as {frames[int(path.stem)].name}: remove one")
        frames[int(path.stem)] = path
    if not frames:
        raise InputError(f"{folder}: holds no frame: add images named <index>.jpg or remove its row")
    return dict(sorted(frames.items()))


def _join(videos: Sequence[Video], annotations: list[Annotation], path: Path) -> tuple[Annotation, ...]:
    """Annotations in the order of the videos, with the video's count; complains of unknown videos and counts."""
    order = {video.file: i for i, video in enumerate(videos)}
    cards = {video.file: video.cards for video in videos}
    joined = []
    for annotation in annotations:
        where = f"{path}: {annotation.video} frame {annotation.frame_index}"
        if annotation.video not in order:
            raise InputError(f"{where}: the video is not in videos.csv: add a row or remove the label")
        count = cards[annotation.video]
        if count is not None and annotation.cards is not None and count != annotation.cards:
            raise InputError(
                f"{where}: {annotation.cards} cards, but videos.csv says {count}: correct one of them"
            )
        joined.append(replace(annotation, cards=annotation.cards if count is None else count))
    return tuple(sorted(joined, key=lambda a: (order[a.video], a.frame_index)))


def _check_footage(video: str, source: Source, annotations: Sequence[Annotation], root: Path) -> None:
    """Hold the labels of one video against its footage: frames past the end, and the size of the image."""
    if isinstance(source, Path):
        info = probe(source)
        size, have = (info.width, info.height), range(info.num_frames)
        what = f"the video has {info.num_frames} (0 to {info.num_frames - 1})"
    else:
        height, width = read_image(next(iter(source.values()))).shape[:2]
        size, have, what = (width, height), source, "its image is missing"
    for annotation in annotations:
        where = f"{root / 'annotations.json'}: {video} frame {annotation.frame_index}"
        if annotation.frame_index not in have:
            raise InputError(f"{where}: no such frame, {what}: remove the label or correct frame_index")
        if (annotation.width, annotation.height) != size:
            raise InputError(
                f"{where}: labelled at {annotation.width}x{annotation.height}, but the footage is "
                f"{size[0]}x{size[1]}: scale the corners and correct the size"
            )
