"""Sources of frames: pictures, videos and cameras as one interface, and how they are named on a command line.

Adding a kind of source: a class with the attributes and methods of `Source`, created in `_sources_of`.
"""

import glob
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2

from cardpose.common.errors import InputError
from cardpose.common.file_names import printable
from cardpose.common.files import check_is_file
from cardpose.common.images import read_focal, read_image
from cardpose.data.footage.media import Kind, kind_of, pages_note, sort_out, taken
from cardpose.data.footage.video import VideoFrame, VideoInfo, iterate, probe

CAMERA_DIGITS = 4  # a longer number is no index of a camera
CAMERA_RATE = 30.0
"""Frames per second of an overlay, for a camera or a video that does not state its rate."""


class Source(Protocol):
    """The frames of one packet, which get one count.

    Attributes:
        name: of the clip in all tables, the path as it was given, as printable text.
        num_frames: number of frames; None if unknown.
        rate: frames per second; 0 for pictures.
        endless: whether only Ctrl-C ends it.
        problem: after `frames` has ended, a line about frames that could not be read, or "".
        bad_frames: number of those.
    """

    name: str
    endless: bool
    problem: str
    bad_frames: int

    @property
    def num_frames(self) -> int | None: ...

    @property
    def rate(self) -> float: ...

    def frames(self) -> Iterator[VideoFrame]:
        """The frames in their order, without those that cannot be read.

        Raises:
            InputError: none can be read.
        """
        ...


class VideoSource:
    """A video; one that is truncated ends early, and damaged frames are left out.

    Args:
        path: the file.
    """

    endless = False

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, printable(str(path))
        self.problem, self.bad_frames = "", 0

    @cached_property
    def info(self) -> VideoInfo:
        """Rate, size and length; raises `InputError` if the file is not a video."""
        return probe(self.path, whole=False)

    @property
    def num_frames(self) -> int | None:
        return self.info.num_frames

    @property
    def rate(self) -> float:
        return self.info.rate or CAMERA_RATE

    def frames(self) -> Iterator[VideoFrame]:
        """See `Source.frames`."""
        expected, read, damaged = self.info.num_frames, 0, 0
        problems: list[str] = []
        try:
            for frame in iterate(self.path):
                read += 1
                if frame.damaged:
                    damaged += 1
                else:
                    yield frame
        except InputError:
            if read == damaged:
                raise
            self.bad_frames = max(expected - read, 1)
            problems.append(f"truncated after {read} of {expected} frames")
        if damaged:
            self.bad_frames += damaged
            problems.append(f"{damaged} of {read} frames are damaged and left out")
        if problems:
            self.problem = f"{self.path}: {', '.join(problems)}: copy or record it again"
        if read == damaged:
            raise InputError(self.problem)


class PictureSource:
    """One picture, or a folder of frames named by their index; those that cannot be read are left out.

    Args:
        name: of the clip.
        pictures: the files by frame index, ascending.
    """

    endless, rate = False, 0.0

    def __init__(self, name: str, pictures: dict[int, Path]) -> None:
        self.name, self.pictures = printable(name), pictures
        self.problem, self.bad_frames = "", 0

    @property
    def num_frames(self) -> int:
        return len(self.pictures)

    def frames(self) -> Iterator[VideoFrame]:
        """See `Source.frames`; timestamps are NaN."""
        for index, path in self.pictures.items():
            try:
                image = read_image(path)
            except InputError as error:
                self.bad_frames += 1
                self.problem = str(error)
                if self.bad_frames == self.num_frames:
                    raise
                continue
            yield VideoFrame(index, float("nan"), image, read_focal(path))


