"""The dataset folder: footage, videos.csv and annotations.json, read and written without loss.

::

    videos.csv          file, cards and any further columns, which are kept
    videos/             the footage, in any container that FFmpeg reads
    frames/<video>/     instead of a video: <index>.jpg (or .jpeg, .png)
    annotations.json    COCO keypoints, see `cardpose.data.labels.coco`

A video is identified by its `file` in videos.csv, a path relative to the folder with forward slashes.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cardpose.common.errors import ErrorHandler, InputError, collecting_errors, raise_error
from cardpose.common.files import new_folder
from cardpose.common.images import read_focal, read_image
from cardpose.common.packet import Annotation, FrameId
from cardpose.data.footage.sources import (
    Source,
    check_footage,
    copy_footage,
    copy_picture,
    find_sources,
    missing_file,
    wrong_size,
)
from cardpose.data.footage.video import iterate
from cardpose.data.labels.coco import to_coco, write_tables
from cardpose.data.labels.label_tables import LabelTables
from cardpose.data.labels.tables import ANNOTATIONS, Video, check_listed, read_videos
from cardpose.data.labels.validate import check_annotation, check_unique

__all__ = ["DatasetFolder", "Video", "write_folder"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetFolder:
    """Labelled footage, ready to be read frame by frame.

    Args:
        videos: in the order of videos.csv.
        annotations: sorted by video, in that order, and by frame.
        sources: the footage of each video, by `Video.file`.
        listed: every frame that annotations.json has an image record of, labelled or still to be labelled.
    """

    root: Path
    videos: tuple[Video, ...]
    annotations: tuple[Annotation, ...]
    sources: Mapping[str, Source] = field(repr=False)
    listed: tuple[FrameId, ...] = field(default=(), repr=False, kw_only=True)

    @classmethod
    def read(
        cls, root: str | Path, *, on_error: ErrorHandler = raise_error, unlabelled: bool = False
    ) -> "DatasetFolder":
        """Read a dataset folder and check every file, row and label of it. Writes nothing.

        Args:
            on_error: called with each faulty row, label or file, which is skipped.
            unlabelled: accept a folder without labels.

        Raises:
            InputError: anything is missing, damaged or contradictory; the message names file, row or key.
        """
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder: check the path")
        table = root / ANNOTATIONS
        rows = read_videos(root, on_error)
        sources = find_sources(root, rows, on_error)
        tables = LabelTables(root, videos=rows, on_error=on_error)
        if not unlabelled and not tables.annotations:
            what = "holds no annotation" if table.exists() else "no such file"
            raise InputError(f"{table}: {what}: label some frames first")
        listed = tuple(tables.listed())
        if not unlabelled and len(listed) > len(tables.annotations):
            log.info("%s: left out %d images without a label", table, len(listed) - len(tables.annotations))
        videos = tuple(tables.videos.values())
        joined = join(videos, tables.annotations.values(), table, on_error)
        good = check_footage(sources, joined, table, on_error)
        videos = tuple(video for video in videos if video.file in sources)
        return cls(root, videos, tuple(good), sources, listed=listed)

    def write(self, root: str | Path | None = None) -> None:
        """Write videos.csv and annotations.json to `root`, by default the folder itself; no footage."""
        write_folder(self.root if root is None else root, self.videos, self.annotations)

    def copy(self, root: str | Path) -> None:
        """Write a dataset folder including the footage, completely or not at all.

        Videos, JPEG and PNG files are copied unchanged; other pictures are written as PNG.

        Raises:
            InputError: `root` exists and is not empty, footage is missing, or the disk is full.
        """
        with new_folder(root) as folder:
            for video in self.videos:
                source = self.sources[video.file]
                if isinstance(source, Path):
                    copy_footage(source, folder / video.file)
                else:
                    for index, path in source.items():
                        copy_picture(path, folder / video.file / str(index))
            self.write(folder)

    def read_frames(self, video: str, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, (H, W, 3) uint8 RGB) for each of `indices`, in ascending order.

        Raises:
            InputError: the footage is missing, damaged, ends before a wanted frame, or has another size than its label
                states.
        """
        source = self.sources[video]
        if isinstance(source, Path):
            for frame in iterate(source, indices=indices):
                yield frame.index, frame.image
            return
        sizes = {a.frame_index: (a.width, a.height) for a in self.annotations if a.video == video}
        for index in sorted(set(indices)):
            if index not in source:
                raise InputError(
                    f"{self.root}: no image of {video} frame {index}: add it or correct the index"
                )
            image = read_image(source[index])
            size = (image.shape[1], image.shape[0])
            if sizes.get(index, size) != size:
                raise InputError(f"{source[index]}: {wrong_size(sizes[index], size)}")
            yield index, image

    def focal(self, video: str, index: int) -> float | None:
        """Focal length of a photograph by its EXIF data, see `images.read_focal`; None for a frame of a video."""
        source = self.sources[video]
        return None if isinstance(source, Path) else read_focal(source[index])

    def fingerprint(self, video: str) -> str:
        """A hash of the names, sizes and modification times of a video's files.

        Raises:
            InputError: a file is missing.
        """
        source = self.sources[video]
        digest = hashlib.sha256(video.encode())
        for path in [source] if isinstance(source, Path) else source.values():
            try:
                status = path.stat()
            except FileNotFoundError as error:
                raise missing_file(path) from error
            digest.update(f"\n{path.name} {status.st_size} {status.st_mtime_ns}".encode())
        return digest.hexdigest()[:32]


def write_folder(root: str | Path, videos: Sequence[Video], annotations: Iterable[Annotation]) -> None:
    """Write videos.csv and annotations.json to `root`; the caller provides the footage.

    Raises:
        InputError: a label breaks a rule, or the disk is full; both files are then unchanged.
    """
    root = Path(root)
    table = root / ANNOTATIONS
    annotations = join(videos, annotations, table)
    for annotation in annotations:
        check_annotation(annotation, f"{table}: {annotation.video} frame {annotation.frame_index}")
    check_unique(annotations, str(table))
    write_tables(root, to_coco(annotations), videos)


def join(
    videos: Sequence[Video],
    annotations: Iterable[Annotation],
    table: Path,
    on_error: ErrorHandler = raise_error,
) -> tuple[Annotation, ...]:
    """Sort annotations by video and frame, and set the count of their video where it is known.

    Args:
        videos: the rows of videos.csv.
        table: the file that they are from, for messages.
        on_error: called if a video is not listed, whose label is skipped, or if two counts contradict each other.

    Raises:
        InputError: what `on_error` raises.
    """
    cards = {video.file: video.cards for video in videos}
    order = {file: i for i, file in enumerate(cards)}
    joined = []
    for annotation in annotations:
        with collecting_errors(on_error):
            check_listed(annotation, cards, table)
            count = cards[annotation.video]
            joined.append(replace(annotation, cards=annotation.cards if count is None else count))
            if None not in (count, annotation.cards) and count != annotation.cards:
                raise InputError(
                    f"{table}: {annotation.video} frame {annotation.frame_index}: {annotation.cards} cards, but "
                    f"videos.csv says {count}: correct one"
                )
    return tuple(sorted(joined, key=lambda a: (order[a.video], a.frame_index)))
