"""A frozen feed told from a market that pauses, by asking REST; the exchange's ledger says how often that was."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alpmon.config import parse_duration
from alpmon.core.cadence import Cadence
from alpmon.core.events import Book, Dialect, Levels
from alpmon.exchange.faults import Mute, Pause, RefuseRest
from alpmon.telemetry.statefile import Learnt, save
from tests.grafana.shipped import alerts
from tests.integration.harness import TARGET, Monitored, monitoring, target, until
from tests.integration.test_reload import reloadable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

BITCOIN, ETHER = "market_depth.BTC_USDT", "market_depth.ETH_USDT"
PACE_SECONDS = 1.0
LITTLE_SECONDS = 0.05
"""What a timer may be early or a request late on its way."""


def referring(
    exchange: Exchange, topics: list[str], *, after: str = "1s", interval: str = "1s", url: str | None = None
) -> dict[str, Any]:
    """A target whose topics may be silent for a second, and whose REST is looked at every second."""
    freshness = {"default": {"mode": "fixed", "after": after, "silent_after": "10m"}}
    reference = {"url": url or exchange.rest_url, "interval": interval}
    return target(exchange.url, topics, freshness=freshness, reference=reference)


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A REST base that answers everything in one way."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield str(server.make_url("")).rstrip("/")


def publish_book(exchange: Exchange, *topics: str) -> None:
    for topic in topics:
        exchange.publish(exchange.market.quotes.book(topic.partition(".")[2], time.time()))


async def test_frozen_books_are_found_stale_and_a_quiet_pair_quiet(start_exchange: StartExchange) -> None:
    """One book moves on and its frames do not come; the other has nothing to say. Then the frames come again."""
    exchange = await start_exchange()
    async with monitoring(referring(exchange, [BITCOIN, ETHER])) as monitored:
        await monitored.until_live()
        publish_book(exchange, BITCOIN, ETHER)
        await until(lambda: monitored.connection().data_frames == 2)
        frozen = exchange.faults.add(Mute(topic=BITCOIN))
        publish_book(exchange, BITCOIN)
        watch = monitored.connection().topics[BITCOIN].watch
        assert watch is not None
        await until(lambda: watch.divergence(time.monotonic()) > 2.0)
        await until(lambda: monitored.state(ETHER) == "quiet")
        scrape = await monitored.scrape()
        name = "alpmon_topic_reference_divergence_seconds"
        assert scrape.value(name, topic=BITCOIN) >= 2.0
        assert scrape.value(name, topic=ETHER) == 0.0
        assert scrape.value("alpmon_topic_state", topic=BITCOIN, alpmon_topic_state="stale") == 1
        assert scrape.value("alpmon_topic_state", topic=ETHER, alpmon_topic_state="quiet") == 1
        assert scrape.value("alpmon_topic_stale", topic=BITCOIN) == 1
        assert scrape.value("alpmon_topic_stale", topic=ETHER) == 0
        assert scrape.value("alpmon_reference_checks_total", target=TARGET) >= 3
        assert scrape.value("alpmon_reference_failures_total", target=TARGET) == 0

        exchange.faults.lift(frozen)
        publish_book(exchange, BITCOIN)
        await until(lambda: watch.divergence(time.monotonic()) == 0.0)
        await until(lambda: monitored.state(BITCOIN) == "quiet")


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_a_market_that_pauses_is_quiet_on_every_topic(start_exchange: StartExchange, redundancy: int) -> None:
    """REST has no news either, and siblings nothing to go by: stale for as long as it takes to ask, and no page."""
    topics = ["trade.*", "ticker.*", BITCOIN]
    labels = [f"0-{replica}" for replica in range(redundancy)]
    exchange = await start_exchange(market=True, rate=50.0, dialect=Dialect.DOCUMENTED)

    def all_are(wanted: str) -> bool:
        return all(monitored.state(topic, label) == wanted for topic in topics for label in labels)

    one = {**referring(exchange, topics, after="2s"), "redundancy": redundancy}
    async with monitoring(one) as monitored:
        await until(
            lambda: all(monitored.connection(label).topics[topic].messages for topic in topics for label in labels)
        )
        pause = exchange.faults.add(Pause())
        await until(lambda: all_are("quiet"))
        stale = (await monitored.scrape()).values("alpmon_topic_stale_seconds_total")
        checks = len(exchange.ledger.rest)
        await until(lambda: len(exchange.ledger.rest) >= checks + 3)
        assert all_are("quiet"), "another read of each said the same"
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_topic_stale") == 0
        assert scrape.values("alpmon_topic_stale_seconds_total") == stale
        assert max(stale.values()) < alert_for("AlpmonFeedStale")
        assert scrape.value("alpmon_topic_reference_divergence_seconds") == 0.0
        exchange.faults.lift(pause)
        await until(lambda: all_are("live"))


def alert_for(name: str) -> float:
    """How long its condition must hold before an alert fires, seconds."""
    [waits] = {rule["for"] for rule in alerts() if rule["alert"] == name}
    return parse_duration(waits)


@pytest.mark.parametrize("topic", ["trade.*", "trade.BTC_USDT", "ticker.*", "diff.BTC_USDT"])
async def test_every_channel_that_rest_knows_is_found_stale(start_exchange: StartExchange, topic: str) -> None:
    """The market moves on, and nothing of it comes."""
    exchange = await start_exchange(market=True, rate=50.0, dialect=Dialect.DOCUMENTED)
    async with monitoring(referring(exchange, [topic])) as monitored:
        record = monitored.connection().topics
        await until(lambda: record[topic].messages)
        exchange.faults.add(Mute())
        watch = record[topic].watch
        assert watch is not None
        await until(lambda: watch.divergence(time.monotonic()) > 0.0)
        assert monitored.state(topic) == "stale"


async def test_a_reference_that_fails_gives_no_verdict(start_exchange: StartExchange) -> None:
    """It is counted, and the topic stays stale."""
    exchange = await start_exchange()
    exchange.faults.add(RefuseRest(status=500))
    async with monitoring(referring(exchange, [BITCOIN])) as monitored:
        await monitored.until_live()
        publish_book(exchange, BITCOIN)
        record = monitored.service.monitor.targets[TARGET]
        await until(lambda: record.reference_failures >= 2)
        scrape = await monitored.scrape()
        told = scrape.value("alpmon_reference_failures_total", target=TARGET)
        assert told == scrape.value("alpmon_reference_checks_total", target=TARGET)
        assert scrape.value("alpmon_topic_state", topic=BITCOIN, alpmon_topic_state="stale") == 1
        assert scrape.value("alpmon_topic_reference_divergence_seconds", topic=BITCOIN) == 0.0


EACH = [BITCOIN, ETHER, "trade.BTC_USDT"]


async def until_quiet(exchange: Exchange, monitored: Monitored) -> None:
    """Each topic says something, and then nothing until REST vouches for it."""
    await monitored.until_live()
    publish_book(exchange, BITCOIN, ETHER)
    exchange.publish(exchange.market.quotes.trade("BTC_USDT", time.time()))
    await until(lambda: all(monitored.state(topic) == "quiet" for topic in EACH))


@pytest.mark.slow
@pytest.mark.parametrize("refusal", [{"status": 429, "retry_after": 3600}, {"status": 500}], ids=str)
async def test_a_verdict_ends_when_the_reference_stays_away(
    start_exchange: StartExchange, refusal: dict[str, Any]
) -> None:
    """Also for the topics that were not asked about meanwhile, as the exchange is left alone."""
    exchange = await start_exchange()
    async with monitoring(referring(exchange, EACH, interval="200ms")) as monitored:
        await until_quiet(exchange, monitored)
        exchange.faults.add(RefuseRest(**refusal))
        await until(lambda: all(monitored.state(topic) == "stale" for topic in EACH))
        refused = [entry for entry in exchange.ledger.rest if entry.status == refusal["status"]]
        assert len(refused) == 1 if "retry_after" in refusal else refused


@pytest.mark.slow
async def test_a_verdict_waits_for_its_turn_however_many_topics_are_silent(start_exchange: StartExchange) -> None:
    """The interval is shorter than it takes to ask about all of them; each stays quiet until its next read."""
    exchange = await start_exchange()
    seen: set[str] = set()

    def looked(checks: int) -> bool:
        seen.update(monitored.state(topic) for topic in EACH)
        return len(exchange.ledger.rest) >= checks

    async with monitoring(referring(exchange, EACH, interval="100ms")) as monitored:
        await until_quiet(exchange, monitored)
        await until(partial(looked, len(exchange.ledger.rest) + 2 * len(EACH)))
        assert seen == {"quiet"}


async def test_a_verdict_ends_while_the_reference_lets_a_request_hang(start_exchange: StartExchange) -> None:
    """Long before the request is given up."""
    asked: list[str] = []

    async def answer_once(request: web.Request) -> web.Response:
        asked.append(request.path)
        if len(asked) == 1:
            return web.json_response({"buy": [], "sell": []})
        await asyncio.Event().wait()
        raise AssertionError("never")

    exchange = await start_exchange()
    async with serving(answer_once) as url, monitoring(referring(exchange, [BITCOIN], url=url)) as monitored:
        await monitored.until_live()
        exchange.publish(Book("p", time.time(), Levels([], [], "BTC_USDT")))
        await until(lambda: monitored.state(BITCOIN) == "quiet")
        await until(lambda: monitored.state(BITCOIN) == "stale")
        record = monitored.service.monitor.targets[TARGET]
        assert (len(asked), record.reference_failures) == (2, 0)


async def test_the_wait_is_over_when_its_time_has_come(start_exchange: StartExchange) -> None:
    """It is a moment, and no length that every look waits for again; a reload does not forget it."""
    exchange = await start_exchange()
    refusing = exchange.faults.add(RefuseRest(status=429, retry_after=3600))
    async with reloadable(referring(exchange, [BITCOIN])) as monitored:
        away = monitored.service.monitor.targets[TARGET].reference_away
        await until(lambda: exchange.ledger.rest and away)
        exchange.faults.lift(refusing)
        await monitored.reload(referring(exchange, [BITCOIN], interval="2s"))
        await until(lambda: monitored.state(BITCOIN) == "stale")
        looked_again = time.monotonic() + 3 * PACE_SECONDS
        await until(lambda: time.monotonic() > looked_again)
        assert len(exchange.ledger.rest) == 1
        away[exchange.rest_url] = time.monotonic()
        await until(lambda: len(exchange.ledger.rest) == 2)


async def test_what_never_spoke_is_silent_and_diverges_from_nothing(start_exchange: StartExchange) -> None:
    """Acknowledged and never delivered: a state and an alert of its own; REST is not asked about it for ever."""
    silent, frozen = "diff.BTC_USDT", ETHER
    exchange = await start_exchange(market=True, rate=50.0, dialect=Dialect.OBSERVED)
    one = referring(exchange, [silent, frozen])
    one["freshness"]["overrides"] = [{"topics": silent, "mode": "fixed", "after": "500ms", "silent_after": "6s"}]
    async with monitoring(one) as monitored:
        watches = [monitored.connection().topics[topic].watch for topic in (silent, frozen)]
        await until(lambda: monitored.connection().topics[frozen].messages)
        exchange.faults.add(Mute(topic=frozen))
        await until(lambda: all(watch is not None and watch.divergence(time.monotonic()) > 0.0 for watch in watches))
        await until(lambda: monitored.state(silent) == "silent")
        before = len(exchange.ledger.rest)
        await until(lambda: len(exchange.ledger.rest) >= before + 4)
        assert {entry.pair for entry in exchange.ledger.rest[before + 1 :]} == {"ETH_USDT"}
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_topic_reference_divergence_seconds", topic=silent) == 0.0
        assert scrape.value("alpmon_topic_reference_divergence_seconds", topic=frozen) > 0.0
        assert scrape.value("alpmon_topic_state", topic=silent, alpmon_topic_state="silent") == 1


async def test_what_spoke_before_a_restart_diverges_though_it_is_silent_now(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """The state file knows that it did: an outage is no less one because the monitor began in the middle of it."""
    exchange = await start_exchange(market=True, rate=50.0)
    exchange.faults.add(Mute())
    learnt = Cadence(0.5, 600.0)
    for _ in range(20):
        learnt.observe(0.1)
    path = tmp_path / "state.json"
    save(path, {TARGET: {ETHER: Learnt(cadence=learnt.snapshot())}}, time.time())
    one = referring(exchange, [BITCOIN, ETHER])
    one["freshness"]["default"] = {"mode": "adaptive", "floor": "500ms", "silent_after": "1s"}
    async with monitoring(one, state_file=str(path)) as monitored:
        known, unknown = (monitored.connection().topics[topic].watch for topic in (ETHER, BITCOIN))
        assert known is not None
        assert unknown is not None
        await until(lambda: known.divergence(time.monotonic()) > 0.0)
        assert [monitored.state(topic) for topic in (ETHER, BITCOIN)] == ["silent", "silent"]
        assert unknown.divergence(time.monotonic()) == 0.0


async def test_requests_keep_a_second_apart_however_many_topics_are_silent(start_exchange: StartExchange) -> None:
    """Each topic gets its turn; two connections that carry it share a read."""
    exchange = await start_exchange()
    topics = [BITCOIN, ETHER, "trade.BTC_USDT", "ticker.*", "rates.*"]
    async with monitoring({**referring(exchange, topics), "redundancy": 2}) as monitored:
        await monitored.until_live()
        await until(lambda: len(exchange.ledger.rest) >= 5)
        asked = exchange.ledger.rest
        assert {(entry.endpoint, entry.pair) for entry in asked} == {
            ("orderbook", "BTC_USDT"),
            ("orderbook", "ETH_USDT"),
            ("trades", "BTC_USDT"),
            ("ticker", ""),
        }
        assert all(b.at - a.at >= PACE_SECONDS - LITTLE_SECONDS for a, b in itertools.pairwise(asked))


async def test_only_topics_past_their_threshold_are_asked_about(start_exchange: StartExchange) -> None:
    """A topic that is live costs the exchange nothing."""
    exchange = await start_exchange()
    settings = referring(exchange, [BITCOIN, "trade.*"])
    settings["freshness"]["overrides"] = [{"topics": "trade.*", "mode": "fixed", "after": "10m"}]
    async with monitoring(settings) as monitored:
        await monitored.until_live()
        await until(lambda: len(exchange.ledger.rest) >= 3)
        assert {entry.endpoint for entry in exchange.ledger.rest} == {"orderbook"}


async def test_the_server_is_left_alone_for_as_long_as_it_asks(start_exchange: StartExchange) -> None:
    """429 with Retry-After stops all reads of the target, not only those of the topic."""
    exchange = await start_exchange()
    refusing = exchange.faults.add(RefuseRest(status=429, retry_after=3))
    async with monitoring(referring(exchange, [BITCOIN, ETHER])):
        await until(lambda: exchange.ledger.rest)
        exchange.faults.lift(refusing)
        await until(lambda: len(exchange.ledger.rest) >= 2)
        first, second, *_ = exchange.ledger.rest
        assert (first.status, second.status) == (429, 200)
        assert second.at - first.at >= 3.0 - LITTLE_SECONDS


async def test_a_reconnect_is_no_news(start_exchange: StartExchange) -> None:
    """What the market said while the connection was down is not held against the next session."""
    exchange = await start_exchange()
    async with monitoring(referring(exchange, [BITCOIN])) as monitored:
        await monitored.until_live()
        publish_book(exchange, BITCOIN)
        await until(lambda: monitored.connection().data_frames == 1)
        exchange.sessions[0].link.close(1012)
        await until(lambda: not exchange.sessions)
        publish_book(exchange, BITCOIN)
        await until(lambda: monitored.connection().session_duration.count == 1)
        await until(lambda: monitored.state(BITCOIN) == "quiet")
        assert monitored.connection().data_frames == 1
        assert (await monitored.scrape()).value("alpmon_topic_reference_divergence_seconds") == 0.0