class CameraSource:
    """A camera, until it stops or Ctrl-C is pressed.

    Args:
        index: of the camera, from 0.
    """

    endless = True

    def __init__(self, index: int) -> None:
        self.index, self.name = index, f"camera {index}"
        self.problem, self.bad_frames = "", 0
        self.num_frames: int | None = None
        self.rate = CAMERA_RATE

    def frames(self) -> Iterator[VideoFrame]:
        """See `Source.frames`."""
        # OpenCV logs several lines of its own for a missing camera.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        camera = cv2.VideoCapture(self.index)
        try:
            start = time.monotonic()
            read, image = camera.read()
            if not read:
                raise InputError(f"{self.name}: not found: connect it or choose another index")
            index = 0
            while read:
                yield VideoFrame(index, time.monotonic() - start, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
                index += 1
                read, image = camera.read()
            self.problem = f"{self.name}: stopped after {index} frames"
        finally:
            camera.release()


class Found(NamedTuple):
    """Sources that the words of a command line name.

    Args:
        sources: each once, in the order given.
        problems: a line for each word that names none.
        notes: lines about folders and files of which only a part is read.
    """

    sources: list[Source]
    problems: list[str]
    notes: list[str]


def find_sources(given: Sequence[str | int], listed: Iterable[str]) -> Found:
    """Find the sources that the words of a command line name.

    Args:
        given: pictures, videos, folders, globs, indices of cameras, or "-" for `listed`.
        listed: lines of standard input, read only for "-".
    """
    words: list[str | int] = []
    for word in given:
        words += [line.rstrip("\r\n") for line in listed if line.strip()] if word == "-" else [word]
    sources: dict[str, Source] = {}
    problems: list[str] = []
    notes: list[str] = []
    for word in words:
        try:
            for source in _sources_of(word, notes):
                sources.setdefault(source.name, source)
        except InputError as error:
            problems.append(str(error))
        except OSError as error:  # a name that no file can have, a folder that may not be read
            problems.append(f"{word!s:.200}: {error.strerror}: check the path")
    return Found(list(sources.values()), problems, list(dict.fromkeys(notes)))


def nothing_readable(problems: Sequence[str]) -> InputError:
    """The error if no source can be read: the problem of the only one, or a line for all."""
    return InputError(problems[0] if len(problems) == 1 else "none of the sources can be read")


def _sources_of(word: str | int, notes: list[str]) -> Iterator[Source]:
    """The sources of one word; adds to `notes`."""
    text = str(word)
    path = Path(text).expanduser()
    if path.is_dir():
        yield from _in_folder(path, notes)
    elif path.exists():
        check_is_file(path)
        yield _file(path, kind_of(path), notes)
    elif text.isascii() and text.isdigit() and len(text) <= CAMERA_DIGITS:
        yield CameraSource(int(text))
    elif glob.has_magic(text):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        if not found:
            raise InputError(f"{text}: matches no file: check the pattern")
        for one in found:
            yield from _in_folder(one, notes) if one.is_dir() else [_file(one, kind_of(one), notes)]
    else:
        raise InputError(f"{text}: no such file or folder: check the path")


def _file(path: Path, kind: Kind, notes: list[str]) -> Source:
    if note := pages_note(path):
        notes.append(note)
    return PictureSource(str(path), {0: path}) if kind is Kind.PICTURE else VideoSource(path)


def _in_folder(folder: Path, notes: list[str]) -> Iterator[Source]:
    """One clip for a folder of frames named by their index, as in a dataset folder; else a clip per file."""
    kinds = sort_out(sorted(folder.iterdir()))
    pictures, videos = kinds[Kind.PICTURE], kinds[Kind.VIDEO]
    if not pictures and not videos:
        others = taken(folder, 0, kinds[Kind.OTHER]).partition(", ")[2]
        raise InputError(
            f"{folder}: has no picture and no video{others and f' ({others})'}: "
            + (
                f"choose {videos_in}"
                if (videos_in := folder / "videos").is_dir()
                else "choose another folder"
            )
        )
    notes.append(taken(folder, len(pictures) + len(videos), kinds[Kind.OTHER]))
    indices = {int(path.stem): path for path in pictures if path.stem.isascii() and path.stem.isdigit()}
    if len(indices) == len(pictures) and not videos:
        notes[-1] += ", as the frames of one clip"
        yield PictureSource(str(folder), dict(sorted(indices.items())))
        return
    kind = dict.fromkeys(pictures, Kind.PICTURE) | dict.fromkeys(videos, Kind.VIDEO)
    yield from (_file(path, kind[path], notes) for path in sorted(kind))
