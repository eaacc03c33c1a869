"""Labels and their images as a dataset folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path, PurePosixPath

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.file_names import plain, printable
from cardpose.common.packet import VISIBLE, Annotation
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.media import Kind, kind_of
from cardpose.data.footage.sources import Source, check_footage, frame_size
from cardpose.data.formats.names import Named, distinct, flat_name, read_name, short_name
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
    """A dataset folder of the labelled images, which lie where the file names them or beside it; writes nothing.

    A video that the file names and that exists stays a video; images become loose frames of the video in their name.

    Raises:
        InputError: an image is missing or unreadable, belongs to two labels, two images are the same frame, or a label
            breaks a rule.
    """
    annotations: list[Annotation] = []
    sources: dict[str, Source] = {}
    frames: dict[str, dict[int, Path]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    owners: dict[tuple[Path, int], tuple[str, int]] = {}
    find = Finder(labels)
    for label, (name, index) in zip(labels.labels, name_frames(labels), strict=True):
        footage, name = find.video(label), plain(name)
        if footage is not None:
            video = f"{VIDEOS}/{name}"
            taken = sources.setdefault(video, footage) != footage
        else:
            footage = find.image(label)
            video = f"{FRAMES}/{name}"
            taken = frames.setdefault(video, {}).setdefault(index, footage) != footage
        if taken or not is_footage_path(video):
            raise InputError(f"{label.where}: {footage.name} cannot be frame {index} of {video}: rename it")
        place = (footage, index if video in sources else 0)
        if owners.setdefault(place, (video, index)) != (video, index):
            raise InputError(
                f"{label.where}: {footage} is also the image of {owners[place][0]} frame {owners[place][1]}: "
                "put each image where the file names it"
            )
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


class Finder:
    """Finds the footage of labels at the path in the file or near the file: tools run in folders of their own.

    Args:
        labels: all labels; a file is looked for by its name alone only if no other label has an image of that name.
    """

    def __init__(self, labels: Labels) -> None:
        self._base, self._images_inside = labels.base, labels.extract is not None
        paths = {_path(label.image, label.subset) for label in labels.labels}
        paths |= {_path(label.video) for label in labels.labels if label.video}
        self._ends = Counter(path.name for path in paths)

    def video(self, label: Label) -> Path | None:
        """The video that the file names, if it exists."""
        if self._images_inside or label.video is None or label.frame_index is None:
            return None
        return self._first(_path(label.video), [self._base], Kind.VIDEO)

    def image(self, label: Label) -> Path:
        """The image; for a name without a suffix, such as CVAT's frame_000000, the one image that has another.

        Raises:
            InputError: there is none.
        """
        base, images = self._base, self._base / "images"
        subset = [images / label.subset, base / label.subset] if label.subset else []
        found = self._first(_path(label.image), [*subset, base, images, images / "default"], Kind.PICTURE)
        if found is None:
            raise InputError(
                f"{label.where}: the image {label.image} is not beside the labels: put it there, export with images, "
                "or use --into FOLDER to add the labels to the dataset folder of these images"
            )
        return found

    def _first(self, name: PurePosixPath, folders: Sequence[Path], kind: Kind) -> Path | None:
        relative = PurePosixPath(*(part for part in name.parts if part not in ("/", "..")))
        names = [relative, PurePosixPath(name.name)] if self._ends[name.name] == 1 else [relative]
        places = [Path(name)] if name.is_absolute() else []
        places += [folder / one for folder in folders for one in names]
        if not name.suffix and name.name:
            places = [
                other for path in places for other in sorted(path.parent.glob(f"{escape(path.name)}.*"))
            ]
        return next((path for path in places if _is_file(path) and kind_of(path) is kind), None)


def _is_file(path: Path) -> bool:
    """As `Path.is_file`, and False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _path(text: str, subset: str = "") -> PurePosixPath:
    path = PurePosixPath(text.replace("\\", "/"))
    return subset / path if subset else path


def name_frames(labels: Labels) -> list[tuple[str, int]]:
    """Short name of the video and frame of each label, from the file or from the name of the image.

    Two videos never share a name: `a/clip.mp4` and `b/clip.mp4` become `a__clip.mp4` and `b__clip.mp4`.
    """
    named = [_named(label) for label in labels.labels]
    names = distinct(one.folders for one in named)
    return [(names[one.folders], one.frame) for one in named]


def naming_notes(labels: Labels) -> list[str]:
    """Lines about what was taken for frames of one video, and what for a video of its own, by the names alone."""
    named = [_named(label) for label in labels.labels]
    names = distinct(one.folders for one in named)
    groups = Counter(names[one.folders] for one in named if one.guessed)
    single = [names[one.folders] for one in named if one.is_single]
    lines = []
    if groups:
        shown = ", ".join(f"{name} ({count} images)" for name, count in list(groups.items())[:5])
        more = ", ..." if len(groups) > 5 else ""
        lines.append(f"taken for frames of one video, since a number names them: {printable(shown)}{more}")
    if single:
        shown = ", ".join(single[:3]) + (", ..." if len(single) > 3 else "")
        lines.append(
            f"{len(single)} images are each taken for a video of its own ({printable(shown)}): name those of one video "
            "<video>_frame_<index>"
        )
    return lines


def _named(label: Label) -> Named:
    if label.video is not None and label.frame_index is not None:
        parts = [part for part in _path(label.video).parts if part not in ("/", "..")]
        if parts[:1] in ([FRAMES], [VIDEOS]) and len(parts) > 1:
            return Named((short_name("/".join(parts)),), label.frame_index)
        if parts:
            return Named(tuple(parts), label.frame_index)
        return _named(replace(label, video=None))._replace(frame=label.frame_index)
    return read_name(str(_path(label.image, label.subset)))


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
