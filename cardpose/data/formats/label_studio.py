"""Label Studio: tasks with keypointlabels in its JSON export, in percent of the image from its outer edge.

A choice per corner is its visibility, a number per image the count: labeling_config.xml declares both beside
the corners, and a project without them can be read, too (https://labelstud.io/tags/keypointlabels).
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import is_image_name
from cardpose.common.json_files import get, number, read_json, side
from cardpose.common.packet import CORNERS, HIDDEN, MAX_CARDS, NOT_LABELLED, VISIBLE, Annotation
from cardpose.data.formats.records import Label, Labels, Shot, blank, corner_index
from cardpose.data.labels.validate import parse_cards

TABLE, CONFIG = "tasks.json", "labeling_config.xml"
_CORNER, _VISIBILITY, _CARDS, _IMAGE = "corner", "visibility", "cards", "image"
_CHOICES = {"visible": VISIBLE, "hidden": HIDDEN}
_NAMES = {seen: name for name, seen in _CHOICES.items()}
_COLOURS = ("#333333", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Okabe and Ito's palette, distinct for any colour vision; dark grey instead of black."""
_POINT = 0.5  # percent, the size of the drawn point
_UPLOADED = re.compile(r"(?<=/)[0-9a-f]{8}-(?=[^/]+$)")  # its prefix of an uploaded file's name


