"""From the name of an image to its video and frame, and back."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from cardpose.common.errors import InputError

_FLAT = re.compile(r"(?P<video>.+)_frame_(?P<index>\d{1,9})")
_NUMBERED = re.compile(r"\D*(?P<index>\d{1,9})")
_NO_VIDEO = ("", "images")
"""Folder names that do not name a video."""


def short_name(video: str) -> str:
    """The name of a video outside its dataset folder, without slashes.

    >>> short_name("videos/day 1/52.mp4"), short_name("frames/52")
    ('day 1__52.mp4', '52')
    """
    return "__".join(video.split("/")[1:])


def flat_name(video: str, frame_index: int, suffix: str) -> str:
    """The name of a frame's image in one folder for all videos, as in cardcut_cnn.

    >>> flat_name("frames/MAQ01036", 20, ".jpg")
    'MAQ01036_frame_20.jpg'
    """
    return f"{short_name(video)}_frame_{frame_index}{suffix}"


def split_name(image: str) -> tuple[str, int]:
    """Video and frame from the path of an image; an image of another name is a video of its own.

    >>> split_name("images/MAQ01036_frame_20.jpg"), split_name("labeled-data/52.mp4/img0020.png")
    (('MAQ01036', 20), ('52.mp4', 20))
    >>> split_name("IMG_2734.jpg")
    ('IMG_2734', 0)
    """
    path = PurePosixPath(image.replace("\\", "/"))
    if match := _FLAT.fullmatch(path.stem):
        return match["video"], int(match["index"])
    match = _NUMBERED.fullmatch(path.stem)
    if match and path.parent.name not in _NO_VIDEO:
        return path.parent.name, int(match["index"])
    return path.stem, 0


def by_short_name(videos: Iterable[str]) -> Mapping[str, str]:
    """Videos of a dataset folder by their short names, with suffix and, if that is unique, without.

    Raises:
        InputError: two videos have the same short name.

    >>> sorted(by_short_name(["videos/a.mp4", "frames/b"]))
    ['a', 'a.mp4', 'b']
    """
    names: dict[str, str] = {}
    stems: dict[str, list[str]] = {}
    for video in videos:
        name = short_name(video)
        if name in names:
            raise InputError(
                f"{video} and {names[name]} are both called {name} outside the folder: rename one"
            )
        names[name] = video
        if video.startswith("videos/"):
            stems.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(video)
    return {stem: alike[0] for stem, alike in stems.items() if len(alike) == 1} | names
