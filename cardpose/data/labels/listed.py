"""The frames that a dataset folder names to be labelled: images of annotations.json, with an annotation or without."""

import json
from pathlib import Path
from typing import Any

from cardpose.common.errors import InputError
from cardpose.common.json_files import get, read_json
from cardpose.common.packet import Annotation
from cardpose.data.labels.coco import to_coco

FrameKey = tuple[str, int]
"""Name of the video and index of the frame in it."""


def listed_frames(root: Path) -> list[FrameKey]:
    """Video and index of every image in annotations.json, in its order; none where there is no file.

    Raises:
        InputError: the file is no COCO file of a dataset folder.
    """
    path = root / "annotations.json"
    return list(_images(read_json(path), path)) if path.is_file() else []


def put_labels(root: Path, annotations: list[Annotation]) -> str:
    """The text of annotations.json with these labels put in; all else in it stays, unknown keys too.

    Raises:
        InputError: the file is no COCO file of a dataset folder.
    """
    path = root / "annotations.json"
    fresh = to_coco(annotations)
    if not path.is_file():
        return _text(fresh)
    document = read_json(path)
    images = _images(document, path)
    labels = {label.get("image_id"): label for label in get(document, "annotations", list, str(path))}
    next_image = 1 + max((image["id"] for image in images.values()), default=0)
    next_label = 1 + max((get(label, "id", int, str(path)) for label in labels.values()), default=0)
    for image, label in zip(fresh["images"], fresh["annotations"], strict=True):
        old = images.get((image["video"], image["frame_index"]))
        if old is None:
            document["images"].append(image | {"id": next_image})
            old, next_image = document["images"][-1], next_image + 1
        if old["id"] in labels:
            labels[old["id"]].update(label | {key: labels[old["id"]][key] for key in ("id", "image_id")})
        else:
            document["annotations"].append(label | {"id": next_label, "image_id": old["id"]})
            next_label += 1
    return _text(document)


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _images(document: Any, path: Path) -> dict[FrameKey, dict[str, Any]]:
    images: dict[FrameKey, dict[str, Any]] = {}
    for i, image in enumerate(get(document, "images", list, str(path))):
        where = f"{path}: images[{i}]"
        get(image, "id", int, where)
        key = get(image, "video", str, where), get(image, "frame_index", int, where)
        if key in images:
            raise InputError(f"{where}: {key[0]} frame {key[1]} stands there twice: remove one")
        images[key] = image
    return images
