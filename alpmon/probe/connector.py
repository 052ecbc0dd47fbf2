"""Getting connected: resolve, tcp, tls, upgrade, each timed, all within one deadline, each failure named."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, TypedDict

import aiohappyeyeballs
from websockets.asyncio.client import HTTPProxyConnection, connect_socks_proxy
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidProxy
from websockets.proxy import Proxy, get_proxy, parse_proxy
from websockets.uri import parse_uri

from alpmon import __version__
from alpmon.probe.connection import FrameHandler, ProbeConnection
from alpmon.probe.failures import ConnectFailed, translated
from alpmon.probe.resolver import Addresses, resolve
from alpmon.probe.tls import client_context, not_after_wall
from alpmon.probe.words import shown_address
from alpmon.telemetry.labels import FailureReason, Phase

DEFAULT_MAX_SIZE_BYTES: Final = 4 << 20
"""Far over any frame of the exchange, so that an absurd one is counted and the session lives."""

_HAPPY_EYEBALLS_DELAY_SECONDS: Final = 0.25
"""RFC 8305, section 5: the recommended connection attempt delay."""

_RESOLVED_BY_THE_PROXY: Final = ("socks5h", "socks4a")

# The library logs whole frames at the level DEBUG, the one with the token among them: never let it.
_library_log = logging.getLogger("alpmon.probe.library")
_library_log.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """Where and how to connect.

    Attributes:
        url: `ws://` or `wss://`.
        ca_file: PEM file of the CAs to trust instead of the system's.
        insecure_skip_verify: Take any certificate.
        server_name: The name to ask for and to verify instead of the URL's host.
        connect_timeout_seconds: From the first look-up to the end of the upgrade.
        max_size_bytes: The longest message that is taken; a longer one ends the session with 1009.
        user_agent: What the upgrade request says we are.
    """

    url: str
    ca_file: Path | None = None
    insecure_skip_verify: bool = False
    server_name: str | None = None
    connect_timeout_seconds: float = 10.0
    max_size_bytes: int = DEFAULT_MAX_SIZE_BYTES
    user_agent: str = f"alpmon/{__version__}"


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection past its upgrade.

    Attributes:
        connection: Open, its handler told; it may have been lost again since.
        certificate_not_after_wall: The earliest end of the certificates that the server showed; None without TLS.
        tls_version: As `TLSv1.3`; None without TLS.
        peer: The address we are connected to: the server's, or the proxy's.
        proxied: Through a proxy that the environment names.
    """

    connection: ProbeConnection
    certificate_not_after_wall: float | None
    tls_version: str | None
    peer: str
    proxied: bool


Observe = Callable[[Phase, float], None]
"""Told each phase that succeeded, and the seconds it took."""


async def connect(request: ConnectRequest, handler: FrameHandler, observe: Observe) -> Connected:
    """Connect and upgrade. The handler may be told messages before this returns: the welcome often comes at once.

    A cancelled or failed attempt leaves no socket open. Redirects are not followed.

    Raises:
        ConnectFailed: every way in which a network, a proxy or a server can refuse.
        websockets.exceptions.InvalidURI: the URL is no WebSocket URL.
    """
    attempt = _Attempt(request, handler, observe)
    try:
        async with asyncio.timeout(request.connect_timeout_seconds):
            return await attempt.run()
    except ConnectFailed:
        raise
    except Exception as exc:
        failure = None if exc is attempt.bug else translated(exc, attempt.phase)
        if failure is None:
            raise
        raise failure from exc


