"""Who may ask, and how often: what the web configuration file says of TLS, logins and headers, on every path.

The file is read anew when it changes, and so are the certificates that it names. A file that has become bad changes
nothing: what was in force stays in force, and the log says why. The same goes for one that lets in whom the one before
kept out, for a file that is written in place is empty for a moment: a restart takes that up, nothing else does.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from aiohttp import hdrs, web

from alpmon.config.access import RateLimit, WebConfig, load_access
from alpmon.config.mistakes import ConfigError, Mistake
from alpmon.telemetry.labels import WebRefusal
from alpmon.web.logins import Logins, Verdict, basic_login
from alpmon.web.ratelimit import TokenBucket
from alpmon.web.tls import client_allowed, server_context

if TYPE_CHECKING:
    from alpmon.telemetry.monitor import Monitor
    from alpmon.web.server import Server

WRONG_LOGIN_SECONDS: Final = 0.5
"""How long a wrong login waits for its answer."""

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Seen: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class Access:
    """The guard of an application.

    Args:
        path: the web configuration file.
        monitor: where failed logins and refused requests are counted.
        sleep: how a wrong login is kept waiting.
        clock: monotonic seconds, for the rate limit.

    Raises:
        ConfigError: the file is bad, or names a certificate that cannot be used.
    """

    def __init__(
        self,
        path: Path,
        monitor: Monitor,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._monitor = monitor
        self._sleep = sleep
        self._clock = clock
        self._log = structlog.get_logger("alpmon.web")
        self._config, self._context, self._seen = read_access(path)
        self._bucket = self._new_bucket(self._config.rate_limit)
        self._logins = Logins()

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        """What to serve with now; None for plain HTTP."""
        return self._context

    @property
    def is_open(self) -> bool:
        """Whether the file, as it is now, keeps nobody out."""
        return not self._config.guards

    async def watch(self, server: Server, every_seconds: float = 1.0) -> None:
        """Until cancelled, put into force what changes in the file, or in the certificates that it names."""
        while True:
            await asyncio.sleep(every_seconds)
            self._refresh()
            if server.ssl_context is not self._context:
                await server.listen(self._context)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through, or answer 401, 403 or 429; unknown paths included."""
        config = self._config
        if self._bucket is not None and not self._bucket.take():
            raise self._too_many(WebRefusal.RATE, self._bucket.seconds_to_wait)
        if config.tls_server_config is not None and not client_allowed(request, config.tls_server_config):
            raise web.HTTPForbidden
        if config.basic_auth_users:
            await self._log_in(request, config.basic_auth_users)
        return await handler(request)

    async def add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Set the file's response headers; an empty one is left out."""
        for name, value in self._config.headers.items():
            if value:
                response.headers[name] = value
            else:
                response.headers.pop(name, None)

    async def _log_in(self, request: web.Request, users: dict[str, str]) -> None:
        """Return if the request bears a right login.

        Raises:
            HTTPUnauthorized: it does not.
            HTTPTooManyRequests: too many others wait to know.
        """
        login = basic_login(request.headers.get(hdrs.AUTHORIZATION, ""))
        if login is None:  # No login is no failed one: browsers ask first without.
            raise _unauthorized()
        verdict = await self._logins.check(login, users, request.remote or "", lambda: _has_gone(request))
        if verdict is Verdict.RIGHT:
            return
        if verdict is Verdict.CROWDED:
            raise self._too_many(WebRefusal.LOGINS, 1.0)
        if verdict is Verdict.WRONG:
            self._monitor.login_failures += 1
            await self._sleep(WRONG_LOGIN_SECONDS)
        raise _unauthorized()

    def _too_many(self, why: WebRefusal, seconds: float) -> web.HTTPTooManyRequests:
        self._monitor.web_refusals[why] += 1
        return web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: str(max(1, math.ceil(seconds)))})

    def _refresh(self) -> None:
        """Read what has changed."""
        seen = _look(self._path, self._config)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            config, context, seen = read_access(self._path)
            self._refuse_to_open(config)
        except ConfigError as error:
            self._log.error("web configuration not changed", mistakes=str(error).splitlines())
            return
        if config.rate_limit != self._config.rate_limit:
            self._bucket = self._new_bucket(config.rate_limit)
        self._config, self._context, self._seen = config, context, seen
        self._log.info("web configuration read anew", file=str(self._path))

    def _new_bucket(self, limit: RateLimit) -> TokenBucket | None:
        return TokenBucket(limit.interval, limit.burst, self._clock) if limit.interval else None

    def _refuse_to_open(self, config: WebConfig) -> None:
        """What would let in whom the configuration in force keeps out, or changes TLS under the open sockets."""
        problems = [
            f"without {key} more people could read: only a restart takes that up"
            for key in self._config.guards
            if key not in config.guards
        ]
        if (config.tls_server_config is None) is not (self._context is None):
            problems.append("tls_server_config is put in or taken out: only a restart takes that up")
        if problems:
            raise ConfigError(Mistake(str(self._path), 0, 0, "", "", problem) for problem in problems)


def _unauthorized() -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="alpmon"'})


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def read_access(path: Path) -> tuple[WebConfig, ssl.SSLContext | None, Seen]:
    """The file, what to serve with, and the state of all files from before they were read: a later change is seen.

    Raises:
        ConfigError: as `Access` does.
    """
    seen = _identity(path)
    config = load_access(path)
    named = _look(path, config)[1:]
    tls = config.tls_server_config
    return config, None if tls is None else server_context(tls, path), (seen, *named)


def _look(path: Path, config: WebConfig) -> Seen:
    tls = config.tls_server_config
    named = [] if tls is None else [tls.cert_file, tls.key_file, tls.client_ca_file]
    return tuple(_identity(each) for each in (path, *named) if each is not None)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
