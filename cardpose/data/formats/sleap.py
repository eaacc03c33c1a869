"""SLEAP: .slp files, through sleap-io (https://io.sleap.ai) of the extra "interop".

A packet is a skeleton of eight nodes; a node that is not visible keeps its coordinates. The count is not stored. Videos
are labelled directly, loose frames as a video of images.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import SUFFIXES, read_image
from cardpose.common.packet import CORNERS, EDGES, HIDDEN, NOT_LABELLED, VISIBLE
from cardpose.data.footage.video import probe
from cardpose.data.formats.names import short_name
from cardpose.data.formats.records import Label, Labels, Shot, blank, find_columns

TABLE = "labels.slp"
_SKELETON = "packet"


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
    path = path / TABLE if path.is_dir() else path
    sio = _sleap_io(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file: is this SLEAP's labels file?")
    try:
        document = sio.load_slp(str(path), open_videos=False)
        return _labels(document, path)
    except InputError:
        raise
    except Exception as error:  # h5py and sleap-io raise many types for damaged files
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise InputError(f"{path}: not a complete SLEAP file ({reason}): save it again") from None


def _labels(document: Any, path: Path) -> Labels:
    if not document.skeletons:
        raise InputError(f"{path}: has no skeleton: label some frames first")
    columns = {
        id(skeleton): find_columns(list(skeleton.node_names), f"{path}: skeleton {skeleton.name}")
        for skeleton in document.skeletons
    }
    others = sorted({name for _, names in columns.values() for name in names})
    notes = [f"left out nodes that are no corners: {', '.join(others)}"] if others else []
    labels, unlabelled = [], 0
    for i, frame in enumerate(document.labeled_frames):
        where = f"{path}: labelled frame {i}"
        instances = frame.user_instances
        if len(instances) > 1:
            raise InputError(f"{where}: has {len(instances)} packets: remove all but one")
        if not instances:
            unlabelled += 1
            continue
        order, _ = columns[id(instances[0].skeleton)]
        labels.append(_label(frame, instances[0].points, order, where))
    if unlabelled:
        notes.append(f"left out {unlabelled} frames labelled by a model only")
    return Labels(tuple(labels), path.parent, tuple(notes))


def _label(frame: Any, points: np.ndarray, order: list[int], where: str) -> Label:
    corners, visibility = blank()
    for i, column in enumerate(order):
        x, y = (float(value) for value in points[column]["xy"])
        if np.isnan(x) or np.isnan(y):
            continue
        corners[i] = x, y
        visibility[i] = VISIBLE if points[column]["visible"] else HIDDEN
    index, names = int(frame.frame_idx), frame.video.filename
    shape = frame.video.shape
    size = (int(shape[2]), int(shape[1])) if shape is not None else None
    if isinstance(names, list):
        if not 0 <= index < len(names):
            raise InputError(f"{where}: is image {index} of {len(names)}: add the image or remove the label")
        return Label(str(names[index]), f"{where} ({names[index]})", corners, visibility, size)
    video = str(names)
    return Label(video, f"{where} ({video} frame {index})", corners, visibility, size, None, video, index)


def _sleap_io(path: Path) -> ModuleType:
    try:
        import sleap_io
    except ImportError as error:
        raise InputError(f'{path}: needs sleap-io: pip install -e ".[interop]"') from error
    return sleap_io
