"""Labels and their images as a dataset folder."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import SUFFIXES
from cardpose.common.packet import VISIBLE, Annotation
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.sources import Source, check_footage, frame_size
from cardpose.data.formats.names import flat_name, short_name, split_name
from cardpose.data.formats.records import Format, Hidden, Label, Labels
from cardpose.data.labels.tables import FRAMES, VIDEOS, Video, is_footage_path
from cardpose.data.labels.validate import check_annotation, check_unique


def labels_of(folder: DatasetFolder) -> Labels:
    """The labels of a dataset folder as if they were another tool's."""
    labels = [
        Label(
            image=flat_name(a.video, a.frame_index, ".jpg"),
            where=f"{folder.root}: {a.video} frame {a.frame_index}",
            corners=a.corners.astype(np.float64),
            visibility=a.visibility,
            size=(a.width, a.height),
            cards=a.cards,
            video=a.video,
            frame_index=a.frame_index,
            timestamp=a.timestamp,
        )
        for a in folder.annotations
    ]
    return Labels(tuple(labels), folder.root)


def as_folder(labels: Labels) -> DatasetFolder:
    """A dataset folder of the labelled images, which are where the file says or beside it; writes nothing.

    A video that the file names and that exists stays a video; images become loose frames of the video in their name.

    Raises:
        InputError: an image is missing or unreadable, two images are the same frame, or a label breaks a rule.
    """
    annotations: list[Annotation] = []
    sources: dict[str, Source] = {}
    frames: dict[str, dict[int, Path]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for label in labels.labels:
        footage = _video_file(label, labels.base)
        if footage is not None:
            video, index = f"{VIDEOS}/{footage.name}", label.frame_index or 0
            taken = sources.setdefault(video, footage) != footage
        else:
            footage = _image_file(label, labels.base)
            name, index = frame_of(label)
            video = f"{FRAMES}/{name}"
            taken = frames.setdefault(video, {}).setdefault(index, footage) != footage
        if taken or not is_footage_path(video):
            raise InputError(f"{label.where}: {footage.name} cannot be frame {index} of {video}: rename it")
        size = label.size or sizes.get(video) or frame_size(footage)
        sizes.setdefault(video, size)
        annotations.append(to_annotation(label, video, index, size))
    check_unique(annotations, str(labels.base))
    order = {a.video: i for i, a in reversed(list(enumerate(annotations)))}
    annotations.sort(key=lambda a: (order[a.video], a.frame_index))
    videos = tuple(
        Video(video, common_count(video, annotations)) for video in sorted(order, key=order.__getitem__)
    )
    sources |= {video: dict(sorted(images.items())) for video, images in frames.items()}
    check_footage(sources, annotations, labels.base)
    return DatasetFolder(labels.base, videos, tuple(annotations), sources)


def gaps(labels: Labels, kind: Format, into: bool) -> list[str]:
    """A line for everything that a dataset folder stores and the format does not.

    Args:
        labels: the imported labels.
        kind: their format.
        into: whether they go into an existing folder, which keeps what the format cannot store.
    """
    lines = []
    if kind.hidden is not Hidden.KEPT:
        seen = sum(int((label.visibility == VISIBLE).sum()) for label in labels.labels)
        kept = ", except those that are hidden in the folder" if into else ""
        lines.append(f"does not store hidden corners: {seen} are read as visible{kept}")
    if not kind.cards:
        fix = "videos.csv keeps it" if into else "fill in the column cards of videos.csv"
        lines.append(f"does not store the count: {fix}")
    return lines


def _video_file(label: Label, base: Path) -> Path | None:
    """The video that the file names, if it exists."""
    if label.video is None or label.frame_index is None:
        return None
    name = PurePosixPath(label.video.replace("\\", "/"))
    for path in (base / name, base / name.name):
        if path.suffix.lower() not in SUFFIXES and _is_file(path):
            return path
    return None


def _is_file(path: Path) -> bool:
    """As `Path.is_file`, and False for a name that no file can have."""
    try:
        return path.is_file()
    except OSError:
        return False


def _image_file(label: Label, base: Path) -> Path:
    """The image, at the path in the file or near the file: tools run in folders of their own."""
    name = PurePosixPath(label.image.replace("\\", "/"))
    relative = PurePosixPath(*(part for part in name.parts if part not in ("/", "..")))
    places = [Path(name)] if name.is_absolute() else []
    for folder in (base, base / "images", base / "images" / "default"):
        places += [folder / relative, folder / name.name]
    for path in places:
        if path.suffix.lower() in SUFFIXES and _is_file(path):
            return path
    raise InputError(
        f"{label.where}: the image {label.image} is not beside the labels: put it there, or use into=<folder> "
        "to add the labels to the dataset folder of these images"
    )


def frame_of(label: Label) -> tuple[str, int]:
    """Short name of the video and frame, from the file or from the name of the image."""
    if label.video is not None and label.frame_index is not None:
        parts = PurePosixPath(label.video.replace("\\", "/")).parts
        name = short_name(label.video) if parts[:1] in ((FRAMES,), (VIDEOS,)) else "".join(parts[-1:])
        return name or split_name(label.image)[0], label.frame_index
    return split_name(label.image)


def to_annotation(label: Label, video: str, index: int, size: tuple[int, int]) -> Annotation:
    """The label as a checked `Annotation`; `size` is width and height of the frame.

    Raises:
        InputError: it breaks a rule of `cardpose.data.labels.validate`.
    """
    with np.errstate(over="ignore"):  # becomes infinity, which is refused
        corners = label.corners.astype(np.float32)
    annotation = Annotation(video, index, label.timestamp, *size, corners, label.visibility, label.cards)
    check_annotation(annotation, label.where)
    return annotation


def common_count(video: str, annotations: Sequence[Annotation]) -> int | None:
    """The count of a video if all its labels have the same."""
    counts = {annotation.cards for annotation in annotations if annotation.video == video}
    return counts.pop() if len(counts) == 1 else None
