"""The dataset folder: footage, videos.csv and annotations.json, read and written without loss.

::

    videos.csv          file, cards and any further columns, which are kept
    videos/             the footage, any container that FFmpeg reads
    frames/<video>/     instead of a video: <index>.jpg (or .jpeg, .png)
    annotations.json    COCO keypoints, see `cardpose.data.labels.coco`

A video is known everywhere by its `file` of videos.csv, a path relative to the folder with forward slashes.
"""

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cardpose.common.errors import ErrorHandler, InputError, collecting_errors, raise_error
from cardpose.common.files import new_folder, replace_file
from cardpose.common.images import list_frames, read_image
from cardpose.common.packet import Annotation
from cardpose.data.footage.video import iterate, probe
from cardpose.data.labels.coco import dump_coco, read_coco, to_coco
from cardpose.data.labels.store import settle
from cardpose.data.labels.tables import FRAMES, VIDEOS, Video, read_videos, write_videos
from cardpose.data.labels.validate import check_annotation, check_unique

__all__ = ["DatasetFolder", "Source", "Video", "write_folder"]

Source = Path | Mapping[int, Path]
"""The footage of a video: its file, or the image file of each frame."""


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
    def read(
        cls, root: str | Path, *, complain: ErrorHandler = raise_error, unlabelled: bool = False
    ) -> "DatasetFolder":
        """Read a canonical folder and check every file, row and label of it.

        Args:
            root: the folder.
            complain: takes a faulty row, label or file, which is left out.
            unlabelled: take a folder without a label, too.

        Raises:
            InputError: anything is missing, damaged or contradictory; the message names file, row or key.
        """
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder: check the path")
        settle(root)
        videos = read_videos(root, complain)
        sources = _find_sources(root, videos, complain)
        table = root / "annotations.json"
        annotations = join(videos, read_coco(table, complain, unlabelled), table, complain)
        by_video: dict[str, list[Annotation]] = defaultdict(list)
        for annotation in annotations:
            by_video[annotation.video].append(annotation)
        good: list[Annotation] = []
        for file, source in list(sources.items()):
            with collecting_errors(complain):
                good += check_footage(source, by_video[file], table, complain)
                continue
            del sources[file]  # the footage itself is at fault
        videos = tuple(video for video in videos if video.file in sources)
        return cls(root, videos, tuple(good), sources)

    def write(self, root: str | Path | None = None) -> None:
        """Write videos.csv and annotations.json to `root`, by default the folder itself; no footage."""
        write_folder(self.root if root is None else root, self.videos, self.annotations)

    def copy(self, root: str | Path) -> None:
        """Write a canonical folder, footage included and its bytes unchanged; whole or not at all.

        Raises:
            InputError: `root` exists and is not empty, footage is missing, or the disk is full.
        """
        with new_folder(root) as folder:
            for video in self.videos:
                source = self.sources[video.file]
                pairs = (
                    [(source, folder / video.file)]
                    if isinstance(source, Path)
                    else [(path, folder / video.file / f"{i}{path.suffix}") for i, path in source.items()]
                )
                for path, target in pairs:
                    if not path.is_file():
                        raise _gone(path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
            self.write(folder)

    def read_frames(self, video: str, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, (H, W, 3) uint8 RGB) for each of `indices`, in ascending order.

        Raises:
            InputError: the footage is missing, damaged, ends before a wanted frame, or has another size than
                its label says.
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
                raise InputError(f"{source[index]}: {_other_size(sizes[index], size)}")
            yield index, image

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
                raise _gone(path) from error
            digest.update(f"\n{path.name} {status.st_size} {status.st_mtime_ns}".encode())
        return digest.hexdigest()[:32]


def write_folder(root: str | Path, videos: Sequence[Video], annotations: Iterable[Annotation]) -> None:
    """Write videos.csv and annotations.json to `root`; the footage is the caller's.

    Raises:
        InputError: a label breaks a rule, or the disk is full; both files then stay as they were.
    """
    root = Path(root)
    table = root / "annotations.json"
    annotations = join(videos, annotations, table)
    for annotation in annotations:
        check_annotation(annotation, f"{table}: {annotation.video} frame {annotation.frame_index}")
    check_unique(annotations, str(table))
    document = dump_coco(to_coco(annotations))
    with replace_file(table) as labels, replace_file(root / "videos.csv") as rows:
        labels.write_text(document, encoding="utf-8")
        write_videos(rows, videos)


def _find_sources(root: Path, videos: Sequence[Video], complain: ErrorHandler) -> dict[str, Source]:
    """The footage of every video; complains of rows without footage and of footage without a row."""
    table = root / "videos.csv"
    sources: dict[str, Source] = {}
    for video in videos:
        path = root / video.file
        loose = video.file.startswith(f"{FRAMES}/")
        with collecting_errors(complain):
            if not (path.is_dir() if loose else path.is_file()):
                raise InputError(f"{table}: {video.file} is not on disk: put it there or remove its row")
            sources[video.file] = list_frames(path) if loose else path
    listed = {video.file for video in videos}
    on_disk = [path for path in sorted((root / VIDEOS).rglob("*")) if path.is_file()]
    on_disk += [path for path in sorted((root / FRAMES).glob("*")) if path.is_dir()]
    for path in on_disk:
        name = path.relative_to(root).as_posix()
        if name not in listed and not path.name.startswith("."):
            complain(InputError(f"{table}: has no row for {name}: add one or move it out of the folder"))
    return sources


def join(
    videos: Sequence[Video],
    annotations: Iterable[Annotation],
    table: Path,
    complain: ErrorHandler = raise_error,
) -> tuple[Annotation, ...]:
    """Annotations in the order of the videos, with the video's count where it is known."""
    cards = {video.file: video.cards for video in videos}
    order = {file: i for i, file in enumerate(cards)}
    joined = []
    for annotation in annotations:
        where = f"{table}: {annotation.video} frame {annotation.frame_index}"
        if annotation.video not in order:
            complain(InputError(f"{where}: the video is not in videos.csv: add a row or remove the label"))
            continue
        count = cards[annotation.video]
        if count is not None and annotation.cards is not None and count != annotation.cards:
            complain(
                InputError(f"{where}: {annotation.cards} cards, but videos.csv says {count}: correct one")
            )
        joined.append(replace(annotation, cards=annotation.cards if count is None else count))
    return tuple(sorted(joined, key=lambda a: (order[a.video], a.frame_index)))


def check_footage(
    source: Source, annotations: Iterable[Annotation], table: Path, complain: ErrorHandler = raise_error
) -> list[Annotation]:
    """Hold the labels of one video against its footage: frames past the end, and the size of the image.

    Of loose frames only the first is looked at; `DatasetFolder.read_frames` checks each one that it reads.

    Args:
        source: the footage.
        annotations: its labels.
        table: the file that they are from, which opens messages.
        complain: takes a label that does not fit, which is left out of what is returned.
    """
    frames: Container[int]
    if isinstance(source, Path):
        info = probe(source)
        size, frames = (info.width, info.height), range(info.num_frames)
        what = f"the video has {info.num_frames} (0 to {info.num_frames - 1})"
    else:
        height, width = read_image(next(iter(source.values()))).shape[:2]
        size, frames, what = (width, height), source, "its image is missing"
    good = []
    for annotation in annotations:
        where = f"{table}: {annotation.video} frame {annotation.frame_index}"
        with collecting_errors(complain):
            if annotation.frame_index not in frames:
                raise InputError(f"{where}: no such frame, {what}: remove the label or correct frame_index")
            if (annotation.width, annotation.height) != size:
                raise InputError(f"{where}: {_other_size((annotation.width, annotation.height), size)}")
            good.append(annotation)
    return good


def _gone(path: Path) -> InputError:
    return InputError(f"{path}: the file has gone: put it back")


def _other_size(labelled: tuple[int, int], footage: tuple[int, int]) -> str:
    turned = labelled == footage[::-1]
    mend = "was labelled without its rotation: turn" if turned else "scale"
    return (
        f"labelled at {labelled[0]}x{labelled[1]}, but the footage is {footage[0]}x{footage[1]}: "
        f"{mend} the corners and correct the size"
    )
