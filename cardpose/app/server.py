"""The HTTP interface of the page: its files, read-only, with headers that let nothing in or out."""

import gzip
from functools import cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cardpose.app.site import HOME, POLICY, Site, media_type

HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",  # this and the next: the page may use threads
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_SMALL = (".png",)  # compressed already


def build_app(site: Site, compress: bool = True) -> Starlette:
    """The server of a page; on one machine compressing takes longer than it saves."""

    @cache
    def compressed(name: str) -> bytes:
        return gzip.compress(site.files[name], 6)

    def file(request: Request) -> Response:
        name = request.path_params["name"] or HOME
        headers = {**HEADERS, "etag": f'"{site.version}"', "vary": "accept-encoding"}
        if name not in site.files:
            return PlainTextResponse("the page has no such file", 404, headers)
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        content = site.files[name]
        if compress and "gzip" in request.headers.get("accept-encoding", "") and not name.endswith(_SMALL):
            content = compressed(name)
            headers["content-encoding"] = "gzip"
        return Response(content, headers=headers, media_type=media_type(name))

    return Starlette(routes=[Route("/{name:path}", file)])
