"""The listening socket and the web server (uvicorn)."""

import socket

import uvicorn
from starlette.applications import Starlette

from cardpose.common.errors import InputError


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


def server(app: Starlette) -> uvicorn.Server:
    """The web server; start it with `run(sockets=[...])`."""
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
    )
    return uvicorn.Server(config)


def link(host: str, listener: socket.socket, token: str | None) -> str:
    """The URL of the page."""
    port = listener.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
