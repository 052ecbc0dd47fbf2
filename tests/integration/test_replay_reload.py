"""A recording that was reloaded into, or began with a memory: its replay gives the verdicts of the live run still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from alpmon.core.cadence import Cadence
from alpmon.core.rates import Rate
from alpmon.exchange.faults import Abort, DropAcks, Mute, Payload
from alpmon.telemetry import statefile
from alpmon.telemetry.entries import Asked, Counted, Evidence, Held, Released, Reloaded, Text
from alpmon.telemetry.untaped import read
from tests.integration.harness import TARGET, target, until
from tests.integration.recording import Recorded, assert_same, configured, retold, verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from alpmon.exchange import Exchange
    from alpmon.telemetry.state import ConnectionRecord
    from tests.conftest import StartExchange


def fixed(after: str) -> dict[str, Any]:
    """Every topic goes stale after so long."""
    return {"default": {"mode": "fixed", "after": after}}


def episodes(record: ConnectionRecord, topic: str = "trade.*") -> int:
    """So far."""
    freshness = record.topics[topic].freshness
    assert freshness is not None
    return freshness.episodes(time.monotonic())


async def until_live(recorded: Recorded, label: str = "0-0") -> None:
    """Until everything has its answer."""
    await until(lambda: recorded.connection(label).state.value == "live")


def send_trade(exchange: Exchange, number: int, symbol: str = "BTC_USDT") -> None:
    """To everybody, subscribed or not."""
    exchange.send(Payload(text=f'["t",1790139142,{number},"{symbol}","1","1","buy"]'))


async def until_frames(recorded: Recorded, count: int, label: str = "0-0") -> None:
    """Until so many frames of data came."""
    await until(lambda: recorded.connection(label).data_frames == count)


async def test_thresholds_that_a_reload_changes_are_changed_in_the_replay(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """In the middle of a silence, to and fro; by a configuration of one's own none of them counts."""
    exchange = await start_exchange()
    short, long = (target(exchange.url, ["trade.*"], freshness=fixed(after)) for after in ("300ms", "1h"))
    async with Recorded(tmp_path / "x.jsonl", configured(short)) as recorded:
        await until_live(recorded)
        record = recorded.connection()
        send_trade(exchange, 1)
        await until(lambda: episodes(record) == 1)
        recorded.reload(long)
        assert record.topics["trade.*"].freshness.state(time.monotonic()).value == "live"  # type: ignore[union-attr]
        send_trade(exchange, 2)
        await until_frames(recorded, 2)
        recorded.reload(short)
        await until(lambda: episodes(record) == 2)
        send_trade(exchange, 3)
        await until_frames(recorded, 3)
    said, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)
    assert retold(recorded.path)[0] == said
    assert said.count("configuration reloaded") == 2
    assert said.count("live -> stale, threshold 0.300 s") == 2
    said, replayed = retold(recorded.path, configured(long))
    assert "-> stale" not in said
    assert verdicts(replayed)[f"{TARGET}/0-0"]["thresholds"] == {"trade.*": 3600.0}


async def test_topics_come_and_go_with_a_reload(start_exchange: StartExchange, tmp_path: Path) -> None:
    """What comes of a topic that was removed belongs to nobody; one that was added is judged."""
    exchange = await start_exchange()
    freshness = fixed("300ms")
    before = target(exchange.url, ["trade.*", "ticker.*"], freshness=freshness)
    after = target(exchange.url, ["ticker.*", "market_depth.BTC_USDT"], freshness=freshness)
    async with Recorded(tmp_path / "x.jsonl", configured(before)) as recorded:
        await until_live(recorded)
        send_trade(exchange, 1)
        await until_frames(recorded, 1)
        recorded.reload(after)
        send_trade(exchange, 2)
        await until(lambda: set(exchange.sessions[0].topics) == {"ticker.*", "market_depth.BTC_USDT"})
        await exchange.burst(5, {"market_depth.BTC_USDT": 1.0})
        await until_frames(recorded, 7)
        await until(lambda: episodes(recorded.connection(), "market_depth.BTC_USDT") == 1)
    live = verdicts(recorded.monitor)
    said, replayed = retold(recorded.path)
    assert verdicts(replayed) == live
    assert recorded.connection().unrouted == 1
    assert "market_depth.BTC_USDT: live -> stale" in said
    assert [entry.what for entry in read(recorded.path) if isinstance(entry, Asked)] == ["remove", "add"]


