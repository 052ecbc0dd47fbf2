"""What connections and topics cost while nothing is said: `python -m tests.benchmarks.scale [--connections 1,50,200]`.

A monitor in a process of its own holds connections of twenty topics each to a simulated exchange. Prints, as Markdown:
its resident memory, its CPU time a second (pings, round trips and the judging of freshness go on), how many series it
shows, and how long a scrape takes and how large it is. Asserts nothing. What messages cost: `receive_path`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from alpmon.exchange import Exchange, Settings
from tests.integration.prometheus import free_port

TOPICS_PER_CONNECTION = 20
SCRAPES = 5


async def scrape(http: aiohttp.ClientSession, url: str) -> tuple[dict[str, float], int, float]:
    """Samples by series, compressed bytes and seconds."""
    started = time.monotonic()
    async with http.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
        text = await answer.text()
        size = int(answer.headers["Content-Length"])
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}, size, time.monotonic() - started


async def measure(connections: int, seconds: float) -> None:
    """Print one row."""
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
            while sum(len(session.topics) for session in exchange.sessions) < len(topics):
                assert process.returncode is None, "alpmon ended"
                await asyncio.sleep(0.1)
            await show(connections, f"http://{address}/metrics", seconds)
            process.terminate()
            await process.wait()


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


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", default="1,50,200", help="how many, in turns")
    parser.add_argument("--seconds", type=float, default=30.0, help="over which CPU time is counted")
    options = parser.parse_args()
    print("| connections | topics | memory, MiB | CPU, ms/s | series | scrape, ms | scrape, kB |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for connections in options.connections.split(","):
        asyncio.run(measure(int(connections), options.seconds))


if __name__ == "__main__":
    main()
