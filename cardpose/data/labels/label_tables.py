"""annotations.json, videos.csv and the label page's journal in memory.

Everything else that annotations.json contains is kept, including ids and unknown keys. A frame with only some corners
placed has no annotation, so that it is not used for training; its corners are stored as `draft` in the image record.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cardpose.common.errors import ErrorHandler, InputError, collecting_errors, raise_error
from cardpose.common.packet import Annotation, FrameId
from cardpose.data.labels.coco import (
    Json,
    frame_of,
    from_coco,
    image_record,
    read_document,
    to_coco,
    write_tables,
)
from cardpose.data.labels.journal import read_entries
from cardpose.data.labels.marks import NO_MARKS, Marks, arrays, marks_of, parse_marks, state
from cardpose.data.labels.tables import ANNOTATIONS, VIDEO_TABLE, Video, check_listed, read_videos
from cardpose.data.labels.validate import check_frame, check_unique, parse_cards

JOURNAL = ".label.journal"


class LabelTables:
    """The labels and drafts of a dataset folder, and the counts of its videos. Not thread-safe.

    Reading changes no file: what a killed label page left in its journal is applied in memory.

    Args:
        videos: the rows of videos.csv, if they have been read already.
        create: start empty if neither table exists.
        on_error: called with each faulty row or record, which is skipped.

    Attributes:
        videos: by name, in the order of videos.csv, with the current counts.
        annotations: the checked labels by frame, with the count that the label itself states.
        dirty: whether memory differs from the files.

    Raises:
        InputError: the tables or the journal are damaged or contradict each other.
    """

    def __init__(
        self,
        root: Path,
        *,
        videos: Iterable[Video] | None = None,
        create: bool = False,
        on_error: ErrorHandler = raise_error,
    ) -> None:
        self.root, self._table = root, root / ANNOTATIONS
        # Before the tables: if a running page writes them meanwhile, applying the changes again does no harm.
        entries = read_entries(root / JOURNAL)
        self._stamps = self._read_stamps()
        self.dirty = False
        if videos is None:
            videos = () if create and self._stamps == (None, None) else read_videos(root, on_error)
        self.videos = {video.file: video for video in videos}
        self._new_counts: dict[str, int | None] = {}
        self._document, by_id = read_document(self._table) if self._table.exists() else (to_coco([]), {})
        self._images: dict[FrameId, Json] = {}
        self._labels: dict[FrameId, Json] = {}
        self._drafts: dict[FrameId, Marks] = {}
        self.annotations: dict[FrameId, Annotation] = {}
        self._index_labels(by_id, on_error)
        self._index_images(on_error)
        self._last_image = max(by_id, default=0)
        ids = (label.get("id") for label in self._document["annotations"] if isinstance(label, dict))
        self._last_label = max((number for number in ids if isinstance(number, int)), default=0)
        self._match_counts()
        for number, entry in enumerate(entries, start=1):
            self.apply(entry, f"{root / JOURNAL} line {number}")

    def listed(self) -> dict[FrameId, float]:
        """Every frame with an image record, labelled or not, and its timestamp; sorted by video and index."""
        order = {file: number for number, file in enumerate(self.videos)}
        frames = sorted(self._images, key=lambda frame: (order[frame[0]], frame[1]))
        return {frame: frame_of(self._images[frame], str(self._table))[2] for frame in frames}

    def size(self, frame: FrameId) -> tuple[int, int] | None:
        """Width and height of a frame that has an image record."""
        image = self._images.get(frame)
        return None if image is None else (image["width"], image["height"])

    def marks(self, frame: FrameId) -> Marks:
        """The corners placed so far, of a label or of a draft."""
        if frame in self.annotations:
            return marks_of(self.annotations[frame])
        return self._drafts.get(frame, NO_MARKS)

    def add(self, video: Video, frames: Iterable[tuple[int, float]], size: tuple[int, int]) -> None:
        """Add a video, or more frames of one.

        Args:
            video: its row, which replaces a row with the same name.
            frames: index and timestamp of each frame to label.
            size: their width and height.
        """
        self.videos[video.file] = video
        for index, timestamp in frames:
            self._image((video.file, index), size, timestamp)
        self.dirty = True

    def set_cards(self, file: str, cards: int | None) -> None:
        """Set the count of a video and of all its labels."""
        self.videos[file] = replace(self.videos[file], cards=cards)
        self._new_counts[file] = cards
        for frame, label in self._labels.items():
            if frame[0] == file:
                label["cards"] = cards
                self.annotations[frame] = replace(self.annotations[frame], cards=cards)
        self.dirty = True

    def set_marks(self, frame: FrameId, marks: Marks, size: tuple[int, int]) -> None:
        """Store the corners of a frame: all placed as an annotation, some as a draft, none not at all."""
        image = self._image(frame, size, math.nan)
        self._drafts.pop(frame, None)
        image.pop("draft", None)
        progress = state(marks)
        if progress == "done":
            corners, visibility = arrays(marks)
            size = (image["width"], image["height"])
            cards = self.videos[frame[0]].cards
            if cards is None and frame in self._labels:
                cards = self._labels[frame].get("cards")
            self.set_label(Annotation(*frame, math.nan, *size, corners, visibility, cards))
            return
        if progress == "draft":
            self._drafts[frame] = marks
            image["draft"] = [None if mark is None else list(mark) for mark in marks]
        if self.annotations.pop(frame, None) is not None:
            removed = self._labels.pop(frame)
            self._document["annotations"] = [a for a in self._document["annotations"] if a is not removed]
        self.dirty = True

    def set_label(self, annotation: Annotation) -> None:
        """Add a label or replace the label of its frame; ids and unknown keys of an existing record are kept."""
        frame = annotation.frame_id
        image = self._image(frame, (annotation.width, annotation.height), annotation.timestamp)
        self._drafts.pop(frame, None)
        image.pop("draft", None)
        fresh: Json = to_coco([annotation])["annotations"][0]
        if frame in self._labels:
            old = self._labels[frame]
            old.update(fresh | {key: old[key] for key in ("id", "image_id") if key in old})
        else:
            self._last_label += 1
            self._labels[frame] = fresh | {"id": self._last_label, "image_id": image["id"]}
            self._document["annotations"].append(self._labels[frame])
        self.annotations[frame] = annotation
        self.dirty = True

    def write(self) -> None:
        """Write both files atomically and sync them to disk.

        Rows of videos.csv that another program changed, for example counts filled in meanwhile, are read first.

        Raises:
            InputError: the disk is full, or another program has changed annotations.json.
        """
        self._merge_foreign_changes()
        write_tables(self.root, self._document, tuple(self.videos.values()))
        self._stamps, self.dirty = self._read_stamps(), False
        self._new_counts.clear()

    def _merge_foreign_changes(self) -> None:
        table, rows = self._read_stamps()
        if table != self._stamps[0]:
            raise InputError(
                f"{self._table}: another program has changed it: start cardpose label again, which reads both changes"
            )
        if rows == self._stamps[1]:
            return
        videos = {video.file: video for video in read_videos(self.root)}
        lost = [file for file, _ in self._images if file not in videos]
        if lost:
            raise InputError(
                f"{self.root / VIDEO_TABLE}: the row of {lost[0]}, which has frames to label, is missing: restore it"
            )
        for file, cards in self._new_counts.items():
            if file in videos:
                videos[file] = replace(videos[file], cards=cards)
        self.videos = videos
        self._match_counts()

    def apply(self, entry: dict[str, Any], where: str) -> None:
        """Apply a change of the journal; ignored if its video has been removed meanwhile.

        Raises:
            InputError: it is no such change; `where` begins the message.
        """
        try:
            if entry["video"] not in self.videos:
                return
            if "cards" in entry:
                self.set_cards(entry["video"], parse_cards(entry["cards"], where))
                return
            index, (width, height) = entry["frame_index"], entry["size"]
            if not all(type(number) is int for number in (index, width, height)):
                raise TypeError
            check_frame(index, width, height, where)
            marks = parse_marks([mark and list(mark) for mark in entry["marks"]], width, height, where)
            self.set_marks((entry["video"], index), marks, (width, height))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{where}: not a change written by cardpose label: remove the line") from None

    def _index_labels(self, by_id: dict[int, Json], on_error: ErrorHandler) -> None:
        found: list[tuple[Annotation, Json]] = []
        for number, label in enumerate(self._document["annotations"]):
            with collecting_errors(on_error):
                annotation = from_coco(label, by_id, f"{self._table}: annotations[{number}]")
                check_listed(annotation, self.videos, self._table)
                found.append((annotation, label))
        check_unique((annotation for annotation, _ in found), str(self._table), on_error)
        for annotation, label in found:
            self.annotations.setdefault(annotation.frame_id, annotation)
            self._labels.setdefault(annotation.frame_id, label)

    def _index_images(self, on_error: ErrorHandler) -> None:
        labels = self._document["annotations"]
        named = [label.get("image_id") for label in labels if isinstance(label, dict)]
        labelled = {number for number in named if isinstance(number, int | float | str)}
        numbered = enumerate(self._document["images"])
        # The errors of a labelled image have been reported with its label.
        for number, image in sorted(numbered, key=lambda item: item[1]["id"] not in labelled):
            where = f"{self._table}: images[{number}]"
            with collecting_errors(on_error if image["id"] not in labelled else lambda error: None):
                video, index, _, width, height = frame_of(image, where)
                if video not in self.videos:
                    raise InputError(f"{where}: {video} is not in videos.csv: add a row or remove the image")
                if (video, index) in self._images:
                    raise InputError(f"{where}: {video} frame {index} is listed twice: remove one image")
                self._images[video, index] = image
                if "draft" in image and (video, index) not in self.annotations:
                    self._drafts[video, index] = parse_marks(image["draft"], width, height, f"{where}: draft")

    def _match_counts(self) -> None:
        """Where a label states another count than the row of its video, the row is right."""
        for (file, _), label in self._labels.items():
            cards = self.videos[file].cards
            if cards is not None and label.get("cards") != cards:
                label["cards"], self.dirty = cards, True

    def _image(self, frame: FrameId, size: tuple[int, int], timestamp: float) -> Json:
        """The image record of a frame, added if there is none."""
        if frame not in self._images:
            self._last_image += 1
            self._images[frame] = image_record(self._last_image, *frame, timestamp, *size)
            self._document["images"].append(self._images[frame])
        return self._images[frame]

    def _read_stamps(self) -> tuple[tuple[int, ...] | None, ...]:
        """Size and time of annotations.json and videos.csv, which change when another program writes them."""
        return _stamp(self._table), _stamp(self.root / VIDEO_TABLE)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
