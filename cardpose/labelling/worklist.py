"""The frames to label and their order."""

import json
from pathlib import Path
from typing import Any

from cardpose.common.errors import InputError
from cardpose.common.files import check_is_file
from cardpose.common.images import list_frames
from cardpose.common.packet import FrameId
from cardpose.data.labels.store import LabelFolder
from cardpose.data.labels.tables import FRAMES, read_table


def all_frames(folder: LabelFolder) -> list[FrameId]:
    """Every frame listed in annotations.json and every image file of frames/, by video and index.

    Raises:
        InputError: there is none, or a folder of frames is missing or damaged.
    """
    listed = folder.listed()
    indices: dict[str, set[int]] = {video.file: set() for video in folder.videos}
    for video, index in listed:
        indices[video].add(index)
    for video in indices:
        path = folder.root / video
        if video.startswith(f"{FRAMES}/") and path.is_dir():
            indices[video] |= set(list_frames(path))
    frames = [(video, index) for video, found in indices.items() for index in sorted(found)]
    if not frames:
        raise InputError(f"{folder.root}: has no frame to label: cardpose subsample selects some")
    return frames


def read_worklist(path: Path, folder: LabelFolder) -> list[FrameId]:
    """Read a list of frames, in its order and without duplicates: JSON or CSV with `video` and `frame_index`.

    Raises:
        InputError: the file does not exist, is not such a list or is empty, or a video is not in the folder.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    videos = {video.file for video in folder.videos}
    frames: dict[FrameId, None] = {}
    for where, video, index in rows:
        if video not in videos:
            raise InputError(f"{where}: {video!r:.80} is not in videos.csv of {folder.root}: correct it")
        if not (index.isascii() and index.isdigit() and len(index) < 10):
            raise InputError(f"{where}: frame_index is {index!r:.40}: write a whole number from 0")
        frames[video, int(index)] = None
    if not frames:
        raise InputError(f"{path}: lists no frame: remove --frames to label all")
    return list(frames)


def _csv_rows(path: Path) -> list[tuple[str, str, str]]:
    return [
        (f"{path} row {row}", cells["video"], cells["frame_index"])
        for row, cells in read_table(path, ("video", "frame_index"))
    ]


def _json_rows(path: Path) -> list[tuple[str, str, str]]:
    check_is_file(path)
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}): write the list again") from error
    if isinstance(content, dict):
        content = content.get("frames")
    if not isinstance(content, list):
        raise InputError(f"{path}: is not a list of frames: expected [{{video, frame_index}}, ...]")
    rows = []
    for number, row in enumerate(content):
        where = f"{path}: frame {number}"
        if not (isinstance(row, dict) and isinstance(row.get("video"), str) and "frame_index" in row):
            raise InputError(f"{where}: has no video and frame_index: add them")
        rows.append((where, row["video"], str(row["frame_index"])))
    return rows
