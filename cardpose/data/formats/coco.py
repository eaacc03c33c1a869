"""COCO keypoints of any tool; those of a dataset folder are in `cardpose.data.labels.coco`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.json_files import get, number, read_json, side
from cardpose.common.packet import NOT_LABELLED
from cardpose.data.formats.records import Label, Labels, Shot, blank, find_columns
from cardpose.data.labels.coco import CATEGORY, dump_coco, image_name, to_coco
from cardpose.data.labels.tables import ANNOTATIONS
from cardpose.data.labels.validate import parse_cards


def place(video: str, frame_index: int, suffix: str) -> str:
    """Path of the image, the same as `file_name` in annotations.json."""
    return str(Path(image_name(video, frame_index)).with_suffix(suffix))


def write(folder: Path, shots: Sequence[Shot]) -> None:
    """Write annotations.json beside the images."""
    document = to_coco(shot.annotation for shot in shots if shot.annotation)
    labelled = (shot for shot in shots if shot.annotation)
    for image, shot in zip(document["images"], labelled, strict=True):
        image["file_name"] = shot.image
    (folder / ANNOTATIONS).write_text(dump_coco(document), encoding="utf-8")


def read(path: Path) -> Labels:
    """The labels of a COCO keypoint file, or of annotations.json in a folder.

    Raises:
        InputError: no such file, not COCO keypoints, or no category with the eight corners.
    """
    return read_shifted(path / ANNOTATIONS if path.is_dir() else path, 0.0)


def read_shifted(path: Path, origin: float) -> Labels:
    """Labels of a tool in whose coordinates the centre of the first pixel is (`origin`, `origin`).

    Raises:
        InputError: see `read`.
    """
    document = read_json(path)
    categories, extra = _categories(document, path)
    images = {
        get(image, "id", int, f"{path}: images[{i}]"): image
        for i, image in enumerate(get(document, "images", list, str(path)))
    }
    labels, others, ghosts = [], 0, 0
    for i, record in enumerate(get(document, "annotations", list, str(path))):
        where = f"{path}: annotations[{i}]"
        columns = categories.get(get(record, "category_id", int, where))
        if columns is None:
            others += 1
            continue
        label, without = _label(record, columns, images, origin, where)
        labels.append(label)
        ghosts += without
    notes = [f"left out keypoints that are no corners: {', '.join(extra)}"] if extra else []
    if others:
        notes.append(f"left out {others} annotations of other categories")
    if ghosts:
        notes.append(f"{ghosts} corners have coordinates and visibility 0: read as not labelled")
    return Labels(tuple(labels), _base(path), tuple(notes))


def _base(path: Path) -> Path:
    """The folder that image paths are relative to: CVAT writes the labels into a folder beside the images."""
    return path.parent.parent if path.parent.name == "annotations" else path.parent


def _categories(document: Any, path: Path) -> tuple[dict[int, list[int]], list[str]]:
    """By category, the number of keypoints and the position of each corner; and the names of other keypoints."""
    found: dict[int, list[int]] = {}
    extra: list[str] = []
    first_error = None
    for i, category in enumerate(get(document, "categories", list, str(path))):
        where = f"{path}: categories[{i}]"
        names = category.get("keypoints") if isinstance(category, dict) else None
        if not isinstance(names, list) or not names:
            continue
        try:
            columns, others = find_columns(names, where)
        except InputError as error:
            first_error = error
            continue
        found[get(category, "id", int, where)] = [len(names), *columns]
        extra += others
    if not found:
        named = ", ".join(CATEGORY["keypoints"])  # type: ignore[arg-type]
        raise first_error or InputError(f"{path}: no category has keypoints: name them {named}")
    return found, extra


def _label(
    record: Any, columns: list[int], images: dict[int, Any], origin: float, where: str
) -> tuple[Label, int]:
    """A label, and how many of its corners have coordinates but visibility 0."""
    image_id = get(record, "image_id", int, where)
    if image_id not in images:
        raise InputError(f"{where}: image_id {image_id} is not among the images: add it or remove the label")
    image = images[image_id]
    name = get(image, "file_name", str, f"{where}: its image {image_id}")
    where = f"{where} ({name})"
    values = get(record, "keypoints", list, where)
    expected, *order = columns
    if len(values) != 3 * expected:
        raise InputError(f"{where}: keypoints has {len(values)} numbers, not {3 * expected}: correct it")
    corners, visibility = blank()
    ghosts = 0
    for i, column in enumerate(order):
        x, y, seen = (number(value, "a keypoint", where) for value in values[3 * column : 3 * column + 3])
        if seen not in (0, 1, 2):
            raise InputError(f"{where}: a visibility is {seen:g}: write 0, 1 or 2")
        visibility[i] = int(seen)
        if seen == NOT_LABELLED:
            ghosts += (x, y) != (0, 0)
        else:
            corners[i] = np.array([x, y]) - origin
    attributes = record.get("attributes")
    cards = record.get("cards") or (attributes.get("cards") if isinstance(attributes, dict) else None)
    time = image.get("timestamp")
    label = Label(
        name,
        where,
        corners,
        visibility,
        size=(side(image.get("width"), "width", where), side(image.get("height"), "height", where)),
        cards=parse_cards(None if cards in (0, "0") else cards, where),  # CVAT's 0: nobody has filled it in
        video=get(image, "video", str, where) if "video" in image else None,
        frame_index=get(image, "frame_index", int, where) if "frame_index" in image else None,
        timestamp=math.nan if time is None else number(time, "timestamp", where),
    )
    return label, int(ghosts)
