"""annotations.json: COCO keypoints (https://cocodataset.org/#format-data) plus video, frame, time and count.

Images have the additional keys `video`, `frame_index` and `timestamp` (seconds, null if unknown), annotations the key
`cards`; other COCO readers ignore them. Floats are written with the digits that restore the same float32 corner and the
same float64 timestamp. An image without an annotation is a frame to label.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file, sync
from cardpose.common.json_files import get, read_json, whole_number
from cardpose.common.json_files import number as finite_number
from cardpose.common.packet import CORNERS, EDGES, NOT_LABELLED, NUM_CORNERS, Annotation
from cardpose.data.labels.tables import ANNOTATIONS, VIDEO_TABLE, Video, write_videos
from cardpose.data.labels.validate import check_annotation, check_frame, parse_cards

CATEGORY = {
    "id": 1,
    "name": "packet",
    "supercategory": "cards",
    "keypoints": list(CORNERS),
    "skeleton": [[i + 1, j + 1] for i, j in EDGES],
}

Json = dict[str, Any]

MAX_SECONDS = 1e6
"""Of a timestamp; longer than any recording."""


def image_name(video: str, frame_index: int) -> str:
    """Path of a frame's image in the dataset folder; for a frame of a video, where it would be extracted to.

    >>> image_name("frames/52", 20), image_name("videos/52.mp4", 20)
    ('frames/52/20.jpg', 'frames/52.mp4/20.jpg')
    """
    return f"frames/{video.partition('/')[2]}/{frame_index}.jpg"


def _box(corners: np.ndarray) -> tuple[list[float], float]:
    """COCO's bbox [x, y, width, height] of the (n, 2) labelled corners, and its area."""
    if len(corners) == 0:
        return [0.0, 0.0, 0.0, 0.0], 0.0
    (x0, y0), (x1, y1) = corners.min(axis=0).astype(float), corners.max(axis=0).astype(float)
    box = [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)]
    return box, round(box[2] * box[3], 3)


def to_coco(annotations: Iterable[Annotation]) -> Json:
    """The COCO document of `annotations`; ids count from 1 in their order."""
    images, labels = [], []
    for number, annotation in enumerate(annotations, start=1):
        labelled = annotation.visibility != NOT_LABELLED
        corners = np.where(labelled[:, None], annotation.corners, 0).astype(np.float32)
        keypoints: list[float] = []
        for (x, y), seen in zip(corners, annotation.visibility, strict=True):
            keypoints += [
                float(str(x)),
                float(str(y)),
                int(seen),
            ]  # str() of a float32: its shortest exact digits
        box, area = _box(annotation.corners[labelled])
        size = annotation.width, annotation.height
        images.append(image_record(number, *annotation.frame_id, annotation.timestamp, *size))
        labels.append(
            {
                "id": number,
                "image_id": number,
                "category_id": CATEGORY["id"],
                "keypoints": keypoints,
                "num_keypoints": int(labelled.sum()),
                "bbox": box,
                "area": area,
                "iscrowd": 0,
                "cards": annotation.cards,
            }
        )
    info = {"description": "cardpose dataset folder", "version": "1"}
    return {"info": info, "images": images, "annotations": labels, "categories": [CATEGORY]}


def image_record(
    image_id: int, video: str, frame_index: int, timestamp: float, width: int, height: int
) -> Json:
    """The record of a frame in `images`; a timestamp of NaN is written as null."""
    return {
        "id": image_id,
        "file_name": image_name(video, frame_index),
        "width": width,
        "height": height,
        "video": video,
        "frame_index": frame_index,
        "timestamp": None if math.isnan(timestamp) else timestamp,
    }


def write_tables(root: Path, document: Json, videos: Sequence[Video]) -> None:
    """Write annotations.json and videos.csv atomically, and sync them to disk.

    Raises:
        InputError: the disk is full; both files are then unchanged.
    """
    with replace_file(root / ANNOTATIONS) as labels, replace_file(root / VIDEO_TABLE) as rows:
        labels.write_text(dump_coco(document), encoding="utf-8")
        write_videos(rows, videos)
        sync(labels)
        sync(rows)
    sync(root)


def dump_coco(document: Json) -> str:
    """The document as text with one line per image and per annotation, so that a diff shows what changed.

    >>> print(dump_coco({"info": {}, "images": [{"id": 1}, {"id": 2}]}), end="")
    {
    "info": {},
    "images": [
    {"id": 1},
    {"id": 2}
    ]
    }
    """

    def value(item: Any) -> str:
        if not (isinstance(item, list) and item and isinstance(item[0], dict)):
            return json.dumps(item, allow_nan=False)
        return "[\n" + ",\n".join(json.dumps(record, allow_nan=False) for record in item) + "\n]"

    return "{\n" + ",\n".join(f"{json.dumps(key)}: {value(item)}" for key, item in document.items()) + "\n}\n"


