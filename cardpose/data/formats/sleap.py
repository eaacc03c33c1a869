"""SLEAP: .slp files, through sleap-io (https://io.sleap.ai) of the extra "interop".

A packet is a skeleton of eight nodes; a node that is not visible keeps its coordinates. The count is not stored. Videos
are labelled directly, loose frames as a video of images. A package (.pkg.slp) contains the labelled frames.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import SUFFIXES, read_image, write_image
from cardpose.common.packet import CORNERS, EDGES, HIDDEN, NOT_LABELLED, VISIBLE
from cardpose.data.footage.video import probe
from cardpose.data.formats.names import short_name
from cardpose.data.formats.records import Label, Labels, Shot, blank, counted, find_columns

TABLE = "labels.slp"
_SKELETON = "packet"
_OTHERS = "left out {} instances of other skeletons"
_EMPTY = "left out {} instances without a point"
_UNLABELLED = "left out {} frames labelled by a model only"


def place(video: str, frame_index: int, suffix: str) -> str:
    """Path of the image of a loose frame."""
    return f"frames/{short_name(video)}/{frame_index}{suffix}"


def write(folder: Path, shots: Sequence[Shot]) -> None:
    """Write labels.slp beside the footage.

    Raises:
        InputError: sleap-io is not installed.
    """
    sio = _sleap_io(folder / TABLE)
    skeleton = sio.Skeleton(list(CORNERS), edges=list(EDGES), name=_SKELETON)
    by_video: dict[str, list[Shot]] = {}
    for shot in shots:
        by_video.setdefault(shot.video, []).append(shot)
    frames, videos = [], []
    for own in by_video.values():
        images = [shot.image for shot in own]
        loose = images[0].lower().endswith(SUFFIXES)
        videos.append(_images(sio, folder, images) if loose else _video(sio, folder, images[0]))
        for position, shot in enumerate(own):
            if shot.annotation is None:
                continue
            seen = shot.annotation.visibility
            corners = np.where(seen[:, None] == NOT_LABELLED, np.nan, shot.annotation.corners)
            points = np.column_stack([corners, seen == VISIBLE, seen != NOT_LABELLED])
            instance = sio.Instance.from_numpy(points, skeleton)
            index = position if loose else shot.frame_index
            frames.append(sio.LabeledFrame(video=videos[-1], frame_idx=index, instances=[instance]))
    labels = sio.Labels(labeled_frames=frames, videos=videos, skeletons=[skeleton])
    sio.save_slp(labels, str(folder / TABLE), verbose=False)


def _video(sio: ModuleType, folder: Path, name: str) -> Any:
    info = probe(folder / name)
    shape = [info.num_frames, info.height, info.width, 3]
    about = {"type": "MediaVideo", "filename": name, "shape": shape, "grayscale": False}
    return sio.Video(filename=name, backend_metadata=about, open_backend=False)


def _images(sio: ModuleType, folder: Path, names: list[str]) -> Any:
    shape = [len(names), *read_image(folder / names[0]).shape]
    about = {"type": "ImageVideo", "filename": names[0], "filenames": names, "shape": shape}
    return sio.Video(filename=names, backend_metadata=about | {"grayscale": False}, open_backend=False)


def read(path: Path) -> Labels:
    """The labels set by a person in a .slp file, or in labels.slp of a folder; predictions are skipped.

    Raises:
        InputError: sleap-io is not installed, the file is missing or damaged, or no skeleton has the eight corners.
    """
    if path.is_dir():
        files = list(path.glob("*.slp"))
        path = files[0] if len(files) == 1 else path / TABLE
    sio = _sleap_io(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file: is this SLEAP's labels file?")
    try:
        document = sio.load_slp(str(path), open_videos=False)
        return _labels(document, path)
    except InputError:
        raise
    except Exception as error:  # h5py and sleap-io raise many types for damaged files
        raise _damaged(path, error) from None


def _labels(document: Any, path: Path) -> Labels:
    if not document.skeletons:
        raise InputError(f"{path}: has no skeleton: label some frames first")
    columns: dict[int, tuple[list[int], list[str]]] = {}
    labels: list[Label] = []
    left: Counter[str] = Counter()
    embedded: dict[str, tuple[Any, int]] = {}
    for i, frame in enumerate(document.labeled_frames):
        where = f"{path}: labelled frame {i}"
        found = []
        for instance in frame.user_instances:
            skeleton = instance.skeleton
            if not set(skeleton.node_names) & set(CORNERS):
                left[_OTHERS] += 1
                continue
            if id(skeleton) not in columns:
                columns[id(skeleton)] = find_columns(
                    list(skeleton.node_names), f"{path}: skeleton {skeleton.name}"
                )
            found.append(_label(frame, instance.points, columns[id(skeleton)][0], path, where))
        full = [label for label in found if not label.empty]
        left[_EMPTY] += len(found) - len(full)
        left[_UNLABELLED] += not frame.user_instances
        if len(full) > 1:
            raise InputError(f"{where}: has {len(full)} packets: remove all but one")
        labels += full
        if full and _is_embedded(frame.video):
            embedded[full[0].image] = frame.video, int(frame.frame_idx)
    others = sorted({name for _, names in columns.values() for name in names})
    notes = [f"left out nodes that are no corners: {', '.join(others)}"] if others else []
    notes += counted(left)
    extract = partial(_extract, path, embedded) if embedded else None
    return Labels(tuple(labels), path.parent, tuple(notes), extract)


def _is_embedded(video: Any) -> bool:
    return bool((video.backend_metadata or {}).get("has_embedded_images"))


def _extract(path: Path, embedded: dict[str, tuple[Any, int]], folder: Path) -> None:
    """Write the images of a package to a folder."""
    for name, (video, index) in embedded.items():
        try:
            video.open(filename=str(path))
            image = np.asarray(video[index])
        except Exception as error:  # as in `read`
            raise _damaged(path, error) from None
        write_image(folder / name, np.broadcast_to(image, (*image.shape[:2], 3)))


def _label(frame: Any, points: np.ndarray, order: list[int], path: Path, where: str) -> Label:
    corners, visibility = blank()
    for i, column in enumerate(order):
        x, y = (float(value) for value in points[column]["xy"])
        if np.isnan(x) or np.isnan(y):
            continue
        corners[i] = x, y
        visibility[i] = VISIBLE if points[column]["visible"] else HIDDEN
    index, video = int(frame.frame_idx), frame.video
    inside, names, shape = _is_embedded(video), video.filename, video.shape
    size = (int(shape[2]), int(shape[1])) if shape is not None else None
    if inside:  # a package has the frames that were labelled, under the indices of their video
        dataset = str(video.backend_metadata.get("dataset")).partition("/")[0]
        names = video.source_video.filename if video.source_video else f"{path.stem}_{dataset}"
    if isinstance(names, list):
        if not 0 <= index < len(names):
            raise InputError(f"{where}: is image {index} of {len(names)}: add the image or remove the label")
        name = str(names[index])
        image = str(_inside(name).with_suffix(".png")) if inside else name
        return Label(image, f"{where} ({name})", corners, visibility, size)
    name = str(names)
    image = f"{_inside(name)}/{index}.png" if inside else name
    return Label(image, f"{where} ({name} frame {index})", corners, visibility, size, None, name, index)


def _inside(name: str) -> PurePosixPath:
    """The path of a file, relative and without "..", to be written below another folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return PurePosixPath(*(part for part in parts if part not in ("/", "..")))


def _damaged(path: Path, error: Exception) -> InputError:
    reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
    return InputError(f"{path}: not a complete SLEAP file ({reason}): save it in SLEAP as .slp")


def _sleap_io(path: Path) -> ModuleType:
    try:
        import sleap_io
    except ImportError as error:
        raise InputError(f'{path}: needs sleap-io: pip install -e ".[interop]"') from error
    return sleap_io
