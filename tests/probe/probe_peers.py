"""Peers and listeners for the tests of the probe."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from alpmon.probe.closing import CloseFacts
from alpmon.probe.connection import ProbeConnection

MAX_SIZE = 4 << 20


class Log:
    """A handler that writes down what it is told."""

    def __init__(self, on_text: Callable[[Log, bytes], None] | None = None) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.stamps: list[tuple[float, float]] = []
        self.answered: list[float] = []
        self.closing_at: list[float] = []
        self.lost_at: list[float] = []
        self.connection: ProbeConnection | None = None
        self.changed = asyncio.Event()
        self._on_text = on_text

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:
        self.connection = connection
        self._note(("opened",), now, wall)

    def text(self, payload: bytes | memoryview, now: float, wall: float) -> None:
        self._note(("text", bytes(payload)), now, wall)
        if self._on_text is not None:
            self._on_text(self, bytes(payload))

    def binary(self, size: int, now: float, wall: float) -> None:
        self._note(("binary", size), now, wall)

    def protocol_ping(self, payload: bytes, now: float, wall: float, answered: float) -> None:
        self.answered.append(answered)
        self._note(("ping", payload), now, wall)

    def protocol_pong(self, payload: bytes, now: float, wall: float) -> None:
        self._note(("pong", payload), now, wall)

    def closing(self, now: float) -> None:
        self.closing_at.append(now)

    def lost(self, now: float) -> None:
        self.lost_at.append(now)

    def _note(self, what: tuple[Any, ...], now: float, wall: float) -> None:
        self.heard.append(what)
        self.stamps.append((now, wall))
        self.changed.set()

    async def until(self, what: tuple[Any, ...]) -> None:
        """Wait until this has been heard."""
        async with asyncio.timeout(10):
            while what not in self.heard:
                self.changed.clear()
                await self.changed.wait()


async def dial(port: int, log: Log, **options: Any) -> ProbeConnection:
    """A connection that has shaken hands."""
    uri = parse_uri(f"ws://127.0.0.1:{port}/ws")
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: ProbeConnection(ClientProtocol(uri, max_size=MAX_SIZE), log, **options), "127.0.0.1", port
    )
    await connection.handshake()
    return connection


async def ended(connection: ProbeConnection) -> CloseFacts:
    """The facts of an end that must come."""
    async with asyncio.timeout(10):
        return await connection.wait_lost()


@asynccontextmanager
async def websocket_server(handle: Callable[[ServerConnection], Any]) -> AsyncIterator[int]:
    """A server that speaks the protocol properly; gives its port."""
    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1) as server:
        yield server.sockets[0].getsockname()[1]


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def tcp_server(answer: Answer, **options: Any) -> AsyncIterator[int]:
    """A listener; gives its port. Leaving waits until every connection has been served and closed."""
    served: list[asyncio.Task[Any] | None] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, **options)
    async with server, asyncio.timeout(30):
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*(task for task in served if task is not None))


def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Any],
) -> AbstractAsyncContextManager[int]:
    """A server that sends any bytes; `handle` is given the response to the client's upgrade request."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split()[1] for line in request.splitlines() if line.lower().startswith("sec-websocket-key"))
        response = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
        ).encode()
        await handle(reader, writer, response)

    return tcp_server(answer)


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as a server writes it."""
    return Frame(opcode, data, fin).serialize(mask=False)


def silent_server(sent: bytes) -> AbstractAsyncContextManager[int]:
    """A server that accepts, sends these bytes with the handshake's response, and waits for the client to go."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + sent)
        await reader.read()

    return raw_server(handle)
