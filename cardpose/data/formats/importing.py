"""Labels with their images as a dataset folder."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import SUFFIXES, read_image
from cardpose.common.packet import VISIBLE, Annotation
from cardpose.data.footage.folder import DatasetFolder, Source, check_footage
from cardpose.data.footage.video import probe
from cardpose.data.formats.names import short_name, split_name
from cardpose.data.formats.records import Format, Hidden, Label, Labels
from cardpose.data.labels.tables import FRAMES, VIDEOS, Video, is_footage_path
from cardpose.data.labels.validate import check_annotation, check_unique


def as_folder(labels: Labels) -> DatasetFolder:
    """A dataset folder of the labelled images, which lie where the file says or beside it; nothing is written.

    A video that the file names is kept as one where it is there; images become loose frames of the video that their
    name tells.

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
        size = label.size or sizes.get(video) or size_of(footage)
        sizes.setdefault(video, size)
        annotations.append(to_annotation(label, video, index, size))
    if not annotations:
        raise InputError(f"{labels.base}: holds no label: label some frames first")
    check_unique(annotations, str(labels.base))
    order = {a.video: i for i, a in reversed(list(enumerate(annotations)))}
    annotations.sort(key=lambda a: (order[a.video], a.frame_index))
    videos = tuple(
        Video(video, common_count(video, annotations)) for video in sorted(order, key=order.__getitem__)
    )
    sources |= {video: dict(sorted(images.items())) for video, images in frames.items()}
    hold_against_footage(annotations, sources, labels.base)
    return DatasetFolder(labels.base, videos, tuple(annotations), sources)


def gaps(labels: Labels, kind: Format, into: bool) -> list[str]:
    """A line for everything that a dataset folder holds and the format does not tell.

    Args:
        labels: what was read.
        kind: its format.
        into: whether the labels go into a folder that there is, which keeps what it has of it.
    """
    lines = []
    if kind.hidden is not Hidden.KEPT:
        seen = sum(int((label.visibility == VISIBLE).sum()) for label in labels.labels)
        stay = ", but for those that the folder has as hidden" if into else ""
        lines.append(f"does not tell hidden corners: {seen} are read as visible{stay}")
    if not kind.cards:
        mend = "videos.csv keeps it" if into else "fill in the column cards of videos.csv"
        lines.append(f"does not tell the count: {mend}")
    return lines


def _video_file(label: Label, base: Path) -> Path | None:
    """The video that the file names, where it is there."""
    if label.video is None or label.frame_index is None:
        return None
    name = PurePosixPath(label.video.replace("\\", "/"))
    for path in (base / name, base / name.name):
        if path.suffix.lower() not in SUFFIXES and _is_file(path):
            return path
    return None


def _is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def _image_file(label: Label, base: Path) -> Path:
    """The image, where the file says or near it: tools are run from folders of their own."""
    name = PurePosixPath(label.image.replace("\\", "/"))
    relative = PurePosixPath(*(part for part in name.parts if part not in ("/", "..")))
    places = [Path(name)] if name.is_absolute() else []
    for folder in (base, base / "images", base / "images" / "default"):
        places += [folder / relative, folder / name.name]
    for path in places:
        if path.suffix.lower() in SUFFIXES and _is_file(path):
            return path
    raise InputError(
        f"{label.where}: the image {label.image} is not beside the labels: put it there, or name the dataset "
        "folder that they label with into=<folder>"
    )


def frame_of(label: Label) -> tuple[str, int]:
    """Name of the video and frame, as the file or the image's name tells."""
    if label.video is not None and label.frame_index is not None:
        parts = PurePosixPath(label.video.replace("\\", "/")).parts
        name = short_name(label.video) if parts[:1] in ((FRAMES,), (VIDEOS,)) else "".join(parts[-1:])
        return name or split_name(label.image)[0], label.frame_index
    return split_name(label.image)


def to_annotation(label: Label, video: str, index: int, size: tuple[int, int]) -> Annotation:
    """The label as cardpose's own, checked; `size` is width and height of the frame.

    Raises:
        InputError: it breaks a rule of `cardpose.data.labels.validate`.
    """
    with np.errstate(over="ignore"):  # infinity then, which is refused
        corners = label.corners.astype(np.float32)
    annotation = Annotation(
        video=video,
        frame_index=index,
        timestamp=label.timestamp,
        width=size[0],
        height=size[1],
        corners=corners,
        visibility=label.visibility,
        cards=label.cards,
    )
    check_annotation(annotation, label.where)
    return annotation


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image or of a video's frames."""
    if path.suffix.lower() in SUFFIXES:
        height, width = read_image(path).shape[:2]
        return width, height
    info = probe(path)
    return info.width, info.height


def hold_against_footage(
    annotations: Iterable[Annotation], sources: Mapping[str, Source], base: Path
) -> None:
    """Hold the labels against their footage."""
    by_video: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        by_video[annotation.video].append(annotation)
    for video, source in sources.items():
        check_footage(source, by_video[video], base)


def common_count(video: str, annotations: Sequence[Annotation]) -> int | None:
    """The count of a video, where all its labels have the same."""
    counts = {annotation.cards for annotation in annotations if annotation.video == video}
    return counts.pop() if len(counts) == 1 else None
