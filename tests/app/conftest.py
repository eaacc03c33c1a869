"""A page with a tiny model, served on this machine, and browsers with a file as camera."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browsing import chromium, serve_in_thread

from cardpose.app.model import PageModel
from cardpose.app.site import RUNTIME, Site
from cardpose.common.packet import CORNERS
from cardpose.fusion.settings import FusionConfig
from cardpose.geometry.boxes import fit_frames

PAGE = Path(__file__).parents[2] / "cardpose" / "app"
SIZE = (192, 256)
CARDS = 23.0
PATIENCE = 20.0
"""Seconds after which what should have come has not."""


def box_corners(thickness: float = 8.0) -> np.ndarray:
    """Corners (8, 2) of a packet in pixels of the network's image, seen from an angle."""
    rough = np.array(
        [[70, 60], [150, 50], [70, 52], [150, 42], [90, 130], [190, 115], [90, 120], [190, 105]], float
    )
    boxes = fit_frames(rough[None], np.ones((1, 8)), np.array([[256, 192]]), 30)
    return boxes.corners[0]


def tiny_model() -> bytes:
    """An ONNX file: a bright image has a packet of 23 cards, a darker one two of its corners, a dark one none."""
    onnx = pytest.importorskip("onnx", reason='the page wants pip install -e ".[app]"')
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: Any) -> Any:
        return numpy_helper.from_array(np.array(values, np.float32), name)

    constants = [
        constant("where", box_corners()[None]),
        constant("eight", np.array([[1.5, 1.5, *[1] * 6]]) / 255),
        constant("count", [CARDS]),
        constant("deviation", [1.0]),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["grey"], keepdims=0),
        helper.make_node("Mul", ["grey", "eight"], ["confidence"]),
        helper.make_node("Identity", ["confidence"], ["visibility"]),
        helper.make_node("Identity", ["where"], ["corners"]),
        helper.make_node("Identity", ["count"], ["cards"]),
        helper.make_node("Identity", ["deviation"], ["cards_std"]),
    ]
    shapes = {
        "corners": (1, 8, 2),
        "confidence": (1, 8),
        "visibility": (1, 8),
        "cards": (1,),
        "cards_std": (1,),
    }
    outputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in shapes.items()]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 3, *SIZE))
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def about() -> dict[str, Any]:
    interval = {"floor": 1.0, "slope": 0.0, "noise": 0.0, "videos": 9}
    fusion = FusionConfig().__dict__
    return {"size": list(SIZE), "keypoints": list(CORNERS), "interval": interval, "fusion": dict(fusion)}


@pytest.fixture(scope="session")
def model() -> PageModel:
    return PageModel(tiny_model(), about())


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """serve(site, compress=False): its address; `serve.stop()` stops the last, and all stop at the end."""
    pytest.importorskip("starlette", reason='the page wants pip install -e ".[app]"')
    pytest.importorskip("uvicorn", reason='the page wants pip install -e ".[app]"')
    from cardpose.app.server import build_app
    from cardpose.labelling import serve

    stops: list[Callable[[], bool]] = []

    def start(site: Site, compress: bool = False) -> str:
        listener = serve.listen("127.0.0.1", 0)
        server = serve.server(build_app(site, compress))
        stop = serve_in_thread(server, listener)
        stops.append(stop)
        start.stop = stop  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for stop in stops:
        stop()


@pytest.fixture(scope="session")
def site(model: PageModel) -> Site:
    if not (PAGE / "vendor" / RUNTIME).is_file():
        pytest.skip("no ONNX Runtime Web here: run make app")
    return Site(model)


@pytest.fixture(scope="session")
def url(serve: Callable[[Site], str], site: Site) -> str:
    return serve(site)


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Films for the camera: bright frames show a packet to the tiny model, dark ones none."""
    folder = tmp_path_factory.mktemp("camera")
    files = {}
    for name, grey in (("packet", 230), ("dark", 10)):
        files[name] = folder / f"{name}.mjpeg"
        picture = cv2.imencode(".jpg", np.full((480, 640, 3), grey, np.uint8))[1].tobytes()
        files[name].write_bytes(picture * 5)
    return files


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    found = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with found.sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def launch(playwright: Any, footage: dict[str, Path]) -> Iterator[Callable[[str | None], Any]]:
    """launch(film): Chromium with that film as its camera, or with none; one each for all tests."""
    program = chromium()
    browsers: dict[str | None, Any] = {}

    def start(film: str | None) -> Any:
        if film not in browsers:
            fake = [
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={footage.get(film or '')}",
            ]
            args = ["--no-sandbox", *(fake if film else [])]
            browsers[film] = playwright.chromium.launch(executable_path=program, args=args)
        return browsers[film]

    yield start
    for browser in browsers.values():
        browser.close()


class Phone:
    """Somebody at the page.

    Args:
        context: of a browser.
        url: of the page.
    """

    def __init__(self, context: Any, url: str) -> None:
        self.context, self.page = context, context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        context.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)

    def until(self, seen: Callable[[], Any]) -> Any:
        """Wait for something to be true; the page's policy forbids Playwright's own waiting."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := seen():
                return found
            self.page.wait_for_timeout(20)
        raise AssertionError(f"waited in vain; the page says {self.page.inner_text('body')!r}")

    def text(self, name: str) -> str:
        return self.page.inner_text(f"#{name}")

    def ready(self) -> "Phone":
        self.until(lambda: " ms " in self.text("engine"))
        return self

    def watches(self, grey: int) -> "Phone":
        """A camera before a surface of `grey`, which `page.evaluate("grey = ...")` changes; `asked` for as listed."""
        self.page.evaluate(
            """(first) => {
              window.grey = first;
              window.asked = [];
              navigator.mediaDevices.getUserMedia = async ({ video }) => {
                asked.push(video);
                const canvas = document.createElement("canvas");
                Object.assign(canvas, { width: 640, height: 480 });
                const context = canvas.getContext("2d");
                setInterval(() => {
                  context.fillStyle = `rgb(${grey} ${grey} ${grey})`;
                  context.fillRect(0, 0, 640, 480);
                }, 50);
                return canvas.captureStream();
              };
            }""",
            grey,
        )
        return self

    def counts(self) -> "Phone":
        """Start the camera and wait for a settled count."""
        self.ready().page.click("#camera")
        self.until(lambda: "sure" in self.text("detail"))
        return self


@pytest.fixture
def phone(launch: Callable[[str | None], Any], url: str) -> Iterator[Callable[..., Phone]]:
    """phone(film="packet", at=None, **context): somebody at the page; no script may fail."""
    people: list[Phone] = []

    def come(film: str | None = "packet", at: str = "", camera: bool = True, **context: Any) -> Phone:
        options = {"viewport": {"width": 360, "height": 640}, "locale": "en-GB", **context}
        own = launch(film).new_context(permissions=["camera"] if camera else [], **options)
        own.set_default_timeout(1000 * PATIENCE)
        people.append(Phone(own, at or url))
        return people[-1]

    yield come
    for person in people:
        person.context.close()
        assert person.errors == []


@pytest.fixture(scope="session")
def node() -> Callable[[str, Any], Any]:
    """node(script, input): what an ES module prints as JSON, run in cardpose/app/page with `input` as its input."""
    import subprocess

    program = shutil.which("node")
    if program is None:
        pytest.skip("no Node on this machine")

    def run(script: str, given: Any) -> Any:
        head = "import { readFileSync } from 'node:fs'; const input = JSON.parse(readFileSync(0, 'utf8'));\n"
        done = subprocess.run(
            [program, "--input-type=module", "-e", head + script],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            cwd=PAGE / "page",
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
