"""Make a dataset folder out of videos, or add videos to one: frames to label, no labels yet."""

import filecmp
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.file_names import plain, printable, shortened
from cardpose.common.files import file_digest, replace_file, sync, temporary_sibling, write_errors
from cardpose.common.images import write_image
from cardpose.common.progress import ProgressBar
from cardpose.data.footage.video import VideoFrame, VideoInfo, iterate, probe
from cardpose.data.labels.store import LabelFolder
from cardpose.data.labels.tables import FRAMES, Video
from cardpose.data.labels.validate import parse_cards
from cardpose.labelling.frame_selection import Choice
from cardpose.prediction.sources import VideoSource, find_sources

_DIGEST = "digest"
"""Column of videos.csv by which a video is recognised under any name."""


@dataclass(frozen=True)
class Subsampling:
    """How videos become frames to label.

    Args:
        choose: which frames, one of `frame_selection.CHOICES`.
        stride: one frame of this many is kept.
        store: "frames" keeps the chosen frames as JPEG files, "videos" copies the whole video.
        count_pattern: regular expression whose group matches the count in a file's name. None: no count.
    """

    choose: Choice
    stride: int
    store: str
    count_pattern: re.Pattern[str] | None

    def cards(self, path: Path) -> int | None:
        """The number of cards in a file's name.

        Raises:
            InputError: the pattern matches something that is not a count.
        """
        found = self.count_pattern.search(path.name) if self.count_pattern else None
        return parse_cards(found[1], f"{path}: by --count-pattern") if found else None


def add_videos(sources: list[VideoSource], out: Path, how: Subsampling, bar: ProgressBar) -> list[str]:
    """Add new videos to the dataset folder `out`; existing rows and labels stay.

    A video is added as a whole or not at all, so that an interrupted run can be repeated.

    Returns:
        One line for each video that cannot be read.

    Raises:
        InputError: `out` is not a dataset folder or cannot be written to.
    """
    problems = []
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be a folder ({error.strerror}): choose another --out") from error
    with LabelFolder(out, create=True) as folder:
        for source in sources:
            try:
                bar.print(_add(source, folder, how, bar))
            except InputError as error:
                if str(source.path) not in str(error):  # a fault of the folder, not of the video
                    raise
                problems.append(str(error))
                if len(sources) > 1:  # the command ends with the line of the only one
                    bar.print(problems[-1])
    return problems


def _add(source: VideoSource, folder: LabelFolder, how: Subsampling, bar: ProgressBar) -> str:
    """Add one video, if the folder does not hold it yet; returns a line for the user."""
    path, info = source.path, probe(source.path)
    cards, digest = how.cards(path), _digest(path)
    file, known = _name(path, digest, folder.videos, how.store)
    if known is not None and any(video == known.file for video, _ in folder.listed()):
        bar.advance(info.num_frames)
        return f"{path}: exists already as {known.file}"
    indices = how.choose(_counted_frames(path, bar), info.num_frames, how.stride)
    times = _keep_frames(path, folder.root / file, indices, info, bar) if how.store == FRAMES else None
    if times is None:
        times = {frame.index: frame.timestamp for frame in _frames_at(path, indices, info, bar)}
        _keep_video(path, folder.root / file)
    row = known or Video(file, cards, {"source": printable(path.name), _DIGEST: digest})
    folder.add(row, times.items(), (info.width, info.height))
    count = f"{row.cards} cards" if row.cards else "no count yet"
    damaged = len(indices) - len(times)
    left = f", left out {damaged} damaged ones: copy or record it again" if damaged else ""
    return f"{path}: {len(times)} frames to label as {file}, {count}{left}"


def _name(path: Path, digest: str, videos: tuple[Video, ...], store: str) -> tuple[str, Video | None]:
    """The name of the video in the folder, with a number if another video has it, and its row if it has one."""
    rows = {video.file: video for video in videos}
    for video in videos:
        if video.extra.get(_DIGEST) == digest:
            return video.file, video
    suffix = "" if store == FRAMES else plain(path.suffix)
    stem = shortened(plain(path.stem), len(suffix) + 4)
    for number in range(1, len(rows) + 2):
        file = f"{store}/{stem}{f'-{number}' if number > 1 else ''}{suffix}"
        if file not in rows:
            break
        if not rows[file].extra.get(_DIGEST):  # a row made by hand
            return file, rows[file]
    return file, None


