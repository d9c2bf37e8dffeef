"""Who gets the page: the first browser with the token, and nobody else."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager

import pytest

from QualitySentinelLib.errors import UsageError

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra 'review'")
from aiohttp import CookieJar, web  # noqa: E402

from QualitySentinelLib.web_review.guard import Guard, check_loopback  # noqa: E402

from . import own_loop  # noqa: E402

INDEX = "<!doctype html><title>the page</title><script>let x = 1;</script>"


@asynccontextmanager
async def guarded(tmp_path):
    """A guard and the port of a server that it protects; ``/patient`` is worth protecting, ``/ws`` is a websocket."""
    index = tmp_path / "index.html"
    index.write_text(INDEX, encoding="utf-8")
    guard, application = Guard(index), web.Application()
    guard.protect(application)

    async def patient(_request):
        return web.Response(text="a patient")

    async def socket(request):
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await answer.send_str("a patient")
        await answer.close()
        return answer

    application.router.add_get("/patient", patient)
    application.router.add_get("/ws", socket)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield guard, runner.addresses[0][1]
    finally:
        await runner.cleanup()


def browser(**options):
    """A client that keeps cookies, as browsers do, for addresses too."""
    return aiohttp.ClientSession(cookie_jar=CookieJar(unsafe=True), **options)


async def status(session, address, **options) -> int:
    async with session.get(address, **options) as answer:
        return answer.status


@own_loop.in_own_loop
async def test_the_first_browser_with_the_token_gets_everything(tmp_path):
    async with guarded(tmp_path) as (guard, port), browser() as reader:
        base = f"http://127.0.0.1:{port}"
        assert await status(reader, f"{base}/patient") == 403
        async with reader.get(guard.address(port)) as answer:
            secret = re.search(r'setItem\("[\w-]+", "([\w-]+)"\)', await answer.text())[1]
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert secret == guard.secret
        async with reader.get(f"{base}/patient") as answer:
            assert await answer.text() == "a patient"
        async with reader.get(f"{base}/index.html?secret={secret}") as answer:
            assert await answer.text() == INDEX
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy and "unsafe-inline" not in policy.split("style-src")[0]
        async with reader.ws_connect(f"{base}/ws") as messages:
            assert (await messages.receive()).data == "a patient"
        assert await status(reader, guard.address(port)) == 200, "by the history, in the same browser"
        async with reader.get(guard.address(port)) as answer:
            assert guard.secret not in await answer.text()


@own_loop.in_own_loop
async def test_a_used_token_is_worth_nothing(tmp_path):
    async with guarded(tmp_path) as (guard, port), browser() as reader, browser() as other:
        assert await status(reader, guard.address(port)) == 200
        assert await status(other, guard.address(port)) == 403
        assert await status(other, f"http://127.0.0.1:{port}/patient") == 403


@pytest.mark.parametrize("request_of", [{"method": "HEAD"}, {"method": "GET", "headers": {"Sec-Purpose": "prefetch"}}])
@own_loop.in_own_loop
async def test_a_look_at_the_address_that_opens_no_page_leaves_the_token_unused(tmp_path, request_of):
    async with guarded(tmp_path) as (guard, port), browser() as checker, browser() as reader:
        async with checker.request(url=guard.address(port), **request_of) as answer:
            assert answer.status == 200 and "Set-Cookie" not in answer.headers
            assert guard.secret not in await answer.text()
        assert await status(reader, guard.address(port)) == 200
        assert await status(reader, f"http://127.0.0.1:{port}/patient") == 200
        assert await status(checker, f"http://127.0.0.1:{port}/patient") == 403


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nA" + b"a" * 9000 + b": b\r\n\r\n",
        b"nothing\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_leaves_no_trace_in_the_terminal(tmp_path, caplog, sent):
    async def story():
        async with guarded(tmp_path) as (guard, port), browser() as reader:
            incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
            outgoing.write(sent)
            outgoing.write_eof()
            await incoming.read()
            outgoing.close()
            assert await status(reader, guard.address(port)) == 200

    own_loop.run(story())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("token", ["", "x", "\u00e9" * 43, "x" * 43])
@own_loop.in_own_loop
async def test_a_wrong_token_opens_nothing_and_uses_nothing_up(tmp_path, token):
    async with guarded(tmp_path) as (guard, port), browser() as other:
        assert await status(other, f"http://127.0.0.1:{port}/", params={"token": token}) == 403
        assert await status(other, guard.address(port)) == 200


def test_the_cookie_alone_does_not_open_the_page(tmp_path):
    """A server of somebody else on another port of this computer may have been sent it."""

    async def story():
        async with guarded(tmp_path) as (guard, port), browser() as reader, browser() as other:
            base = f"http://127.0.0.1:{port}"
            await status(reader, guard.address(port))
            (cookie,) = reader.cookie_jar
            stolen = {"Cookie": f"{cookie.key}={cookie.value}"}
            async with other.get(f"{base}/index.html", headers=stolen) as answer:
                text = await answer.text()
                assert "the page" not in text and guard.secret not in text
            assert await status(other, f"{base}/index.html?secret=guess", headers=stolen) == 403

    own_loop.run(story())


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
@own_loop.in_own_loop
async def test_other_sites_in_the_same_browser_are_refused(tmp_path, headers):
    async with guarded(tmp_path) as (guard, port), browser() as reader:
        base = f"http://127.0.0.1:{port}"
        await status(reader, guard.address(port))
        assert await status(reader, f"{base}/patient", headers=headers) == 403
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await reader.ws_connect(f"{base}/ws", headers=headers)
        assert await status(reader, f"{base}/patient") == 200


@own_loop.in_own_loop
async def test_a_websocket_without_cookie_is_refused(tmp_path):
    async with guarded(tmp_path) as (_guard, port), browser() as other:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await other.ws_connect(f"http://127.0.0.1:{port}/ws")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "", "127.0.0.1.example.org"])
def test_it_refuses_to_listen_where_others_could_reach_it(host):
    with pytest.raises(UsageError, match="this computer only"):
        check_loopback(host)


def test_loopback_addresses_are_fine():
    check_loopback("127.0.0.1")
    check_loopback("::1")


def test_a_secret_that_begins_with_a_dash_is_no_option():
    from trame.app import get_server

    from QualitySentinelLib.web_review.server import _pin_options

    server = get_server("secret with a dash")  # one in 64 secrets begins so
    _pin_options(server, "-abc")
    assert server.cli.parse_known_args()[0].authKey == "-abc"
