"""Duplicate pictures, near-duplicates across a split, rotated videos, missing counts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cardpose.common.errors import ErrorHandler, collecting_errors
from cardpose.common.images import read_header
from cardpose.common.packet import FrameId
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.sources import Source
from cardpose.data.footage.video import probe
from cardpose.labelling.checks.findings import Finding, Kind

THUMB = (32, 24)
"""Width and height of the thumbnails that are compared, in pixels."""
_BLOCK = 1024  # rows compared at a time


@dataclass(frozen=True)
class Looks:
    """Digests and thumbnails of N labelled frames.

    Args:
        frames: video and index of each.
        digests: hashes of their pixels.
        thumbs: (N, 768) float32, grey levels 0 to 255 of the thumbnails.
    """

    frames: tuple[FrameId, ...]
    digests: tuple[bytes, ...]
    thumbs: np.ndarray


def look(folder: DatasetFolder, tick: Callable[[], object], on_error: ErrorHandler) -> Looks:
    """Read every labelled frame once.

    Args:
        tick: called after each frame.
        on_error: called with each video that cannot be read; its other frames are skipped.
    """
    frames: list[FrameId] = []
    digests, thumbs = [], []
    wanted = defaultdict(list)
    for annotation in folder.annotations:
        wanted[annotation.video].append(annotation.frame_index)
    for video, indices in wanted.items():
        with collecting_errors(on_error):
            for index, image in folder.read_frames(video, indices):
                frames.append((video, index))
                digests.append(hashlib.sha256(image.tobytes()).digest())
                grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
                thumbs.append(cv2.resize(grey, THUMB, interpolation=cv2.INTER_AREA).ravel())
                tick()
    table = np.array(thumbs, np.float32).reshape(len(frames), THUMB[0] * THUMB[1])
    return Looks(tuple(frames), tuple(digests), table)


def check_pictures(
    looks: Looks, duplicate_threshold: float, set_of: Mapping[FrameId, str] | None
) -> list[Finding]:
    """Equal frames, and near-duplicates that a split separates.

    Args:
        duplicate_threshold: RMS difference of two thumbnails, in grey levels, below which they are near-duplicates.
        set_of: the set of each frame in a split; None finds pairs from two videos, which a split by video may separate.
    """
    group = [video if set_of is None else set_of.get((video, i), "") for video, i in looks.frames]
    pairs: dict[tuple[str, str], list[tuple[float, int, int]]] = defaultdict(list)
    for distance, i, j in _near_pairs(looks.thumbs, duplicate_threshold):
        if group[i] != group[j] and group[i] and group[j]:
            pairs[looks.frames[i][0], looks.frames[j][0]].append((distance, i, j))
    findings = _same(looks)
    for (one, other), found in pairs.items():
        distance, i, j = min(found)
        sets = "" if set_of is None else f" ({group[i]} and {group[j]})"
        text = (
            f"like frame {looks.frames[j][1]} of {other}{sets}, {distance:.1f} grey levels apart; "
            f"{len(found)} such pairs of {one} and {other}: keep them in one set of the split"
        )
        findings.append(Finding(Kind.NEAR, text, *looks.frames[i], value=distance))
    return findings


def _near_pairs(thumbs: np.ndarray, threshold: float) -> list[tuple[float, int, int]]:
    """(difference, i, j) with i < j of all pairs below the threshold."""
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a b, in blocks of rows.
    squares = np.square(thumbs, dtype=np.float64).sum(1)
    pairs = []
    for start in range(0, len(thumbs), _BLOCK):
        block = thumbs[start : start + _BLOCK]
        products = block.astype(np.float64) @ thumbs[start:].T.astype(np.float64)
        squared = squares[start : start + _BLOCK, None] + squares[None, start:] - 2 * products
        rms = np.sqrt(np.maximum(squared, 0) / thumbs.shape[1])
        rows, columns = np.nonzero(np.triu(rms < threshold, 1))
        pairs += [
            (float(rms[i, j]), start + i, start + j)
            for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    return pairs


def _same(looks: Looks) -> list[Finding]:
    first: dict[bytes, FrameId] = {}
    findings = []
    for frame, digest in zip(looks.frames, looks.digests, strict=True):
        if digest in first:
            video, index = first[digest]
            findings.append(Finding(Kind.DUPLICATE, f"the same picture as frame {index} of {video}", *frame))
        first.setdefault(digest, frame)
    return findings


def check_videos(folder: DatasetFolder) -> list[Finding]:
    """Frames to label that are gone, videos without a count, rotated ones, those of another orientation than most."""
    findings = [
        Finding(Kind.GONE, "annotations.json lists this frame, but it is not there", *frame)
        for frame in gone(folder)
    ] + [
        Finding(Kind.COUNT, "no count in videos.csv: fill it in where it is known", video.file)
        for video in folder.videos
        if video.cards is None
    ]
    shapes = {
        a.video: "portrait" if a.height > a.width else "landscape" if a.width > a.height else "square"
        for a in folder.annotations
    }
    usual = Counter(shapes.values()).most_common(1)
    for video, source in folder.sources.items():
        turn = _turned(source)
        if turn:
            text = f"{turn}: cardpose applies this; in a tool that does not, the corners are displaced"
            findings.append(Finding(Kind.ROTATED, text, video))
        if video in shapes and shapes[video] != usual[0][0]:
            text = f"its frames are {shapes[video]}, those of most videos {usual[0][0]}: check its rotation"
            findings.append(Finding(Kind.ROTATED, text, video))
    return findings


def gone(folder: DatasetFolder) -> list[FrameId]:
    """The frames without a label that annotations.json lists and the footage does not have."""
    labelled = {annotation.frame_id for annotation in folder.annotations}
    there = {
        video: range(probe(source).num_frames) if isinstance(source, Path) else source
        for video, source in folder.sources.items()
    }
    return [
        (video, index)
        for video, index in folder.listed
        if (video, index) not in labelled and video in there and index not in there[video]
    ]


def _turned(source: Source) -> str:
    """How metadata rotates the footage, in words; "" if not. Of image files only the first is read."""
    if isinstance(source, Path):
        rotation = probe(source).rotation
        return f"metadata rotates it by {rotation} degrees" if rotation else ""
    turned = read_header(next(iter(source.values()))).orientation > 1
    return "EXIF orientation rotates its pictures" if turned else ""


def dataset_of_frame(split: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[FrameId, str]:
    """The set (train, val or test) of each frame of a saved split."""
    return {
        (video, index): name
        for name, videos in split.items()
        for video, indices in videos.items()
        for index in indices
    }
