"""A real Prometheus on a free loopback port, with a storage of its own."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.processes import process
from tests.tools import require_tool

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path


class Prometheus:
    """What a test asks a Prometheus."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an API answer."""
        async with self._http.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
            assert answer["status"] == "success", answer
            return answer["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        return (await self.get("query", query=expression))["result"]  # type: ignore[no-any-return]

    async def until(self, expression: str) -> list[dict[str, Any]]:
        """Wait until an instant query returns something."""
        async with asyncio.timeout(60):
            while not (found := await self.query(expression)):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.2)
            return found


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configuration(targets: list[str], **more: Any) -> str:
    """What to scrape, and what else to do; JSON is YAML."""
    job = {"job_name": "alpmon", "static_configs": [{"targets": targets}]}
    pace = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return json.dumps({"global": pace, "scrape_configs": [job], **more})


@asynccontextmanager
async def serving(folder: Path, port: int, *flags: str) -> AsyncIterator[Process]:
    """The program, told by `prometheus.yml` in this folder, where it leaves its log as well."""
    command = (
        require_tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    )
    with (folder / "prometheus.log").open("wb") as log:
        async with process(*command, stdout=log, stderr=log) as started:
            yield started


@asynccontextmanager
async def prometheus(folder: Path, *targets: str, **more: Any) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes these `host:port`s each second; the first time about five seconds after its start.

    `more` are further sections of its configuration.
    """
    port = free_port()
    (folder / "prometheus.yml").write_text(configuration(list(targets), **more))
    async with (
        serving(folder, port, "--enable-feature=exemplar-storage") as started,
        aiohttp.ClientSession() as http,
    ):
        server = Prometheus(f"http://127.0.0.1:{port}", http)
        await until_ready(server.url, started)
        yield server


async def until_ready(url: str, started: Process) -> None:
    """Wait until a process answers that it is ready, as Prometheus, Alertmanager and alpmon do."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as http:
        while True:
            assert started.returncode is None, f"{url} ended"
            try:
                async with http.get(f"{url}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
