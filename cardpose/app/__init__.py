"""The page that counts a packet before a phone's camera, without a server's help: `cardpose app`.

command.py      `cardpose app`: serve the page, or write it as a folder for a web host
model.py        the model as ONNX file and its description for the page
site.py         all files of the page with their types
server.py       the HTTP interface: files and the headers that keep the page to itself
page/           the page: plain ES modules
vendor/         ONNX Runtime Web, copied from npm by `make app`; not in git
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """The command `cardpose.app.main` and its function `app`, imported when they are asked for (PEP 562)."""
    if name in ("main", "app"):
        from cardpose.app import command

        return getattr(command, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