def write(folder: Path, shots: Sequence[Shot]) -> None:
    """Write tasks.json to import, and labeling_config.xml for the project's settings.

    The images are addressed as Label Studio's local files, with `folder` as LOCAL_FILES_DOCUMENT_ROOT.
    """
    tasks = []
    for shot in shots:
        task: dict[str, Any] = {"data": {_IMAGE: f"/data/local-files/?d={quote(shot.image)}"}}
        task["annotations"] = [{"result": _results(shot.annotation)}] if shot.annotation else []
        tasks.append(task)
    (folder / TABLE).write_text(json.dumps(tasks, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    view = _config()
    indent(view)
    ElementTree(view).write(folder / CONFIG, encoding="unicode")


def _results(annotation: Annotation) -> list[dict[str, Any]]:
    size = np.array([annotation.width, annotation.height])
    about = {
        "to_name": _IMAGE,
        "original_width": annotation.width,
        "original_height": annotation.height,
        "image_rotation": 0,
    }
    results: list[dict[str, Any]] = []
    for name, corner, seen in zip(CORNERS, annotation.corners, annotation.visibility, strict=True):
        if seen == NOT_LABELLED:
            continue
        x, y = ((corner.astype(np.float64) + 0.5) / size * 100).tolist()
        value = {"x": x, "y": y, "width": _POINT}
        point = {"id": name, "type": "keypointlabels", "from_name": _CORNER, **about}
        choice = {"id": name, "type": "choices", "from_name": _VISIBILITY, **about}
        results.append({**point, "value": {**value, "keypointlabels": [name]}})
        results.append({**choice, "value": {**value, "choices": [_NAMES[int(seen)]]}})
    if annotation.cards is not None:
        value = {"number": annotation.cards}
        results.append({"id": _CARDS, "type": "number", "from_name": _CARDS, **about, "value": value})
    return results


def _config() -> Element:
    """The labelling interface of the project."""
    view = Element("View")
    SubElement(view, "Image", name=_IMAGE, value=f"${_IMAGE}", zoom="true", zoomControl="true")
    corners = SubElement(view, "KeyPointLabels", name=_CORNER, toName=_IMAGE, strokeWidth="2")
    for name, colour in zip(CORNERS, _COLOURS, strict=True):
        SubElement(corners, "Label", value=name, background=colour, maxUsages="1")
    choices = SubElement(view, "Choices", name=_VISIBILITY, toName=_IMAGE, perRegion="true")
    for choice in _CHOICES:
        SubElement(choices, "Choice", value=choice)
    SubElement(view, "Number", name=_CARDS, toName=_IMAGE, min="1", max=str(MAX_CARDS), step="1")
    return view


def read(path: Path) -> Labels:
    """The labels of a JSON export, or of tasks.json in a folder.

    Raises:
        InputError: no such file, not a JSON export with keypointlabels, or an unknown corner.
    """
    path = path / TABLE if path.is_dir() else path
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise InputError(f"{path}: is not a list of tasks: export the project as JSON")
    labels, unlabelled, several = [], 0, 0
    for i, task in enumerate(tasks):
        where = f"{path}: task {i}"
        done = _annotations(task, where)
        if not done:
            unlabelled += 1
            continue
        several += len(done) > 1
        image = _image(get(task, "data", dict, where), where)
        best = [a for a in done if isinstance(a, dict) and a.get("ground_truth")] or done
        labels.append(_label(get(best[-1], "result", list, where), image, f"{where} ({image})"))
    notes = []
    if unlabelled:
        notes.append(f"left out {unlabelled} images without a label")
    if several:
        notes.append(
            f"{several} images have several annotations: the ground truth is used, else the last one"
        )
    return Labels(tuple(labels), path.parent, tuple(notes))


def _annotations(task: Any, where: str) -> list[Any]:
    """The annotations of a task that were not cancelled and are not empty."""
    if isinstance(task, dict) and "annotations" not in task:
        raise InputError(f"{where}: has no annotations: export the project as JSON, not as JSON-MIN")
    annotations = get(task, "annotations", list, where)
    return [
        a for a in annotations if not isinstance(a, dict) or (a.get("result") and not a.get("was_cancelled"))
    ]


def _image(data: Mapping[str, Any], where: str) -> str:
    """The path of the task's image under any key: a path, a URL, or the URL of a local file."""
    for value in data.values():
        if not isinstance(value, str):
            continue
        try:
            address = urlsplit(value)
        except ValueError:
            continue
        local = parse_qs(address.query).get("d")
        image = local[0] if local else unquote(address.path)
        if is_image_name(Path(image)):
            return (_UPLOADED.sub("", image) if "/upload/" in image else image).lstrip("/")
    raise InputError(f"{where}: its data names no image: import images")


def _label(results: list[Any], image: str, where: str) -> Label:
    corners, visibility = blank()
    size: tuple[int, int] | None = None
    cards: object = None
    choices: dict[str, str] = {}
    points: dict[str, int] = {}
    for result in results:
        kind = get(result, "type", str, where)
        if kind == "keypointlabels":
            i, region, size, corners[i] = _point(result, where)
            if visibility[i] != NOT_LABELLED:
                raise InputError(f"{where}: {CORNERS[i]} is there twice: remove one")
            visibility[i], points[region] = VISIBLE, i
        elif kind == "choices" and result.get("from_name") == _VISIBILITY:
            value = get(result, "value", dict, where)
            choices[get(result, "id", str, where)] = _choice(get(value, "choices", list, where), where)
        elif kind == "number" and result.get("from_name") == _CARDS:
            cards = get(get(result, "value", dict, where), "number", (int, float), where)
    for region, choice in choices.items():
        if region in points:
            visibility[points[region]] = _CHOICES[choice]
    return Label(image, where, corners, visibility, size, parse_cards(cards, where))


def _point(result: dict[str, Any], where: str) -> tuple[int, str, tuple[int, int], np.ndarray]:
    """Corner, region, image size and position of a keypoint."""
    value = get(result, "value", dict, where)
    names = get(value, "keypointlabels", list, where)
    if len(names) != 1:
        raise InputError(f"{where}: a keypoint has {len(names)} labels: give it one")
    if result.get("image_rotation"):
        raise InputError(f"{where}: was rotated in Label Studio: rotate it back and label it again")
    width, height = (side(result.get(key), key, where) for key in ("original_width", "original_height"))
    at = [number(value.get(axis), f"{names[0]} {axis}", where) for axis in ("x", "y")]
    pixels = np.array(at) / 100 * np.array([width, height]) - 0.5
    return corner_index(names[0], where), get(result, "id", str, where), (width, height), pixels


def _choice(choices: list[Any], where: str) -> str:
    if len(choices) != 1 or choices[0] not in tuple(_CHOICES):
        raise InputError(f"{where}: visibility is {choices!r:.60}: choose {' or '.join(_CHOICES)}")
    return str(choices[0])
