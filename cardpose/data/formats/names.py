"""From the names of images to their videos and frames, and back."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from cardpose.common.errors import InputError

_ROBOFLOW = re.compile(r"_[a-z]{3,4}\.rf\.[0-9A-Za-z]+$")
"""Roboflow's addition before the suffix: _jpg.rf.1f0a9c."""
_FLAT = re.compile(r"(?P<video>.+)_frame_(?P<index>\d{1,9})")
_FRAME = re.compile(r"frame[ _-]?(?P<index>\d{1,9})(?P<task>_\d{1,4})?", re.IGNORECASE)
"""CVAT's frame_000000 of a video; a project numbers the tasks after the first one, frame_000000_1."""
_NUMBERED = re.compile(r"\D*(?P<index>\d{1,9})")
_PHOTO = re.compile(r"[A-Z_][A-Z0-9_]{3}\d{4}|(?i:photo|foto|pict?)\D*\d+|(?i:img|dsc)[_-]\d+")
"""Names that cameras give: IMG_2734, DSC00012 (JEITA CP-3461, "DCF")."""
_GENERAL = re.compile(
    r"(images?|default|data|frames|train(ing)?|val(id(ation)?)?|test(ing)?)\d*", re.IGNORECASE
)
"""Folder names that do not name a video."""
_EXACT = ("frames", "labeled-data")
"""Folders whose subfolders are videos, as cardpose and DeepLabCut write them."""


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


class Named(NamedTuple):
    """Video and frame, read from the name of an image.

    Args:
        folders: that name the video, outermost first; the last one is its name unless two videos share it.
        frame: its index.
        guessed: whether only a number in the name suggests a frame of a video.
        is_single: whether the name contains neither video nor index, so that the image is a video of its own.
    """

    folders: tuple[str, ...]
    frame: int
    guessed: bool = False
    is_single: bool = False


def read_name(image: str, outside: str = "images") -> Named:
    """Video and frame from the path of an image.

    Args:
        image: the path.
        outside: the name of a video whose frames lie in no folder of its own.

    >>> read_name("images/MAQ01036_frame_20.jpg")
    Named(folders=('MAQ01036',), frame=20, guessed=False, is_single=False)
    >>> read_name("labeled-data/52.mp4/img0020.png").folders, read_name("train/frame_000007.png").folders
    (('52.mp4',), ('train',))
    >>> read_name("train/IMG_2734.jpg")
    Named(folders=('train', 'IMG_2734'), frame=0, guessed=False, is_single=True)
    """
    path = PurePosixPath(image.replace("\\", "/"))
    stem = _ROBOFLOW.sub("", path.stem)
    if match := _FLAT.fullmatch(stem):
        return Named((match["video"],), int(match["index"]))
    parents = [part for part in path.parent.parts if part not in ("/", "..")]
    own = [part for part in parents if not _GENERAL.fullmatch(part)]
    exact = len(parents) > 1 and parents[-2] in _EXACT
    if match := _FRAME.fullmatch(stem):
        name = (parents[-1] if parents else outside) + (match["task"] or "")
        folders = (*own[:-1], name) if own and own[-1] == parents[-1] else (name,)
        return Named(folders, int(match["index"]), not exact)
    match = _NUMBERED.fullmatch(stem)
    in_own = bool(parents) and (exact or (own and own[-1] == parents[-1]))
    if match and in_own and (exact or not _PHOTO.fullmatch(stem)):
        return Named((parents[-1],) if exact else tuple(own), int(match["index"]), not exact)
    return Named((*parents, stem), 0, is_single=True)


def distinct(videos: Iterable[Sequence[str]]) -> dict[tuple[str, ...], str]:
    """A name for each video: its last part, or all parts where two videos share that.

    >>> distinct([("day 1", "cam"), ("day 2", "cam"), ("day 2", "top")])
    {('day 1', 'cam'): 'day 1__cam', ('day 2', 'cam'): 'day 2__cam', ('day 2', 'top'): 'top'}
    """
    every = list(dict.fromkeys(map(tuple, videos)))
    ends = [parts[-1] for parts in every]
    return {parts: parts[-1] if ends.count(parts[-1]) == 1 else "__".join(parts) for parts in every}


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
