"""Every query of every dashboard, asked of a real Prometheus that scraped a monitor through good and bad times."""

from __future__ import annotations

import asyncio
import itertools
import math
import ssl
import subprocess
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from alpmon.core.events import Dialect
from alpmon.exchange.faults import Abort, CrossBook, DropAcks, Garbage, Mute, RefuseRest, RefuseUpgrades, Thin
from tests.grafana.reading import DASHBOARDS, GRAFANA, Target, substituted, targets
from tests.integration.harness import TARGET, Monitored, target, teach_rate
from tests.integration.panel_facts import AFTERWARDS, FAULTY, REFUSED_ENTRY, SHOWN_BEFORE, USUAL_RATE, WELL, Fact, above
from tests.integration.prometheus import Prometheus, prometheus
from tests.integration.test_reload import reloadable
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    import trustme

    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

BOOK: Final = "market_depth.BTC_USDT"
REFUSED: Final = "market_depth.NONE_SUCH"
LABELS: Final = ("0-0", "0-1")
TOPICS: Final = ["trade.*", "ticker.*", BOOK, REFUSED]
DAY: Final = 86_400
SCRAPE_SECONDS: Final = 1
RATE_INTERVAL: Final = f"{4 * SCRAPE_SECONDS}s"
"""As Grafana takes it: four scrapes."""


QUERIES: Final = {str(query): query for query in targets()}


class Shown:
    """What Grafana would get for its queries, over the time since this was made."""

    def __init__(self, server: Prometheus) -> None:
        self._server = server
        self._since = time.time()

    async def asked(self, expr: str, *, instant: bool) -> list[dict[str, Any]]:
        """The series of a query with the dashboard's variables at "all"."""
        now = time.time()
        seconds = f"{max(1.0, now - self._since):.0f}"
        times = {"__rate_interval": RATE_INTERVAL, "__interval": f"{SCRAPE_SECONDS}s"}
        query = substituted(expr, **times, __range=f"{seconds}s", __range_s=seconds)
        if instant:
            return await self._server.query(query)
        span = {"start": f"{self._since}", "end": f"{now}", "step": f"{SCRAPE_SECONDS}"}
        found: dict[str, Any] = await self._server.get("query_range", query=query, **span)
        return list(found["result"])

    async def seen(self, query: Target) -> list[dict[str, Any]]:
        """What a person reads off now: the right edge of a graph, and of a number the last that came."""
        if query.query["instant"] or query.panel["type"] in ("timeseries", "state-timeline"):
            return await self.asked(query.expr, instant=True)
        series = await self.asked(query.expr, instant=False)
        return [{**one, "value": one["values"][-1]} for one in series]

    async def missing(self, facts: Sequence[Fact]) -> list[str]:
        """Those facts that are not shown, with what is shown instead."""
        wrong = []
        for fact in facts:
            query = QUERIES[fact.query]
            series = await self.asked(query.expr, instant=False) if fact.once else await self.seen(query)
            if not fact.shown_by(series):
                wrong.append(f"{fact}: {[(one['metric'], one.get('value')) for one in series]}")
        return wrong

    async def until(self, facts: Sequence[Fact]) -> None:
        """Wait until all of them are shown at the same time."""
        wrong = ["nothing was asked"]
        try:
            async with asyncio.timeout(60):
                while wrong := await self.missing(facts):  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.3)
        except TimeoutError:
            pytest.fail("\n".join(wrong))

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


