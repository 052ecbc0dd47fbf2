"""Every query of every dashboard, asked of a real Prometheus that scraped a monitor through good and bad times."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from alpmon.core.protocol import Dialect
from alpmon.exchange.faults import Abort, CrossBook, DropAcks, Garbage, Mute, RefuseRest, RefuseUpgrades
from tests.grafana.reading import DASHBOARDS, GRAFANA, Target, substituted, targets
from tests.integration.harness import TARGET, Monitored, monitoring, target
from tests.integration.prometheus import Prometheus, prometheus

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    import trustme

    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

BOOK: Final = "market_depth.BTC_USDT"
REFUSED: Final = "market_depth.NONE_SUCH"
LABELS: Final = ("0-0", "0-1")
TOPICS: Final = ["trade.*", "ticker.*", BOOK, REFUSED]
SCRAPE_SECONDS: Final = 1
RATE_INTERVAL: Final = f"{4 * SCRAPE_SECONDS}s"
"""As Grafana takes it: four scrapes."""


class Shown:
    """What Grafana would get for its queries, over the time since this was made."""

    def __init__(self, server: Prometheus) -> None:
        self._server = server
        self._since = time.time()

    async def asked(self, expr: str, *, instant: bool) -> list[dict[str, Any]]:
        """The series of a query with the dashboard's variables at "all"."""
        now = time.time()
        seconds = f"{now - self._since:.0f}"
        times = {"__rate_interval": RATE_INTERVAL, "__interval": f"{SCRAPE_SECONDS}s"}
        query = substituted(expr, **times, __range=f"{seconds}s", __range_s=seconds)
        if instant:
            return await self._server.query(query)
        span = {"start": f"{self._since}", "end": f"{now}", "step": f"{SCRAPE_SECONDS}"}
        found: dict[str, Any] = await self._server.get("query_range", query=query, **span)
        return list(found["result"])

    async def of(self, query: Target) -> list[float]:
        """All the figures that a panel's query brings."""
        series = await self.asked(query.expr, instant=query.query["instant"])
        samples = [sample for one in series for sample in one.get("values", [one.get("value")])]
        return [figure for _, text in samples if not math.isnan(figure := float(text))]


def watched(exchange: Exchange) -> dict[str, Any]:
    """A target that feeds nearly every family: siblings, a reference, and a topic that does not exist."""
    return target(
        exchange.url,
        TOPICS,
        redundancy=2,
        ack_probe_interval="500ms",
        rtt_interval="500ms",
        timeouts={"ack": "1s"},
        freshness={"default": {"mode": "fixed", "after": "2s", "silent_after": "2s"}},
        reference={"url": exchange.rest_url, "interval": "1s"},
    )


async def until_counted(monitored: Monitored, *names: str) -> None:
    """Wait until the monitor has counted some of each."""
    for name in names:
        while (await monitored.scrape()).value(name, target=TARGET) == 0:  # noqa: ASYNC110 - a scrape is no event
            await asyncio.sleep(0.2)


async def suffer(exchange: Exchange, monitored: Monitored) -> None:
    """Everything that a panel shows when something is wrong, once."""
    faults = [
        exchange.faults.add(Mute(connections="first", topic="trade.*")),
        exchange.faults.add(CrossBook()),
        exchange.faults.add(DropAcks()),
        exchange.faults.add(RefuseRest()),
    ]
    exchange.faults.add(Garbage())
    await until_counted(
        monitored,
        "alpmon_missed_messages_total",
        "alpmon_feed_anomalies_total",
        "alpmon_subscribe_failures_total",
        "alpmon_reference_failures_total",
        "alpmon_malformed_frames_total",
        "alpmon_topic_stale_seconds_total",
    )
    for fault in faults:
        exchange.faults.lift(fault)
    refusal = exchange.faults.add(RefuseUpgrades())
    exchange.faults.add(Abort())
    await until_counted(monitored, "alpmon_connection_failures_total", "alpmon_disconnects_total")
    exchange.faults.lift(refusal)


def over_tls(exchange: Exchange, authority: trustme.CA, folder: Path) -> dict[str, Any]:
    """A target that shows a certificate."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return {**target(exchange.url, ["trade.*"], tls={"ca_file": str(folder / "ca.pem")}), "name": "secure"}


def teach_rates(monitored: Monitored) -> None:
    """What a quarter of an hour would have taught, which a test does not wait for."""
    now = time.time()
    for label in LABELS:
        for record in monitored.connection(label).topics.values():
            for seconds_ago in range(900, 0, -2):
                record.meter.rate.observe(20, 2.0, 2.0, now - seconds_ago)


async def until_live(monitored: Monitored) -> None:
    for label in LABELS:
        await monitored.until_live(label)


@pytest.mark.slow
async def test_every_panel_shows_what_happened_and_reconnects_are_marked(
    start_exchange: StartExchange, server_tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """No query is in error and none comes back empty; the mark of a reconnect stands where it was."""
    pings = {"ping_interval_seconds": 1.0, "ping_timeout_seconds": 5.0}
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED, market=True, rate=20.0, **pings)
    secure = over_tls(await start_exchange(ssl_context=server_tls), authority, tmp_path)
    rules = [str(GRAFANA / "rules" / "alpmon.rules.yaml")]
    async with monitoring(watched(exchange), secure) as monitored:
        await until_live(monitored)
        teach_rates(monitored)
        address = monitored.service.url.removeprefix("http://")
        async with prometheus(tmp_path, address, rule_files=rules) as server:
            await server.until("alpmon_connection_up == 1")
            shown = Shown(server)
            await suffer(exchange, monitored)
            await until_live(monitored)
            established = [monitored.connection(label).established_wall for label in LABELS]
            for wall in established:
                await server.until(f"alpmon_connection_established_timestamp_seconds == {wall!r}")

            assert [str(query) for query in targets() if not await shown.of(query)] == []

            expressions = {mark["name"]: mark["expr"] for mark in DASHBOARDS["overview"]["annotations"]["list"]}
            marks = {name: await shown.asked(expr, instant=False) for name, expr in expressions.items()}
            milliseconds = {round(float(value)) for series in marks["Reconnects"] for _, value in series["values"]}
            assert {round(wall * 1000) for wall in established} <= milliseconds
            assert len(marks["Reloads"]) == 1  # the configuration that it started with
            assert marks["Certificates"] == []  # it is still the same
