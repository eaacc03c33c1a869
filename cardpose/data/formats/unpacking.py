"""Unpacks archives before a format reads them, and names the kind of a file of another format."""

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.files import check_is_file, is_zip, scratch_folder, write_errors

_HDF5, _XML, _JSON, _ARCHIVE = "HDF5", "XML", "JSON", "an archive that is no zip"
_SIGNS = {
    b"\x89HDF\r\n": _HDF5,
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
    b"Rar!": _ARCHIVE,
    b"\x1f\x8b": _ARCHIVE,
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "a database",
}
_READS = {
    "coco": {_JSON},
    "cvat": {_XML, _JSON},
    "label_studio": {_JSON},
    "deeplabcut": {"CSV"},
    "sleap": {_HDF5},
    "cardcut": {"CSV"},
}
_FIXES = {
    _HDF5: "--from sleap reads .slp files",
    _XML: "--from cvat reads CVAT for images 1.1",
    _JSON: "--from coco, cvat and label_studio read JSON",
    _ARCHIVE: "unpack it and give the folder",
}
_SMALL, _MOST_EXPANDED = 100_000_000, 100
"""A zip of more bytes than the first, unpacked, and of more than so many times its size, is a bomb: pictures do not
shrink, and tables to a tenth."""
_DEEPLABCUT = "give the table CollectedData_<scorer>.csv, which DeepLabCut writes beside it"


def check_kind(layout: str, path: Path) -> None:
    """Check that a file is of a kind that the layout is stored in; files without a known sign pass.

    Raises:
        InputError: it is of another kind; the message names it and what to give instead.
    """
    kind = _kind(path) if path.is_file() else ""
    reads = _READS.get(layout, {kind})
    if kind and kind not in reads:
        fix = _DEEPLABCUT if (layout, kind) == ("deeplabcut", _HDF5) else _FIXES.get(kind, "give the labels")
        raise InputError(f"{path}: is {kind}, not {' or '.join(sorted(reads))}: {fix}")


def _kind(path: Path) -> str:
    """The kind of a file by its first bytes; "" if they are no sign of one."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return ""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"{", b"[")):
        return _JSON
    if text.startswith((b"<?xml", b"<annotations")):
        return _XML
    return next((kind for sign, kind in _SIGNS.items() if head.startswith(sign)), "")


@contextmanager
def unpacked(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield `root`, or the folder or file that a zip contains, and an empty folder; both are removed at the end.

    Errors of the block name the zip instead of the folder.

    Raises:
        InputError: the zip is damaged, encrypted, or larger than the free disk space.
    """
    check_is_file(root)
    with scratch_folder("convert") as temporary:
        scratch, inside = temporary / "scratch", temporary / "zip"
        scratch.mkdir()
        if not (root.is_file() and is_zip(root)):
            yield root, scratch
            return
        _unpack(root, inside)
        only = [path for path in inside.iterdir() if not path.name.startswith((".", "__MACOSX"))]
        folder = only[0] if len(only) == 1 and only[0].name != "annotations" else inside
        try:
            yield folder, scratch
        except InputError as error:
            raise InputError(str(error).replace(str(folder), str(root))) from None


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive, write_errors(folder):
            folder.mkdir()  # an empty zip makes none
            size = sum(entry.file_size for entry in archive.infolist())
            if size > max(_SMALL, _MOST_EXPANDED * path.stat().st_size):
                raise InputError(
                    f"{path}: {size / 1e9:.1f} GB in a zip of {path.stat().st_size / 1e6:.1f} MB is no export: "
                    "unpack it and give the folder, if you trust it"
                )
            if size > shutil.disk_usage(folder.parent).free:
                raise InputError(
                    f"{path}: needs {size / 1e9:.1f} GB unpacked: free some space in {folder.parent}"
                )
            archive.extractall(folder)
    except (
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        NotImplementedError,
        EOFError,
        FileExistsError,
    ) as error:
        raise InputError(f"{path}: not a whole zip ({error}): export it again, or unpack it") from None
