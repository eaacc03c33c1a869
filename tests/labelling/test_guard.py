"""Who may ask, and what is refused."""

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cardpose.common.errors import InputError

SAVE = {"marks": [None] * 8, "revision": "x"}


def snapshot(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.iterdir()) if path.is_file()}


@pytest.fixture
def client(serve: Callable, footage: Path):
    return serve(footage)


def test_only_this_machine_by_default(footage: Path) -> None:
    from inspect import signature

    from cardpose.label import label
    from cardpose.labelling.guard import is_local
    from cardpose.labelling.serve import listen

    host = signature(label).parameters["host"].default
    assert is_local(host)
    with listen(host, 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "headers",
    [
        {"x_cardpose_token": None},
        {"x_cardpose_token": ""},
        {"x_cardpose_token": "guess"},
        {"x_cardpose_token": "tokené".encode("latin-1")},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_a_write_without_the_pages_token_or_from_another_site_is_refused(
    client: Callable, footage: Path, headers: dict
) -> None:
    before = snapshot(footage)
    for path, body in (("/api/frames/0", SAVE), ("/api/videos/0", {"cards": 5, "before": None})):
        answer = client("PUT", path, body, **headers)
        assert answer.status in (401, 403)
        assert answer.json["error"]
        assert client("POST", path, body, **headers).status in (401, 403)
    assert snapshot(footage) == before


def test_the_pages_own_write_is_taken(client: Callable, page_token: Callable) -> None:
    origin = client.url.rstrip("/")
    headers = {"origin": origin, "sec_fetch_site": "same-origin", "x_cardpose_token": page_token(client)}
    assert client("PUT", "/api/videos/0", {"cards": 5, "before": None}, **headers).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", "", "[::2]:1"]
)
def test_a_name_that_is_made_to_lead_here_reads_nothing(client: Callable, host: str) -> None:
    for path in ("/", "/api/session", "/pictures/0"):
        answer = client("GET", path, host=host)
        assert answer.status == 403
        assert b'token"' not in answer.body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "[::1]:8600", "127.0.0.1"])
def test_a_local_name_is_taken(client: Callable, host: str) -> None:
    assert client("GET", "/api/session", host=host).status == 200


def test_on_another_address_every_request_wants_the_token(serve: Callable, footage: Path) -> None:
    client = serve(footage, local=False)
    for path in (
        "/",
        "/?token=guess",
        "/api/session",
        "/pictures/0",
        "/page/main.js",
        "/api/session?token=x",
    ):
        answer = client("GET", path)
        assert answer.status == 401
        assert b"token" in answer.body
        assert b"secret-token" not in answer.body
    welcome = client("GET", "/?token=secret-token-of-the-tests")
    assert (welcome.status, welcome.headers["location"]) == (303, "/")
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    given = {"cookie": cookie.partition(";")[0]}
    assert client("GET", "/api/session", **given).status == 200
    assert client("GET", "/api/session", cookie="cardpose_1=secret-token-of-the-tests").status == 401
    assert client("PUT", "/api/videos/0", {"cards": 5, "before": None}).status == 401
    refused = client("PUT", "/api/videos/0", {"cards": 5, "before": None}, x_cardpose_token=None, **given)
    assert refused.status == 401  # a cookie goes along with another site's request, the header does not
    assert client("PUT", "/api/videos/0", {"cards": 5, "before": None}, **given).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/pictures/../videos.csv",
        "/pictures/..%2f..%2fvideos.csv",
        "/pictures/%2e%2e/annotations.json",
        "/pictures/0/../../videos.csv",
        "/pictures//etc/passwd",
        "/pictures/0%00.jpg",
        "/pictures/-1",
        "/pictures/1e3",
        "/pictures/99",
        "/pictures/99999999999999999999999999",
        "/api/frames/6",
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e%2fapp.py",
        "/page/index.html",
        "/page/",
        "/page/nothing.js",
        "/videos.csv",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out_of_what_the_page_asks_for(client: Callable, path: str) -> None:
    answer = client("GET", path)
    assert answer.status in (400, 404)
    assert b"root:" not in answer.body
    assert b"frames/0," not in answer.body


