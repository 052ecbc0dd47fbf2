"""What a scrape costs, and what it costs the frames: `python -m tests.benchmarks.scrape`.

A monitor with about 20 000 series is scraped once a second over HTTP by another process, as Prometheus would. In the
monitor's loop a timer that is due every millisecond measures how late the loop is, which is how long a frame that
arrived just then would have waited. The same loop without any scrape tells what the machine itself does.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from alpmon.core.freshness import Rule, TopicFreshness
from alpmon.core.states import State
from alpmon.core.topics import Channel
from alpmon.service import SWITCH_INTERVAL_SECONDS
from alpmon.telemetry.metrics import register, render
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.state import ConnectionRecord, SymbolRecord, TargetRecord, TopicRecord
from alpmon.web.app import create_app
from alpmon.web.server import serve

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TOPICS_PER_CONNECTION = 20
SYMBOLS_PER_CONNECTION = 22
TICK_SECONDS = 0.001
SCRAPER = """
import sys, time, urllib.request
url, accept = sys.argv[1:]
while True:
    started = time.monotonic()
    headers = {"Accept": accept, "Accept-Encoding": "gzip"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        size = len(answer.read())
    print(time.monotonic() - started, size, flush=True)
    time.sleep(max(0.0, 1.0 - (time.monotonic() - started)))
"""


def monitor_of(connections: int) -> Monitor:
    """A monitor with so many live connections of twenty topics each, every histogram with something in it."""
    monitor, now = Monitor(time.time()), time.monotonic()
    target = monitor.targets["alp"] = TargetRecord("alp", "wss://exchange.test/ws")
    for group in range(connections):
        record = target.connections[f"{group}-0"] = _connection(group, now)
        for number in range(SYMBOLS_PER_CONNECTION):
            record.symbols[Channel.TRADE, f"SYM{number}_USDT"] = SymbolRecord(number, time.time())
    return monitor


def _connection(group: int, now: float) -> ConnectionRecord:
    record = ConnectionRecord(f"{group}-0", State.LIVE, client_id=f"client-{group}", established_wall=time.time())
    for number in range(TOPICS_PER_CONNECTION):
        freshness = TopicFreshness(Rule(), now)
        freshness.up(now)
        freshness.acknowledged(now)
        topic = f"market_depth.SYM{group}X{number}_USDT"
        record.topics[topic] = TopicRecord(topic, freshness, messages=number, last_message_wall=time.time())
        record.topics[topic].interarrival.observe(0.1 * number)
        record.rtt.observe_for(0.01 * number, record.client_id, time.time())
    return record


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def lateness(seconds: float) -> list[float]:
    """How late each tick of this loop was, in seconds, over so many seconds."""
    late: list[float] = []
    until = time.monotonic() + seconds
    while (due := time.monotonic() + TICK_SECONDS) < until:
        await asyncio.sleep(TICK_SECONDS)
        late.append(time.monotonic() - due)
    return late


async def scraped(url: str, accept: str, seconds: float) -> tuple[list[float], list[list[float]]]:
    """The lateness while another process scrapes, and each scrape's duration and size."""
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRAPER, f"{url}/metrics", accept, stdout=asyncio.subprocess.PIPE
    )
    assert client.stdout is not None
    await client.stdout.readline()
    late = await lateness(seconds)
    client.kill()
    lines = (await client.stdout.read()).decode().splitlines()
    await client.wait()
    return late, [[float(word) for word in line.split()] for line in lines]


def show(name: str, late: Sequence[float], scrapes: Sequence[Sequence[float]] = ()) -> None:
    """One row of the table."""
    lags = " ".join(f"{percentile(late, share) * 1e3:8.2f}" for share in (0.5, 0.99, 0.999, 1.0))
    took = f"{percentile([s[0] for s in scrapes], 0.5) * 1e3:9.0f} {scrapes[0][1] / 1e3:9.0f}" if scrapes else ""
    print(f"{name:<22}{lags} {took}", flush=True)


async def measure(series: int, seconds: float) -> None:
    """Print the tables."""
    registry, connections = CollectorRegistry(), 1
    per_connection = _series_of(monitor_of(2)) - _series_of(monitor_of(1))
    connections = max(1, round(series / per_connection))
    monitor = monitor_of(connections)
    register(registry, monitor)
    print(f"{_series_of(monitor)} series, {connections} connections, Python {sys.version.split()[0]}\n")
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    _show_cpu(registry)
    server = await serve(create_app(monitor, registry, str), "127.0.0.1", 0)
    print(f"{'event loop late, ms':<22}{'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>8} {'scrape ms':>9} {'kB':>9}")
    show("no scrape", await lateness(seconds))
    show("text", *await scraped(server.url, "text/plain", seconds))
    show("OpenMetrics", *await scraped(server.url, OPENMETRICS, seconds))
    await server.close()


def _series_of(monitor: Monitor) -> int:
    registry = CollectorRegistry()
    register(registry, monitor)
    return sum(len(metric.samples) for metric in registry.collect())


def _show_cpu(registry: CollectorRegistry, rounds: int = 5) -> None:
    for name, accept in (("text", ""), ("OpenMetrics", OPENMETRICS)):
        spent = []
        for _ in range(rounds):
            started = time.process_time()
            render(registry, accept, "gzip")
            spent.append(time.process_time() - started)
        print(f"one scrape, {name}: {percentile(spent, 0.5) * 1e3:.0f} ms of CPU (median of {rounds})")
    print()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each row")
    options = parser.parse_args()
    asyncio.run(measure(options.series, options.seconds))


if __name__ == "__main__":
    main()
