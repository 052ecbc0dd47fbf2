"""What goes wrong out there, over real sockets: limits, bad frames, dead peers, refusals, our own bugs."""

from __future__ import annotations

import asyncio
import itertools
import time
from random import Random
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from websockets.frames import Opcode

from alpmon.config import parse
from alpmon.core.backoff import Backoff
from alpmon.core.events import Dialect
from alpmon.core.session import Session
from alpmon.exchange.faults import Abort, DropAcks, HalfOpen, NoWelcome, Payload, RefuseUpgrades
from alpmon.service import Service
from tests.core.bad_frames import BAD_FRAMES
from tests.integration.harness import TARGET, configuration, many_topics, monitoring, target, until
from tests.probe.probe_peers import frame, raw_server, silent_server

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from tests.conftest import StartExchange

FAST_PINGS = {"ping_interval_seconds": 0.4, "ping_timeout_seconds": 0.6}


async def test_45_topics_take_three_connections_and_no_frame_is_too_long(start_exchange: StartExchange) -> None:
    """The observed dialect takes 20 topics a connection and 800 bytes a frame, which 20 long topics would not fit."""
    symbols = [f"{number:020}_USDT" for number in range(45)]
    exchange = await start_exchange(silent_symbols=frozenset(symbols))
    topics = [f"market_depth.{symbol}" for symbol in symbols]
    async with monitoring(target(exchange.url, topics)) as monitored:
        for label in ("0-0", "1-0", "2-0"):
            await monitored.until_live(label)
        entries = exchange.ledger.connections
        assert len(entries) == 3
        held = [[topic for request in entry.requests for topic in request.topics] for entry in entries]
        assert max(map(len, held)) <= 20
        assert sorted(itertools.chain(*held)) == sorted(topics)
        assert all(request.bytes <= 800 for entry in entries for request in entry.requests)
        sent = {len(topics): len(entry.requests) for entry, topics in zip(entries, held, strict=True)}
        assert sent == {20: 2, 5: 1}, "no more frames than it takes"
        assert not any(entry.errors for entry in entries)


async def test_a_topic_limit_is_learnt_and_the_overflow_moves_to_another_connection(
    start_exchange: StartExchange,
) -> None:
    """Configured for more than the server takes: nothing is lost, and nothing asked for twice."""
    exchange = await start_exchange()
    topics = many_topics(45)
    async with monitoring(target(exchange.url, topics, max_topics_per_connection=100)) as monitored:
        await until(lambda: sum(len(session.topics) for session in exchange.sessions) == 45)
        await until(lambda: len(monitored.service.monitor.targets[TARGET].connections) == 3)
        for label in ("0-0", "1-0", "2-0"):
            await monitored.until_live(label)
        assert sorted(len(session.topics) for session in exchange.sessions) == [5, 20, 20]
        scrape = await monitored.scrape()
        live = scrape.values("alpmon_topic_state", alpmon_topic_state="live")
        assert len(live) == 45
        assert set(live.values()) == {1.0}


async def test_a_limit_that_one_of_two_replicas_meets_is_kept_to_by_both(start_exchange: StartExchange) -> None:
    """They carry the same topics before and after."""
    exchange = await start_exchange()
    topics, options = many_topics(25), {"max_topics_per_connection": 100, "redundancy": 2}
    async with monitoring(target(exchange.url, topics, **options)) as monitored:
        await until(lambda: sorted(len(session.topics) for session in exchange.sessions) == [5, 5, 20, 20])
        labels = ["0-0", "0-1", "1-0", "1-1"]
        assert sorted(monitored.service.monitor.targets[TARGET].connections) == labels
        for label in labels:
            await monitored.until_live(label)
        held = [set(monitored.connection(label).topics) for label in labels]
        assert held[0] == held[1] == set(topics[:20])
        assert held[2] == held[3] == set(topics[20:])