class _Attempt:
    """One attempt; knows which phase it is in, for the one who has to name a failure.

    A phase begins where the one before it ended, so that every second of the attempt belongs to one.

    Attributes:
        phase: The present one.
        bug: What the observer raised, which no network had a part in, whatever it is.
    """

    def __init__(self, request: ConnectRequest, handler: FrameHandler, observe: Observe) -> None:
        self.phase = Phase.RESOLVE
        self.bug: Exception | None = None
        self._request = request
        self._uri = parse_uri(request.url)
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._factory = partial(self._connection, handler)
        self._since = monotonic()

    async def run(self) -> Connected:
        context = self._tls_context()
        proxy = self._proxy()
        self._since = monotonic()
        connection = await self._open(proxy, context)
        try:
            self._passed_to(Phase.UPGRADE)
            await connection.handshake(user_agent_header=self._request.user_agent)
            self._passed_to(Phase.WELCOME)
        except BaseException:
            connection.transport.abort()
            raise
        tls = connection.transport.get_extra_info("ssl_object")
        return Connected(
            connection,
            certificate_not_after_wall=None if tls is None else not_after_wall(tls),
            tls_version=None if tls is None else tls.version(),
            peer=shown_address(*connection.remote_address[:2]),
            proxied=proxy is not None,
        )

    def _passed_to(self, phase: Phase) -> None:
        """The present phase succeeded, and this one begins."""
        now = monotonic()
        try:
            self._observe(self.phase, now - self._since)
        except Exception as bug:
            self.bug = bug
            raise
        self.phase, self._since = phase, now

    def _connection(self, handler: FrameHandler) -> ProbeConnection:
        protocol = ClientProtocol(self._uri, max_size=self._request.max_size_bytes, logger=_library_log)
        return ProbeConnection(protocol, handler)

    def _tls_context(self) -> ssl.SSLContext | None:
        if not self._uri.secure:
            return None
        request = self._request
        try:
            return client_context(request.ca_file, insecure_skip_verify=request.insecure_skip_verify)
        except OSError as exc:
            detail = f"cannot use the CA file {request.ca_file}: {exc.strerror or exc}"
            raise ConnectFailed(FailureReason.TLS, Phase.TLS, detail) from exc

    def _proxy(self) -> Proxy | None:
        """What the environment says, by the rules of the standard library and of the WebSocket library."""
        named = get_proxy(self._uri)
        try:
            return None if named is None else parse_proxy(named)
        except InvalidProxy as exc:  # Its own text shows the password.
            detail = f"the environment names a proxy that cannot be used: {exc.msg}"
            raise ConnectFailed(FailureReason.OTHER, Phase.RESOLVE, detail) from None

    async def _open(self, proxy: Proxy | None, context: ssl.SSLContext | None) -> ProbeConnection:
        """A connection that is ready for the upgrade."""
        if proxy is None:
            return await self._open_on(await self._reach(self._uri.host, self._uri.port), context)
        if proxy.scheme.startswith("socks"):
            return await self._open_on(await self._reach_by_socks(proxy), context)
        tunnel = await self._reach_by_http_proxy(proxy)
        try:
            return await self._open_in(tunnel, context)
        except BaseException:
            tunnel.abort()
            raise

    def _tls_options(self) -> _TlsOptions:
        return {
            "server_hostname": self._request.server_name or self._uri.host,
            "ssl_handshake_timeout": self._request.connect_timeout_seconds,
        }

    async def _reach(self, host: str, port: int) -> socket.socket:
        """A connected socket to whichever address of the host answers first (RFC 8305)."""
        addresses = await resolve(host, port)
        self._passed_to(Phase.TCP)
        return await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_SECONDS, loop=self._loop
        )

    async def _reach_by_socks(self, proxy: Proxy) -> socket.socket:
        """A socket through a SOCKS proxy, whose part of the way counts as `tcp`.

        The library is given addresses, for it would look names up in the threads of the event loop.
        """
        by = replace(proxy, host=_one_of(await resolve(proxy.host, proxy.port)))
        to = self._uri
        if proxy.scheme not in _RESOLVED_BY_THE_PROXY:
            to = replace(to, host=_one_of(await resolve(to.host, to.port)))
        self._passed_to(Phase.TCP)
        return await connect_socks_proxy(by, to, timeout=self._request.connect_timeout_seconds)

    async def _reach_by_http_proxy(self, proxy: Proxy) -> asyncio.Transport:
        """A tunnel through a CONNECT proxy; its part of the way, TLS to the proxy included, counts as `tcp`."""
        sock = await self._reach(proxy.host, proxy.port)
        proxy_tls = client_context(None, insecure_skip_verify=False) if proxy.scheme == "https" else None
        transport, tunnel = await self._loop.create_connection(
            lambda: HTTPProxyConnection(self._uri, proxy, self._request.user_agent),
            sock=sock,
            ssl=proxy_tls,
            server_hostname=proxy.host if proxy_tls else None,
        )
        try:
            await tunnel.response
        except BaseException:
            transport.abort()
            raise
        return transport

    async def _open_on(self, sock: socket.socket, context: ssl.SSLContext | None) -> ProbeConnection:
        if context is None:
            _, connection = await self._loop.create_connection(self._factory, sock=sock)
            return connection
        try:
            self._passed_to(Phase.TLS)
        except BaseException:
            sock.close()
            raise
        _, connection = await self._loop.create_connection(self._factory, sock=sock, ssl=context, **self._tls_options())
        return connection

    async def _open_in(self, tunnel: asyncio.Transport, context: ssl.SSLContext | None) -> ProbeConnection:
        connection = self._factory()
        connection.connection_made(tunnel)  # It hears of a loss while TLS is being set up, too.
        tunnel.set_protocol(connection)
        if context is not None:
            self._passed_to(Phase.TLS)
            transport = await self._loop.start_tls(tunnel, connection, context, **self._tls_options())
            if transport is None:  # The proxy hung up in the middle of it.
                raise ConnectionResetError(errno.ECONNRESET, "the proxy closed the tunnel")
            connection.connection_made(transport)
        return connection


class _TlsOptions(TypedDict):
    server_hostname: str
    ssl_handshake_timeout: float


def _one_of(addresses: Addresses) -> str:
    """The best address, one of IPv4 if there is any: SOCKS4 knows no other, and many proxies listen on no other."""
    return str(min(addresses, key=lambda found: found[0] != socket.AF_INET)[-1][0])
