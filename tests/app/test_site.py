"""The files of the page, the server's headers and the certificate."""

import gzip
import http.client
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cardpose.app.model import PageModel, exported
from cardpose.app.site import POLICY, RUNTIME, Site, write
from cardpose.common.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page of three files and an empty runtime."""
    (tmp_path / "page").mkdir()
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / RUNTIME).write_bytes(b"\0asm")
    (tmp_path / "page" / "index.html").write_text("<!doctype html>")
    (tmp_path / "page" / "help.html").write_text("<!doctype html>")
    marks = 'const P = "{{policy}}"; const C = "{{version}}"; const F = ["{{files}}"];'
    (tmp_path / "page" / "offline.js").write_text(marks)
    return tmp_path


PAGE = Path(__file__).parents[2] / "cardpose" / "app"
MODEL = PageModel(b"onnx", {"size": [192, 256], "interval": None})


def test_a_clone_without_the_runtime_says_so_in_one_line(folder: Path) -> None:
    (folder / "vendor" / RUNTIME).unlink()
    with pytest.raises(InputError, match="run `make app`"):
        Site(MODEL, folder)


def test_the_service_worker_lists_what_a_first_visit_needs(folder: Path) -> None:
    site = Site(MODEL, folder)
    worker = site.files["offline.js"].decode()
    names = json.loads(worker.partition("const F = ")[2].rstrip(";"))
    assert names == ["./", f"vendor/{RUNTIME}", "model/model.onnx", "model/model.json"]
    assert site.version in worker
    assert f'"{POLICY}"' in worker
    assert Site(PageModel(b"other", MODEL.about), folder).version != site.version


def test_a_folder_for_a_web_host(folder: Path) -> None:
    out = folder / "site"
    write(Site(MODEL, folder), out)
    assert json.loads((out / "model" / "model.json").read_text())["size"] == [192, 256]
    assert (out / "help.html").is_file()
    (folder / "file").write_text("")
    with pytest.raises(InputError, match="choose"):
        write(Site(MODEL, folder), folder / "file" / "site")


def test_a_model_that_a_browser_cannot_run(tmp_path: Path) -> None:
    program = tmp_path / "model.pt2"
    program.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"torch\.export"):
        exported(str(program))
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"\x08\x00")
    with pytest.raises(InputError, match=r"model\.onnx"):
        exported(str(damaged))


def test_the_server_sends_files_with_safe_headers(folder: Path, serve: Callable[..., str]) -> None:
    port = int(serve(Site(MODEL, folder), compress=True).rsplit(":")[-1].strip("/"))

    def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    status, headers, body = ask("/")
    assert (status, body) == (200, b"<!doctype html>")
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert ask("/", if_none_match=headers["etag"])[0] == 304
    assert gzip.decompress(ask("/", accept_encoding="gzip")[2]) == body
    for path in ("/missing", "/../site.py", "/page/index.html", "/%2e%2e/site.py"):
        assert ask(path)[0] == 404
    assert ask("/", "POST")[0] == 405


def test_a_certificate_is_made_once_for_an_address(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason='a certificate wants pip install -e ".[label]"')
    from cardpose.labelling.certificate import own_certificate

    files = own_certificate("192.0.2.7", tmp_path)
    first = files.chain.read_bytes()
    assert files.key.stat().st_mode & 0o077 == 0
    assert own_certificate("192.0.2.7", tmp_path).chain.read_bytes() == first
    assert own_certificate("192.0.2.8", tmp_path).chain.read_bytes() != first
    files.chain.write_bytes(b"damaged")
    assert b"BEGIN CERTIFICATE" in own_certificate("name.local", tmp_path).chain.read_bytes()


def test_the_page_itself_states_the_same_policy() -> None:
    """For web hosts that send none; a page cannot say by whom it may be framed."""
    policy = POLICY.rpartition("; frame-ancestors")[0]
    assert f'content="{policy}"' in (PAGE / "page" / "index.html").read_text()


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_is_AA(theme: int) -> None:
    """4.5 for text, 3 for large text, borders of controls and the focus."""
    style = (PAGE / "page" / "style.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w+);", re.findall(r":root \{([^}]*)\}", style)[theme]))
    colours = {k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in colours.items()}
    colours |= {"white": "#ffffff", "stage": "#000000"}
    text = ["text ground", "text raised", "quiet raised", "white main"]
    shapes = ["line ground", "line raised", "sure raised", "focus ground", "focus raised", "focus stage"]
    for least, pairs in ((4.5, text), (3.0, shapes)):
        for pair in pairs:
            light, dark = sorted((luminance(colours[name]) for name in pair.split()), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, pair