async def test_a_topic_added_in_a_part_that_is_lost_is_held_in_the_next(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Whether its session lives on or another one has begun since."""
    exchange = await start_exchange()
    first, second = ["trade.*", "ticker.*"], ["trade.*", "rates.*"]
    async with Recorded(
        tmp_path / "x.jsonl", configured(target(exchange.url, first)), part_bytes=20_000, parts=2
    ) as recorded:
        await until_live(recorded)
        recorded.reload(target(exchange.url, second))
        await until(lambda: set(exchange.sessions[0].topics) == set(second))
        await exchange.burst(1000, {"trade.*": 1.0})
        await until_frames(recorded, 1000)
        in_session, replayed = retold(recorded.path)
        assert set(replayed.targets[TARGET].connections["0-0"].topics) == set(second)
        assert not replayed.targets[TARGET].connections["0-0"].request_failures
        assert "beginning was dropped" in in_session
        exchange.faults.add(Abort())
        await until(lambda: len(exchange.ledger.connections) == 2)
        await until_live(recorded)
        await exchange.burst(1000, {"trade.*": 1.0})
        await until_frames(recorded, 2000)
    held = [entry for entry in read(recorded.path) if isinstance(entry, Held)]
    assert [set(entry.topics) for entry in held] == [set(second)]
    topics = retold(recorded.path)[1].targets[TARGET].connections["0-0"].topics
    kept = sum(isinstance(entry, Text) and '["t"' in entry.data for entry in read(recorded.path))
    assert topics["trade.*"].messages == kept
    assert topics["rates.*"].subscribed_wall == 0.0, "down at the end"


async def test_other_limits_that_a_session_lives_with_are_in_force_in_the_replay(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Probes and deadlines that were configured in its midst, and taken away again."""
    exchange = await start_exchange()
    quiet = target(exchange.url, ["trade.*"], rtt_interval="0s", ack_probe_interval="0s")
    busy = {**quiet, "rtt_interval": "20ms", "ack_probe_interval": "20ms", "timeouts": {"ack": "100ms"}}
    async with Recorded(tmp_path / "x.jsonl", configured(quiet)) as recorded:
        await until_live(recorded)
        recorded.reload(busy)
        await until(lambda: recorded.connection().ack["probe"].count >= 3)
        exchange.faults.add(DropAcks())
        await until(lambda: recorded.connection().request_failures["probe", "timeout"] >= 2)
        recorded.reload(quiet)
        send_trade(exchange, 1)
        await until_frames(recorded, 1)
        assert len(exchange.ledger.attempts) == 1
    _, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)


async def test_what_a_connection_begins_with_ends_the_session_and_begins_another(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """With other topics and other thresholds in one go."""
    exchange = await start_exchange()
    before = target(exchange.url, ["trade.*", "ticker.*"], freshness=fixed("1h"))
    after = target(exchange.url, ["trade.*", "rates.*"], freshness=fixed("300ms"), tls={"server_name": "x"})
    async with Recorded(tmp_path / "x.jsonl", configured(before)) as recorded:
        await until_live(recorded)
        send_trade(exchange, 1)
        await until_frames(recorded, 1)
        recorded.reload(after)
        await until(lambda: len(exchange.ledger.connections) == 2)
        await until_live(recorded)
        send_trade(exchange, 2)
        await until_frames(recorded, 2)
        await until(lambda: episodes(recorded.connection()) == 1)
    said, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)
    assert "disconnected by client: 1001 reload" in said


