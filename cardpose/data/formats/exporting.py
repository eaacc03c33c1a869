"""Frames and labels of a dataset folder, laid out for another tool."""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cardpose.common.errors import InputError
from cardpose.common.files import new_folder
from cardpose.common.images import read_image, write_image
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.names import by_short_name
from cardpose.data.formats.records import Format, Hidden, Shot, count_hidden
from cardpose.data.labels.listed import listed_frames


def num_frames(folder: DatasetFolder) -> int:
    """How many frames `export` writes: those labelled or to be labelled, and all loose ones."""
    return sum(len(indices) for indices in _frames(folder).values())


def export(folder: DatasetFolder, out: str | Path, kind: Format, tick: Callable[[], object]) -> None:
    """Write the folder `out` for another tool: labels, and the frames beside them; whole or not at all.

    Loose frames keep their bytes where the tool takes their kind of file; frames of a video are written as JPEG, or the
    video is copied where the tool labels videos.

    Args:
        folder: what to write.
        out: must not exist or be empty.
        kind: the tool's format.
        tick: called after each frame.

    Raises:
        InputError: footage is missing or damaged, two frames would get the same name, or the disk is full.
    """
    by_short_name(folder.sources)  # complains of names that are the same
    with new_folder(out) as target:
        shots = []
        for shot in _lay_out(folder, target, kind):
            shots.append(shot)
            tick()
        kind.write(target, shots)


def losses(folder: DatasetFolder, kind: Format) -> list[str]:
    """A line for everything in the folder that the format has no place for."""
    lines = []
    hidden = count_hidden(folder.annotations)
    if hidden and kind.hidden is Hidden.AS_VISIBLE:
        lines.append(f"no place for hidden: {hidden} hidden corners are written as if they were visible")
    if hidden and kind.hidden is Hidden.DROPPED:
        lines.append(f"no place for hidden corners: {hidden} are left out, their coordinates with them")
    known = sum(video.cards is not None for video in folder.videos)
    if known and not kind.cards:
        lines.append(f"no place for the count: those of {known} videos are left out")
    extra = list(dict.fromkeys(key for video in folder.videos for key in video.extra))
    if extra:
        lines.append(f"no place for columns of videos.csv: left out {', '.join(extra)}")
    films = sum(isinstance(source, Path) for source in folder.sources.values())
    if films and not kind.videos:
        lines.append(f"pictures only: {films} videos become JPEG frames")
    times = sum(not math.isnan(annotation.timestamp) for annotation in folder.annotations)
    if times and not kind.times:
        lines.append(f"no place for times: those of {times} frames are left out")
    others = sum(_recoded(path, kind) for source in _loose_sources(folder) for path in source.values())
    if others:
        lines.append(f"JPEG only: {others} pictures of another kind are written as JPEG")
    return lines


def _loose_sources(folder: DatasetFolder) -> list[Mapping[int, Path]]:
    return [source for source in folder.sources.values() if not isinstance(source, Path)]


def _recoded(path: Path, kind: Format) -> bool:
    return kind.jpeg and path.suffix.lower() not in (".jpg", ".jpeg")


def _frames(folder: DatasetFolder) -> dict[str, list[int]]:
    """Of each video the frames that are labelled, that annotations.json names to be, and all that lie there loose."""
    frames: dict[str, set[int]] = {
        video.file: set() if isinstance(source := folder.sources[video.file], Path) else set(source)
        for video in folder.videos
    }
    for video, index in listed_frames(folder.root):
        if video in frames:
            frames[video].add(index)
    for annotation in folder.annotations:
        frames[annotation.video].add(annotation.frame_index)
    return {video: sorted(indices) for video, indices in frames.items()}


def _lay_out(folder: DatasetFolder, target: Path, kind: Format) -> Iterator[Shot]:
    """Put every frame in its place below `target`."""
    labels = {(a.video, a.frame_index): a for a in folder.annotations}
    for video, indices in _frames(folder).items():
        source = folder.sources[video]
        if isinstance(source, Path) and kind.videos:
            _copy(source, target / video)
            for index in indices:
                yield Shot(video, video, index, labels.get((video, index)))
            continue
        if isinstance(source, Path):
            placed = _decoded(folder, video, indices, target, kind)
        else:
            placed = _loose(source, video, indices, target, kind)
        for index, image in placed:
            yield Shot(image, video, index, labels.get((video, index)))


def _decoded(
    folder: DatasetFolder, video: str, indices: list[int], target: Path, kind: Format
) -> Iterator[tuple[int, str]]:
    for index, image in folder.read_frames(video, indices):
        name = kind.place(video, index, ".jpg")
        write_image(target / name, image)
        yield index, name


def _loose(
    source: Mapping[int, Path], video: str, indices: list[int], target: Path, kind: Format
) -> Iterator[tuple[int, str]]:
    for index in indices:
        path = source[index]
        recode = _recoded(path, kind)
        name = kind.place(video, index, ".jpg" if recode else path.suffix.lower())
        if recode:
            write_image(target / name, read_image(path))
        else:
            _copy(path, target / name)
        yield index, name


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except FileNotFoundError as error:
        raise InputError(f"{path}: the file has gone: put it back") from error
