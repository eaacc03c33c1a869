"""The listening socket and the web server (uvicorn)."""

import socket
import sys
from contextlib import suppress
from io import StringIO
from pathlib import Path

import segno
import uvicorn
from starlette.applications import Starlette

from cardpose.common.errors import InputError

ANY_ADDRESS = ("0.0.0.0", "::", "")
OUTSIDE = ("192.0.2.1", 9)
"""An address outside of every network (RFC 5737)."""


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 selects a free one.

    Raises:
        InputError: the port is in use or not permitted, or this machine has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {host}: no such address ({error.strerror}): choose 127.0.0.1") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise InputError(f"--port {port} of {host}: {error.strerror}: choose another port") from error
    return listener


def server(app: Starlette, certificate: tuple[Path, Path] | None = None) -> uvicorn.Server:
    """The web server; start it with `run(sockets=[...])`.

    Args:
        certificate: files of the certificate and its key, for HTTPS.
    """
    chain, key = certificate or (None, None)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        ssl_certfile=chain,
        ssl_keyfile=key,
    )
    return uvicorn.Server(config)


def link(host: str, listener: socket.socket, token: str | None, *, secure: bool = False) -> str:
    """The URL of the page; for 0.0.0.0 and ::, which are no address, that of this machine in its network."""
    port = listener.getsockname()[1]
    host = reachable(host)
    name = f"[{host}]" if ":" in host else host
    return f"http{'s' * secure}://{name}:{port}/" + (f"?token={token}" if token else "")


def reachable(host: str) -> str:
    """The address of `host` for other devices: of 0.0.0.0 and ::, which are no address, that of this machine."""
    return own_address() if host in ANY_ADDRESS else host


def own_address() -> str:
    """The address at which other devices of the network reach this machine; its name where that is unknown."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(OUTSIDE)  # of a datagram socket: nothing is sent
        return str(probe.getsockname()[0])
    return socket.gethostname()


def announce(words: str, link: str, *, phone: bool) -> None:
    """Print the link, and for a phone its QR code in signs that this terminal shows."""
    print(words, link, flush=True)
    if phone:
        print(qr_code(link, (sys.stdout.encoding or "").lower().startswith("utf")), flush=True)


def qr_code(text: str, unicode: bool) -> str:
    """A QR code for the terminal.

    Args:
        text: what it holds.
        unicode: whether the terminal shows block characters; otherwise the code consists of coloured spaces.
    """
    drawn = StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, border=2, compact=unicode)
    return drawn.getvalue()