async def test_connections_and_targets_come_and_go_with_a_reload(start_exchange: StartExchange, tmp_path: Path) -> None:
    """One that comes back under the same name begins from nothing; none is mistaken for another."""
    exchange = await start_exchange()
    two = target(exchange.url, ["trade.*", "ticker.*"], max_topics_per_connection=1)
    one = target(exchange.url, ["trade.*"], max_topics_per_connection=1)
    other = {**one, "name": "other"}
    async with Recorded(tmp_path / "x.jsonl", configured(two)) as recorded:
        for label in ("0-0", "1-0"):
            await until_live(recorded, label)
        send_trade(exchange, 1)
        await until_frames(recorded, 1)
        await until_frames(recorded, 1, "1-0")
        recorded.reload(one, other)
        recorded.reload(two)
        await until_live(recorded, "1-0")
        recorded.reload(other)
        recorded.reload(two)
        for label in ("0-0", "1-0"):
            await until_live(recorded, label)
        send_trade(exchange, 2)
        await until_frames(recorded, 1)
    said, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)
    assert recorded.connection().topics["trade.*"].messages == 1
    entries = list(read(recorded.path))
    assert sum(isinstance(entry, Reloaded) for entry in entries) == 4
    assert any(isinstance(entry, Released) for entry in entries)
    assert "no longer in the configuration" in said


async def test_another_number_of_replicas_is_compared_anew(start_exchange: StartExchange, tmp_path: Path) -> None:
    """One, two, three and two of them: what each missed is the same in the replay, and was never lost."""
    exchange = await start_exchange(market=True, rate=20.0)
    by_count = {n: target(exchange.url, ["trade.*", "ticker.*"], redundancy=n) for n in (1, 2, 3)}
    async with Recorded(tmp_path / "x.jsonl", configured(by_count[1])) as recorded:
        await until_live(recorded)
        for count in (2, 3):
            recorded.reload(by_count[count])
            for replica in range(count):
                record = recorded.connection(f"0-{replica}")
                await until(lambda record=record: record.topics["trade.*"].standing.since < time.monotonic() - 2.0)  # type: ignore[misc]
        exchange.faults.add(Mute(topic="trade.*", connections=0.5))
        await until(lambda: missed(recorded) > 0)
        exchange.faults.clear()
        before = missed(recorded)
        recorded.reload(by_count[2])
        await until_live(recorded)
        assert sorted(recorded.monitor.targets[TARGET].connections) == ["0-0", "0-1"]
        assert missed(recorded) <= before
    _, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)


def missed(recorded: Recorded) -> int:
    """Messages, on all connections."""
    topics = [t for record in recorded.monitor.targets[TARGET].connections.values() for t in record.topics.values()]
    return sum(topic.standing.missed for topic in topics if topic.standing is not None)


async def test_a_token_is_renewed_within_a_session(start_exchange: StartExchange, tmp_path: Path) -> None:
    """The refused one and the accepted one; private frames come after, and none of the words are in the file."""
    exchange = await start_exchange(refused_tokens=frozenset({"s3cret-1"}))
    token = tmp_path / "token"
    token.write_text("s3cret-1")
    config = configured(target(exchange.url, ["trade.*"], auth={"token_file": str(token)}))
    async with Recorded(tmp_path / "x.jsonl", config) as recorded:
        await until(lambda: recorded.connection().error_frames["unauthorized"])
        token.write_text("s3cret-2")
        await until(lambda: exchange.ledger.connections[0].authenticated)
        for _ in range(10):
            exchange.publish(exchange.market.quotes.account(time.time()))
        await until_frames(recorded, 10)
    _, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)
    assert [entry.what for entry in read(recorded.path) if isinstance(entry, Asked)] == ["reauthenticate"]
    assert "s3cret" not in recorded.path.read_text()