def read_document(path: Path) -> tuple[Json, dict[int, Json]]:
    """Read annotations.json and check its category; returns the document and its images by id.

    Raises:
        InputError: the file is missing, not JSON, or not a COCO keypoint file of packets.
    """
    document = read_json(path, "label some frames first")
    _check_categories(get(document, "categories", list, str(path)), path)
    images: dict[int, Json] = {}
    for i, image in enumerate(get(document, "images", list, str(path))):
        image_id = image["id"] = whole_number(image, "id", f"{path}: images[{i}]")
        if image_id in images:
            raise InputError(f"{path}: images[{i}]: id {image_id!r:.20} is taken: give every image its own")
        images[image_id] = image
    get(document, "annotations", list, str(path))
    return document, images


def _check_categories(categories: list[Any], path: Path) -> None:
    if len(categories) != 1:
        raise InputError(f"{path}: {len(categories)} categories: keep one, 'packet'")
    names = get(categories[0], "keypoints", list, f"{path}: categories[0]")
    if names != list(CORNERS):
        raise InputError(
            f"{path}: the category's keypoints are not in cardpose's order: use {', '.join(CORNERS)}"
        )


def frame_of(image: Json, where: str) -> tuple[str, int, float, int, int]:
    """Video, frame index, timestamp (NaN if unknown), width and height of an image record.

    Raises:
        InputError: one is missing, of the wrong type, or cannot be.
    """
    timestamp = image.get("timestamp")
    index, width, height = (get(image, key, int, where) for key in ("frame_index", "width", "height"))
    check_frame(index, width, height, where)
    seconds = math.nan if timestamp is None else _seconds(timestamp, where)
    return get(image, "video", str, where), index, seconds, width, height


def _seconds(timestamp: Any, where: str) -> float:
    seconds = finite_number(timestamp, "timestamp", where)
    if abs(seconds) > MAX_SECONDS:
        raise InputError(
            f"{where}: timestamp is {seconds:g}: write seconds from the start of the video, or null"
        )
    return seconds


def from_coco(label: Json, images: dict[int, Json], where: str) -> Annotation:
    """The checked label of one record of `annotations`; `images` is keyed by id.

    Raises:
        InputError: it breaks a rule of `cardpose.data.labels.validate`; `where` begins the message.
    """
    image_id = label["image_id"] = whole_number(label, "image_id", where)
    if image_id not in images:
        raise InputError(
            f"{where}: image_id {image_id!r:.20} is not among the images: add the image or remove the label"
        )
    video, frame_index, timestamp, width, height = frame_of(
        images[image_id], f"{where}: its image {image_id}"
    )
    where = f"{where} ({video} frame {frame_index})"
    corners, visibility = _keypoints(get(label, "keypoints", list, where), where)
    cards = parse_cards(label.get("cards"), where)
    annotation = Annotation(video, frame_index, timestamp, width, height, corners, visibility, cards)
    check_annotation(annotation, where)
    return annotation


def _keypoints(values: list[Any], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Corners (8, 2) float32, NaN if not labelled, and visibility (8,) int8, from COCO's 24 numbers."""
    if len(values) != 3 * NUM_CORNERS:
        raise InputError(
            f"{where}: keypoints has {len(values)} numbers, not {3 * NUM_CORNERS}: "
            f"write x, y and visibility of {NUM_CORNERS} corners"
        )
    if not all(type(value) in (int, float) for value in values):
        raise InputError(f"{where}: keypoints holds something that is no number: correct it")
    try:
        table = np.asarray(values, dtype=np.float64).reshape(NUM_CORNERS, 3)
    except OverflowError:
        raise InputError(f"{where}: keypoints holds a number that is too large: correct it") from None
    seen = table[:, 2]
    if not np.isin(seen, (0, 1, 2)).all():
        raise InputError(
            f"{where}: a visibility is not 0 (not labelled), 1 (hidden) or 2 (visible): correct it"
        )
    blank = (seen == NOT_LABELLED) & (table[:, :2] == 0).all(axis=1)
    corners = np.where(blank[:, None], np.nan, table[:, :2]).astype(np.float32)
    return corners, seen.astype(np.int8)
