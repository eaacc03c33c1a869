"""Dataset folders to break, and what breaks them."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from cardpose.data.footage.folder import DatasetFolder, write_folder


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny folder, to break."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "footage"))


@pytest.fixture
def loose(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny folder with loose frames instead of videos."""
    source = DatasetFolder.read(tiny_folder)
    root = tmp_path / "loose"
    names = {video.file: f"frames/{Path(video.file).stem}" for video in source.videos}
    for video, name in names.items():
        (root / name).mkdir(parents=True)
        own = [a.frame_index for a in source.annotations if a.video == video]
        for index, image in source.read_frames(video, own):
            cv2.imwrite(str(root / name / f"{index}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_folder(
        root,
        [replace(video, file=names[video.file]) for video in source.videos],
        [replace(a, video=names[a.video], timestamp=math.nan) for a in source.annotations],
    )
    return root


@pytest.fixture
def edit_json() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """edit_json(root, change) applies `change` to the document of annotations.json."""

    def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
        path = root / "annotations.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return edit


@pytest.fixture
def edit_rows() -> Callable[[Path, Callable[[list[str]], object]], None]:
    """edit_rows(root, change) applies `change` to the lines of videos.csv, the header being 0."""

    def edit(root: Path, change: Callable[[list[str]], object]) -> None:
        path = root / "videos.csv"
        rows = path.read_text().splitlines()
        change(rows)
        path.write_text("\n".join(rows) + "\n")

    return edit