def _digest(path: Path) -> str:
    """Digest of the file; with a prefix, since a spreadsheet rounds a cell of digits only."""
    return f"sha256:{file_digest(path)[:16]}"


def _counted_frames(path: Path, bar: ProgressBar) -> Iterator[VideoFrame]:
    """All frames that are whole, counted on the progress bar."""
    return _whole(iterate(path), path, lambda _: bar.advance())


def _frames_at(path: Path, indices: list[int], info: VideoInfo, bar: ProgressBar) -> Iterator[VideoFrame]:
    """The whole frames at `indices`; the bar also counts the frames between them, which are decoded as well."""
    done = 0

    def advance_to(frame: VideoFrame) -> None:
        nonlocal done
        bar.advance(frame.index + 1 - done)
        done = frame.index + 1

    yield from _whole(iterate(path, indices=indices), path, advance_to)
    bar.advance(info.num_frames - done)


def _whole(
    frames: Iterator[VideoFrame], path: Path, seen: Callable[[VideoFrame], object]
) -> Iterator[VideoFrame]:
    """The frames that are not damaged; `seen` is called with each frame.

    Raises:
        InputError: there is none.
    """
    empty = True
    for frame in frames:
        seen(frame)
        if not frame.damaged:
            empty = False
            yield frame
    if empty:
        raise InputError(f"{path}: the frames are damaged: copy or record it again")


def _keep_frames(
    path: Path, target: Path, indices: list[int], info: VideoInfo, bar: ProgressBar
) -> dict[int, float]:
    """Write the frames to the folder `target`; returns their timestamps in seconds."""
    times = {}
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_sibling(target, folder=True) as fresh:
            for frame in _frames_at(path, indices, info, bar):
                write_image(fresh / f"{frame.index}.jpg", frame.image)
                times[frame.index] = frame.timestamp
            if target.is_dir() and any(target.iterdir()):
                _require_same(fresh, target)
            else:
                os.replace(fresh, target)
    sync(target)
    return times


def _require_same(fresh: Path, target: Path) -> None:
    """Accept a folder with the same frames, left by a killed run before it added the row; refuse any other."""
    names = sorted(item.name for item in fresh.iterdir())
    same = names == sorted(item.name for item in target.iterdir())
    same = same and filecmp.cmpfiles(fresh, target, names, shallow=False)[0] == names
    if not same:
        raise InputError(f"{target}: holds other frames already: add its row to videos.csv or move it away")


def _keep_video(path: Path, target: Path) -> None:
    """Copy a video's bytes."""
    if target.exists() and not filecmp.cmp(path, target, shallow=False):
        raise InputError(f"{target}: is another video already: add its row to videos.csv or move it away")
    with replace_file(target) as temporary:
        shutil.copyfile(path, temporary)
        sync(temporary)


def count_pattern(text: str | None) -> re.Pattern[str] | None:
    """The compiled pattern of a count in a file's name; None for "none".

    Raises:
        InputError: not a regular expression with exactly one group.
    """
    if text is None or text == "none":
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"--count-pattern {text}: not a regular expression ({error}): correct it") from error
    if pattern.groups != 1:
        raise InputError(
            f"--count-pattern {text}: has {pattern.groups} groups: put (\\d+) where the count stands"
        )
    return pattern


def find_videos(words: Sequence[str]) -> tuple[list[VideoSource], list[str]]:
    """The videos that are named by file, folder or glob, and lines about what is left out.

    Raises:
        InputError: no video is named, or a word names nothing.
    """
    sources, problems, notes = find_sources(words, ())
    videos = [source for source in sources if isinstance(source, VideoSource)]
    others = [source.name for source in sources if not isinstance(source, VideoSource)]
    if problems or not videos:
        raise InputError(problems[0] if problems else f"{' '.join(words)}: no video: choose another folder")
    if others:
        shown = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        notes.append(f"left out {len(others)} that are no videos: {shown}")
    return videos, notes
