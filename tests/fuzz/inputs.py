"""A small whole input of each kind, to be damaged."""

import json
import os
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from cardpose.common.images import write_image
from cardpose.common.packet import VISIBLE, Annotation
from cardpose.convert import convert
from cardpose.data.footage.folder import Video, write_folder
from cardpose.data.formats.known import FORMATS
from cardpose.models import checkpoints
from cardpose.models.from_config import end_to_end
from tests.tiny_network import NETWORK

OLD = Path(__file__).parents[1] / "fixtures" / "v0_1_0"


class Inputs:
    """A small whole input of each kind, in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = _footage(root / "footage")
        self.checkpoint = _checkpoint(root / "best.ckpt")
        self.pictures = _pictures(root / "pictures")
        self.videos = _videos(root / "videos")
        self.split = root / "split.json"
        videos = [f"frames/{cards:02d}_cards" for cards in (4, 9)]
        self.split.write_text(json.dumps({"train": {}, "val": {}, "test": dict.fromkeys(videos, "all")}))
        self.exported = {}
        self.onnx = Path(shutil.copy(OLD / "model.onnx", root))
        self.runs = _runs(root / "runs")
        for tool in FORMATS:
            try:
                with redirect_stdout(None), redirect_stderr(open(os.devnull, "w")):
                    convert(self.folder, to=tool, out=root / "exports" / tool)
            except Exception:  # an extra is not installed
                continue
            self.exported[tool] = root / "exports" / tool


def _footage(root: Path) -> Path:
    """Two packets of three frames each, all corners labelled."""
    videos, annotations = [], []
    for cards in (4, 9):
        name = f"frames/{cards:02d}_cards"
        videos.append(Video(name, cards, {"deck": "bicycle"}))
        for index in (0, 3, 7):
            corners = np.array(
                [[20, 15], [44, 15], [20, 12], [44, 12], [14, 36], [50, 36], [14, 32], [50, 32]], float
            )
            visibility = np.full(8, VISIBLE, np.int8)
            write_image(root / name / f"{index}.jpg", np.full((48, 64, 3), 20 * index, np.uint8))
            label = Annotation(
                name, index, float("nan"), 64, 48, corners.astype(np.float32), visibility, cards
            )
            annotations.append(label)
    write_folder(root, videos, annotations)
    return root


def _runs(root: Path) -> Path:
    """Two finished runs of a training, without their checkpoints."""
    for number in range(2):
        run = root / str(number)
        shutil.copytree(OLD / "run", run, ignore=shutil.ignore_patterns("*.ckpt"))
        scores = {"test/card_mae": 3.5 + number, "val/card_mae": 3.25}
        (run / "metrics.json").write_text(json.dumps(scores))
        (run / "cost.json").write_text(json.dumps({"seconds": 9.5, "parameters": 900}))
    return root


def _checkpoint(path: Path) -> Path:
    """A tiny network drawn at random."""
    torch.manual_seed(0)
    weights = {f"net.{key}": value for key, value in end_to_end(NETWORK).net.state_dict().items()}
    torch.save({"state_dict": weights, checkpoints.KEY: checkpoints.describe(NETWORK, {})}, path)
    return path


def _pictures(root: Path) -> Path:
    root.mkdir()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    for suffix in ("jpg", "png", "webp", "tif", "bmp", "avif"):
        image.save(root / f"a.{suffix}")
    image.save(root / "b.gif", save_all=True, append_images=[image.rotate(90)])
    return root


def _videos(root: Path) -> Path:
    root.mkdir()
    for name, codec in (
        ("04_cards.mp4", "libx264"),
        ("9.mkv", "libx264"),
        ("a.avi", "mpeg4"),
        ("b.ts", "mpeg2video"),
    ):
        with av.open(str(root / name), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(8):
                grey = np.full((48, 64, 3), 20 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
            container.mux(stream.encode())
    return root
