"""Serving an application on an address."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

_SHUTDOWN_SECONDS: Final = 0.5
"""How long a request in flight may keep us from stopping."""


class ListenError(Exception):
    """The address to listen on cannot be had."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"cannot listen on {address}: {why}")
        self.address = address
        self.why = why


class Server:
    """A served application; `url` says where, the port that was found free included."""

    def __init__(self, runner: web.AppRunner, url: str) -> None:
        self._runner = runner
        self.url = url

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()


async def serve(app: web.Application, host: str, port: int) -> Server:
    """Serve on `host:port`; port 0 takes any that is free.

    Raises:
        ListenError: the port is taken, the host is not ours or does not resolve, or we may not.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        with listening_on(host, port):
            await web.TCPSite(runner, host, port).start()
    except ListenError:
        await runner.cleanup()
        raise
    return Server(runner, f"http://{_address(host, runner.addresses[0][1])}")


@contextmanager
def listening_on(host: str, port: int) -> Iterator[None]:
    """Turn the system's refusal of an address into a `ListenError` that names it."""
    try:
        yield
    except OSError as error:
        raise ListenError(_address(host, port), _why(error)) from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(error: OSError) -> str:
    """The system's own words; asyncio wraps them in a sentence that repeats the address, a resolver has its own."""
    if error.errno is None and error.strerror is None:
        # From Python 3.13 on, asyncio passes over addresses that are not ours, and says this if none was left.
        return os.strerror(errno.EADDRNOTAVAIL)
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
