"""What the monitor says is what the exchange did: held against the exchange's own ledger, to the message."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from alpmon.core.events import Dialect
from alpmon.core.topics import PRIVATE_CHANNELS, Channel
from alpmon.exchange.faults import Abort, Close, DelayAcks, Freeze, Payload
from tests.integration.harness import TARGET, Monitored, Scrape, monitoring, target, until

if TYPE_CHECKING:
    from pathlib import Path

    from alpmon.exchange import Exchange
    from alpmon.exchange.ledger import ConnectionEntry
    from tests.conftest import StartExchange

DIALECTS = [Dialect.DOCUMENTED, Dialect.OBSERVED]
EVERY_CHANNEL = ["ticker.*", "trade.*", "rates.*", "diff.BTC_USDT", "market_depth.BTC_USDT", "market_depth.ETH_USDT"]


def entry_of(exchange: Exchange, monitored: Monitored, label: str = "0-0") -> ConnectionEntry:
    """The exchange's account of the session that a connection is in."""
    client_id = monitored.connection(label).client_id
    return next(entry for entry in exchange.ledger.connections if entry.client_id == client_id)


def assert_same_counts(scrape: Scrape, entry: ConnectionEntry) -> None:
    """Frames and bytes a topic, and frames a kind."""
    for topic, sent in entry.topics.items():
        assert scrape.value("alpmon_messages_total", topic=topic) == sent.frames, topic
        assert scrape.value("alpmon_message_bytes_total", topic=topic) == sent.bytes, topic
    assert scrape.value("alpmon_messages_total") == entry.data.frames
    for kind in ("welcome", "ack", "error", "data"):
        assert scrape.value("alpmon_frames_total", kind=kind) == entry.frames[kind], kind


async def test_a_burst_of_100_000_messages_is_counted_to_the_message_and_the_byte(
    start_exchange: StartExchange,
) -> None:
    """As fast as the server can write them."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["ticker.*", "trade.*", "market_depth.BTC_USDT"])) as monitored:
        await monitored.until_live()
        await exchange.burst(100_000, {"trade.*": 0.45, "ticker.*": 0.30, "market_depth.BTC_USDT": 0.25})
        await until(lambda: monitored.connection().data_frames >= 100_000, seconds=60)
        scrape = await monitored.scrape()
        entry = entry_of(exchange, monitored)
        assert entry.data.frames == 100_000
        assert_same_counts(scrape, entry)
        assert scrape.value("alpmon_unrouted_messages_total") == 0
        assert scrape.value("alpmon_topic_interarrival_seconds_count") == 100_000 - 3


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_channel_at_once_is_counted_to_the_message(
    start_exchange: StartExchange, tmp_path: Path, dialect: Dialect
) -> None:
    """The private ones too; each message under its own topic. The observed dialect never delivers `diff`."""
    exchange = await start_exchange(dialect=dialect, market=True, rate=50.0)
    (tmp_path / "token").write_text("token-of-the-test")
    delivering = {topic for topic in EVERY_CHANNEL if exchange.rules.delivers(topic)} | set(PRIVATE_CHANNELS)
    never = {Channel.DIFF} if dialect is Dialect.OBSERVED else set()
    assert {topic.partition(".")[0] for topic in delivering} == set(Channel) - never
    options = {"auth": {"token_file": str(tmp_path / "token")}}
    async with monitoring(target(exchange.url, EVERY_CHANNEL, **options)) as monitored:
        await monitored.until_live()
        entry = entry_of(exchange, monitored)
        await until(lambda: entry.topics.keys() >= delivering and entry.data.frames >= 300)
        exchange.faults.add(Freeze())
        await until(lambda: monitored.connection().data_frames == entry.data.frames)
        assert entry.topics.keys() == delivering
        assert_same_counts(await monitored.scrape(), entry)


async def test_rows_of_a_ticker_frame_count_once_a_symbol(start_exchange: StartExchange) -> None:
    """The topic counts frames, its symbols count rows."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["ticker.*"])) as monitored:
        await monitored.until_live()
        row = '"1","1","1","1","1","1","1","1"'
        exchange.send(Payload(text=f'["tk",1790139141,["BTC_USDT",{row}],["ETH_USDT",{row}]]'))
        exchange.send(Payload(text=f'["tk",1790139142,["BTC_USDT",{row}]]'))
        await until(lambda: monitored.connection().data_frames == 2)
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_messages_total", topic="ticker.*") == 2
        assert scrape.value("alpmon_symbol_messages_total", channel="ticker", symbol="BTC_USDT") == 2
        assert scrape.value("alpmon_symbol_messages_total", channel="ticker", symbol="ETH_USDT") == 1


