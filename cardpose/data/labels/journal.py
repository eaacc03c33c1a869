"""An append-only log of label changes that survives a crash: one JSON object a line, synced before it is confirmed."""

import json
import os
from pathlib import Path
from typing import Any

from cardpose.common.errors import InputError
from cardpose.common.files import write_errors


def read_entries(path: Path) -> list[dict[str, Any]]:
    """The changes in a journal, without changing the file; none if the file does not exist.

    An incomplete last line, which a killed process was still writing, is ignored: it was never confirmed as saved.

    Raises:
        InputError: a complete line is damaged, or it is no plain file.
    """
    if not os.path.lexists(path):
        return []
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path}: is not a plain file, where cardpose label keeps its changes: move it away")
    data = path.read_bytes()
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    return [_parse(line, path, number) for number, line in enumerate(lines, start=1)]


class Journal:
    """A journal opened for writing, by one process at a time; an incomplete last line is removed.

    Args:
        path: the file, created by the first change and deleted if it is empty when closed.

    Raises:
        InputError: a complete line is damaged, or the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read_entries(path)
        with write_errors(path):
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._truncate(path.read_bytes().rfind(b"\n") + 1)

    def append(self, entry: dict[str, Any]) -> None:
        """Write one change and sync it to disk; after an error the file is as it was.

        Raises:
            InputError: the disk is full.
        """
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        try:
            with write_errors(self.path):
                written = 0
                while written < len(line):
                    written += os.write(self._handle, line[written:])
                os.fsync(self._handle)
        except BaseException:
            self._truncate(self._length)
            raise
        self._length += len(line)

    def clear(self) -> None:
        """Remove all changes, once the tables contain them."""
        self.entries = []
        self._truncate(0)
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file, and delete it if it is empty."""
        os.close(self._handle)
        if not self._length:
            self.path.unlink(missing_ok=True)

    def _truncate(self, length: int) -> None:
        os.ftruncate(self._handle, length)
        os.lseek(self._handle, length, os.SEEK_SET)
        self._length = length


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise InputError(f"{path} line {number}: damaged: remove the line, its change is lost")
    return entry
