"""Needs trame. One case read, loaded, served to one browser on this computer, until Ctrl+C."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

from trame_client.module import vue3
from trame_client.widgets.core import VirtualNode
from trame_server import Server

from ..errors import CancelledError, UsageError
from ..files import atomic_write
from .controller import ReviewController
from .guard import LOOPBACK, Guard, check_loopback
from .page import ReviewPage
from .queue_run import QueueRun

_STARTING_SECONDS = 60.0


def serve(
    review: Callable[[], ReviewController], name: str, port: int, browser: bool, queue: QueueRun | None = None
) -> None:
    """Serve the review that ``review`` makes, inside the event loop, until it is ended with Ctrl+C; then it is kept.

    The page calls the case ``name``; port 0 is a free one; ``browser``: open the default browser; ``queue``: the list
    that the case is of, if it is one.

    Raises:
        UsageError: the port is in use.
        CancelledError: scoring was still going on.
    """
    asyncio.run(_serve(review, name, port, browser, queue))


async def _serve(make_review, name: str, port: int, browser: bool, queue: QueueRun | None) -> None:
    stop = asyncio.Event()
    _on_signals(stop.set)
    server = Server("quality-sentinel-review", VirtualNode)
    server.client_type = "vue3"
    guard = Guard(Path(vue3.www) / "index.html")
    _pin_options(server, guard.secret)
    page = ReviewPage(server, make_review(), name, queue)
    if queue is not None:
        queue.page = page
        queue.look()
    server.controller.on_server_bind.add(functools.partial(_protect, guard))
    running = server.start(
        port=port, host=LOOPBACK, exec_mode="task", thread=True, open_browser=False, show_connection_info=False,
        timeout=0, backend="aiohttp", disable_logging=True,
    )  # fmt: skip
    await _until_ready(server, running, port)
    try:
        page.review.score()
        with _told_address(guard.address(server.port), browser):
            await asyncio.wait([running, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if queue is not None:
            await queue.finish()
        review = page.review
        scoring = review.scoring.running
        await review.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.stop(), 5)
    print(f"The review is saved in {review.store.folder}", flush=True)
    if scoring:
        raise CancelledError("stopped while scoring; finished scores are saved, and the same command resumes")


def _pin_options(server: Server, secret: str) -> None:
    """Let trame read its options from here alone, not from our command line or ``TRAME_ARGS``: they include --host."""
    read = server.cli.parse_known_args
    server.cli.parse_known_args = lambda *_: read([f"--authKey={secret}"])


def _protect(guard: Guard, web_server) -> None:
    """The last look before it listens: whatever the environment says to trame, this address and these checks hold."""
    check_loopback(web_server.host)
    guard.protect(web_server.app)


async def _until_ready(server: Server, running: asyncio.Task, port: int) -> None:
    done, _ = await asyncio.wait(
        [running, server.ready], timeout=_STARTING_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    if running in done:
        error = running.exception()
        if isinstance(error, OSError):
            raise UsageError(f"port {port}: cannot be used ({error.strerror}); choose another --port") from error
        raise error if error is not None else UsageError("the page stopped before it was ready; start it again")


@contextlib.contextmanager
def _told_address(address: str, browser: bool) -> Iterator[None]:
    """Print the address, and open it.

    The browser gets it by way of a private file: other users of this computer can read the arguments of a program that
    is started, but not this file.
    """
    print("Open this address in one browser on this computer; Ctrl+C ends the review:", flush=True)
    print(address, flush=True)
    with tempfile.TemporaryDirectory(prefix="quality-sentinel-") as folder:  # only we may enter it
        if browser and _has_screen():
            refresh = f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">\n'
            page = atomic_write(Path(folder) / "open.html", refresh)
            webbrowser.open(page.as_uri())
        yield


def _has_screen() -> bool:
    """Whether a browser with a window can open; else Python would start one in the terminal, and wait for its end."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _on_signals(end: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, end)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(end))
