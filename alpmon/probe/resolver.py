"""Names to addresses, by the system's resolver; nobody waits for a lookup but who asked for it.

A lookup cannot be ended, and takes as long as the resolver likes. asyncio would put it into the few threads of its
event loop: the lookups behind it would be taken for slow ones, what else is done there would wait as well, and neither
the loop nor the interpreter could end before it. So each has a thread of its own, which ends with the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, TypeAlias

from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

Addresses: TypeAlias = Sequence[AddrInfoType]
"""As `socket.getaddrinfo` returns them, the best first."""

PATIENCE_SECONDS: Final = 30.0
"""How long a lookup may have hung for somebody new to join it: longer than most resolvers take to give up."""
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


@dataclass(slots=True)
class _Lookup:
    """One question to the resolver.

    Attributes:
        patience_seconds: For so long others join it; twice as long as the one that hangs beside it, so that a resolver
            that never answers costs few threads.
    """

    patience_seconds: float
    asked_at: float = field(default_factory=time.monotonic)
    answer: Future[Addresses] = field(default_factory=Future)


_lookups: Final[dict[tuple[str, int], _Lookup]] = {}
"""The latest of each name; the many connections to one exchange share it while it is under way."""


async def resolve(host: str, port: int) -> Addresses:
    """The addresses of a host; one that is an address itself is not looked up.

    Raises:
        socket.gaierror: the name is not there, or the resolver is in trouble.
        UnicodeError: no name can be like this.
    """
    if _is_address(host):
        return _ask(host, port, socket.AI_NUMERICHOST)
    return await asyncio.wrap_future(_under_way(host, port).answer)


class HttpResolver(AbstractResolver):
    """The same for aiohttp."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host; of one family only, if asked for."""
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=found, proto=proto, flags=_NUMERIC)
            for found, _, proto, _, address in await resolve(host, port)
            if family in (socket.AF_UNSPEC, found)
        ]

    async def close(self) -> None:
        """There is nothing to close."""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ask(host: str, port: int, flags: int = 0) -> Addresses:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


def _under_way(host: str, port: int) -> _Lookup:
    """The lookup that others wait for already, or a new one."""
    latest, patience_seconds = _lookups.get((host, port)), PATIENCE_SECONDS
    if latest is not None and not latest.answer.done():
        if time.monotonic() < latest.asked_at + latest.patience_seconds:
            return latest
        patience_seconds = 2 * latest.patience_seconds
    lookup = _lookups[host, port] = _Lookup(patience_seconds)
    _in_a_thread(lookup.answer, lambda: _ask(host, port))
    return lookup


def _in_a_thread(answer: Future[Addresses], ask: Callable[[], Addresses]) -> None:
    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the answer
            answer.set_exception(error)

    answer.set_running_or_notify_cancel()  # From here on it cannot be cancelled by one for all.
    threading.Thread(target=run, name="lookup", daemon=True).start()