async def test_acknowledgements_delayed_by_350_ms_read_350_ms(start_exchange: StartExchange) -> None:
    """Within 20 ms, for the subscription and for each probe."""
    exchange = await start_exchange()
    exchange.faults.add(DelayAcks(by=0.35))
    async with monitoring(target(exchange.url, ["trade.*"], ack_probe_interval="500ms")) as monitored:
        await until(lambda: monitored.connection().ack["probe"].count >= 3)
        scrape = await monitored.scrape()
        for op in ("subscribe", "probe"):
            count = scrape.value("alpmon_subscribe_ack_seconds_count", op=op)
            mean = scrape.value("alpmon_subscribe_ack_seconds_sum", op=op) / count
            assert mean == pytest.approx(0.35, abs=0.02), op


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_pings_their_spacing_and_what_was_advertised(start_exchange: StartExchange, dialect: Dialect) -> None:
    """Every ping the server sent is counted, timed and answered; the dialect is told from them."""
    exchange = await start_exchange(dialect=dialect, ping_interval_seconds=0.25, ping_timeout_seconds=0.75)
    kind = "text" if dialect is Dialect.DOCUMENTED else "protocol"
    options = {"rtt_interval": "0s", "ack_probe_interval": "0s"}
    async with monitoring(target(exchange.url, ["trade.*"], **options)) as monitored:
        await monitored.until_live()
        await until(lambda: monitored.connection().pings[kind] >= 5)
        entry = entry_of(exchange, monitored)
        scrape = await monitored.scrape()
        seen = scrape.value("alpmon_pings_total", kind=kind)
        assert len(entry.pings) - 1 <= seen <= len(entry.pings)
        assert scrape.value("alpmon_pings_total") == seen, "no ping of the other kind"
        assert scrape.value("alpmon_ping_interval_seconds_count", kind=kind) == seen - 1
        sent = [ping.at for ping in entry.pings[: int(seen)]]
        spacing = scrape.value("alpmon_ping_interval_seconds_sum", kind=kind)
        assert spacing == pytest.approx(sent[-1] - sent[0], abs=0.02)
        assert scrape.value("alpmon_pong_latency_seconds_count", kind=kind) == seen
        assert scrape.value("alpmon_advertised_ping_interval_seconds") == 0.25
        assert scrape.value("alpmon_advertised_ping_timeout_seconds") == 0.75
        [labels] = scrape.values("alpmon_session_info", target=TARGET)
        assert dict(labels)["client_id"] == entry.client_id
        assert dict(labels)["dialect"] == dialect
        await until(lambda: all(ping.answered_at is not None for ping in entry.pings[: int(seen)]))


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 4321])
async def test_a_close_code_is_told_as_it_came(start_exchange: StartExchange, code: int) -> None:
    """Codes beyond the registered ones are `other`; the end is the server's doing."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        exchange.faults.add(Close(code=code, reason="said so"))
        await until(lambda: monitored.connection().session_duration.count == 1)
        scrape = await monitored.scrape()
        told = str(code) if code < 4000 else "other"
        labels = {"initiator": "server", "reason": "close_frame"}
        assert scrape.value("alpmon_disconnects_total", code=told, **labels) == 1
        assert scrape.value("alpmon_disconnects_total") == 1
        end = monitored.connection().last_end
        assert end is not None
        assert (end.close_reason, end.error) == ("said so", "")


async def test_what_the_network_says_is_not_put_into_the_peers_mouth(start_exchange: StartExchange) -> None:
    """A reset connection: the peer closed without a word."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        exchange.faults.add(Abort())
        await until(lambda: monitored.connection().session_duration.count == 1)
        _, body = await monitored.get("/api/v1/status")
        end = json.loads(body)["targets"][0]["connections"][0]["last_end"]
    assert (end["initiator"], end["close_reason"]) == ("network", "")
    assert "reset by peer" in end["error"]


async def test_error_frames_by_reason(start_exchange: StartExchange) -> None:
    """As many as the exchange sent; the bad topic is rejected, its neighbours live."""
    exchange = await start_exchange()
    topics = ["trade.*", "market_depth.NOPE_USDT", "market_depth.BTC_USDT"]
    async with monitoring(target(exchange.url, topics)) as monitored:
        await monitored.until_live()
        scrape = await monitored.scrape()
        entry = entry_of(exchange, monitored)
        assert len(entry.errors) == 1
        assert scrape.value("alpmon_error_frames_total", reason="invalid_topic") == 1
        assert scrape.value("alpmon_error_frames_total") == len(entry.errors)
        rejected = {"topic": "market_depth.NOPE_USDT", "alpmon_topic_state": "rejected"}
        assert scrape.value("alpmon_topic_state", **rejected) == 1
        for topic in ("trade.*", "market_depth.BTC_USDT"):
            assert scrape.value("alpmon_topic_state", topic=topic, alpmon_topic_state="live") == 1
        asked = [request for request in entry.requests if request.operation == "subscribe"]
        assert scrape.value("alpmon_subscribe_requests_total", op="subscribe") == len(asked)


async def test_the_time_of_the_last_message_is_the_wall_clock(start_exchange: StartExchange) -> None:
    """And of the acknowledgement, and of the welcome."""
    exchange = await start_exchange()
    before = time.time()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        await exchange.burst(1, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 1)
        scrape = await monitored.scrape()
        for name in (
            "alpmon_connection_established_timestamp_seconds",
            "alpmon_topic_subscribed_timestamp_seconds",
            "alpmon_topic_last_message_timestamp_seconds",
            "alpmon_last_frame_timestamp_seconds",
        ):
            assert before <= scrape.value(name) <= time.time(), name