async def test_credentials_that_come_with_a_reload_open_the_private_channels(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Their series come with the session that has them, and go with it."""
    exchange = await start_exchange()
    (tmp_path / "token").write_text("s3cret")
    public = target(exchange.url, ["trade.*"])
    private = target(exchange.url, ["trade.*"], auth={"token_file": str(tmp_path / "token")})
    async with Recorded(tmp_path / "x.jsonl", configured(public)) as recorded:
        await until_live(recorded)
        recorded.reload(private)
        await until(lambda: any(entry.authenticated for entry in exchange.ledger.connections))
        exchange.send(Payload(text='["w",1790139142,1,"spot","BTC","98765.4321",null]'))
        exchange.send(Payload(text='["w","98765.4321"]'))
        await until(lambda: recorded.connection().topics["wallet"].messages == 1)
        await until(lambda: recorded.connection().malformed.total() == 1)
        kept = b"".join(frame.payload for frame in recorded.connection().recorder.recent())
        assert b"98765.4321" not in kept
    _, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)
    assert "98765.4321" not in recorded.path.read_text()


async def test_what_rest_says_is_in_the_recording(start_exchange: StartExchange, tmp_path: Path) -> None:
    """A frozen book is stale and a quiet one quiet; after a reload too, where it is said again."""
    frozen, idle = "market_depth.BTC_USDT", "market_depth.ETH_USDT"
    exchange = await start_exchange()
    reference = {"url": exchange.rest_url, "interval": "1s"}
    short, long = (target(exchange.url, [frozen, idle], freshness=fixed(t), reference=reference) for t in ("1s", "2s"))
    async with Recorded(tmp_path / "x.jsonl", configured(short)) as recorded:
        await until_live(recorded)
        topics = recorded.connection().topics
        for topic in (frozen, idle):
            exchange.publish(exchange.market.quotes.book(topic.partition(".")[2], time.time()))
        await until_frames(recorded, 2)
        exchange.faults.add(Mute(topic=frozen))
        exchange.publish(exchange.market.quotes.book("BTC_USDT", time.time()))
        for config in (short, long):
            recorded.reload(config)
            for topic, state in ((frozen, "stale"), (idle, "quiet")):
                freshness = topics[topic].freshness
                assert freshness is not None
                await until(lambda fresh=freshness, state=state: fresh.state(time.monotonic()).value == state)  # type: ignore[misc]
        watch = topics[frozen].watch
        assert watch is not None
        await until(lambda: watch.divergence(time.monotonic()) > 0.0)
        assert recorded.monitor.targets[TARGET].reference_failures == 0
    verdicts_of_rest = {entry.nothing_missed for entry in read(recorded.path) if isinstance(entry, Evidence)}
    assert {True, False} <= verdicts_of_rest
    said, replayed = retold(recorded.path)
    assert_same(replayed, recorded.monitor)
    assert f"{idle}: stale -> quiet" in said
    assert f"{frozen}: stale -> quiet" not in said


def learnt() -> statefile.Learnt:
    """A silence of 20 s and a rate of 50 a second, both known for long."""
    cadence, rate = Cadence(5.0, 600.0), Rate()
    for _ in range(5000):
        cadence.observe(20.0)
    for slot in range(400):
        rate.observe(100, 2.0, 5.0, slot * 2.0)
    return statefile.Learnt(cadence.snapshot(), rate.snapshot())


@pytest.mark.parametrize("parts", [2, 100])
async def test_what_a_state_file_held_is_in_the_recording(
    start_exchange: StartExchange, tmp_path: Path, parts: int
) -> None:
    """And in its later parts what is learnt by then: with the beginning lost too the judge is no beginner."""
    exchange = await start_exchange()
    state = tmp_path / "state"
    statefile.save(state, {TARGET: {"trade.*": learnt()}}, time.time())
    config = configured(target(exchange.url, ["trade.*", "ticker.*"]), state_file=str(state))
    async with Recorded(tmp_path / "x.jsonl", config, part_bytes=60_000, parts=parts) as recorded:
        await until_live(recorded)
        await exchange.burst(1000, {"trade.*": 1.0})
        await until_frames(recorded, 1000)
        await until(lambda: recorded.connection().topics["trade.*"].meter.seen == 1000)
    assert any(isinstance(entry, Counted) for entry in read(recorded.path))
    live = recorded.connection().topics["trade.*"]
    _, replayed = retold(recorded.path)
    told = replayed.targets[TARGET].connections["0-0"].topics["trade.*"]
    assert live.freshness is not None
    assert told.freshness is not None
    if parts == 2:
        assert 0 < told.messages < 1000
        assert told.freshness.stale_after() == pytest.approx(live.freshness.stale_after(), rel=0.05)
        assert told.meter.rate.snapshot() is not None
    else:
        assert_same(replayed, recorded.monitor)
        assert (tmp_path / "x.jsonl.1").exists()