async def test_bad_frames_are_counted_and_the_session_lives(start_exchange: StartExchange) -> None:
    """Forty kinds, a mebibyte of text among them; each for its own reason."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        before = exchange.ledger.connections[0].frames["raw"]
        for frame in BAD_FRAMES:
            exchange.send(frame.as_payload())
        exchange.send(Payload(text="[" + '"x",' * (1 << 18) + "1]"))
        await exchange.burst(10, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames >= 10)
        scrape = await monitored.scrape()
        assert exchange.ledger.connections[0].frames["raw"] - before == len(BAD_FRAMES) + 1
        for reason in {frame.flaw for frame in BAD_FRAMES if frame.flaw is not None}:
            sent = sum(frame.flaw == reason for frame in BAD_FRAMES)
            assert scrape.value("alpmon_malformed_frames_total", reason=reason) == sent, reason
        unknown = 1 + sum(frame.flaw is None for frame in BAD_FRAMES)
        assert scrape.value("alpmon_frames_total", kind="unknown") == unknown
        assert scrape.value("alpmon_connection_up") == 1
        assert scrape.value("alpmon_disconnects_total") == 0


async def test_five_thousand_invented_symbols_make_no_series_beyond_the_cap(start_exchange: StartExchange) -> None:
    """The rest count as `other`, and how many there were is told."""
    exchange = await start_exchange()
    options = {"limits": {"max_symbols": 100}}
    async with monitoring(target(exchange.url, ["trade.*"]), **options) as monitored:
        await monitored.until_live()
        for number in range(5000):
            exchange.send(Payload(text=f'["t",1790139142,{number},"S{number}_USDT","1","1","buy"]'))
            if number % 500 == 0:
                await asyncio.sleep(0)
        exchange.send(Payload(text='["t",1790139142,1,"{evil=\\"1\\"}\\n","1","1","buy"]'))
        await until(lambda: monitored.connection().data_frames == 5001)
        scrape = await monitored.scrape()
        symbols = scrape.values("alpmon_symbol_messages_total", channel="trade")
        assert len(symbols) == 101
        assert scrape.value("alpmon_symbol_messages_total", symbol="other") == 4901
        assert scrape.value("alpmon_symbols_dropped_total") == 4901
        assert "evil" not in scrape.text


@pytest.mark.parametrize("dialect", [Dialect.DOCUMENTED, Dialect.OBSERVED])
@pytest.mark.parametrize("rtt_interval", ["0s", "300ms"])
async def test_a_half_open_peer_is_found_within_interval_and_timeout(
    start_exchange: StartExchange, dialect: Dialect, rtt_interval: str
) -> None:
    """Plus one second at most; never before the time that the server advertised for itself."""
    exchange = await start_exchange(dialect=dialect, **FAST_PINGS)
    async with monitoring(target(exchange.url, ["trade.*"], rtt_interval=rtt_interval)) as monitored:
        await monitored.until_live()
        exchange.faults.add(HalfOpen())
        started = time.monotonic()
        await until(lambda: monitored.connection().session_duration.count == 1)
        took = time.monotonic() - started
        assert 0.5 <= took <= 0.4 + 0.6 + 1.0
        causes = [(initiator, reason) for initiator, _, reason in monitored.connection().disconnects]
        assert causes in ([("client", "silence")], [("client", "ping_timeout")])
        exchange.faults.clear()
        await monitored.until_live()


async def test_refused_upgrades_are_retried_without_hammering(start_exchange: StartExchange) -> None:
    """`Retry-After` is a lower bound; the failures are counted by reason."""
    exchange = await start_exchange()
    exchange.faults.add(RefuseUpgrades(status=503, retry_after=1))
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await until(lambda: len(exchange.ledger.attempts) >= 3)
        attempts = exchange.ledger.attempts
        spacing = [later.at - earlier.at for earlier, later in itertools.pairwise(attempts)]
        assert min(spacing) >= 1.0
        scrape = await monitored.scrape()
        refused = scrape.value("alpmon_connection_failures_total", reason="http_status")
        assert refused == scrape.value("alpmon_connection_failures_total")
        assert len(attempts) - 1 <= refused <= len(attempts)
        exchange.faults.clear()
        await monitored.until_live()


async def test_upgrades_refused_without_a_word_about_when_are_retried_ever_more_slowly(
    start_exchange: StartExchange,
) -> None:
    """The exchange sees no attempt before the wait that the backoff says, and so no more of them than it allows."""
    exchange = await start_exchange()
    exchange.faults.add(RefuseUpgrades(status=500))
    slowly = {"reconnect": {"initial": "200ms", "max": "800ms", "factor": 2}}
    config = parse(configuration(target(exchange.url, ["trade.*"], **slowly)), "test.yaml", {})
    async with Service(config, Random(0)):
        await until(lambda: len(exchange.ledger.attempts) >= 8)
    backoff = Backoff(0.2, 0.8, 2.0, Random(0))
    waits = [backoff.next_delay() for _ in range(7)]
    spacing = [later.at - earlier.at for earlier, later in itertools.pairwise(exchange.ledger.attempts)]
    assert min(waits) > 0.1, "each of them can be told from none"
    assert all(seconds >= wait for seconds, wait in zip(spacing, waits, strict=False))


async def test_a_server_that_never_welcomes_is_a_failure_not_a_disconnect(start_exchange: StartExchange) -> None:
    """The upgrade is not the session."""
    exchange = await start_exchange()
    exchange.faults.add(NoWelcome())
    async with monitoring(target(exchange.url, ["trade.*"], timeouts={"welcome": "200ms"})) as monitored:
        await until(lambda: monitored.connection().failures["welcome_timeout"] >= 2)
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_disconnects_total") == 0
        assert scrape.value("alpmon_connection_up") == 0
        status, _ = await monitored.get("/-/ready")
        assert status == 200


async def test_a_peer_that_was_given_up_costs_nothing_until_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not answer our close either: the deadline that it missed is no reason to look at the clock again."""
    looks = []
    tick = Session.tick
    monkeypatch.setattr(Session, "tick", lambda session, now: looks.append(now) or tick(session, now))
    async with silent_server(b"") as port:
        hasty = {"timeouts": {"welcome": "100ms"}, "reconnect": {"initial": "1m", "max": "1m"}}
        async with monitoring(target(f"ws://127.0.0.1:{port}", ["trade.*"]) | hasty) as monitored:
            await until(lambda: monitored.connection().failures["welcome_timeout"] == 1)
            assert len(looks) <= 2 * monitored.connection().attempts


