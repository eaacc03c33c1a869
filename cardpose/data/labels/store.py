"""The labels of a dataset folder during editing: each change is on disk at once, and none is lost.

A change is first appended to the journal `.label.journal`. `LabelFolder.fold` then writes annotations.json and
videos.csv: every few seconds while a label page is open, on closing, and when the folder is opened after a crash.
Commands that only read apply the journal in memory, see `LabelTables`.
"""

import shutil
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.locks import only_command
from cardpose.common.packet import Annotation, FrameId
from cardpose.data.labels.journal import Journal
from cardpose.data.labels.label_tables import JOURNAL, LabelTables
from cardpose.data.labels.marks import Marks, revision
from cardpose.data.labels.tables import ANNOTATIONS, VIDEO_TABLE, Video

LOCK = ".label.lock"


class ConflictError(Exception):
    """A conflict: someone else has changed the label meanwhile."""


class LabelFolder:
    """A dataset folder, labelled or not, opened for changes by one process at a time; a thread-safe context manager.

    Args:
        create: start an empty one if there are no tables yet.

    Raises:
        InputError: no such folder, damaged tables or journal, or another process has it open.
    """

    def __init__(self, root: str | Path, *, create: bool = False) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder: check the path")
        self._mutex = threading.RLock()
        self._lock = ExitStack()
        taken = f"{self.root}: another cardpose command (label, subsample or convert) has it open: stop that first"
        self._lock.enter_context(only_command(self.root / LOCK, taken))
        try:
            self._tables = LabelTables(self.root, create=create)
            self._journal = Journal(self.root / JOURNAL)
            self.fold()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> "LabelFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the tables and release the folder. What cannot be written stays in the journal.

        Raises:
            InputError: the disk is full, or another program has changed annotations.json.
        """
        try:
            self.fold()
        finally:
            self._journal.close()
            self._lock.close()

    @property
    def videos(self) -> tuple[Video, ...]:
        """The rows of videos.csv, with the current counts."""
        with self._mutex:
            return tuple(self._tables.videos.values())

    def listed(self) -> dict[FrameId, float]:
        """As `LabelTables.listed`."""
        with self._mutex:
            return self._tables.listed()

    def size(self, frame: FrameId) -> tuple[int, int] | None:
        """As `LabelTables.size`."""
        with self._mutex:
            return self._tables.size(frame)

    def marks(self, frame: FrameId) -> Marks:
        """As `LabelTables.marks`."""
        with self._mutex:
            return self._tables.marks(frame)

    def add(self, video: Video, frames: Iterable[tuple[int, float]], size: tuple[int, int]) -> None:
        """As `LabelTables.add`, written at once.

        Raises:
            InputError: the disk is full.
        """
        with self._mutex:
            self._tables.add(video, frames, size)
            self.fold()

    def put_labels(self, annotations: Iterable[Annotation], videos: Sequence[Video]) -> None:
        """Add or replace labels and replace the rows of videos, written at once.

        The previous tables are kept beside the new ones as <name>.bak, <name>.bak2 and so on.

        Raises:
            InputError: the disk is full; the folder is unchanged, close it.
        """
        with self._mutex, ExitStack() as undo:
            for name in (ANNOTATIONS, VIDEO_TABLE):
                undo.callback(_back_up(self.root / name).unlink, missing_ok=True)
            undo.callback(setattr, self._tables, "dirty", False)  # closing does not try again
            self._tables.videos |= {video.file: video for video in videos}
            self._tables.dirty = True
            for annotation in annotations:
                self._tables.set_label(annotation)
            self.fold()
            undo.pop_all()

    def save_marks(self, frame: FrameId, marks: Marks, before: str, size: tuple[int, int]) -> str:
        """Change the corners of a frame; synced to disk when this returns.

        Args:
            frame: video and index.
            marks: the new corners.
            before: `revision` of the corners that were edited.
            size: width and height of the frame.

        Returns:
            The revision of `marks`.

        Raises:
            ConflictError: the frame no longer has the corners `before`.
            InputError: the disk is full; nothing is changed.
        """
        with self._mutex:
            now = self.marks(frame)
            if now != marks:
                if revision(now) != before:
                    raise ConflictError(f"{frame[0]} frame {frame[1]} has been changed elsewhere meanwhile")
                self._commit({"video": frame[0], "frame_index": frame[1], "size": size, "marks": marks})
            return revision(marks)

    def save_cards(self, file: str, cards: int | None, before: int | None) -> None:
        """Change the count of a video and of all its labels; synced to disk when this returns.

        Raises:
            ConflictError: the video no longer has the count `before`.
            InputError: the disk is full; nothing is changed.
        """
        with self._mutex:
            now = self._tables.videos[file].cards
            if now != cards:
                if now != before:
                    raise ConflictError(f"the count of {file} has been changed elsewhere meanwhile")
                self._commit({"video": file, "cards": cards})

    def fold(self) -> None:
        """Write annotations.json and videos.csv from memory if anything changed, then clear the journal.

        Raises:
            InputError: the disk is full, or another program has changed annotations.json; the journal is kept.
        """
        with self._mutex:
            if self._tables.dirty:
                self._tables.write()
                self._journal.clear()

    def _commit(self, entry: dict[str, Any]) -> None:
        self._journal.append(entry)
        self._tables.apply(entry, str(self._journal.path))


def _back_up(path: Path) -> Path:
    """Copy a file, where there is one, beside itself under the next free name: <name>.bak, <name>.bak2 and so on."""
    number = 1
    while (backup := path.with_name(f"{path.name}.bak{'' if number == 1 else number}")).exists():
        number += 1
    if path.is_file():
        with replace_file(backup) as temporary:
            shutil.copyfile(path, temporary)
    return backup
