"""CVAT: "CVAT for images 1.1" (XML) read and written, and its "COCO Keypoints 1.0" read.

A packet is a skeleton with eight points and an attribute `cards`, 0 if unknown; `outside` is not labelled, `occluded`
is hidden (https://docs.cvat.ai/docs/other/xml_format). CVAT rounds its exports to 0.01 pixel.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.json_files import number, side
from cardpose.common.packet import CORNERS, EDGES, HIDDEN, MAX_CARDS, NOT_LABELLED, VISIBLE, Annotation
from cardpose.data.formats.coco import read_shifted
from cardpose.data.formats.records import Label, Labels, Shot, blank, corner_index
from cardpose.data.labels.validate import parse_cards

TABLE, LABELS = "annotations.xml", "labels.json"
ORIGIN = 0.5
"""Coordinate of the centre of the first pixel in CVAT."""
_SKELETON = "packet"
_FLAGS = {"0": False, "1": True}


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
    """The labels of annotations.xml, of a folder that contains it, or of CVAT's COCO keypoints (.json).

    Raises:
        InputError: no such file, not XML, no skeletons of the eight corners, or a video task's export.
    """
    if path.is_dir():
        path = path / TABLE
    if path.suffix.lower() == ".json":
        return read_shifted(path, ORIGIN)
    root = _parse(path)
    if root.find("track") is not None:
        raise InputError(f'{path}: is "CVAT for video": export the task as "CVAT for images 1.1"')
    labels, unlabelled = [], 0
    for i, image in enumerate(root.iter("image")):
        name = image.get("name") or ""
        where = f"{path}: image {i} ({name})"
        skeletons = [skeleton for skeleton in image.findall("skeleton") if _is_packet(skeleton)]
        if len(skeletons) > 1:
            raise InputError(f"{where}: has {len(skeletons)} packets: remove all but one")
        if not skeletons:
            _check_no_bare_points(image, where)
            unlabelled += 1
            continue
        labels.append(_label(image, skeletons[0], name, where))
    notes = [f"left out {unlabelled} images without a label"] if unlabelled else []
    return Labels(tuple(labels), path.parent, tuple(notes))


def _parse(path: Path) -> Element:
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file: is this CVAT's export?") from error
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not complete XML ({reason}): export it again") from error
    if root.tag != "annotations":
        raise InputError(f'{path}: is not a "CVAT for images 1.1" export: choose that format in CVAT')
    return root


def _is_packet(skeleton: Element) -> bool:
    return any(points.get("label") in CORNERS for points in skeleton.iter("points"))


def _check_no_bare_points(image: Element, where: str) -> None:
    """Raise if corners belong to no skeleton: they would be lost."""
    if any(points.get("label") in CORNERS for points in image.iter("points")):
        raise InputError(f"{where}: has points outside a skeleton: label with the skeleton of {LABELS}")


def _label(image: Element, skeleton: Element, name: str, where: str) -> Label:
    if not name:
        raise InputError(f"{where}: has no name: export it again")
    size = (side(image.get("width"), "width", where), side(image.get("height"), "height", where))
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
    return Label(name, where, corners, visibility, size, parse_cards("" if text == "0" else text, where))


def _flag(points: Element, key: str, where: str) -> bool:
    text = points.get(key, "0")
    if text not in _FLAGS:
        raise InputError(f"{where}: {key} is {text!r:.60}: write 0 or 1")
    return _FLAGS[text]