async def test_a_reset_connection_is_the_networks_doing(start_exchange: StartExchange) -> None:
    """1006: no close frame came."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        exchange.faults.add(Abort())
        await until(lambda: monitored.connection().session_duration.count == 1)
        scrape = await monitored.scrape()
        labels = {"initiator": "network", "code": "1006", "reason": "connection_lost"}
        assert scrape.value("alpmon_disconnects_total", **labels) == 1
        await monitored.until_live()


async def test_no_acknowledgement_rejects_the_topic_until_data_proves_it(start_exchange: StartExchange) -> None:
    """The server took the request but never said so."""
    exchange = await start_exchange()
    exchange.faults.add(DropAcks())
    async with monitoring(target(exchange.url, ["trade.*"], timeouts={"ack": "200ms"})) as monitored:
        await until(lambda: monitored.connection().request_failures["subscribe", "timeout"] == 1)
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_topic_state", alpmon_topic_state="rejected") == 1
        await exchange.burst(1, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 1)
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_topic_state", alpmon_topic_state="live") == 1


async def test_a_stop_says_goodbye_with_1001_within_two_seconds(start_exchange: StartExchange) -> None:
    """Also when one of the peers is half-open and will never answer."""
    exchange = await start_exchange()
    topics = many_topics(21)
    async with monitoring(target(exchange.url, topics)) as monitored:
        await monitored.until_live("0-0")
        await monitored.until_live("1-0")
        exchange.faults.add(HalfOpen(connections="first"))
        first, second = exchange.ledger.connections
        started = time.monotonic()
    assert time.monotonic() - started < 2.0
    await until(lambda: second.close is not None)
    assert second.close is not None
    assert (second.close.initiator, second.close.code) == ("client", 1001)
    assert first.client_id != second.client_id


async def test_what_a_closing_connection_did_not_send_is_not_counted() -> None:
    """The answer to the first request comes after our goodbye: the second one stays unsaid, and so has not failed."""
    asked = asyncio.Event()

    async def welcome_and_answer_late(reader: StreamReader, writer: StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, b'["welcome",1790139140,20000,30000,"c1"]'))
        await reader.readexactly(2 + 4 + len('["subscribe","trade.*"]'))
        asked.set()
        assert await reader.readexactly(1) == frame(Opcode.CLOSE)[:1]
        writer.write(frame(Opcode.TEXT, b'["subscribe",1790139140,"trade.*"]') + frame(Opcode.TEXT, b"1"))
        await reader.read()

    topics, options = ["trade.*", "ticker.*"], {"max_frame_bytes": 32, "rtt_interval": "0s"}
    async with (
        raw_server(welcome_and_answer_late) as port,
        monitoring(target(f"ws://127.0.0.1:{port}", topics, **options)) as monitored,
    ):
        record = monitored.connection()
        await asked.wait()
    assert record.ack["subscribe"].count == 1
    assert (record.requests, record.request_failures) == ({"subscribe": 1}, {})
    assert (record.pings["text"], record.pong_latency["text"].count) == (1, 0)


async def test_a_worker_that_dies_of_a_bug_is_counted_and_restarted_and_the_rest_live_on(
    start_exchange: StartExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bug is planted where a frame is counted, for one connection only."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, many_topics(21))) as monitored:
        await monitored.until_live("0-0")
        await monitored.until_live("1-0")
        broken = monitored.connection("0-0")
        monkeypatch.setattr(broken, "frames", None)
        exchange.send(Payload(text="null"))
        await until(lambda: broken.worker_restarts == 1)
        monkeypatch.undo()
        await monitored.until_live("0-0")
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_worker_restarts_total", connection="0-0") == 1
        assert scrape.value("alpmon_worker_restarts_total", connection="1-0") == 0
        assert scrape.value("alpmon_disconnects_total", connection="1-0") == 0


@pytest.mark.parametrize(
    ("dialect", "kind"), [(Dialect.DOCUMENTED, "text"), (Dialect.OBSERVED, "protocol")], ids=["documented", "observed"]
)
async def test_ten_quiet_minutes_pass_without_a_disconnect_of_our_making(
    start_exchange: StartExchange, dialect: Dialect, kind: str
) -> None:
    """Thirty rounds of the server's pings, as in ten minutes at the advertised 20 s; nothing else is said meanwhile."""
    exchange = await start_exchange(dialect=dialect, ping_interval_seconds=0.1, ping_timeout_seconds=2.0)
    quiet = {"rtt_interval": "0s", "ack_probe_interval": "0s"}
    async with monitoring(target(exchange.url, ["trade.*"], **quiet)) as monitored:
        await monitored.until_live()
        [entry] = exchange.ledger.connections
        await until(lambda: sum(ping.answered_at is not None for ping in entry.pings) >= 30)
        scrape = await monitored.scrape()
        assert entry.close is None
        assert entry.data.frames == 0
        assert {ping.kind for ping in entry.pings} == {kind}
        assert scrape.value("alpmon_pings_total", kind=kind) >= 30
        assert scrape.value("alpmon_disconnects_total") == 0
        assert len(exchange.ledger.attempts) == 1


