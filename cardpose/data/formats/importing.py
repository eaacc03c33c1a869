"""Labels with their images as a dataset folder, or into one that there is."""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from cardpose.data.files import replace_file, write_errors
from cardpose.data.folder import DatasetFolder, Source, check_footage, join
from cardpose.data.formats.names import by_short_name, short_name, split_name
from cardpose.data.formats.records import Format, Hidden, Label, Labels
from cardpose.data.images import SUFFIXES, read_image
from cardpose.data.listed import put_labels
from cardpose.data.tables import FRAMES, VIDEOS, Video, is_footage_path, write_videos
from cardpose.data.validate import check_annotation, check_unique
from cardpose.data.video import probe
from cardpose.errors import InputError
from cardpose.packet import HIDDEN, VISIBLE, Annotation


@dataclass(frozen=True)
class Merged:
    """What putting labels into a folder did: labels that were new, that replaced another, and that were the same."""

    added: int
    replaced: int
    same: int

    def __str__(self) -> str:
        return f"{self.added} labels added, {self.replaced} replaced, {self.same} as they were"


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
            name, index = _frame_of(label)
            video = f"{FRAMES}/{name}"
            taken = frames.setdefault(video, {}).setdefault(index, footage) != footage
        if taken or not is_footage_path(video):
            raise InputError(f"{label.where}: {footage.name} cannot be frame {index} of {video}: rename it")
        size = label.size or sizes.get(video) or _size(footage)
        sizes.setdefault(video, size)
        annotations.append(_annotation(label, video, index, size))
    if not annotations:
        raise InputError(f"{labels.base}: holds no label: label some frames first")
    check_unique(annotations, str(labels.base))
    order = {a.video: i for i, a in reversed(list(enumerate(annotations)))}
    annotations.sort(key=lambda a: (order[a.video], a.frame_index))
    videos = tuple(
        Video(video, _common_count(video, annotations)) for video in sorted(order, key=order.__getitem__)
    )
    sources |= {video: dict(sorted(images.items())) for video, images in frames.items()}
    _check(annotations, sources, labels.base)
    return DatasetFolder(labels.base, videos, tuple(annotations), sources)


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
        annotation = _annotation(label, video, index, size)
        if frame in old:
            annotation = _kept(annotation, old[frame], hidden)
            same += _equal(annotation, old[frame])
        new[frame] = annotation
    touched = {video for video, _ in new}
    _check(new.values(), {video: folder.sources[video] for video in touched}, labels.base)
    joined = tuple((old | new).values())
    videos = [
        replace(video, cards=video.cards or _common_count(video.file, joined))
        if video.file in touched
        else video
        for video in folder.videos
    ]
    added = len(new.keys() - old.keys())
    summary = Merged(added, len(new) - added - same, same)
    return replace(folder, videos=tuple(videos), annotations=joined), summary


def gaps(labels: Labels, kind: Format) -> list[str]:
    """A line for everything that a dataset folder holds and the format does not tell."""
    lines = []
    if kind.hidden is not Hidden.KEPT:
        seen = sum(int((label.visibility == VISIBLE).sum()) for label in labels.labels)
        lines.append(f"does not tell hidden corners: {seen} are read as visible")
    if not kind.cards:
        lines.append("does not tell the count: it is what videos.csv says, fill in its column cards")
    return lines


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


def _frame_of(label: Label) -> tuple[str, int]:
    """Name of the video and frame, as the file or the image's name tells."""
    if label.video is not None and label.frame_index is not None:
        parts = PurePosixPath(label.video.replace("\\", "/")).parts
        name = short_name(label.video) if parts[:1] in ((FRAMES,), (VIDEOS,)) else "".join(parts[-1:])
        return name or split_name(label.image)[0], label.frame_index
    return split_name(label.image)


def _known_frame(label: Label, folder: DatasetFolder, names: Mapping[str, str]) -> tuple[str, int]:
    """Video and frame of the folder that a label is of."""
    if label.video in folder.sources and label.frame_index is not None:
        return str(label.video), label.frame_index
    name, index = _frame_of(label)
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


def _annotation(label: Label, video: str, index: int, size: tuple[int, int]) -> Annotation:
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
            sizes[video] = _size(source if isinstance(source, Path) else next(iter(source.values())))
    return sizes


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an image or of a video's frames."""
    if path.suffix.lower() in SUFFIXES:
        height, width = read_image(path).shape[:2]
        return width, height
    info = probe(path)
    return info.width, info.height


def _check(annotations: Iterable[Annotation], sources: Mapping[str, Source], base: Path) -> None:
    """Hold the labels against their footage."""
    by_video: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        by_video[annotation.video].append(annotation)
    for video, source in sources.items():
        check_footage(source, by_video[video], base)


def _common_count(video: str, annotations: Sequence[Annotation]) -> int | None:
    """The count of a video, where all its labels have the same."""
    counts = {annotation.cards for annotation in annotations if annotation.video == video}
    return counts.pop() if len(counts) == 1 else None
