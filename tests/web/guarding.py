"""A guarded application to try things on."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import bcrypt
import trustme
import yaml
from prometheus_client import CollectorRegistry

from alpmon.background import in_background
from alpmon.telemetry.metrics import register
from alpmon.telemetry.monitor import Monitor
from alpmon.web.access import Access
from alpmon.web.app import create_app
from alpmon.web.server import Server, serve
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def basic(user: str, password: str) -> str:
    """An `Authorization` header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = {"ada": HASH}
RIGHT = basic("ada", PASSWORD)
WRONG = [
    None,
    basic("ada", "wrong"),
    basic("bob", PASSWORD),
    basic("", ""),
    basic("ada", PASSWORD + "x" * 100),
]
FILES = {"cert_file": "a", "key_file": "b"}


class Guarded:
    """A guarded application that is served."""

    def __init__(
        self, server: Server, access: Access, monitor: Monitor, slept: list[float], clock: list[float]
    ) -> None:
        self.server = server
        self.url = server.url
        self.access = access
        self.monitor = monitor
        self.slept = slept
        self.clock = clock

    async def status(
        self, path: str, auth: str | None = None, tls: ssl.SSLContext | None = None, method: str = "GET"
    ) -> int:
        """The status of one request on a connection of its own."""
        headers = {} if auth is None else {"Authorization": auth}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.url + path, headers=headers, ssl=tls or True) as answer,
        ):
            return answer.status

    async def shaken_hands(self, context: ssl.SSLContext) -> tuple[str, str]:
        """The TLS version and the cipher suite of a connection."""
        port = int(self.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        connection = writer.get_extra_info("ssl_object")
        writer.transport.abort()
        return connection.version(), connection.cipher()[0]

    async def change(self, folder: Path, **content: object) -> None:
        """Write the file anew, and wait until it is in force."""
        written(folder, **content)
        await self.read_anew()

    async def read_anew(self) -> None:
        """Wait until what was written is in force."""
        before = self.access._config
        await eventually(lambda: self.access._config is not before)
        await eventually(lambda: self.server.ssl_context is self.access.ssl_context)

    async def send(self, auth: str, local: str = "127.0.0.1") -> asyncio.StreamWriter:
        """A request whose answer nobody reads."""
        port = int(self.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(local, 0))
        writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\n\r\n".encode())
        return writer

    @property
    def open_connections(self) -> int:
        """How many clients are still there, as far as the server knows; their handlers may outlive them."""
        server = self.server._runner.server
        assert server is not None
        return sum(connection.transport is not None for connection in server.connections)


@asynccontextmanager
async def guarded(path: Path) -> AsyncIterator[Guarded]:
    """Serve with this web configuration file, watched."""
    monitor, registry = Monitor(1.0), CollectorRegistry()
    register(registry, monitor)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    clock = [0.0]
    access = Access(path, monitor, sleep, lambda: clock[0])
    app = create_app(monitor, registry, lambda: "", monotonic=lambda: 0.0, access=access)
    server = await serve(app, "127.0.0.1", 0, access.ssl_context)
    watching = in_background("watch", lambda: access.watch(server, every_seconds=0.01))
    try:
        yield Guarded(server, access, monitor, slept, clock)
    finally:
        watching.cancel()
        await server.close()


def written(folder: Path, **content: object) -> Path:
    """A web configuration file."""
    path = folder / "web.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def certificate(folder: Path, authority: trustme.CA, name: str = "127.0.0.1") -> dict[str, str]:
    """A certificate in the folder, as the file names it."""
    issued = authority.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return {"cert_file": "cert.pem", "key_file": "key.pem"}


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