async def test_a_bug_that_every_session_meets_does_not_hammer(
    start_exchange: StartExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each restart waits longer, as a reconnect would, but by no configuration; every session that ended is counted."""
    exchange = await start_exchange()
    config = configuration(target(exchange.url, ["trade.*"]))
    with capture_logs() as logs:
        async with Service(parse(config, "test.yaml", {}), Random(7)) as service:
            record = service.monitor.targets[TARGET].connections["0-0"]
            monkeypatch.setattr(record, "ack", None)
            await until(lambda: record.worker_restarts == 4)
            assert (record.state, record.up) == ("backoff", False)
            assert record.retry_at_wall > time.time()
        assert record.state == "stopped"
    backoff = Backoff(1.0, 60.0, 2.0, Random(7))
    waited = [log["seconds"] for log in logs if log["event"] == "worker died of a bug and will be restarted"]
    assert waited == [round(backoff.next_delay(), 3) for _ in range(4)]
    assert record.disconnects == {("client", "1006", "protocol_error"): 4}
    assert len(exchange.ledger.connections) == 4


async def test_no_connection_begins_once_the_monitor_stops() -> None:
    """That the server has no room for a topic comes as an answer to what was asked before the goodbye."""
    asked = asyncio.Event()

    async def refuse_late(reader: StreamReader, writer: StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, b'["welcome",1790139140,20000,30000,"c1"]'))
        await reader.readexactly(2 + 4 + len('["subscribe","trade.*"]'))
        writer.write(frame(Opcode.TEXT, b'["subscribe",1790139140,"trade.*"]'))
        await reader.readexactly(2 + 4 + len('["subscribe","ticker.*"]'))
        asked.set()
        assert await reader.readexactly(1) == frame(Opcode.CLOSE)[:1]
        writer.write(frame(Opcode.TEXT, b'["error",1790139141,"Too many topics","subscribe"]'))
        await reader.read()

    topics, options = ["trade.*", "ticker.*"], {"max_frame_bytes": 32, "rtt_interval": "0s"}
    async with raw_server(refuse_late) as port:
        async with monitoring(target(f"ws://127.0.0.1:{port}", topics, **options)) as monitored:
            connections = monitored.service.monitor.targets[TARGET].connections
            await asked.wait()
        assert connections["0-0"].error_frames["too_many_topics"] == 1
        assert list(connections) == ["0-0"]
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(TARGET)]


@pytest.mark.parametrize("dialect", [Dialect.DOCUMENTED, Dialect.OBSERVED])
async def test_thirty_round_trips_among_traffic_pass_without_a_disconnect_of_our_making(
    start_exchange: StartExchange, dialect: Dialect
) -> None:
    """Our own pings and probes, as in ten minutes at the usual 20 s, while the market talks."""
    exchange = await start_exchange(
        dialect=dialect, market=True, rate=20.0, ping_interval_seconds=0.4, ping_timeout_seconds=2.0
    )
    options = {"rtt_interval": "200ms", "ack_probe_interval": "500ms"}
    topics = ["ticker.*", "trade.*", "market_depth.BTC_USDT"]
    async with monitoring(target(exchange.url, topics, **options)) as monitored:
        await monitored.until_live()
        await until(lambda: monitored.connection().rtt.count >= 30, seconds=60)
        assert exchange.ledger.connections[0].close is None
        assert exchange.ledger.connections[0].client_pings >= 30
        assert len(exchange.ledger.attempts) == 1
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_disconnects_total") == 0
        assert scrape.value("alpmon_subscribe_failures_total") == 0


async def test_a_bug_in_a_timer_restarts_the_worker_too(
    start_exchange: StartExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of ours may die quietly in a callback of the event loop."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"], ack_probe_interval="100ms")) as monitored:
        await monitored.until_live()
        broken = monitored.connection()
        monkeypatch.setattr(broken, "requests", None)
        await until(lambda: broken.worker_restarts == 1)
        monkeypatch.undo()
        await monitored.until_live()
