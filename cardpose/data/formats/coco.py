"""COCO keypoints of any tool; those of a dataset folder are in `cardpose.data.labels.coco`."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.json_files import get, identifier, number, read_json, side, whole_number
from cardpose.common.packet import NOT_LABELLED
from cardpose.data.formats.records import Label, Labels, Shot, blank, counted, find_columns, one_packet
from cardpose.data.labels.coco import CATEGORY, dump_coco, image_name, to_coco
from cardpose.data.labels.tables import ANNOTATIONS
from cardpose.data.labels.validate import parse_cards

_SUBSET = re.compile(r"(person_)?(keypoints|instances)_(?P<subset>.+)\.json")
"""CVAT and COCO name a file by its subset, and the folder of its images alike."""
_OTHERS = "left out {} annotations of other categories"
_NO_PACKET = "left out {} annotations that are a crowd, empty or without keypoints"
_GHOSTS = "{} corners have coordinates and visibility 0: read as not labelled"
_UNLABELLED = "left out {} images without a label"


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
    """The labels of a COCO keypoint file, or of the files in a folder, see `find_tables`.

    Raises:
        InputError: no such file, not COCO keypoints, or no category with the eight corners.
    """
    return read_shifted(path, 0.0)


def find_tables(folder: Path) -> list[Path]:
    """The COCO files of a folder, in the layouts of cardpose, COCO, CVAT, Roboflow and Label Studio."""
    for pattern in (
        ANNOTATIONS,
        "annotations/*keypoints*.json",
        "annotations/*.json",
        "_annotations.coco.json",
        "*/_annotations.coco.json",
        "result.json",
    ):
        if found := sorted(path for path in folder.glob(pattern) if not path.name.startswith(".")):
            return found
    others = list(folder.glob("*.json"))
    return others if len(others) == 1 else [folder / ANNOTATIONS]


def read_shifted(path: Path, origin: float) -> Labels:
    """Labels of a tool in whose coordinates the centre of the first pixel is (`origin`, `origin`).

    Raises:
        InputError: see `read`.
    """
    tables = find_tables(path) if path.is_dir() else [path]
    labels: list[Label] = []
    left: Counter[str] = Counter()
    extra: list[str] = []
    for table in tables:
        found, others = _read_table(table, _subset(table, path), origin, left)
        labels += found
        extra += others
    notes = [f"left out keypoints that are no corners: {', '.join(dict.fromkeys(extra))}"] if extra else []
    notes += counted(left)
    base = path if path.is_dir() else _base(path)
    return Labels(tuple(labels), base, tuple(notes))


def _subset(table: Path, root: Path) -> str:
    """The folder of a table's images; "" if they are beside it."""
    if table.parent.name == "annotations" and (match := _SUBSET.fullmatch(table.name)):
        return match["subset"]
    return table.parent.name if root.is_dir() and table.parent != root and table.name.startswith("_") else ""


def _read_table(path: Path, subset: str, origin: float, left: Counter[str]) -> tuple[list[Label], list[str]]:
    """Labels, and keypoints that are no corners; counts in `left` what is left out."""
    document = read_json(path)
    categories, extra = _categories(document, path)
    images: dict[int | str, Any] = {}
    for i, image in enumerate(get(document, "images", list, str(path))):
        number = identifier(image, "id", f"{path}: images[{i}]")
        if number in images:
            raise InputError(f"{path}: images[{i}]: id {number} is taken: give every image its own")
        images[number] = image
    found: dict[int | str, list[Label]] = defaultdict(list)
    for i, record in enumerate(get(document, "annotations", list, str(path))):
        where = f"{path}: annotations[{i}]"
        columns = categories.get(identifier(record, "category_id", where))
        if columns is None:
            left[_OTHERS] += 1
        elif record.get("iscrowd") or not record.get("keypoints"):
            left[_NO_PACKET] += 1
        else:
            label, ghosts = _label(record, columns, images, origin, where)
            found[identifier(record, "image_id", where)].append(replace(label, subset=subset))
            left[_GHOSTS] += ghosts
    labels: list[Label] = []
    for several in found.values():
        kept, empty = one_packet(several)
        labels += kept
        left[_NO_PACKET] += empty
    left[_UNLABELLED] += len(images) - len(found)
    return labels, extra


def _base(path: Path) -> Path:
    """The folder that image paths are relative to: CVAT writes the labels into a folder beside the images."""
    return path.parent.parent if path.parent.name == "annotations" else path.parent


def _categories(document: Any, path: Path) -> tuple[dict[int | str, list[int]], list[str]]:
    """By category, the number of keypoints and the position of each corner; and the names of other keypoints."""
    found: dict[int | str, list[int]] = {}
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
        number = identifier(category, "id", where)
        if found.setdefault(number, [len(names), *columns]) != [len(names), *columns]:
            raise InputError(f"{where}: id {number} is taken: give every category its own")
        extra += others
    if not found:
        named = ", ".join(CATEGORY["keypoints"])  # type: ignore[arg-type]
        raise first_error or InputError(f"{path}: no category has keypoints: name them {named}")
    return found, extra


def _label(
    record: Any, columns: list[int], images: dict[int | str, Any], origin: float, where: str
) -> tuple[Label, int]:
    """A label, and how many of its corners have coordinates but visibility 0."""
    image_id = identifier(record, "image_id", where)
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
    time, index = image.get("timestamp"), None
    if "frame_index" in image:
        index = whole_number(image, "frame_index", where)
    label = Label(
        name,
        where,
        corners,
        visibility,
        size=(side(image.get("width"), "width", where), side(image.get("height"), "height", where)),
        cards=parse_cards(None if cards in (0, "0") else cards, where),  # CVAT's 0: nobody has filled it in
        video=get(image, "video", str, where) if "video" in image else None,
        frame_index=index,
        timestamp=math.nan if time is None else number(time, "timestamp", where),
    )
    return label, int(ghosts)
