"""Two connections with the same topics: what one of them misses, delivers late or is silent about."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest

from alpmon.core.freshness import TopicState
from alpmon.core.sightings import Timing
from alpmon.exchange.faults import Close, DelayData, Duplicate, Mute, RefuseUpgrades
from tests.integration.harness import TARGET, Monitored, monitoring, target, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from alpmon.core.sightings import Standing
    from alpmon.exchange import Exchange
    from alpmon.exchange.ledger import ConnectionEntry
    from alpmon.exchange.wire import MarketEvent
    from tests.conftest import StartExchange

TRADES, TICKERS, BOOK = "trade.*", "ticker.*", "market_depth.BTC_USDT"
TOPICS = [TRADES, TICKERS, BOOK]
LABELS = ("0-0", "0-1")
AFTER_SECONDS = 3.0
FRESHNESS = {"default": {"mode": "fixed", "after": f"{AFTER_SECONDS:g}s"}}
PACE_SECONDS: Final = 0.05
TIMING = Timing()


class Publisher:
    """Says something on each topic in turn, to everybody, until told not to; `topics` may change."""

    def __init__(self, exchange: Exchange) -> None:
        self.topics = set(TOPICS)
        self.published = 0
        self._exchange = exchange

    async def run(self) -> None:
        for topic in itertools.cycle(TOPICS):
            if topic in self.topics:
                self._exchange.publish(self._event(topic))
                self.published += 1
            await asyncio.sleep(PACE_SECONDS / len(TOPICS))

    def _event(self, topic: str) -> MarketEvent:
        quotes, now = self._exchange.market.quotes, time.time()
        match topic:
            case "trade.*":
                return quotes.trade("BTC_USDT", now)
            case "ticker.*":
                return quotes.tickers(now)
            case _:
                return quotes.book("BTC_USDT", now)


@asynccontextmanager
async def publishing(exchange: Exchange) -> AsyncIterator[Publisher]:
    """A market of three topics at twenty messages a second each, to the same clients at the same time."""
    publisher = Publisher(exchange)
    task = asyncio.create_task(publisher.run())
    yield publisher
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def two_connections(exchange: Exchange) -> AsyncIterator[Monitored]:
    """Both subscribed for long enough to answer for what they miss."""
    options = {"redundancy": 2, "freshness": FRESHNESS}
    async with monitoring(target(exchange.url, TOPICS, **options)) as monitored:
        for label in LABELS:
            await monitored.until_live(label)
        await until(lambda: all(answers(standing(monitored, label, TRADES)) for label in LABELS))
        yield monitored


def standing(monitored: Monitored, label: str, topic: str) -> Standing:
    account = monitored.connection(label).topics[topic].standing
    assert account is not None
    return account


def answers(account: Standing) -> bool:
    return time.monotonic() > account.since + TIMING.grace


def first_and_other(exchange: Exchange, monitored: Monitored) -> tuple[str, str]:
    """The labels of the exchange's oldest session and of the other one."""
    oldest = exchange.sessions[0].entry.client_id
    first, other = sorted(LABELS, key=lambda label: monitored.connection(label).client_id != oldest)
    return first, other


def entry_of(exchange: Exchange, monitored: Monitored, label: str) -> ConnectionEntry:
    client_id = monitored.connection(label).client_id
    return next(entry for entry in exchange.ledger.connections if entry.client_id == client_id)


async def until_judged(since: float) -> None:
    """Whatever was sent before `since` is delivered or missed by now, and written down."""
    await until(lambda: time.monotonic() > since + TIMING.window + 2.0)


@pytest.mark.slow
async def test_one_of_two_going_deaf_on_a_topic_is_found_on_that_one(start_exchange: StartExchange) -> None:
    """Stale there and live on the other; what it missed is what the exchange kept from it, to the message."""
    exchange = await start_exchange()
    async with two_connections(exchange) as monitored:
        first, other = first_and_other(exchange, monitored)
        async with publishing(exchange) as publisher:
            await until(lambda: publisher.published > 60)
            exchange.faults.add(Mute(connections="first", topic=TRADES))
            await until(lambda: monitored.state(TRADES, first) is TopicState.STALE)
            assert monitored.state(TRADES, other) is TopicState.LIVE
            assert {monitored.state(topic, first) for topic in (TICKERS, BOOK)} == {TopicState.LIVE}
        await until_judged(time.monotonic())
        scrape = await monitored.scrape()
        sent = {label: entry_of(exchange, monitored, label).topics for label in LABELS}
        kept = sent[other][TRADES].frames - sent[first][TRADES].frames
        assert kept > 20
        assert scrape.value("alpmon_missed_messages_total", connection=first, topic=TRADES) == kept
        assert scrape.value("alpmon_missed_messages_total") == kept, "nothing else was missed"