def test_links_out_of_the_data_folder_are_refused(serve: Callable, footage: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    picture = footage / "frames" / "0" / "1.jpg"
    picture.rename(secret)
    picture.symlink_to(secret)
    answer = serve(footage)("GET", "/pictures/1")
    assert answer.status == 404
    assert "symlink points outside the dataset folder: replace it with a copy" in answer.json["error"]


def test_a_linked_folder_of_frames_is_refused_at_the_start(footage: Path, tmp_path: Path) -> None:
    from cardpose.labelling.pictures import Pictures

    (footage / "frames" / "0").rename(tmp_path / "elsewhere")
    (footage / "frames" / "0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="symlink points outside the dataset folder"):
        Pictures(footage, [("frames/0", 0)], tmp_path)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[" * 60000, 400, "not JSON"),
        (b"[]", 400, "must be an object with marks and revision"),
        (b'{"marks": []}', 400, "must be an object"),
        (b'{"marks": [], "revision": 1}', 400, "list of 8 corners"),
        (b'{"marks": [NaN], "revision": 1}', 400, "list of 8 corners"),
        (b'{"marks": [[NaN, 1, 2],0,0,0,0,0,0,0], "revision": ""}', 400, "lies outside"),
        (b'{"marks": [[1' + b"0" * 500 + b', 1, 2],0,0,0,0,0,0,0], "revision": ""}', 400, "lies outside"),
        (b'{"marks": [[1, 1, true],0,0,0,0,0,0,0], "revision": ""}', 400, "want null or"),
        (b" " * 70_000, 413, "at most"),
    ],
)
def test_broken_and_large_requests_are_answered_and_change_nothing(
    client: Callable, footage: Path, body: bytes, status: int, named: str
) -> None:
    before = snapshot(footage)
    answer = client("PUT", "/api/frames/0", body)
    assert (answer.status, named in answer.json["error"]) == (status, True), answer.body
    assert snapshot(footage) == before
    assert client("GET", "/api/session").status == 200


def test_a_large_request_that_does_not_tell_its_length_is_cut_off(client: Callable) -> None:
    chunks = b" " * 200_000
    assert client("PUT", "/api/frames/0", chunks, transfer_encoding="chunked").status == 413


@pytest.mark.parametrize("count", [0, 105, -1, 1.5, "many", [3], True, {"a": 1}])
def test_a_count_that_is_none(client: Callable, count: object) -> None:
    answer = client("PUT", "/api/videos/0", {"cards": count, "before": None})
    assert answer.status == 400
    assert "write a whole number from 1 to 104" in answer.json["error"]


def test_other_methods_and_garbage(client: Callable) -> None:
    assert client("DELETE", "/api/frames/0").status == 405
    assert client("PUT", "/api/session", {}).status == 405
    assert client("PUT", "/api/videos/7", {"cards": 1, "before": None}).status == 404
    for garbage in (
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"b" * 200_000 + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", client.port)) as raw:
            raw.sendall(garbage)
            assert raw.recv(100).startswith(b"HTTP/1.1 4")
    assert client("GET", "/api/session").status == 200


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /pictures/" + "9" * 5000 + " HTTP/1.1\r\nhost: localhost\r\n",
        "PUT /api/frames/0 HTTP/1.1\r\nhost: localhost\r\ncontent-length: \xb2\r\n",
        "PUT /api/frames/0 HTTP/1.1\r\nhost: localhost\r\ncontent-length: " + "9" * 5000 + "\r\n",
        "GET /%ff%00 HTTP/1.1\r\nhost: localhost\r\n",
        "GET /api/session HTTP/1.1\r\nhost: \xff\r\ncookie: \xff=;;=\r\n",
        "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: nonsense\r\n",
    ],
    ids=["digits", "odd digit", "length", "path", "host", "encoding"],
)
def test_a_broken_request_is_4xx_and_no_traceback(
    client: Callable, capfd: pytest.CaptureFixture[str], request_line: str
) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as raw:
        raw.sendall(request_line.encode("latin-1") + b"connection: close\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 4")
    assert client("GET", "/api/session").status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_request_that_breaks_off_is_no_traceback(
    client: Callable, page_token: Callable, capfd: pytest.CaptureFixture[str]
) -> None:
    head = f"PUT /api/frames/0 HTTP/1.1\r\nhost: localhost\r\nx-cardpose-token: {page_token(client)}\r\n"
    with socket.create_connection(("127.0.0.1", client.port)) as raw:
        raw.sendall(head.encode() + b'content-length: 100\r\n\r\n{"marks": ')
    assert client("GET", "/api/session").status == 200
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_link_for_a_phone_has_an_address_and_a_qr_code(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    pytest.importorskip("segno")
    from cardpose.labelling import serve

    monkeypatch.setattr(serve, "own_address", lambda: "192.168.1.7")
    # Not a free port: OpenCV cannot read the code of every number.
    listener = SimpleNamespace(getsockname=lambda: ("127.0.0.1", 8600))
    link = serve.link(host, listener, "secret")
    assert link == "http://192.168.1.7:8600/?token=secret"
    blocks = {" ": (0, 0), "\u2580": (255, 0), "\u2584": (0, 255), "\u2588": (255, 255)}
    rows = [[blocks[sign] for sign in line] for line in serve.qr_code(link, unicode=True).splitlines()]
    picture = np.array(rows, np.uint8).transpose(0, 2, 1).reshape(2 * len(rows), -1)
    picture = np.pad(
        cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST), 32, constant_values=255
    )
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == link
    assert serve.qr_code(link, unicode=False).isascii()


def test_a_browser_may_trust_nothing_else(client: Callable) -> None:
    for path in ("/", "/page/main.js", "/api/session", "/nowhere"):
        headers = client("GET", path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store", "the page holds the token"
        assert "access-control-allow-origin" not in headers


def test_a_port_that_is_taken_is_named() -> None:
    pytest.importorskip("uvicorn")
    from cardpose.labelling.serve import listen

    with listen("127.0.0.1", 0) as first, pytest.raises(InputError, match="choose another port"):
        listen("127.0.0.1", first.getsockname()[1])
    with pytest.raises(InputError, match=r"choose (another port|127\.0\.0\.1)"):
        listen("203.0.113.7", 0)
