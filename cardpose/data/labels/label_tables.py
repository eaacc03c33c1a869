"""annotations.json and videos.csv in memory, to be changed a frame at a time and written whole.

What annotations.json holds beside the labels is kept, ids and unknown keys too. A frame of which only some corners are
decided has no annotation, so that nothing trains on it: they stand in its image's record, under `draft`.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file, sync
from cardpose.common.packet import Annotation
from cardpose.data.labels.coco import Json, dump_coco, frame_of, from_coco, image_name, read_document, to_coco
from cardpose.data.labels.listed import FrameKey
from cardpose.data.labels.marks import NO_MARKS, Marks, arrays, marks_of, parse_marks, state
from cardpose.data.labels.tables import Video, read_videos, write_videos
from cardpose.data.labels.validate import check_unique


class LabelTables:
    """The labels and drafts of a dataset folder, and the counts of its videos; one thread at a time.

    Args:
        root: the folder.
        create: start empty where there are no tables yet.

    Raises:
        InputError: the tables are damaged or contradict each other.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self._table, self._rows = root / "annotations.json", root / "videos.csv"
        self._seen = self._stamps()
        self.dirty = False
        """Whether memory holds more than the files."""
        fresh = create and not self._rows.exists() and not self._table.exists()
        self.videos = {video.file: video for video in (() if fresh else read_videos(root))}
        """By name, in the order of videos.csv, with the counts as they are now."""
        self._counted: dict[str, int | None] = {}
        self._document, by_id = read_document(self._table) if self._table.exists() else (to_coco([]), {})
        self._images: dict[FrameKey, Json] = {}
        self._labels: dict[FrameKey, Json] = {}
        self._marks: dict[FrameKey, Marks] = {}
        for number, image in enumerate(self._document["images"]):
            self._index_image(image, f"{self._table}: images[{number}]")
        self._index_labels(by_id)

    def listed(self) -> dict[FrameKey, float]:
        """Every frame that there is an image's record of, and its timestamp, by video and index."""
        order = {file: number for number, file in enumerate(self.videos)}
        keys = sorted(self._images, key=lambda key: (order[key[0]], key[1]))
        return {key: frame_of(self._images[key], str(self._table))[2] for key in keys}

    def size(self, key: FrameKey) -> tuple[int, int] | None:
        """Width and height of a listed frame."""
        image = self._images.get(key)
        return None if image is None else (image["width"], image["height"])

    def marks(self, key: FrameKey) -> Marks:
        """What is decided of a frame's corners."""
        return self._marks.get(key, NO_MARKS)

    def add(self, video: Video, frames: Iterable[tuple[int, float]], size: tuple[int, int]) -> None:
        """Add a video, or more frames of one.

        Args:
            video: its row, which replaces one of that name.
            frames: index and timestamp of each frame to label.
            size: their width and height.
        """
        self.videos[video.file] = video
        for index, timestamp in frames:
            if (video.file, index) not in self._images:
                self._add_image((video.file, index), size, timestamp)
        self.dirty = True

    def set_cards(self, file: str, cards: int | None) -> None:
        """Set the count of a video and of all its labels."""
        self.videos[file] = replace(self.videos[file], cards=cards)
        self._counted[file] = cards
        for (video, _), label in self._labels.items():
            if video == file:
                label["cards"] = cards
        self.dirty = True

    def set_marks(self, key: FrameKey, marks: Marks, size: tuple[int, int]) -> None:
        """Put the marks where their state belongs: an annotation, a draft, or neither."""
        if key not in self._images:
            self._add_image(key, size, math.nan)
        self._marks[key] = marks
        image, how_far = self._images[key], state(marks)
        image.pop("draft", None)
        if how_far == "draft":
            image["draft"] = [None if mark is None else list(mark) for mark in marks]
        if how_far == "done":
            self._set_label(key, image, marks)
        elif key in self._labels:
            gone = self._labels.pop(key)
            kept = [label for label in self._document["annotations"] if label is not gone]
            self._document["annotations"] = kept
        self.dirty = True

    def write(self) -> None:
        """Write both files, each whole or not at all, and wait until they are on the disk.

        Rows of videos.csv that another program has changed, e.g. counts filled in meanwhile, are taken in first.

        Raises:
            InputError: the disk is full, or another program has changed annotations.json.
        """
        self._look_at_files()
        with replace_file(self._rows) as path:  # first: a label wants its video's row
            write_videos(path, tuple(self.videos.values()))
            sync(path)
        with replace_file(self._table) as path:
            path.write_text(dump_coco(self._document), encoding="utf-8")
            sync(path)
        sync(self._table.parent)
        self._seen, self.dirty = self._stamps(), False
        self._counted.clear()

    def _look_at_files(self) -> None:
        table, rows = self._stamps()
        if table != self._seen[0]:
            raise InputError(
                f"{self._table}: another program has changed it: start cardpose.label again, it takes both in"
            )
        if rows == self._seen[1]:
            return
        videos = {video.file: video for video in read_videos(self._rows.parent)}
        lost = [file for file, _ in self._images if file not in videos]
        if lost:
            raise InputError(f"{self._rows}: {lost[0]} has no row any more, but frames to label: put it back")
        for file, cards in self._counted.items():
            if file in videos:
                videos[file] = replace(videos[file], cards=cards)
        self.videos = videos
        for (file, _), label in self._labels.items():
            self._count(file, label)

    def _index_image(self, image: Json, where: str) -> None:
        video, index, _, width, height = frame_of(image, where)
        if video not in self.videos:
            raise InputError(f"{where}: {video} is not in videos.csv: add a row or remove the image")
        if (video, index) in self._images:
            raise InputError(f"{where}: {video} frame {index} stands there twice: remove one")
        self._images[video, index] = image
        if "draft" in image:
            self._marks[video, index] = parse_marks(image["draft"], width, height, f"{where}: draft")

    def _index_labels(self, by_id: dict[int, Json]) -> None:
        annotations = []
        for number, label in enumerate(self._document["annotations"]):
            annotation = from_coco(label, by_id, f"{self._table}: annotations[{number}]")
            annotations.append(annotation)
            key = (annotation.video, annotation.frame_index)
            self._labels[key], self._marks[key] = label, marks_of(annotation)
            self._count(annotation.video, label)
        check_unique(annotations, str(self._table))
        ids = (label.get("id") for label in self._document["annotations"])
        self._last_label = max((number for number in ids if isinstance(number, int)), default=0)
        self._last_image = max(by_id, default=0)

    def _count(self, file: str, label: Json) -> None:
        """Where a label has another count than its video's row, the row is right."""
        cards = self.videos[file].cards
        if cards is not None and label.get("cards") != cards:
            label["cards"], self.dirty = cards, True

    def _add_image(self, key: FrameKey, size: tuple[int, int], timestamp: float) -> None:
        self._last_image += 1
        image = {
            "id": self._last_image,
            "file_name": image_name(*key),
            "width": size[0],
            "height": size[1],
            "video": key[0],
            "frame_index": key[1],
            "timestamp": None if math.isnan(timestamp) else timestamp,
        }
        self._document["images"].append(image)
        self._images[key] = image

    def _set_label(self, key: FrameKey, image: Json, marks: Marks) -> None:
        corners, visibility = arrays(marks)
        size = (image["width"], image["height"])
        cards = self.videos[key[0]].cards
        annotation = Annotation(*key, math.nan, *size, corners, visibility, cards)
        fresh: Json = to_coco([annotation])["annotations"][0]
        if key in self._labels:
            old = self._labels[key]
            kept = {name: old[name] for name in ("id", "image_id") if name in old}
            old.update(fresh | kept | ({} if cards is not None else {"cards": old.get("cards")}))
            return
        self._last_label += 1
        self._labels[key] = fresh | {"id": self._last_label, "image_id": image["id"]}
        self._document["annotations"].append(self._labels[key])

    def _stamps(self) -> tuple[tuple[int, ...] | None, ...]:
        """What tells that a table is still the file that was read or written here."""
        return _stamp(self._table), _stamp(self._rows)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
