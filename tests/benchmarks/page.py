"""What the status page costs: its first paint, the browser's CPU time while it is open, the monitor's to serve it.

python -m tests.benchmarks.page
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import structlog

from alpmon.exchange import Exchange, Settings
from alpmon.exchange.pairs import SYMBOLS
from tests.integration.harness import monitoring, target
from tests.web.browser import Visit, visiting

if TYPE_CHECKING:
    from tests.integration.harness import Monitored

LOADS = 20
OPEN_SECONDS = 60.0
SETTLE_SECONDS = 10.0
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """CPU time of a process and all its descendants that are alive."""
    parents, times = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    family = {root}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(times.get(each, 0.0) for each in family - {root})


async def first_paint(url: str) -> str:
    """How long from the request to the first contents on the screen; each load in a window without a cache.

    In turn with one line of text, which shows how much of it is the browser and the machine.
    """
    paints: dict[str, list[float]] = {"/": [], "/-/healthy": []}
    async with visiting() as visitor:
        for _ in range(LOADS):
            for path, taken in paints.items():
                visit = await visitor.open(url + path)
                taken.append(await visit.until(PAINT))
                await visit.page.context.close()
    page, line = (
        f"{statistics.median(taken):.0f} ms ({min(taken):.0f} to {max(taken):.0f})" for taken in paints.values()
    )
    return f"first paint: {page}, one line of text: {line}; medians of {LOADS}"


async def while_open(url: str) -> tuple[int, float]:
    """How many topics are drawn, and the share of one core that the browser takes."""
    async with visiting() as visitor:
        visit: Visit = await visitor.open(url, viewport={"width": 1280, "height": 900})
        await visit.until_live()
        await asyncio.sleep(SETTLE_SECONDS)
        before, began = cpu_seconds(os.getpid()), time.perf_counter()
        await asyncio.sleep(OPEN_SECONDS)
        share = (cpu_seconds(os.getpid()) - before) / (time.perf_counter() - began)
        return await visit.rows().count(), share


async def serving(monitored: Monitored, path: str, times: int = 20) -> tuple[int, float]:
    """Bytes on the wire and milliseconds of this process's CPU time an answer."""
    began = time.process_time()
    for _ in range(times):
        await monitored.get(path)
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.get(monitored.service.url + path, headers={"Accept-Encoding": "gzip"}) as response,
    ):
        size = len(await response.read())
    return size, (time.process_time() - began) / (times + 1) * 1e3


async def main() -> None:
    """Five connections of twenty topics each, on a lively market."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    topics = [f"{channel}.{symbol}" for channel in ("market_depth", "diff") for symbol in sorted(SYMBOLS)][:20]
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(Exchange(Settings(rate=5.0)))
        targets = [{**target(exchange.url, topics), "name": f"t{n}"} for n in range(5)]
        monitored = await stack.enter_async_context(monitoring(*targets))
        print(await first_paint(monitored.service.url))
        rows, share = await while_open(monitored.service.url)
        print(
            f"open with {rows} topics for {OPEN_SECONDS:.0f} s: {share:.1%} of one core, all of the browser's processes"
        )
        for path in ("/", "/api/v1/status", "/api/v1/history", "/api/v1/history?after=1"):
            size, cpu = await serving(monitored, path)
            print(f"{path:<26} {size:>7,} bytes compressed, {cpu:5.1f} ms to make and read")


if __name__ == "__main__":
    asyncio.run(main())
