"""What connections and topics cost while nothing is said: `python -m tests.benchmarks.scale [--connections 1,50,200]`.

A monitor in a process of its own holds connections of twenty topics each to a simulated exchange. Prints, as Markdown:
its resident memory, its CPU time a second (pings, round trips and the judging of freshness go on), how many series it
shows, and how long a scrape takes and how large it is. Then memory and CPU of a real Prometheus that scrapes six such
monitors of fifty connections. Asserts nothing. What messages cost: `receive_path`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from alpmon.exchange import Exchange, Settings
from tests.integration.prometheus import free_port, prometheus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOPICS_PER_CONNECTION = 20
SCRAPES = 5
SERIES = "prometheus_tsdb_head_series"
SAMPLES = "prometheus_tsdb_head_samples_appended_total"


async def scrape(http: aiohttp.ClientSession, url: str) -> tuple[dict[str, float], int, float]:
    """Samples by series, compressed bytes and seconds."""
    started = time.monotonic()
    async with http.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
        text = await answer.text()
        size = int(answer.headers.get("Content-Length", len(text)))
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}, size, time.monotonic() - started


@asynccontextmanager
async def monitoring(connections: int) -> AsyncIterator[str]:
    """The address of a monitor that holds so many connections, all acknowledged."""
    symbols = [f"S{number}_USDT" for number in range(connections * TOPICS_PER_CONNECTION)]
    async with Exchange(Settings(market=False, silent_symbols=frozenset(symbols))) as exchange:
        topics = [f"market_depth.{symbol}" for symbol in symbols]
        address = f"127.0.0.1:{free_port()}"
        config = {
            "listen": address,
            "log": {"level": "warning"},
            "targets": [{"name": "t", "url": exchange.url, "topics": topics}],
        }
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "alpmon.yaml")
            file.write_text(json.dumps(config))  # noqa: ASYNC240 - before anything runs
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "alpmon", "run", "--config", str(file))
            )
            try:
                while sum(len(session.topics) for session in exchange.sessions) < len(topics):
                    assert process.returncode is None, "alpmon ended"
                    await asyncio.sleep(0.1)
                yield address
            finally:
                process.terminate()
                await process.wait()


async def measure(connections: int, seconds: float) -> None:
    """Print one row."""
    async with monitoring(connections) as address:
        await show(connections, f"http://{address}/metrics", seconds)


async def show(connections: int, url: str, seconds: float) -> None:
    """Scrape a while after the last acknowledgement, and twice, so that a rate can be told."""
    async with aiohttp.ClientSession() as http:
        scrapes = [await scrape(http, url) for _ in range(SCRAPES)]
        first, _, _ = scrapes[-1]
        started = time.monotonic()
        await asyncio.sleep(seconds)
        last, size, _ = await scrape(http, url)
        busy = (last["process_cpu_seconds_total"] - first["process_cpu_seconds_total"]) / (time.monotonic() - started)
    took = sorted(took for _, _, took in scrapes)[SCRAPES // 2]
    memory = last["process_resident_memory_bytes"] / 2**20
    print(
        f"| {connections} | {connections * TOPICS_PER_CONNECTION} | {memory:.0f} | {busy * 1e3:.1f} "
        f"| {len(last)} | {took * 1e3:.0f} | {size / 1e3:.0f} |",
        flush=True,
    )


async def measure_prometheus(connections: int, copies: int, seconds: float) -> None:
    """Print what a Prometheus needs that scrapes the same monitor as so many, every 15 s, and is asked nothing.

    Before the first scrape it is measured too: what it needs for itself is taken off.
    """
    async with monitoring(connections) as address:
        pace = {"scrape_interval": "15s", "scrape_timeout": "14s"}
        groups = [{"targets": [address], "labels": {"copy": str(copy)}} for copy in range(copies)]
        scrapes = [{"job_name": "alpmon", "static_configs": groups}]
        with tempfile.TemporaryDirectory() as folder:
            more = {"global": pace, "scrape_configs": scrapes}
            async with prometheus(Path(folder), **more) as server, aiohttp.ClientSession() as http:
                url = f"{server.url}/metrics"
                first = empty = (await scrape(http, url))[0]
                while first[SERIES] < copies * connections * 900:
                    await asyncio.sleep(1)
                    first = (await scrape(http, url))[0]
                started = time.monotonic()
                await asyncio.sleep(seconds)
                last = (await scrape(http, url))[0]
                took = time.monotonic() - started
    samples = sum(value - first[name] for name, value in last.items() if name.startswith(SAMPLES))
    busy = last["process_cpu_seconds_total"] - first["process_cpu_seconds_total"]
    memory = last["process_resident_memory_bytes"] - empty["process_resident_memory_bytes"]
    print(
        f"| {last[SERIES]:.0f} | {samples / took:.0f} | {last['process_resident_memory_bytes'] / 2**20:.0f} "
        f"| {memory / last[SERIES] / 1e3:.1f} | {busy / samples * 1e6:.1f} |"
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", default="1,50,200", help="how many, in turns")
    parser.add_argument("--seconds", type=float, default=30.0, help="over which CPU time is counted")
    parser.add_argument("--copies", type=int, default=6, help="monitors of 50 connections for Prometheus; 0 for none")
    options = parser.parse_args()
    print("| connections | topics | memory, MiB | CPU, ms/s | series | scrape, ms | scrape, kB |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for connections in options.connections.split(","):
        asyncio.run(measure(int(connections), options.seconds))

    if options.copies:
        print("\n| series | samples/s | memory, MiB | memory a series, kB | CPU a sample, µs |")
        print("|--:|--:|--:|--:|--:|")
        asyncio.run(measure_prometheus(50, options.copies, 5 * options.seconds))


if __name__ == "__main__":
    main()
