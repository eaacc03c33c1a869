"""A folder of frames to label, and servers on ports of this machine."""

import http.client
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browsing import chromium, serve_in_thread
from labelling_footage import SIZE, drawn_box
from person import PATIENCE, Person

from cardpose.common.images import write_image
from cardpose.data.labels.store import LabelFolder
from cardpose.data.labels.tables import Video
from cardpose.labelling.pictures import Pictures
from cardpose.labelling.proposals import Proposals
from cardpose.labelling.worklist import all_frames

TOKEN = "secret-token-of-the-tests"
VIDEOS, FRAMES = 2, 3


@dataclass
class Answer:
    """What a server says."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Raw requests to a server on this machine; nothing is tidied up on the way."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        """Headers by name with _ for -; a dict is sent as JSON. A write carries the token unless it says otherwise."""
        sent = {"host": f"127.0.0.1:{self.port}"}
        if method not in ("GET", "HEAD"):
            sent["x-cardpose-token"] = TOKEN
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[misc]
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None and "transfer-encoding" not in sent:
                connection.putheader("content-length", str(len(data)))
            connection.endheaders(data, encode_chunked="transfer-encoding" in sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


Serve = Callable[..., Client]


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Two videos of three frames each, no labels; the pictures show boxes, see `drawn_box`."""
    root = tmp_path / "footage"
    root.mkdir()
    with LabelFolder(root, create=True) as folder:
        for number in range(VIDEOS):
            file = f"frames/{number}"
            for index in range(FRAMES):
                write_image(root / file / f"{index}.jpg", drawn_box(number * FRAMES + index)[1])
            folder.add(Video(file, None), [(index, index / 30) for index in range(FRAMES)], SIZE)
    return root


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """serve(root, predictor=None, host="127.0.0.1", ...): a server in a thread; all are stopped at the end."""
    pytest.importorskip("starlette", reason='the page wants pip install -e ".[label]"')
    pytest.importorskip("uvicorn", reason='the page wants pip install -e ".[label]"')
    from cardpose.labelling import app, guard, serve

    stops: list[Callable[[], None]] = []

    def start(
        root: Path, predictor: Any = None, host: str = "127.0.0.1", local: bool | None = None
    ) -> Client:
        folder = LabelFolder(root)
        frames = all_frames(folder)
        pictures = Pictures(folder.root, frames, tmp_path / "cache")
        proposals = Proposals(predictor, pictures, frames) if predictor else None
        session = app.Session(folder, frames, pictures, proposals)
        listener = serve.listen(host, 0)
        port = listener.getsockname()[1]
        local = guard.is_local(host) if local is None else local
        server = serve.server(app.build_app(session, TOKEN, local, port))
        end = serve_in_thread(server, listener)

        def stop() -> None:
            if end():
                folder.close()

        stops.append(stop)
        client = Client(port)
        client.stop = stop  # type: ignore[attr-defined]
        return client

    yield start
    for stop in stops:
        stop()


@pytest.fixture
def page_token() -> Callable[[Client], str]:
    """page_token(client): the token that the page's own HTML holds."""

    def read(client: Client) -> str:
        found = re.search(r'<meta name="token" content="([^"]+)">', client("GET", "/").body.decode())
        assert found
        return found[1]

    return read


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window, once for all tests."""
    found = chromium()
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def person(browser: Any) -> Iterator[Callable[..., Person]]:
    """person(url, **context): somebody at the page; no script may fail."""
    people: list[Person] = []

    def come(url: str, **context: Any) -> Person:
        own = browser.new_context(**{"viewport": {"width": 1100, "height": 760}, **context})
        own.set_default_timeout(1000 * PATIENCE)
        people.append(Person(own, url))
        return people[-1]

    yield come
    for somebody in people:
        somebody.page.context.close()
        assert somebody.errors == []
