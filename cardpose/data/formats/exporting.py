"""Frames and labels of a dataset folder in the layout of another tool."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from cardpose.common.files import new_folder
from cardpose.common.images import read_image, write_image
from cardpose.common.packet import HIDDEN
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.sources import copy_footage
from cardpose.data.formats.names import by_short_name
from cardpose.data.formats.records import Format, Hidden, Shot


def num_frames(folder: DatasetFolder) -> int:
    """How many frames `export` writes: those labelled or to be labelled, and all loose ones."""
    return sum(len(indices) for indices in _frames(folder).values())


def export(folder: DatasetFolder, out: str | Path, kind: Format, advance: Callable[[], object]) -> None:
    """Write labels and their frames to the folder `out` for another tool, completely or not at all.

    Loose frames are copied if the tool accepts their file type; frames of a video are written as JPEG, or the video is
    copied if the tool labels videos.

    Args:
        folder: the labels and footage.
        out: must not exist or be empty.
        kind: the tool's format.
        advance: called after each frame.

    Raises:
        InputError: footage is missing or damaged, two frames would get the same name, or the disk is full.
    """
    by_short_name(folder.sources)  # raises if two names are the same
    labels = {a.frame_id: a for a in folder.annotations}
    shots = []
    with new_folder(out) as target:
        for video, indices in _frames(folder).items():
            for index, image in _write_frames(folder, video, indices, target, kind):
                shots.append(Shot(image, video, index, labels.get((video, index))))
                advance()
        kind.write(target, shots)


def losses(folder: DatasetFolder, kind: Format) -> list[str]:
    """A line for everything in the folder that the format cannot store."""
    lines = []
    hidden = sum(int((a.visibility == HIDDEN).sum()) for a in folder.annotations)
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
    videos = sum(isinstance(source, Path) for source in folder.sources.values())
    if videos and not kind.videos:
        lines.append(f"images only: {videos} videos become JPEG frames")
    times = sum(not math.isnan(annotation.timestamp) for annotation in folder.annotations)
    if times and not kind.times:
        lines.append(f"no place for times: those of {times} frames are left out")
    loose = [source for source in folder.sources.values() if not isinstance(source, Path)]
    others = sum(_recoded(path, kind) for source in loose for path in source.values())
    if others:
        lines.append(f"JPEG only: {others} images of another type are written as JPEG")
    return lines


def _recoded(path: Path, kind: Format) -> bool:
    return kind.jpeg and path.suffix.lower() not in (".jpg", ".jpeg")


def _frames(folder: DatasetFolder) -> dict[str, list[int]]:
    """The frames of each video that are labelled or listed in annotations.json, and all loose ones."""
    frames: dict[str, set[int]] = {
        video.file: set() if isinstance(source := folder.sources[video.file], Path) else set(source)
        for video in folder.videos
    }
    for video, index in (*folder.listed, *(a.frame_id for a in folder.annotations)):
        if video in frames:
            frames[video].add(index)
    return {video: sorted(indices) for video, indices in frames.items()}


def _write_frames(
    folder: DatasetFolder, video: str, indices: list[int], target: Path, kind: Format
) -> Iterator[tuple[int, str]]:
    """Write the frames of one video below `target`; yield the index and relative path of each."""
    source = folder.sources[video]
    if isinstance(source, Path) and kind.videos:
        copy_footage(source, target / video)
        yield from ((index, video) for index in indices)
    elif isinstance(source, Path):
        for index, image in folder.read_frames(video, indices):
            name = kind.place(video, index, ".jpg")
            write_image(target / name, image)
            yield index, name
    else:
        for index in indices:
            path = source[index]
            recoded = _recoded(path, kind)
            name = kind.place(video, index, ".jpg" if recoded else path.suffix.lower())
            if recoded:
                write_image(target / name, read_image(path))
            else:
                copy_footage(path, target / name)
            yield index, name
