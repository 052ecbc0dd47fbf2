"""Serving an application on an address, with TLS that can change while it serves."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

_SHUTDOWN_SECONDS: Final = 0.5
"""How long a request in flight may keep us from stopping."""
_BACKLOG: Final = 128


class ListenError(Exception):
    """The address to listen on cannot be had."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"cannot listen on {address}: {why}")
        self.address = address
        self.why = why


class Server:
    """A served application.

    Attributes:
        url: where, the port that was found free included.
        ssl_context: what new connections are served with.
    """

    def __init__(self, runner: web.AppRunner, sockets: list[socket.socket], url: str) -> None:
        self._runner = runner
        self._sockets = sockets
        self._sites: list[web.SockSite] = []
        self.url = url
        self.ssl_context: ssl.SSLContext | None = None

    async def listen(self, ssl_context: ssl.SSLContext | None) -> None:
        """Accept connections with this context, in place of the one before.

        The listening sockets stay the same, so that no client finds the port closed in between; connections that are
        open go on as they began.
        """
        fresh = [web.SockSite(self._runner, each.dup(), ssl_context=ssl_context) for each in self._sockets]
        for site in fresh:
            await site.start()
        before, self._sites = self._sites, fresh
        for site in before:
            await site.stop()
        self.ssl_context = ssl_context

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()
        for listening in self._sockets:
            listening.close()


async def serve(app: web.Application, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> Server:
    """Serve on `host:port`; an empty host means every interface, port 0 takes any that is free.

    Raises:
        ListenError: the port is taken, the host is not ours or does not resolve, or we may not.
    """
    with listening_on(host, port):
        sockets = await _bound(host, port)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    scheme = "http" if ssl_context is None else "https"
    server = Server(runner, sockets, f"{scheme}://{_address(host or '127.0.0.1', sockets[0].getsockname()[1])}")
    await server.listen(ssl_context)
    return server


@contextmanager
def listening_on(host: str, port: int) -> Iterator[None]:
    """Turn the system's refusal of an address into a `ListenError` that names it."""
    try:
        yield
    except OSError as error:
        raise ListenError(_address(host, port), _why(error)) from error


async def _bound(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on all addresses of the host that are ours, all on one port."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            actual = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_listening(socket.socket(family, kind, protocol), (address[0], actual, *address[2:])))
            except OSError as error:
                # A name may resolve to an address of a protocol that this machine has switched off.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) or len(found) == 1:
                    raise
    except BaseException:
        for listening in sockets:
            listening.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return sockets


def _listening(fresh: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if fresh.family == socket.AF_INET6:
            fresh.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        fresh.bind(address)
        fresh.listen(_BACKLOG)
        fresh.setblocking(False)
    except BaseException:
        fresh.close()
        raise
    return fresh


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(error: OSError) -> str:
    """The system's own words; asyncio wraps them in a sentence that repeats the address, a resolver has its own."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
