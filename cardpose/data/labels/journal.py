"""Changes that outlive a crash: a line of JSON each, on the disk before anybody is told that it is saved."""

import json
import os
from pathlib import Path
from typing import Any

from cardpose.common.errors import InputError
from cardpose.common.files import write_errors


class Journal:
    """An append-only file of changes; one process at a time has it open.

    What a killed process was still writing is dropped when the file is opened: nobody was told that it was saved.

    Args:
        path: the file, made with the first change and removed where it is closed empty.

    Raises:
        InputError: a line that is not the last is damaged, or the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with write_errors(path):
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        try:
            self.entries = [
                _parse(line, path, n) for n, line in enumerate(data[:whole].splitlines(), start=1)
            ]
        except InputError:
            os.close(self._handle)
            raise
        self._cut(whole)

    def append(self, entry: dict[str, Any]) -> None:
        """Write one change and wait until it is on the disk; after an error the file is as it was.

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
            self._cut(self._length)
            raise
        self._length += len(line)

    def clear(self) -> None:
        """Forget all changes, once they stand elsewhere."""
        self.entries = []
        self._cut(0)
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file, and remove it where it is empty."""
        os.close(self._handle)
        if not self._length:
            self.path.unlink(missing_ok=True)

    def _cut(self, length: int) -> None:
        os.ftruncate(self._handle, length)
        os.lseek(self._handle, length, os.SEEK_SET)
        self._length = length


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise InputError(f"{path} line {number}: damaged: remove the line, its change is lost")
    return entry
