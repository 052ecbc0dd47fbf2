"""What a message costs in CPU time: the bare loop that most scripts are, our connection alone, and the whole monitor.

    python -m tests.benchmarks.receive_path [--messages 200000] [--rounds 5] [--clients bare,monitor] [--schemes ws,wss]

`sender` sends the mix. Each client runs in a fresh process, in turns, so that a machine that slows down slows all of
them; what counts is its user and system time from the acknowledgement to the last message.

- `bare`: `async for message in connect(url)`, which counts and does nothing else;
- `connection`: `ProbeConnection` with a handler that counts;
- `monitor`: the whole service: decoded, routed, state kept, and every message found again in a scrape of /metrics;
- `alpcom`: the exchange's own client, where ALPCOM_PYTHON names a Python with `alpcom-api` 1.0.3 (wss only: it takes
  no other).

Prints a table, as Markdown; asserts nothing about time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from websockets.asyncio.client import connect as websocket_connect

from alpmon.config import Config
from alpmon.core.events import Operation
from alpmon.core.protocol import request
from alpmon.core.states import State
from alpmon.probe.connection import ProbeConnection
from alpmon.probe.connector import ConnectRequest, connect
from alpmon.service import SWITCH_INTERVAL_SECONDS, Service
from tests.benchmarks.sender import BLOCK, TOPICS

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.02


def cpu_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# The clients: each gives the CPU seconds that the messages cost, and how many it has seen


async def bare(url: str, ca_file: Path, messages: int) -> tuple[float, int]:
    tls = ssl.create_default_context(cafile=ca_file) if url.startswith("wss") else None
    async with websocket_connect(url, ssl=tls) as connection:
        await connection.recv()
        await connection.send(request(Operation.SUBSCRIBE, TOPICS).decode())
        await connection.recv()
        started = cpu_seconds()
        count = 0
        async for _ in connection:
            count += 1
        return cpu_seconds() - started, count


class Counting:
    """A handler that subscribes and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.started = 0.0

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:
        connection.send_text_now(request(Operation.SUBSCRIBE, TOPICS))

    def text(self, payload: bytes | memoryview, now: float, wall: float) -> None:
        self.count += 1
        if self.count == 2:
            self.started = cpu_seconds()

    def binary(self, size: int, now: float, wall: float) -> None: ...

    def protocol_ping(self, payload: bytes, now: float, wall: float, answered: float) -> None: ...

    def protocol_pong(self, payload: bytes, now: float, wall: float) -> None: ...

    def closing(self, now: float) -> None: ...

    def lost(self, now: float) -> None: ...


async def connection(url: str, ca_file: Path, messages: int) -> tuple[float, int]:
    counting = Counting()
    connected = await connect(ConnectRequest(url, ca_file=ca_file), counting, lambda phase, seconds: None)
    await connected.connection.wait_lost()
    return cpu_seconds() - counting.started, counting.count - 2


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again: cheap beside what is measured, and the service offers no event for it."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)


async def monitor(url: str, ca_file: Path, messages: int) -> tuple[float, int]:
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    target = {"name": "alp", "url": url, "topics": TOPICS, "tls": {"ca_file": str(ca_file)}}
    async with Service(Config.model_validate({"listen": "127.0.0.1:0", "targets": [target]})) as service:
        (record,) = service.monitor.targets["alp"].connections.values()
        await until(lambda: record.state is State.LIVE)
        started = cpu_seconds()
        await until(lambda: record.data_frames >= messages or not record.up)
        used = cpu_seconds() - started
        async with aiohttp.ClientSession() as session, session.get(f"{service.url}/metrics") as response:
            scraped = re.findall(r"^alpmon_messages_total\{.*\} ([0-9.e+]+)", await response.text(), re.MULTILINE)
    return used, sum(int(float(value)) for value in scraped)


CLIENTS: dict[str, Callable[[str, Path, int], Awaitable[tuple[float, int]]]] = {
    "bare": bare,
    "connection": connection,
    "monitor": monitor,
}

# The rounds


@contextmanager
def sender(messages: int) -> Iterator[tuple[dict[str, str], Path]]:
    """The sender in its own process; gives its URLs by scheme, and the CA file to trust."""
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
        command = [sys.executable, "-m", "tests.benchmarks.sender", str(messages), name]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        try:
            yield {s: f"{s}://localhost:{p}" for s, p in zip(("ws", "wss"), ports, strict=True)}, directory / "ca.pem"
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def measure(client: str, url: str, ca_file: Path, messages: int) -> float:
    """Microseconds of CPU time a message, in a fresh process that must have seen them all."""
    if client == "alpcom":
        command = [os.environ["ALPCOM_PYTHON"], str(Path(__file__).with_name("alpcom_client.py")), url]
    else:
        command = [sys.executable, "-m", "tests.benchmarks.receive_path", "--as", client, url, str(ca_file)]
        command += ["--messages", str(messages)]
    environment = {**os.environ, "SSL_CERT_FILE": str(ca_file)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if answer["seen"] != messages:
        raise SystemExit(f"{client} over {url.partition(':')[0]} has seen {answer['seen']} of {messages} messages")
    return float(answer["cpu_seconds"]) / messages * 1e6


def rounds(clients: list[str], schemes: list[str], count: int, messages: int) -> dict[tuple[str, str], list[float]]:
    """All clients in turns, `count` times over."""
    results: dict[tuple[str, str], list[float]] = {}
    with sender(messages) as (urls, ca_file):
        for _ in range(count):
            for scheme in schemes:
                for client in clients:
                    if (client, scheme) != ("alpcom", "ws"):
                        cost = measure(client, urls[scheme], ca_file, messages)
                        results.setdefault((scheme, client), []).append(cost)
    return results


def print_table(results: dict[tuple[str, str], list[float]]) -> None:
    print("| | client | us a message, median | least to most | rate against `bare` |\n|---|---|---:|---:|---:|")
    for (scheme, client), costs in sorted(results.items()):
        median = statistics.median(costs)
        bare_costs = results.get((scheme, "bare"))
        ratio = f"{statistics.median(bare_costs) / median:.2f}" if bare_costs else ""
        print(f"| {scheme} | {client} | {median:.2f} | {min(costs):.2f} to {max(costs):.2f} | {ratio} |")


def main() -> None:
    clients = [*CLIENTS, *(["alpcom"] if "ALPCOM_PYTHON" in os.environ else [])]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=lambda text: text.split(","), default=clients)
    parser.add_argument("--schemes", type=lambda text: text.split(","), default=["ws", "wss"])
    parser.add_argument("--as", nargs=3, dest="client", metavar=("CLIENT", "URL", "CA_FILE"), help="be one client")
    chosen = parser.parse_args()
    messages = max(1, chosen.messages // BLOCK) * BLOCK
    if chosen.client:
        client, url, ca_file = chosen.client
        used, seen = asyncio.run(CLIENTS[client](url, Path(ca_file), messages))
        print(json.dumps({"cpu_seconds": used, "seen": seen}))
    else:
        print_table(rounds(chosen.clients, chosen.schemes, chosen.rounds, messages))


if __name__ == "__main__":
    main()
