"""Labels into a dataset folder that there is: other labels, footage and all else in its tables stay."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file, write_errors
from cardpose.common.packet import HIDDEN, VISIBLE, Annotation
from cardpose.data.footage.folder import DatasetFolder, join
from cardpose.data.formats.importing import (
    common_count,
    frame_of,
    hold_against_footage,
    size_of,
    to_annotation,
)
from cardpose.data.formats.names import by_short_name, short_name
from cardpose.data.formats.records import Hidden, Label, Labels
from cardpose.data.labels.listed import put_labels
from cardpose.data.labels.tables import write_videos


@dataclass(frozen=True)
class Merged:
    """What putting labels into a folder did: labels that were new, that replaced another, and that were the same."""

    added: int
    replaced: int
    same: int

    def __str__(self) -> str:
        return f"{self.added} labels added, {self.replaced} replaced, {self.same} as they were"


def merge(labels: Labels, folder: DatasetFolder, hidden: Hidden) -> tuple[DatasetFolder, Merged]:
    """The folder with these labels in place of its own; frames that they do not name stay as they are.

    What the labels' format cannot hold stays, too: a corner that the folder has as hidden, the count, the time.

    Args:
        labels: of images of the folder.
        folder: what they are put into.
        hidden: what the format does to hidden corners.

    Raises:
        InputError: an image is none of the folder's, two are the same frame, or a label breaks a rule.
    """
    names = by_short_name(video.file for video in folder.videos)
    sizes = _sizes(folder)
    old = {(a.video, a.frame_index): a for a in folder.annotations}
    new: dict[tuple[str, int], Annotation] = {}
    same = 0
    for label in labels.labels:
        video, index = _known_frame(label, folder, names)
        frame = video, index
        if frame in new:
            raise InputError(f"{label.where}: frame {index} of {video} is labelled twice: remove one label")
        size = sizes[video] if label.size is None else label.size
        annotation = to_annotation(label, video, index, size)
        if frame in old:
            annotation = _kept(annotation, old[frame], hidden)
            same += _equal(annotation, old[frame])
        new[frame] = annotation
    touched = {video for video, _ in new}
    hold_against_footage(new.values(), {video: folder.sources[video] for video in touched}, labels.base)
    joined = tuple((old | new).values())
    videos = [
        replace(video, cards=video.cards or common_count(video.file, joined))
        if video.file in touched
        else video
        for video in folder.videos
    ]
    added = len(new.keys() - old.keys())
    summary = Merged(added, len(new) - added - same, same)
    return replace(folder, videos=tuple(videos), annotations=joined), summary


def save(merged: DatasetFolder, before: DatasetFolder) -> None:
    """Write the tables of a merged folder, those before kept as .bak; nothing where nothing has changed.

    Raises:
        InputError: a label contradicts videos.csv, or the disk is full; the folder is then as it was.
    """
    old = {(a.video, a.frame_index): a for a in before.annotations}
    changed = [a for a in merged.annotations if old.get((a.video, a.frame_index)) is not a]
    annotations = [a for a in join(merged.videos, changed, merged.root) if not _same(a, old)]
    if not annotations and merged.videos == before.videos:
        return
    table, rows = merged.root / "annotations.json", merged.root / "videos.csv"
    text = put_labels(merged.root, annotations)
    with write_errors(merged.root):
        _keep_spare(table)
        _keep_spare(rows)
    with replace_file(table) as new_table, replace_file(rows) as new_rows:
        new_table.write_text(text, encoding="utf-8")
        write_videos(new_rows, merged.videos)


def _same(new: Annotation, old: Mapping[tuple[str, int], Annotation]) -> bool:
    before = old.get((new.video, new.frame_index))
    return before is not None and _equal(new, before)


def _keep_spare(path: Path) -> None:
    """Copy a file beside itself under a name that is free: <name>.bak, <name>.bak2 and so on."""
    if not path.is_file():
        return
    number = 1
    while (spare := path.with_name(f"{path.name}.bak{'' if number == 1 else number}")).exists():
        number += 1
    shutil.copyfile(path, spare)


def _known_frame(label: Label, folder: DatasetFolder, names: Mapping[str, str]) -> tuple[str, int]:
    """Video and frame of the folder that a label is of."""
    if label.video in folder.sources and label.frame_index is not None:
        return str(label.video), label.frame_index
    name, index = frame_of(label)
    video = names.get(name)
    if video is None:
        raise InputError(
            f"{label.where}: {label.image} belongs to no video of {folder.root}: "
            f"name it <video>_frame_<index>, <video> being one of {_some(names)}"
        )
    return video, index


def _some(names: Mapping[str, str]) -> str:
    shown = sorted({short_name(video) for video in names.values()})
    return ", ".join(shown[:4]) + (", ..." if len(shown) > 4 else "")


def _kept(new: Annotation, old: Annotation, hidden: Hidden) -> Annotation:
    """The new label with what its format cannot hold from the old one."""
    corners, visibility = new.corners, new.visibility
    if hidden is Hidden.AS_VISIBLE:
        visibility = np.where((visibility == VISIBLE) & (old.visibility == HIDDEN), HIDDEN, visibility)
    elif hidden is Hidden.DROPPED:
        kept = (visibility == 0) & (old.visibility == HIDDEN)
        visibility = np.where(kept, HIDDEN, visibility)
        corners = np.where(kept[:, None], old.corners, corners)
    return replace(
        new,
        corners=corners,
        visibility=visibility.astype(np.int8),
        timestamp=old.timestamp if np.isnan(new.timestamp) else new.timestamp,
        cards=old.cards if new.cards is None else new.cards,
    )


def _equal(a: Annotation, b: Annotation) -> bool:
    same = np.array_equal(a.corners, b.corners, equal_nan=True) and a.cards == b.cards
    return bool(same and np.array_equal(a.visibility, b.visibility))


def _sizes(folder: DatasetFolder) -> dict[str, tuple[int, int]]:
    """Width and height of every video's frames, from its labels or, without any, from its footage."""
    sizes = {a.video: (a.width, a.height) for a in folder.annotations}
    for video, source in folder.sources.items():
        if video not in sizes:
            sizes[video] = size_of(source if isinstance(source, Path) else next(iter(source.values())))
    return sizes
