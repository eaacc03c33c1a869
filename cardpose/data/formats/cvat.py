"""CVAT: "CVAT for images 1.1" (XML) read and written; "CVAT for video 1.1" and "COCO Keypoints 1.0" read.

A packet is a skeleton with eight points and an attribute `cards`, 0 if unknown; `outside` is not labelled, `occluded`
is hidden (https://docs.cvat.ai/docs/other/xml_format). CVAT rounds its exports to 0.01 pixel.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.json_files import number, side, whole_number
from cardpose.common.packet import CORNERS, EDGES, HIDDEN, MAX_CARDS, NOT_LABELLED, VISIBLE, Annotation
from cardpose.data.formats.coco import find_tables, read_shifted
from cardpose.data.formats.records import Label, Labels, Shot, blank, corner_index, counted, one_packet
from cardpose.data.labels.validate import parse_cards

TABLE, LABELS = "annotations.xml", "labels.json"
ORIGIN = 0.5
"""Coordinate of the centre of the first pixel in CVAT."""
_SKELETON = "packet"
_FLAGS = {"0": False, "1": True}
_FRAME = re.compile(r"frame_(\d{1,9})(?!\d)")
_SIDE = re.compile(r"[0-9]{1,7}")
_UNLABELLED = "left out {} images without a label"
_EMPTY = "left out {} second skeletons without a corner"
_OUTSIDE = "left out {} frames in which the packet is outside"
_BETWEEN = "{} labels lie between key frames: CVAT has interpolated them"


def write(folder: Path, shots: Sequence[Shot]) -> None:
    """Write annotations.xml, and labels.json for the raw view of CVAT's label constructor."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    SubElement(task, "mode").text = "annotation"
    for i, shot in enumerate(shots):
        image = SubElement(root, "image", id=str(i), name=Path(shot.image).name)
        if shot.annotation:
            image.set("width", str(shot.annotation.width))
            image.set("height", str(shot.annotation.height))
            image.append(_skeleton(shot.annotation))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(folder / TABLE, encoding="utf-8", xml_declaration=True)
    (folder / LABELS).write_text(json.dumps([constructor()], indent=1) + "\n", encoding="utf-8")


def _skeleton(annotation: Annotation) -> Element:
    skeleton = Element("skeleton", label=_SKELETON, source="manual", z_order="0")
    labelled = annotation.visibility != NOT_LABELLED
    middle = annotation.corners[labelled].mean(0) if labelled.any() else np.zeros(2)
    for name, corner, seen in zip(CORNERS, annotation.corners, annotation.visibility, strict=True):
        at = corner if seen != NOT_LABELLED else middle  # CVAT requires coordinates for those, too
        x, y = (repr(float(value) + ORIGIN) for value in at)
        outside, occluded = str(int(seen == NOT_LABELLED)), str(int(seen == HIDDEN))
        about = {"label": name, "source": "manual", "outside": outside, "occluded": occluded}
        SubElement(skeleton, "points", about, points=f"{x},{y}")
    SubElement(skeleton, "attribute", name="cards").text = str(annotation.cards or 0)
    return skeleton


def constructor() -> dict[str, object]:
    """The label for CVAT's constructor: a skeleton drawn on a canvas of 100 by 100."""
    x = {"left": 25, "right": 75}
    y = {("upper", "back"): 20, ("upper", "face"): 35, ("lower", "back"): 65, ("lower", "face"): 80}
    at = [(x[column], y[row, side]) for row, column, side in (name.split("_") for name in CORNERS)]
    lines = [
        f'<line x1="{at[i][0]}" y1="{at[i][1]}" x2="{at[j][0]}" y2="{at[j][1]}" stroke="black" '
        f'data-type="edge" data-node-from="{i + 1}" stroke-width="0.5" data-node-to="{j + 1}"></line>'
        for i, j in EDGES
    ]
    nodes = [
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{cx}" cy="{cy}" stroke-width="0.1" '
        f'data-type="element node" data-element-id="{i + 1}" data-node-id="{i + 1}" data-label-name="{name}">'
        "</circle>"
        for i, (name, (cx, cy)) in enumerate(zip(CORNERS, at, strict=True))
    ]
    cards = {
        "name": "cards",
        "input_type": "number",
        "mutable": True,
        "values": ["0", str(MAX_CARDS), "1"],
        "default_value": "0",
    }
    return {
        "name": _SKELETON,
        "type": "skeleton",
        "attributes": [cards],
        "sublabels": [{"name": name, "type": "points", "attributes": []} for name in CORNERS],
        "svg": "".join(lines + nodes),
    }


def read(path: Path) -> Labels:
    """The labels of annotations.xml, of CVAT's COCO keypoints (.json), or of the folder of an export.

    The frames of a task of a video are frames of its video, whose name stands in the XML only.

    Raises:
        InputError: no such file, not XML, or no skeletons of the eight corners.
    """
    path = _table(path) if path.is_dir() else path
    if path.is_dir() or path.suffix.lower() == ".json":
        return read_shifted(path, ORIGIN)
    root = _parse(path)
    videos = _videos(root)
    if root.find("image") is None:
        return _read_tracks(root, videos, path)
    labels: list[Label] = []
    left: Counter[str] = Counter()
    for i, image in enumerate(root.iter("image")):
        name = image.get("name") or ""
        where = f"{path}: image {i} ({name})"
        skeletons = [skeleton for skeleton in image.findall("skeleton") if _is_packet(skeleton)]
        if not skeletons:
            _check_no_bare_points(image, where)
            left[_UNLABELLED] += 1
            continue
        size = (side(image.get("width"), "width", where), side(image.get("height"), "height", where))
        found, empty = one_packet([_label(skeleton, name, size, where) for skeleton in skeletons])
        left[_EMPTY] += empty
        if len(found) > 1:
            raise InputError(f"{where}: has {len(found)} packets: remove all but one")
        video, number = videos.get(image.get("task_id", "")), _FRAME.match(PurePosixPath(name).name)
        if video is not None and number:
            found = [replace(found[0], video=video.name, frame_index=int(number[1]))]
        labels.append(replace(found[0], subset=image.get("subset", "")))
    return Labels(tuple(labels), path.parent, tuple(counted(left)))


