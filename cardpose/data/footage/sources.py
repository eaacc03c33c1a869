"""Where the footage of each video of a dataset folder is, and whether its labels fit it."""

import shutil
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from cardpose.common.errors import ErrorHandler, InputError, collecting_errors, raise_error
from cardpose.common.file_names import plain, printable
from cardpose.common.images import SUFFIXES, list_frames, read_image, write_image
from cardpose.common.packet import Annotation
from cardpose.data.footage.media import Kind, kind_of
from cardpose.data.footage.video import probe
from cardpose.data.labels.tables import FRAMES, VIDEO_TABLE, VIDEOS, Video

Source = Path | Mapping[int, Path]
"""The footage of a video: its file, or the image file of each frame."""


def find_sources(root: Path, videos: Sequence[Video], on_error: ErrorHandler) -> dict[str, Source]:
    """The footage of every video; `on_error` is called with each row without footage, and footage without a row."""
    table = root / VIDEO_TABLE
    sources: dict[str, Source] = {}
    for video in videos:
        path = root / video.file
        loose = video.file.startswith(f"{FRAMES}/")
        with collecting_errors(on_error):
            if not (path.is_dir() if loose else path.is_file()):
                raise InputError(f"{table}: {video.file} is not on disk: put it there or remove its row")
            sources[video.file] = list_frames(path) if loose else path
    listed = {video.file for video in videos}
    on_disk = [path for path in sorted((root / VIDEOS).rglob("*")) if path.is_file()]
    on_disk += sorted((root / FRAMES).glob("*"))
    for path in on_disk:
        name = path.relative_to(root).as_posix()
        if name not in listed and not path.name.startswith("."):
            fix = "add one or move it out of the folder" if name == plain(name) else "rename it, then add one"
            on_error(InputError(f"{table}: has no row for {printable(name)}: {fix}"))
    return sources


def copy_footage(path: Path, target: Path) -> None:
    """Copy a file of the footage; makes the folder of `target`.

    Raises:
        InputError: the file is missing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except FileNotFoundError as error:
        raise missing_file(path) from error


def copy_picture(path: Path, target: Path) -> None:
    """Copy a picture to `target` plus its suffix; one that a browser does not show becomes a PNG file.

    Raises:
        InputError: the file is missing or damaged.
    """
    if path.suffix.lower() in SUFFIXES:
        copy_footage(path, target.with_name(target.name + path.suffix))
    else:
        write_image(target.with_name(f"{target.name}.png"), read_image(path))


def frame_size(source: Source) -> tuple[int, int]:
    """Width and height of the frames of a video, or of an image file.

    Raises:
        InputError: the footage cannot be read.
    """
    if not isinstance(source, Path):
        source = next(iter(source.values()))
    if kind_of(source) is Kind.PICTURE:
        height, width = read_image(source).shape[:2]
        return width, height
    info = probe(source)
    return info.width, info.height


def check_footage(
    sources: dict[str, Source],
    annotations: Iterable[Annotation],
    table: Path,
    on_error: ErrorHandler = raise_error,
) -> list[Annotation]:
    """The labels whose frames exist and have the size of the footage, in the order of `sources`.

    Of loose frames only the first is opened; `DatasetFolder.read_frames` checks each one that it reads.

    Args:
        sources: the footage by video; a video that cannot be read is removed.
        table: the file that they are from, for messages.
        on_error: called with each mismatch, whose label is skipped, and each video that cannot be read.

    Raises:
        InputError: what `on_error` raises.
    """
    by_video: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        by_video[annotation.video].append(annotation)
    good: list[Annotation] = []
    for video, source in list(sources.items()):
        with collecting_errors(on_error):
            frames: Container[int]
            if isinstance(source, Path):
                info = probe(source)
                size, frames = (info.width, info.height), range(info.num_frames)
                what = f"the video has {info.num_frames} (0 to {info.num_frames - 1})"
            else:
                size, frames, what = frame_size(source), source, "its image is missing"
            for annotation in by_video[video]:
                where = f"{table}: {video} frame {annotation.frame_index}"
                labelled = annotation.width, annotation.height
                with collecting_errors(on_error):
                    if annotation.frame_index not in frames:
                        raise InputError(
                            f"{where}: no such frame, {what}: remove the label or correct frame_index"
                        )
                    if labelled != size:
                        raise InputError(f"{where}: {wrong_size(labelled, size)}")
                    good.append(annotation)
            continue
        del sources[video]
    return good


def missing_file(path: Path) -> InputError:
    """The error for a file of the footage that has disappeared."""
    return InputError(f"{path}: the file has gone: put it back")


def wrong_size(labelled: tuple[int, int], footage: tuple[int, int]) -> str:
    """How to fix labels of another (width, height) than the footage."""
    turned = labelled == footage[::-1]
    fix = "was labelled without its rotation: turn" if turned else "scale"
    return (
        f"labelled at {labelled[0]}x{labelled[1]}, but the footage is {footage[0]}x{footage[1]}: "
        f"{fix} the corners and correct the size"
    )
