"""Serve the page for a phone, or write it as a folder for a web host: `cardpose app`."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from cardpose.common.command_line import Tool, checked
from cardpose.common.errors import needs_extra

DEFAULT = "packet-fast"
"""The released model of the page."""


@checked
def app(
    lan: Annotated[bool, typer.Option("--lan", help="For a phone in this network, by HTTPS.")] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the page for a web host instead.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="MODEL", help="Released model, or a file.")] = DEFAULT,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8700,
) -> str:
    """Count a packet before the camera, in the browser, until Ctrl-C.

        cardpose app                       then open http://127.0.0.1:8700/
        cardpose app --lan                 for a phone in the same network
        cardpose app --export site         a folder for any web host with HTTPS

    The network runs in the browser: no picture leaves the device. A browser gives the camera only to this machine or
    by HTTPS, so --lan makes a certificate of its own, which the phone asks about once. Only a page with a certificate
    that the phone trusts, as of a web host, also works offline.

    Returns:
        What was done, in words.

    Raises:
        InputError: an argument is invalid, an extra or the browser's runtime is missing, or a folder is not writable.
    """
    from cardpose.app.model import exported
    from cardpose.app.site import Site, write

    site = Site(exported(model))
    if export:
        write(site, export)
        return f"{export}: put this folder on a web host with HTTPS; its help.html describes how"
    try:
        from cardpose.app.server import build_app
        from cardpose.labelling import serve
    except ImportError as error:
        raise needs_extra("cardpose app", "app") from error
    host = "0.0.0.0" if lan else "127.0.0.1"
    listener = serve.listen(host, port)
    certificate = None
    if lan:
        from cardpose.labelling.certificate import own_certificate

        certificate = own_certificate(serve.reachable(host))
    server = serve.server(build_app(site, compress=lan), certificate)
    link = serve.link(host, listener, None, secure=lan)
    serve.announce("Open", link, phone=lan)
    if lan:
        print("The phone asks once about the certificate; offline use needs --export.", file=sys.stderr)
    with suppress(KeyboardInterrupt):  # the usual end
        server.run(sockets=[listener])
    return "stopped"


main = Tool(app, finish=print)
