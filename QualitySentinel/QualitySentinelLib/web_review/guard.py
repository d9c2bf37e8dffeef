"""Who may see the page: the one browser that came with the one-time token, on this computer, and nobody else.

Three things are checked, because each alone leaves a hole:

- The *token* is in the address that the command prints. The first browser that shows it gets a cookie; after that the
  token is worth nothing, so that it may stay in a history, a log or a list of processes.
- The *cookie* goes with every request of that browser, also with the one that opens the websocket. But browsers send a
  cookie to every port of a host, so that a server of somebody else on this computer could come by it.
- The *secret* of the websocket is therefore kept by the page itself (``localStorage``, which knows ports) and asked
  for by wslink before the first message. The browser has it after a reload and in a new tab; another never had it.

Requests for another host name (DNS rebinding) and websockets opened by other pages are refused, too.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
import secrets
import socket
from base64 import b64encode
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..errors import UsageError

LOOPBACK = "127.0.0.1"
"""The only address that the page is served on."""

_REFUSED = (
    "This review is already open in another browser, or this is not its address. "
    "Restart quality-sentinel review for a new address.\n"
)
_KEY = "quality-sentinel-secret"
_PASS_ON = """<!doctype html><meta charset="utf-8"><title>Quality Sentinel</title>
<body style="background:#14181d;color:#dfe5ea;font:15px system-ui,sans-serif;padding:2em">
<p id="said">Opening the review ...</p>
<script>{script}</script>"""
_TAKE = "localStorage.setItem({key}, {secret}); location.replace('/');"
_USE = """const secret = localStorage.getItem({key});
const socket = encodeURIComponent('ws://' + location.host + '/ws');
if (secret) location.replace('/index.html?sessionURL=' + socket + '&secret=' + encodeURIComponent(secret));
else document.getElementById('said').textContent =
  'This browser has lost its key to the review. Restart quality-sentinel review.';"""


class Guard:
    """The token, the cookie and the secret of one run, and the checks of every request; ``index``: the page."""

    def __init__(self, index: Path) -> None:
        self.token = secrets.token_urlsafe(32)
        self.secret = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._index = index.read_text(encoding="utf-8")
        self._used = False

    def address(self, port: int) -> str:
        """The address to open, once."""
        return f"http://{LOOPBACK}:{port}/?token={self.token}"

    def protect(self, application: web.Application) -> None:
        """Check every request of an application that does not run yet, its static files and websockets included."""
        logging.getLogger("aiohttp.server").addFilter(_is_of_a_request)
        application.middlewares.append(self._check)
        application.on_response_prepare.append(self._set_headers)
        application.router.add_get("/", self._enter)
        application.router.add_get("/index.html", self._enter)

    @web.middleware
    async def _check(self, request: web.Request, handler):
        port = _port(request)
        if request.headers.get("Host") not in (f"{LOOPBACK}:{port}", f"localhost:{port}"):
            return self._refuse()
        if request.headers.get("Origin") not in (None, f"http://{request.headers['Host']}"):
            return self._refuse()
        if request.path == "/" and "token" in request.query and request.method in ("GET", "HEAD"):
            return self._take_token(request)
        if not _same(request.cookies.get(_cookie_name(request)), self._cookie):
            return self._refuse()
        return await handler(request)

    def _take_token(self, request: web.Request) -> web.Response:
        """Give the cookie and the secret to the first who shows the token."""
        fits = _same(request.query["token"], self.token)
        if fits and self._used and _same(request.cookies.get(_cookie_name(request)), self._cookie):
            return _page(_USE)  # the same browser again, by its history
        if not fits or self._used:
            return self._refuse()
        if request.method == "HEAD" or "prefetch" in request.headers.get("Sec-Purpose", ""):
            return web.Response(content_type="text/html")  # nobody has opened the page: a link checker, or a guess
        self._used = True
        response = _page(_TAKE, self.secret)
        response.set_cookie(_cookie_name(request), self._cookie, httponly=True, samesite="Strict", path="/")
        return response

    async def _enter(self, request: web.Request) -> web.Response:
        """The page itself for who has the secret; else a page that looks for it in the tab."""
        if "secret" not in request.query:
            return _page(_USE)
        if not _same(request.query["secret"], self.secret):
            return self._refuse()
        response = web.Response(text=self._index, content_type="text/html")
        scripts = re.findall(r"<script>(.*?)</script>", self._index, re.DOTALL)
        response.headers["Content-Security-Policy"] = _policy(request, scripts)
        return response

    @staticmethod
    def _refuse() -> web.Response:
        return web.Response(status=403, text=_REFUSED)

    @staticmethod
    async def _set_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["Referrer-Policy"] = "no-referrer"  # addresses hold the token or the secret
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"  # it shows a patient
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"


def check_loopback(host: str) -> None:
    """Refuse, with a ``UsageError``, to listen where others could reach the page."""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise UsageError(f"{host}: a review is served to this computer only; it listens on {LOOPBACK}")


def check_port(port: int) -> None:
    """Refuse, with a ``UsageError`` and before the case is read, a port that cannot be listened on."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: not a TCP port; give 0 to 65535")
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio does: one just closed is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise UsageError(f"--port {port}: cannot be used ({error.strerror}); choose another") from error


def _same(given: str | None, wanted: str) -> bool:
    """Whether two texts are equal, in a time that says nothing of where they differ."""
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _cookie_name(request: web.Request) -> str:
    """Two reviews on one computer must not take each other's cookie away."""
    return f"quality-sentinel-{_port(request)}"


def _port(request: web.Request) -> int | None:
    """The port that the request came to, if its sender still waits; the ``Host`` header says what somebody wrote."""
    return None if request.transport is None else request.transport.get_extra_info("sockname")[1]


def _is_of_a_request(record: logging.LogRecord) -> bool:
    """Keeps out of the terminal what is sent to the port and is no HTTP request: any program may do that."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _page(script: str, secret: str = "") -> web.Response:
    script = script.format(key=json.dumps(_KEY), secret=json.dumps(secret))
    response = web.Response(text=_PASS_ON.format(script=script), content_type="text/html")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {_hash(script)}; frame-ancestors 'none'"
    )
    return response


def _policy(request: web.Request, scripts: list[str]) -> str:
    """What the page may do: nothing leaves this server. Vue compiles its templates in the browser (``unsafe-eval``)."""
    hashes = " ".join(map(_hash, scripts))
    return (
        f"default-src 'self'; script-src 'self' 'unsafe-eval' {hashes}; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; connect-src 'self' ws://{request.headers['Host']}; object-src 'none'; "
        "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
