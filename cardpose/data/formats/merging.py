"""Labels into an existing dataset folder: other labels, footage and everything else in its tables stay."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import HIDDEN, VISIBLE, Annotation, FrameId
from cardpose.data.footage.folder import DatasetFolder, join
from cardpose.data.footage.sources import check_footage, frame_size
from cardpose.data.formats.importing import common_count, name_frames, to_annotation
from cardpose.data.formats.names import by_short_name, short_name
from cardpose.data.formats.records import Hidden, Label, Labels
from cardpose.data.labels.store import LabelFolder


@dataclass(frozen=True)
class Merged:
    """How many labels were new, replaced another label, or were the same."""

    added: int
    replaced: int
    same: int

    def __str__(self) -> str:
        return f"{self.added} labels added, {self.replaced} replaced, {self.same} as they were"


def merge(labels: Labels, folder: DatasetFolder, hidden: Hidden) -> Merged:
    """Write labels into a dataset folder; its other frames stay as they are. Writes nothing if nothing changes.

    What the format of the labels cannot store is kept: a corner that is hidden in the folder, the count, the time. The
    previous tables are kept as .bak.

    Args:
        labels: of images of the folder.
        folder: the folder, as it was read.
        hidden: what the format does to hidden corners.

    Raises:
        InputError: an image does not belong to the folder, two are the same frame, a label breaks a rule or contradicts
            videos.csv, or the disk is full; the folder is then unchanged.
    """
    names = by_short_name(video.file for video in folder.videos)
    sizes = {a.video: (a.width, a.height) for a in folder.annotations}
    old = {a.frame_id: a for a in folder.annotations}
    new: dict[FrameId, Annotation] = {}
    for label, named in zip(labels.labels, name_frames(labels), strict=True):
        video, index = frame = _known_frame(label, named, folder, names)
        if frame in new:
            raise InputError(f"{label.where}: frame {index} of {video} is labelled twice: remove one label")
        if label.size is None and video not in sizes:
            sizes[video] = frame_size(folder.sources[video])
        annotation = to_annotation(label, video, index, label.size or sizes[video])
        new[frame] = _keep(annotation, old[frame], hidden) if frame in old else annotation
    touched = {video for video, _ in new}
    check_footage({video: folder.sources[video] for video in touched}, new.values(), labels.base)
    joined = tuple((old | new).values())
    videos = [
        replace(video, cards=video.cards or common_count(video.file, joined))
        if video.file in touched
        else video
        for video in folder.videos
    ]
    changed = [a for a in join(videos, new.values(), folder.root) if not _equal(a, old.get(a.frame_id))]
    if changed or tuple(videos) != folder.videos:
        with LabelFolder(folder.root) as opened:
            opened.put_labels(changed, videos)
    added, same = len(new.keys() - old.keys()), sum(_equal(a, old.get(frame)) for frame, a in new.items())
    return Merged(added, len(new) - added - same, same)


def _known_frame(
    label: Label, named: tuple[str, int], folder: DatasetFolder, names: Mapping[str, str]
) -> FrameId:
    """The frame of the folder that a label belongs to."""
    if label.video in folder.sources and label.frame_index is not None:
        return str(label.video), label.frame_index
    name, index = named
    video = names.get(name)
    if video is None:
        shown = sorted({short_name(video) for video in names.values()})
        cvat = PurePosixPath(label.image).name.startswith("frame_")
        fix = 'export it as "CVAT for images 1.1", which names the video, or name' if cvat else "name"
        raise InputError(
            f"{label.where}: {label.image} belongs to no video of {folder.root}: {fix} it <video>_frame_<index>, "
            f"<video> being one of {', '.join(shown[:4])}{', ...' if len(shown) > 4 else ''}"
        )
    return video, index


def _keep(new: Annotation, old: Annotation, hidden: Hidden) -> Annotation:
    """The new label, with what its format cannot store taken from the old one."""
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


def _equal(a: Annotation, b: Annotation | None) -> bool:
    if b is None or a.cards != b.cards:
        return False
    return bool(
        np.array_equal(a.corners, b.corners, equal_nan=True) and np.array_equal(a.visibility, b.visibility)
    )