async def test_a_market_that_pauses_is_quiet_on_both_and_never_stale(start_exchange: StartExchange) -> None:
    """Every sibling is silent and the other topics flow: no stale second, no page."""
    exchange = await start_exchange()
    async with two_connections(exchange) as monitored, publishing(exchange) as publisher:
        await until(lambda: all(monitored.state(TRADES, label) is TopicState.LIVE for label in LABELS))
        publisher.topics.discard(TRADES)
        paused = time.monotonic()
        await until(lambda: time.monotonic() > paused + 2 * AFTER_SECONDS)
        assert {monitored.state(TRADES, label) for label in LABELS} == {TopicState.QUIET}
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_topic_state", topic=TRADES, alpmon_topic_state="quiet") == 2
        for name in ("topic_stale", "topic_stale_seconds_total", "topic_stale_episodes_total", "missed_messages_total"):
            assert scrape.value(f"alpmon_{name}") == 0, name
        publisher.topics.add(TRADES)
        await until(lambda: all(monitored.state(TRADES, label) is TopicState.LIVE for label in LABELS))


async def test_a_target_that_freezes_altogether_is_never_quiet(start_exchange: StartExchange) -> None:
    """The siblings agree, but nothing lives: stale."""
    exchange = await start_exchange()
    seen: set[TopicState] = set()

    def all_stale() -> bool:
        present = {monitored.state(topic, label) for label in LABELS for topic in TOPICS}
        seen.update(present)
        return present == {TopicState.STALE}

    async with two_connections(exchange) as monitored:
        async with publishing(exchange):
            await until(lambda: exchange.ledger.topics().keys() == set(TOPICS))
        await until(all_stale)
        stale_since = time.monotonic()
        await until(lambda: all_stale() and time.monotonic() > stale_since + AFTER_SECONDS)
        assert seen <= {TopicState.LIVE, TopicState.STALE}


@pytest.mark.slow
async def test_a_reconnect_misses_nothing(start_exchange: StartExchange) -> None:
    """What the sibling got meanwhile, and around it, is not held against a connection that was not there."""
    exchange = await start_exchange()
    async with two_connections(exchange) as monitored:
        first, _ = first_and_other(exchange, monitored)
        record = monitored.connection(first)
        async with publishing(exchange) as publisher:
            for ended, fault in enumerate((Close(connections="first"), Close()), 1):
                refusal = exchange.faults.add(RefuseUpgrades())
                exchange.faults.add(fault)
                await until(lambda ended=ended: record.session_duration.count == ended)
                before = publisher.published
                await until(lambda before=before: publisher.published > before + 10)
                exchange.faults.lift(refusal)
                for label in LABELS:
                    await monitored.until_live(label)
                await until(lambda: all(answers(standing(monitored, label, TRADES)) for label in LABELS))
        await until_judged(time.monotonic())
        assert record.data_frames < publisher.published - 20
        scrape = await monitored.scrape()
        assert len(scrape.values("alpmon_missed_messages_total", target=TARGET)) == len(LABELS) * len(TOPICS)
        assert scrape.value("alpmon_missed_messages_total") == 0


async def test_one_of_two_delivering_late_is_timed_behind_the_other(start_exchange: StartExchange) -> None:
    """By the delay that the exchange gave it, once a message even where each comes twice; nothing is missed."""
    exchange = await start_exchange()
    async with two_connections(exchange) as monitored:
        first, other = first_and_other(exchange, monitored)
        exchange.faults.add(DelayData(connections="first", by=0.3))
        exchange.faults.add(Duplicate())
        async with publishing(exchange):
            await until(lambda: monitored.connection(first).data_frames >= 60)
        published = entry_of(exchange, monitored, other).data.frames
        await until(lambda: monitored.connection(first).data_frames == published)
        scrape = await monitored.scrape()
        count = scrape.value("alpmon_delivery_delay_seconds_count", connection=first)
        assert count == published / 2
        mean = scrape.value("alpmon_delivery_delay_seconds_sum", connection=first) / count
        assert mean == pytest.approx(0.3, abs=0.05)
        assert scrape.value("alpmon_delivery_delay_seconds_count", connection=other) == 0
        assert scrape.value("alpmon_missed_messages_total") == 0


async def test_a_connection_alone_has_nothing_to_be_compared_with(start_exchange: StartExchange) -> None:
    """No series that could only be zero."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, TOPICS)) as monitored:
        await monitored.until_live()
        scrape = await monitored.scrape()
        assert not scrape.values("alpmon_missed_messages_total")
        assert not scrape.values("alpmon_delivery_delay_seconds_count")
