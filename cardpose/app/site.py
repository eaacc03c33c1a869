"""All files of the page, as a server sends them and as a web host needs them."""

import hashlib
import json
from pathlib import Path, PurePosixPath

from cardpose.app.model import PageModel, description
from cardpose.common.errors import InputError
from cardpose.common.files import filled_folder

HOME = "index.html"
HELP = "help.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".onnx": "application/octet-stream",
}
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: it loads and runs nothing from another site."""
_FOLDER = Path(__file__).parent
_WORKER = "offline.js"
RUNTIME = "ort-wasm-simd-threaded.wasm"
_LATER = ("webgpu", "asyncify", HELP)
"""Parts of the names of files that a first visit does not fetch: the runtime for a graphics processor, and the help."""


class Site:
    """The files of the page: `files`, name -> content.

    Args:
        model: of the page.
        folder: with page/ and vendor/; another one in tests.

    Raises:
        InputError: the runtime is missing, as in a clone before `make app`.
    """

    def __init__(self, model: PageModel, folder: Path = _FOLDER) -> None:
        if not (folder / "vendor" / RUNTIME).is_file():
            raise InputError(
                f"{folder / 'vendor'}: has no ONNX Runtime Web: run `make app`, which takes npm, or install the wheel"
            )
        page = {
            path.name: path.read_bytes() for path in sorted((folder / "page").iterdir()) if path.is_file()
        }
        vendor = {f"vendor/{path.name}": path.read_bytes() for path in sorted((folder / "vendor").iterdir())}
        own = {"model/model.onnx": model.onnx, "model/model.json": description(model.about)}
        self.files: dict[str, bytes] = {**page, **vendor, **own}
        digest = hashlib.sha256()
        for name, content in self.files.items():
            digest.update(f"{name} {len(content)} ".encode() + content)
        self.version = digest.hexdigest()[:16]
        """Of the content; another one makes a phone fetch the page anew."""
        names = [name for name in self.files if name != _WORKER and not any(part in name for part in _LATER)]
        listed = json.dumps(["./", *(name for name in names if name != HOME)])
        worker = self.files[_WORKER].decode()
        for mark, value in (("{{version}}", self.version), ('["{{files}}"]', listed), ("{{policy}}", POLICY)):
            worker = worker.replace(mark, value)
        self.files[_WORKER] = worker.encode()


def media_type(name: str) -> str:
    """The media type of a file.

    >>> media_type("vendor/a.wasm")
    'application/wasm'
    """
    return TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")


def write(site: Site, folder: Path) -> None:
    """Write the page as a folder for a web host; files of an older page are replaced, others stay.

    Raises:
        InputError: the folder cannot be written to.
    """
    with filled_folder(folder, "") as (_, partial):
        for name, content in site.files.items():
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_bytes(content)
