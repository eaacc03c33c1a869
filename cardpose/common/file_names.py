"""Names of files that tables, terminals or file systems refuse: not UTF-8, with newlines, too long."""

import hashlib
import os
import re

_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators, and the surrogates by which Python represents bytes that are not UTF-8."""
_MOST_BYTES = 255
"""Longest name of a file on common file systems."""


def printable(name: str) -> str:
    r"""The name as one line of UTF-8, for tables and messages; other names stay as they are.

    >>> printable("caf\udce9.mp4"), printable("a\nb.jpg"), printable("café.mp4")
    ('caf\\udce9.mp4', 'a\\nb.jpg', 'café.mp4')
    """
    if not _ODD.search(name):
        return name
    return _ODD.sub(lambda odd: odd[0].encode("unicode_escape").decode(), name.replace("\\", "\\\\"))


def plain(name: str) -> str:
    r"""The name with `_` for what a dataset folder does not take: odd characters and backslashes.

    >>> plain("caf\udce9\n.mp4")
    'caf__.mp4'
    """
    return _ODD.sub("_", name.replace("\\", "_"))


def shortened(name: str, room: int = 0) -> str:
    """The name, cut if it leaves less than `room` bytes for an ending; a digest keeps a cut name unique.

    >>> shortened("clip.mov", 4), len(shortened("x" * 250, 20))
    ('clip.mov', 235)
    """
    whole = os.fsencode(name)
    if len(whole) + room <= _MOST_BYTES:
        return name
    digest = f"~{hashlib.sha256(whole).hexdigest()[:8]}"
    return whole[: _MOST_BYTES - room - len(digest)].decode(errors="ignore") + digest


def not_utf8(error: UnicodeEncodeError) -> str:
    r"""One line about a name that a library could not write, for commands whose libraries take UTF-8 only.

    >>> try: "runs/caf\udce9/a".encode()
    ... except UnicodeEncodeError as error: not_utf8(error)
    'runs/caf\\udce9/a: a name that is not UTF-8: rename the file or folder'
    """
    begin, end = error.object[: error.start].split()[-1:], error.object[error.start :].split()[:1]
    return f"{printable(''.join(begin + end)[-300:])}: a name that is not UTF-8: rename the file or folder"
