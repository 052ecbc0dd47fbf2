"""Who may ask: TLS, client certificates, passwords and headers by the web configuration file, on every path.

The file is read anew when it changes, and so are the certificates that it names. A file that has become bad changes
nothing: what was in force stays in force, and the log says why. The same goes for one that lets in whom the one before
kept out, for a file that is written in place is empty for a moment: a restart takes that up, nothing else does.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import bcrypt
import structlog
from aiohttp import hdrs, web

from alpmon.config.access import OPENSSL_NAMES, ClientAuth, TlsServer, TlsVersion, WebConfig, load_access
from alpmon.config.mistakes import ConfigError, Mistake

if TYPE_CHECKING:
    from alpmon.telemetry.state import Monitor
    from alpmon.web.server import Server

_CACHED_LOGINS: Final = 100
_LONGEST_PASSWORD_BYTES: Final = 72
"""All that bcrypt looks at; it refuses more."""
_NOBODY: Final = b"$2b$10$Ro0CUfOqk6cXEKf3dyaM7OhSCvnwM9s4wIX9JeLapehKK5YdLxKcm"
"""A hash that no password is known for: an unknown user costs as much time as a known one."""
_VERSIONS: Final = {TlsVersion.TLS12: ssl.TLSVersion.TLSv1_2, TlsVersion.TLS13: ssl.TLSVersion.TLSv1_3}
_VERIFIES: Final = {
    ClientAuth.VERIFY_IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRE_AND_VERIFY: ssl.CERT_REQUIRED,
}

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Seen: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class Access:
    """The guard of an application.

    Args:
        path: the web configuration file.
        monitor: where failed logins are counted.
        wrong_login_seconds: how long a wrong login waits for its answer.

    Raises:
        ConfigError: the file is bad, or names a certificate that cannot be used.
    """

    def __init__(self, path: Path, monitor: Monitor, wrong_login_seconds: float = 0.5) -> None:
        self._path = path
        self._monitor = monitor
        self._wrong_login_seconds = wrong_login_seconds
        self._log = structlog.get_logger("alpmon.web")
        self._config, self._context, self._seen = _read(path)
        self._logins = _Logins()

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
            if self._refresh():
                await server.listen(self._context)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through, or answer 401 or 403; unknown paths included."""
        config = self._config
        if config.tls_server_config is not None and not _san_allowed(request, config.tls_server_config):
            raise web.HTTPForbidden
        if config.basic_auth_users and not await self._knows(request, config.basic_auth_users):
            raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="alpmon"'})
        return await handler(request)

    async def add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Set the file's response headers; an empty one is left out."""
        for name, value in self._config.headers.items():
            if value:
                response.headers[name] = value
            else:
                response.headers.pop(name, None)

    async def _knows(self, request: web.Request, users: dict[str, str]) -> bool:
        given = _basic_login(request.headers.get(hdrs.AUTHORIZATION, ""))
        if given is None:
            return False  # No login is no failed one: browsers ask first without.
        user, password = given
        if await self._logins.check(user, password, users.get(user)):
            return True
        self._monitor.login_failures += 1
        await asyncio.sleep(self._wrong_login_seconds)
        return False

    def _refresh(self) -> bool:
        """Read what has changed; whether there is a new TLS context to serve with."""
        seen = _look(self._path, self._config)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            config, context, seen = _read(self._path)
            self._refuse_to_open(config)
        except ConfigError as error:
            self._log.error("web configuration not changed", mistakes=str(error).splitlines())
            return False
        self._config, self._context, self._seen = config, context, seen
        self._log.info("web configuration read anew", file=str(self._path))
        return context is not None

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


class _Logins:
    """Checks passwords; remembers the right ones, as a hash under a key of this process only."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def check(self, user: str, password: str, digest: str | None) -> bool:
        """Whether the password is right. Takes as long for an unknown user as for a wrong password."""
        known = _NOBODY if digest is None else digest.encode()
        name = hmac.new(self._key, b"\0".join((user.encode(), password.encode(), known)), hashlib.sha256).digest()
        if name in self._right:
            self._right.move_to_end(name)
            return True
        async with self._one_at_a_time:  # Guessers wait for each other, and cost one thread at most.
            fits = await asyncio.to_thread(_fits, password, known)
        if not fits or digest is None:
            return False
        self._right[name] = None
        while len(self._right) > _CACHED_LOGINS:
            self._right.popitem(last=False)
        return True


def _basic_login(header: str) -> tuple[str, str] | None:
    """User and password of an `Authorization` header (RFC 7617); None for none, or for another scheme's."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon else None


def _fits(password: str, digest: bytes) -> bool:
    given = password.encode()
    # bcrypt compares in constant time.
    return bcrypt.checkpw(given[:_LONGEST_PASSWORD_BYTES], digest) and len(given) <= _LONGEST_PASSWORD_BYTES


def _context(tls: TlsServer | None, path: Path) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
        if tls.client_ca_file is not None:
            context.load_verify_locations(tls.client_ca_file)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or getattr(error, "reason", None) or "not usable"
        files = ", ".join(str(each) for each in (tls.cert_file, tls.key_file, tls.client_ca_file) if each is not None)
        problem = f"a certificate or key cannot be used: {why} (among {files})"
        raise ConfigError([Mistake(str(path), 0, 0, "tls_server_config", "", problem)]) from None
    context.verify_mode = _VERIFIES.get(tls.client_auth_type, ssl.CERT_NONE)
    if tls.cipher_suites:
        context.set_ciphers(":".join(OPENSSL_NAMES[name] for name in tls.cipher_suites))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _san_allowed(request: web.Request, tls: TlsServer) -> bool:
    """Whether the client's certificate bears one of the names that are let in; all are where none is named."""
    if not tls.client_allowed_sans:
        return True
    connection = request.get_extra_info("ssl_object")
    certificate = connection.getpeercert() if connection is not None else None
    names = {value for _, value in (certificate or {}).get("subjectAltName", ())}
    return not names.isdisjoint(tls.client_allowed_sans)


def _read(path: Path) -> tuple[WebConfig, ssl.SSLContext | None, Seen]:
    """The file, what to serve with, and the state of all files from before they were read: a later change is seen."""
    seen = _identity(path)
    config = load_access(path)
    named = _look(path, config)[1:]
    return config, _context(config.tls_server_config, path), (seen, *named)


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