@asynccontextmanager
async def faulty(exchange: Exchange, monitored: Monitored) -> AsyncIterator[None]:
    """While this is entered, everything is wrong that leaves a connection up."""
    faults = [
        exchange.faults.add(Mute(connections="first", topic="trade.*")),
        exchange.faults.add(Thin(topic="trade.*", keep=0.3)),
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
    yield
    for fault in faults:
        exchange.faults.lift(fault)


@asynccontextmanager
async def refused(exchange: Exchange) -> AsyncIterator[None]:
    """All connections are lost, and none is let in while this is entered."""
    refusal = exchange.faults.add(RefuseUpgrades())
    exchange.faults.add(Abort())
    yield
    exchange.faults.lift(refusal)


def over_tls(exchange: Exchange, authority: trustme.CA, folder: Path) -> dict[str, Any]:
    """A target that shows a certificate, and carries private channels."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "token").write_text("opaque-token-of-the-test")
    tls, auth = {"ca_file": str(folder / "ca.pem")}, {"token_file": str(folder / "token")}
    return {**target(exchange.url, ["trade.*"], tls=tls, auth=auth), "name": "secure"}


def established(monitored: Monitored) -> list[float]:
    """When the present sessions were welcomed, of all targets."""
    connections = [c for target in monitored.service.monitor.targets.values() for c in target.connections.values()]
    return [connection.established_wall for connection in connections]


async def until_live(monitored: Monitored) -> None:
    for label in LABELS:
        await monitored.until_live(label)


def certificate(context: ssl.SSLContext, authority: trustme.CA, *, days: int) -> None:
    """Let the server show a new certificate to whoever connects from now on."""
    end = datetime.now(UTC) + timedelta(days=days)
    authority.issue_cert("127.0.0.1", not_after=end).configure_cert(context)


def marks(name: str) -> str:
    """The query of an annotation."""
    [expr] = [mark["expr"] for mark in DASHBOARDS["overview"]["annotations"]["list"] if mark["name"] == name]
    return str(expr)


async def marked_at(shown: Shown, name: str) -> set[int]:
    """The milliseconds that marks say."""
    series = await shown.asked(marks(name), instant=False)
    return {round(float(value)) for one in series for _, value in one["values"]}


async def until_marked(shown: Shown, name: str, *walls: float) -> None:
    """Wait until there are marks at just these times."""
    async with asyncio.timeout(60):
        while await marked_at(shown, name) != {round(wall * 1000) for wall in walls}:  # noqa: ASYNC110
            await asyncio.sleep(0.3)


@pytest.mark.slow
async def test_every_panel_shows_what_happened_and_marks_stand_where_it_was(
    start_exchange: StartExchange, authority: trustme.CA, tmp_path: Path
) -> None:
    """In good and bad times the figures are those of the faults; no query is in error and none comes back empty."""
    pings = {"ping_interval_seconds": 1.0, "ping_timeout_seconds": 5.0}
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED, market=True, rate=20.0, **pings)
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate(server_tls, authority, days=30)
    behind_tls = await start_exchange(ssl_context=server_tls)
    secure = over_tls(behind_tls, authority, tmp_path)
    rules = [str(GRAFANA / "rules" / "alpmon.rules.yaml")]
    async with reloadable(watched(exchange), secure) as monitored:
        await until_live(monitored)
        for topic in monitored.topics(TARGET):
            teach_rate(topic, USUAL_RATE)
        address = monitored.service.url.removeprefix("http://")
        async with prometheus(tmp_path, address, rule_files=rules) as server:
            await server.until("alpmon_connection_up == 1")
            shown = Shown(server)
            first = established(monitored)
            await shown.until(WELL)
            async with faulty(exchange, monitored):
                await shown.until(FAULTY)
            async with refused(exchange):
                await shown.until(REFUSED_ENTRY)
            await until_live(monitored)
            await shown.until(AFTERWARDS)
            empty = {str(query) for query in targets() if not await shown.of(query)}
            assert empty <= SHOWN_BEFORE
            await until_marked(shown, "Reconnects", *first, *established(monitored))

            loaded = monitored.service.monitor.reload_success_wall
            await until_marked(shown, "Reloads", loaded)
            await monitored.reload(watched(exchange), secure)
            await until_marked(shown, "Reloads", loaded, monitored.service.monitor.reload_success_wall)

            # the mark compares with what stood at a whole quarter of a minute, so one must have passed
            await server.until(f"last_over_time(({CERTIFICATE} > 0)[1h:15s] offset {SCRAPE_SECONDS}s)")
            assert await shown.asked(marks("Certificates"), instant=False) == []
            certificate(server_tls, authority, days=90)
            behind_tls.faults.add(Abort())
            async with asyncio.timeout(60):
                while not (changed := await shown.asked(marks("Certificates"), instant=False)):  # noqa: ASYNC110
                    await asyncio.sleep(0.3)
            assert [one["metric"] for one in changed] == [{"target": "secure"}]
            await shown.until([Fact("connection: Certificates run out in: A", "target=secure", above(89 * DAY))])


CERTIFICATE: Final = "alpmon_tls_certificate_not_after_timestamp_seconds"
SCRAPED_EACH: Final = 60


def history(path: Path, since: int, shown: Sequence[tuple[float, int]]) -> None:
    """Write what a monitor showed, from so many days after the start on, in OpenMetrics."""
    lines = [f"# TYPE {CERTIFICATE} gauge"]
    labels = 'job="alpmon",instance="a",target="t",connection="0-0"'
    ends = [round(day * DAY) for day, _ in shown[1:]] + [round(shown[-1][0] * DAY) + DAY]
    for (day, value), end in zip(shown, ends, strict=True):
        times = range(since + round(day * DAY), since + end, SCRAPED_EACH)
        lines += [f"{CERTIFICATE}{{{labels}}} {value} {moment}" for moment in times]
    path.write_text("\n".join([*lines, "# EOF", ""]))


@pytest.mark.slow
async def test_no_change_of_a_certificate_is_missed_however_long_the_range(tmp_path: Path) -> None:
    """A renewal and a change back are marked once each, whatever the step; a restart, which shows 0 first, is not."""
    since = round(time.time()) // 900 * 900 - 9 * DAY
    one, other = 2_000_000_000, 2_010_000_000
    renewed, restarted, back = 3.301, 5.0, 6.707
    history(
        tmp_path / "history",
        since,
        [(0, one), (renewed, other), (restarted, 0), (restarted + 2 * SCRAPED_EACH / DAY, other), (back, one)],
    )
    blocks = [require_tool("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    made = [*blocks, str(tmp_path / "history"), str(tmp_path / "data")]
    await asyncio.to_thread(subprocess.run, made, check=True, capture_output=True)
    async with prometheus(tmp_path) as server:
        for step in (15, 60, 300, 3600, 7777, 20_000):
            query = substituted(marks("Certificates"), __interval=f"{step}s")
            for day, changes in ((renewed, 1), (restarted, 0), (back, 1)):
                around = [since + round(day * DAY) + steps * step for steps in (-4, 4)]
                for offset in range(0, step, max(1, step // 7)):
                    span = {"start": f"{around[0] + offset}", "end": f"{around[1] + offset}", "step": f"{step}"}
                    found = (await server.get("query_range", query=query, **span))["result"]
                    assert regions(found, step) == changes, (step, offset, day)


def regions(series: Sequence[dict[str, Any]], step: int) -> int:
    """How many marks Grafana draws: times that lie a step apart are one."""
    times = [moment for one in series for moment, _ in one["values"]]
    return sum(later - earlier > step for earlier, later in itertools.pairwise([-math.inf, *times]))