def _table(folder: Path) -> Path:
    """The XML file of an export, or the folder itself if it contains COCO keypoints."""
    if any((folder / name).is_file() for name in ("task.json", "project.json")):
        raise InputError(f"{folder}: is a backup of CVAT: choose Export dataset, CVAT for images 1.1")
    tables = [table for table in find_tables(folder) if table.is_file()]
    if (folder / TABLE).is_file() or not tables:
        return folder / TABLE
    if all(table.name.startswith("instances_") for table in tables):
        raise InputError(f"{tables[0]}: is COCO without keypoints: export as COCO Keypoints 1.0")
    return folder


class _Video(NamedTuple):
    """A task made of a video: the name of its video, and the size of its frames."""

    name: str
    size: tuple[int, int]


def _videos(root: Element) -> dict[str, _Video]:
    """The tasks made of a video by id, "" for the only one; where two videos share a name, the id stands before it."""
    meta = root.find("meta")
    tasks = [] if meta is None else [*meta.iter("task"), *meta.iter("job")]
    found = {}
    for task in tasks:
        size = task.find("original_size")
        source = (task.findtext("source") or "").strip()
        if source and task.findtext("mode", "interpolation") == "interpolation":
            sides = [] if size is None else [size.findtext(key, "0").strip() for key in ("width", "height")]
            width, height = (int(text) if _SIDE.fullmatch(text) else 0 for text in sides or "00")
            found[task.findtext("id", "").strip()] = _Video(source, (width, height))
    names = [video.name for video in found.values()]
    for task_id, video in found.items():
        if names.count(video.name) > 1:
            found[task_id] = video._replace(name=f"{task_id}/{video.name}")
    return found | {"": next(iter(found.values()))} if len(tasks) == 1 and found else found


def _read_tracks(root: Element, videos: dict[str, _Video], path: Path) -> Labels:
    """The labels of "CVAT for video": a skeleton for each frame of each track."""
    found: dict[tuple[str, int], list[Label]] = defaultdict(list)
    left: Counter[str] = Counter()
    for track in root.findall("track"):
        task = track.get("task_id", "")
        for skeleton in track.findall("skeleton"):
            if not _is_packet(skeleton):
                continue
            where = f"{path}: track {track.get('id')} frame {skeleton.get('frame')}"
            frame = whole_number(dict(skeleton.attrib), "frame", where)
            if task not in videos:
                raise InputError(
                    f'{where}: "CVAT for video" of a task of images does not name them: export the task as '
                    '"CVAT for images 1.1"'
                )
            name, size = videos[task]
            label = _label(skeleton, f"frame_{frame:06d}", size, where)
            if label.empty or _flag(skeleton, "outside", where):
                left[_OUTSIDE] += 1
                continue
            left[_BETWEEN] += skeleton.get("keyframe") == "0"
            subset = track.get("subset", "")
            found[task, frame].append(replace(label, video=name, frame_index=frame, subset=subset))
    for (_, frame), several in found.items():
        if len(several) > 1:
            raise InputError(f"{path}: frame {frame} has {len(several)} packets: remove all but one")
    labels = [found[place][0] for place in sorted(found)]
    return Labels(tuple(labels), path.parent, tuple(counted(left)))


def _parse(path: Path) -> Element:
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file: is this CVAT's export?") from error
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not complete XML ({reason}): export it again") from error
    if root.tag != "annotations":
        raise InputError(f'{path}: is XML, but not of CVAT: export as "CVAT for images 1.1"')
    return root


def _is_packet(skeleton: Element) -> bool:
    return any(points.get("label") in CORNERS for points in skeleton.iter("points"))


def _check_no_bare_points(image: Element, where: str) -> None:
    """Raise if corners belong to no skeleton: they would be lost."""
    if any(points.get("label") in CORNERS for points in image.iter("points")):
        raise InputError(f"{where}: has points outside a skeleton: label with the skeleton of {LABELS}")


def _label(skeleton: Element, name: str, size: tuple[int, int], where: str) -> Label:
    """The label of a skeleton; a width of 0 is unknown."""
    if not name:
        raise InputError(f"{where}: has no name: export it again")
    corners, visibility = blank()
    given: set[int] = set()
    for points in skeleton.iter("points"):
        i = corner_index(points.get("label"), where)
        if i in given:
            raise InputError(f"{where}: {CORNERS[i]} is there twice: remove one")
        given.add(i)
        if _flag(points, "outside", where):
            continue
        visibility[i] = HIDDEN if _flag(points, "occluded", where) else VISIBLE
        numbers = (points.get("points") or "").split(",")
        if len(numbers) != 2:
            raise InputError(f"{where}: {CORNERS[i]} has no single point: place it again")
        corners[i] = [number(value, CORNERS[i], where) - ORIGIN for value in numbers]
    counts = [a.text for a in skeleton.findall("attribute") if a.get("name") == "cards"]
    text = (counts[0] or "").strip() if counts else ""
    cards = parse_cards("" if text == "0" else text, where)
    return Label(name, where, corners, visibility, size if all(size) else None, cards)


def _flag(points: Element, key: str, where: str) -> bool:
    text = points.get(key, "0")
    if text not in _FLAGS:
        raise InputError(f"{where}: {key} is {text!r:.60}: write 0 or 1")
    return _FLAGS[text]
