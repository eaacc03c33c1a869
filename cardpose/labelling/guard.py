"""Access control: only the page itself, on this machine, or clients that have the token.

Another website can send requests to 127.0.0.1 and, with a host name that resolves there, read the answers (DNS
rebinding). Therefore, on a loopback address the Host header must be a local name, and writes must carry the token that
only the page's HTML contains. On any other address every request needs the token: the link contains it, and a cookie
stores it.
"""

import secrets
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-cardpose-token"
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
MAX_BODY = 64 * 1024
"""Bytes of a request; a frame's corners are a few hundred."""
MAX_PATH = 500
_READS = ("GET", "HEAD")
_SAFE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def is_local(host: str) -> bool:
    """Whether an address is reachable from this machine only.

    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("::1"), is_local("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that rejects unauthorised requests and adds security headers to responses.

    Args:
        local: whether the server is reachable from this machine only.
        port: of the server; part of the cookie's name, as browsers share cookies between ports.
    """

    def __init__(self, app: ASGIApp, token: str, local: bool, port: int) -> None:
        self._app, self._token, self._local = app, token, local
        self._cookie = f"cardpose_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("cache-control", "no-store")  # the page holds the token
                headers.update(_SAFE_HEADERS)
            await send(message)

        await (self._reject(scope) or self._app)(scope, receive, send_safely)

    def _reject(self, scope: Scope) -> Response | None:
        """The response to a request that is not passed on."""
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY:
            return refusal(413, f"a request has at most {MAX_BODY} bytes")
        if len(scope["path"]) > MAX_PATH:
            return refusal(414, f"an address has at most {MAX_PATH} characters")
        if self._local and not _local_name(headers.get("host", "")):
            return refusal(403, "open the page by 127.0.0.1 or localhost")
        if not self._local and not self._knows_cookie(headers):
            return self._welcome(scope)
        if scope["method"] not in _READS:
            if not _same_site(headers):
                return refusal(403, "another site may not change labels")
            if not self._is_token(headers.get(TOKEN_HEADER, "")):
                return refusal(401, "the token is not this server's: reload the page")
        return None

    def _welcome(self, scope: Scope) -> Response:
        """Move the token of the link into a cookie."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not (scope["method"] == "GET" and scope["path"] == "/" and self._is_token(given)):
            return refusal(401, "open the link with the token that cardpose label printed")
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
        return response

    def _knows_cookie(self, headers: Headers) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return self._cookie in cookies and self._is_token(cookies[self._cookie].value)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())


def refusal(status: int, why: str) -> JSONResponse:
    """An error response with one line of explanation."""
    return JSONResponse({"error": why}, status)


def _local_name(host: str) -> bool:
    """Whether a Host header is a local name, with or without a port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower() in LOCAL_NAMES


def _same_site(headers: Headers) -> bool:
    """Whether the request comes from this page or from a program that is not a browser."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return False
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
