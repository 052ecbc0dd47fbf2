"""The HTTP application: what each path answers.

Whatever grows with the number of series is made in one thread of its own, one request at a time, so that neither a
scrape nor a page holds up a frame.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from aiohttp import hdrs, web

from alpmon.masking import mask_urls
from alpmon.telemetry import history
from alpmon.telemetry.metrics import render, takes_gzip
from alpmon.telemetry.recordings import recordings
from alpmon.telemetry.status import Status, status
from alpmon.web.assets import ASSETS
from alpmon.web.page import CONTENT_SECURITY_POLICY, page
from alpmon.web.reload import Reload, reload_route
from alpmon.web.runbook import RUNBOOK, runbook_page

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from alpmon.telemetry.monitor import Monitor
    from alpmon.web.access import Access

T = TypeVar("T")

HEALTHY_WITHIN_SECONDS: Final = 5.0
"""The loop's timer ticks ten times a second; this late, it has stopped or the machine has."""

_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Server": "alpmon",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_KEPT: Final = (hdrs.ALLOW, hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE)
"""What an error's headers may tell."""
_JSON: Final = "application/json"
_FOR_EVER: Final = "private, max-age=31536000, immutable"
_QUICK: Final = 1
"""The level of compression that costs the least."""


class Pages:
    """The handlers, and the thread that the big ones are made in.

    Args:
        monitor: the state.
        registry: what `/metrics` collects.
        config_text: the configuration now in force as YAML, masked.
        monotonic: the clock of the monitor's `now`.
        wall: seconds since the epoch.
        runbook_url: where docs/alerts.md can be read, if not here.
    """

    def __init__(
        self,
        monitor: Monitor,
        registry: CollectorRegistry,
        config_text: Callable[[], str],
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        runbook_url: Callable[[], str | None],
    ) -> None:
        self._monitor = monitor
        self._registry = registry
        self._config_text = config_text
        self._monotonic = monotonic
        self._wall = wall
        self._runbook_url = runbook_url
        self._runbook = runbook_page().encode()
        self._thread = ThreadPoolExecutor(1, "render")

    async def lifetime(self, _: web.Application) -> AsyncIterator[None]:
        """Keep the thread for as long as the application is served."""
        yield
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def metrics(self, request: web.Request) -> web.Response:
        """Every family, in the format that is asked for."""
        accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
        encodings = _encodings(request)
        names = request.query.getall("name[]", [])
        scrape = await self._aside(lambda: render(self._registry, accept, encodings, names))
        headers = {hdrs.CONTENT_TYPE: scrape.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if scrape.gzipped:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=scrape.body, headers=headers)

    async def index(self, request: web.Request) -> web.Response:
        """The page for people."""
        runbook_url = mask_urls(self._runbook_url() or RUNBOOK)
        return await self._made(request, "text/html", lambda: page(self._status(), runbook_url).encode())

    async def runbook(self, request: web.Request) -> web.Response:
        """What to do about each alert."""
        return await self._made(request, "text/html", lambda: self._runbook)

    async def asset(self, request: web.Request) -> web.Response:
        """What the page is dressed in; another content has another address, so a browser may keep it."""
        asset = ASSETS.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers: dict[str, str] = {hdrs.CACHE_CONTROL: _FOR_EVER, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if not takes_gzip(_encodings(request)):
            return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=asset.gzipped, content_type=asset.content_type, charset="utf-8", headers=headers)

    async def status(self, request: web.Request) -> web.Response:
        """The page for programs."""
        return await self._made(request, _JSON, lambda: msgspec.json.encode(self._status()))

    async def history(self, request: web.Request) -> web.Response:
        """What was sampled after the sample `after`; all that is kept, without it."""
        try:
            after = int(request.query.get("after", "-1"))
        except ValueError:
            raise web.HTTPBadRequest from None
        sampled = self._monitor.history.after(after)
        return await self._made(request, _JSON, lambda: history.encode(sampled))

    async def recordings(self, _: web.Request) -> web.Response:
        """The frames around trouble."""
        body = await self._aside(lambda: msgspec.json.encode(recordings(self._monitor, self._wall())))
        return web.Response(body=body, content_type="application/json")

    async def healthy(self, _: web.Request) -> web.Response:
        """Whether the event loop ticks."""
        return _verdict(self._monotonic() - self._monitor.last_tick <= HEALTHY_WITHIN_SECONDS, "healthy")

    async def ready(self, _: web.Request) -> web.Response:
        """Whether every connection was attempted once, whatever came of it."""
        return _verdict(self._monitor.first_attempts_made, "ready")

    async def config(self, _: web.Request) -> web.Response:
        """What the configuration comes to."""
        return web.Response(text=self._config_text())

    def _status(self) -> Status:
        return status(self._monitor, self._monotonic(), self._wall())

    async def _made(self, request: web.Request, content_type: str, make: Callable[[], bytes]) -> web.Response:
        """What may be large, made aside and compressed there."""
        gzipped = takes_gzip(_encodings(request))
        body = await self._aside(lambda: gzip.compress(make(), _QUICK) if gzipped else make())
        headers: dict[str, str] = {hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if gzipped:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        charset = "utf-8" if content_type.startswith("text/") else None
        return web.Response(body=body, content_type=content_type, charset=charset, headers=headers)

    async def _aside(self, make: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, make)


def create_app(
    monitor: Monitor,
    registry: CollectorRegistry,
    config_text: Callable[[], str],
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
    runbook_url: Callable[[], str | None] = lambda: None,
    access: Access | None = None,
    reload: Reload | None = None,
) -> web.Application:
    """Put all paths together; the arguments are those of `Pages`, who guards them, and what a reload does."""
    pages = Pages(monitor, registry, config_text, monotonic, wall, runbook_url)
    app = web.Application(middlewares=[_one_line_errors, *([] if access is None else [access.guard])])
    app.cleanup_ctx.append(pages.lifetime)
    app.on_response_prepare.append(_add_headers)
    if access is not None:
        app.on_response_prepare.append(access.add_headers)
    app.add_routes(
        [
            web.get("/", pages.index),
            web.get(f"/{RUNBOOK}", pages.runbook),
            web.get("/assets/{name}", pages.asset),
            web.get("/metrics", pages.metrics),
            web.get("/api/v1/status", pages.status),
            web.get("/api/v1/recordings", pages.recordings),
            web.get("/api/v1/history", pages.history),
            web.get("/-/healthy", pages.healthy),
            web.get("/-/ready", pages.ready),
            web.get("/config", pages.config),
            reload_route(reload),
        ]
    )
    return app


def _encodings(request: web.Request) -> str:
    return ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))


def _verdict(good: bool, word: str) -> web.Response:
    return web.Response(text=f"{word}\n") if good else web.Response(status=503, text=f"not {word}\n")


@web.middleware
async def _one_line_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors as one plain line that repeats nothing of the request."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        kept = {name: error.headers[name] for name in _KEPT if name in error.headers}
        return web.Response(status=error.status, text=f"{error.status} {error.reason}\n", headers=kept)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
