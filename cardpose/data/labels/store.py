"""The labels of a dataset folder while a person works on them: every change on the disk at once, none ever lost.

A change is a line of the journal, `.label.journal`, before it counts as saved. From there annotations.json and
videos.csv are written anew by `LabelFolder.fold`: every few seconds while a page is open, on closing, and after a
crash by whoever reads the folder next (`settle`).
"""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cardpose.common.errors import InputError
from cardpose.common.files import write_errors
from cardpose.data.labels.journal import Journal
from cardpose.data.labels.label_tables import LabelTables
from cardpose.data.labels.listed import FrameKey
from cardpose.data.labels.marks import Marks, parse_marks, revision
from cardpose.data.labels.tables import Video
from cardpose.data.labels.validate import parse_cards

JOURNAL, LOCK = ".label.journal", ".label.lock"


class ConflictError(Exception):
    """What was to be changed has been changed by somebody else meanwhile."""


class FolderInUseError(InputError):
    """Another process has the folder open."""


class LabelFolder:
    """A dataset folder, labelled or not, open for changes; a context manager, one at a time for each folder.

    Safe for several threads.

    Args:
        root: the folder.
        create: start an empty one where there are no tables yet.

    Raises:
        InputError: no such folder, damaged tables or a damaged journal, or another process has it open.
    """

    def __init__(self, root: str | Path, *, create: bool = False) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder: check the path")
        self._mutex = threading.RLock()
        self._lock = FileLock(self.root / LOCK)
        try:
            with write_errors(self.root):
                self._lock.acquire(blocking=False)
        except Timeout:
            raise FolderInUseError(
                f"{self.root}: another cardpose.label or cardpose.subsample has it open: stop that first"
            ) from None
        try:
            self._tables = LabelTables(self.root, create=create)
            self._journal = Journal(self.root / JOURNAL)
            self._recover()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> "LabelFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the tables, let go of the folder. What cannot be written stays in the journal.

        Raises:
            InputError: the disk is full, or another program has changed annotations.json.
        """
        try:
            self.fold()
        finally:
            self._journal.close()
            self._lock.release()

    @property
    def videos(self) -> tuple[Video, ...]:
        """The rows of videos.csv, with the counts as they are now."""
        with self._mutex:
            return tuple(self._tables.videos.values())

    def listed(self) -> dict[FrameKey, float]:
        """Every frame that annotations.json has an image of, and its timestamp, by video and index."""
        with self._mutex:
            return self._tables.listed()

    def size(self, key: FrameKey) -> tuple[int, int] | None:
        """Width and height of a listed frame."""
        with self._mutex:
            return self._tables.size(key)

    def marks(self, key: FrameKey) -> Marks:
        """What is decided of a frame's corners."""
        with self._mutex:
            return self._tables.marks(key)

    def add(self, video: Video, frames: Iterable[tuple[int, float]], size: tuple[int, int]) -> None:
        """As `LabelTables.add`, written at once.

        Raises:
            InputError: the disk is full.
        """
        with self._mutex:
            self._tables.add(video, frames, size)
            self.fold()

    def save_marks(self, key: FrameKey, marks: Marks, before: str, size: tuple[int, int]) -> str:
        """Change a frame's corners; on the disk when this returns.

        Args:
            key: video and frame.
            marks: the new ones.
            before: `revision` of those that the change was made from.
            size: width and height of the frame.

        Returns:
            The revision of `marks`.

        Raises:
            ConflictError: the frame has other marks than `before` by now.
            InputError: the disk is full; nothing is changed.
        """
        with self._mutex:
            now = self.marks(key)
            if now != marks:
                if revision(now) != before:
                    raise ConflictError(f"{key[0]} frame {key[1]} has been changed elsewhere meanwhile")
                self._commit({"video": key[0], "frame_index": key[1], "size": size, "marks": marks})
            return revision(marks)

    def save_cards(self, file: str, cards: int | None, before: int | None) -> None:
        """Change a video's count, and that of all its labels; on the disk when this returns.

        Raises:
            ConflictError: the video has another count than `before` by now.
            InputError: the disk is full; nothing is changed.
        """
        with self._mutex:
            now = self._tables.videos[file].cards
            if now != cards:
                if now != before:
                    raise ConflictError(f"the count of {file} has been changed elsewhere meanwhile")
                self._commit({"video": file, "cards": cards})

    def fold(self) -> None:
        """Write annotations.json and videos.csv from memory, then clear the journal; nothing where nothing changed.

        Raises:
            InputError: the disk is full, or another program has changed annotations.json; the journal keeps all.
        """
        with self._mutex:
            if self._tables.dirty:
                self._tables.write()
                self._journal.clear()

    def _recover(self) -> None:
        """Take in what a killed process has left, and clear away what it was writing."""
        for path in self.root.glob(".*.partial"):
            path.unlink()
        for number, entry in enumerate(self._journal.entries, start=1):
            try:
                self._apply(entry)
            except (KeyError, TypeError, ValueError):
                raise InputError(
                    f"{self._journal.path} line {number}: no change of cardpose.label: remove the line"
                ) from None
        self.fold()

    def _commit(self, entry: dict[str, Any]) -> None:
        self._journal.append(entry)
        self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> None:
        """Take a change of the journal in; one of a video that is gone by now has nowhere to go."""
        if entry["video"] not in self._tables.videos:
            return
        if "cards" in entry:
            self._tables.set_cards(entry["video"], parse_cards(entry["cards"], str(self._journal.path)))
            return
        width, height = entry["size"]
        marks = parse_marks([m and list(m) for m in entry["marks"]], width, height, str(self._journal.path))
        self._tables.set_marks((entry["video"], entry["frame_index"]), marks, (width, height))


def settle(root: Path) -> None:
    """Take in the changes that a killed page has left in the journal; nothing where there are none or a page is open.

    Raises:
        InputError: they, or the tables, are damaged or cannot be written.
    """
    journal = root / JOURNAL
    if journal.is_file() and journal.stat().st_size:
        try:
            LabelFolder(root).close()
        except FolderInUseError:
            return  # its page writes the tables every few seconds
