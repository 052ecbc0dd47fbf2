"""A plain client of the simulated exchange: the websockets library, JSON, and nothing of alpmon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
from websockets.asyncio.client import ClientConnection, connect

from alpmon.exchange import Exchange

PATIENCE_SECONDS = 5.0
REPLIES = ("subscribe", "unsubscribe", "error")


class Client:
    """One connection; every wait for a frame has a deadline."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.data: list[list[Any]] = []

    async def text(self) -> str:
        """The next frame as it came."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame = await self.socket.recv()
        assert isinstance(frame, str)
        return frame

    async def frame(self) -> Any:
        """The next frame as JSON."""
        return json.loads(await self.text())

    async def send(self, *frame: Any) -> None:
        """Send a JSON array."""
        await self.socket.send(json.dumps(frame))

    async def ask(self, *frame: Any) -> list[Any]:
        """Send a JSON array and wait for its answer; data frames on the way are kept."""
        await self.send(*frame)
        while (received := await self.frame())[0] not in REPLIES:
            self.data.append(received)
        return received

    async def close_code(self) -> int | None:
        """Wait for the end and tell its code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.socket.wait_closed()
        return self.socket.close_code


class Dial(Protocol):
    """Connects to an exchange; takes the welcome first unless told otherwise."""

    def __call__(self, exchange: Exchange, *, welcomed: bool = True, **options: Any) -> Awaitable[Client]: ...


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """A factory of clients that are closed with the test."""
    async with AsyncExitStack() as stack:

        async def connected(exchange: Exchange, *, welcomed: bool = True, **options: Any) -> Client:
            options = {"compression": None, "ping_interval": None, "close_timeout": 1, **options}
            client = Client(await stack.enter_async_context(connect(exchange.url, **options)))
            if welcomed:
                assert (await client.frame())[0] == "welcome"
            return client

        yield connected
