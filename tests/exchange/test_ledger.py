"""What the ledger says is what a client, written by others, received: to the message and to the byte."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.events import Dialect
from alpmon.exchange.burst import apportion
from alpmon.exchange.pairs import SYMBOLS
from tests.waiting import eventually

EVERY = ["ticker.*", "trade.*", "rates.*", "diff.BTC_USDT", "market_depth.BTC_USDT", "market_depth.ETH_USDT"]


def topic_of(frame) -> str:
    """The topic of a data frame under the subscriptions in EVERY."""
    match frame:
        case ["p", _, {"Symbol": symbol}]:
            return f"market_depth.{symbol}"
        case ["d", _, symbol, _]:
            return f"diff.{symbol}"
        case [tag, *_]:
            return {"tk": "ticker.*", "t": "trade.*", "r": "rates.*"}[tag]


async def test_a_burst_over_every_channel(start_exchange, dial) -> None:
    """30 000 frames of six topics: the client's own counts and bytes are the ledger's, and the mix is exact."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED)
    client = await dial(exchange)
    await client.ask("subscribe", *EVERY)
    weights = dict(zip(EVERY, (3, 4, 0.5, 1, 1, 0.5), strict=True))
    sent, received = await asyncio.gather(exchange.burst(30_000, weights), _receive(client, 30_000))
    frames, octets = Counter(), Counter()
    for text in received:
        topic = topic_of(json.loads(text))
        frames[topic] += 1
        octets[topic] += len(text)
    ledger = exchange.ledger.topics()
    assert sent == 30_000
    assert frames == apportion(30_000, weights) == {topic: count.frames for topic, count in ledger.items()}
    assert octets == {topic: count.bytes for topic, count in ledger.items()}
    assert exchange.ledger.connections[0].data.frames == exchange.ledger.connections[0].frames["data"] == 30_000


async def test_a_market_played_fast(start_exchange, dial) -> None:
    """Whatever the market sends is counted: after the unsubscribe is acknowledged both sides agree."""
    exchange = await start_exchange(market=True, rate=60)
    client = await dial(exchange)
    await client.ask("subscribe", "ticker.*", "trade.*", "market_depth.BTC_USDT")
    while len(client.data) < 300:
        client.data.append(await client.frame())
    await client.ask("unsubscribe", "ticker.*", "trade.*", "market_depth.BTC_USDT")
    received = Counter(topic_of(frame) for frame in client.data)
    assert received == {topic: count.frames for topic, count in exchange.ledger.topics().items()}
    assert {"ticker.*", "trade.*"} <= set(received)


async def test_books_keep_the_grid_on_the_wire(start_exchange, dial) -> None:
    """At the market's own pace a book arrives 0.589 s or more after the second written in it."""
    exchange = await start_exchange(market=True, quiet_pairs=0)
    client = await dial(exchange)
    depths = [f"market_depth.{symbol}" for symbol in sorted(SYMBOLS)[:20]]
    await client.ask("subscribe", *depths)
    for _ in range(3):
        frame = await client.frame()
        assert frame[0] == "p"
        assert 0.58 <= time.time() - frame[1] < 3


async def test_bursts_reach_each_session_once(start_exchange, dial) -> None:
    """Two sessions get a burst each, a third that is not meant gets none."""
    exchange = await start_exchange()
    first, second = await dial(exchange), await dial(exchange)
    for client in (first, second):
        await client.ask("subscribe", "trade.*")
    assert await exchange.burst(10) == 20
    assert await exchange.burst(5, session=2) == 5
    assert len(await _receive(first, 10)) == 10
    assert len(await _receive(second, 15)) == 15
    assert [entry.data.frames for entry in exchange.ledger.connections] == [10, 15]


async def test_trade_ids_of_a_burst_rise(start_exchange, dial) -> None:
    """No id comes twice or goes back."""
    exchange = await start_exchange()
    client = await dial(exchange)
    await client.ask("subscribe", "trade.*", "trade.BTC_USDT")
    await exchange.burst(500)
    ids = [json.loads(text)[2] for text in await _receive(client, 500)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("mix", [{"ticker.*": 1.0}, None])
async def test_a_burst_of_a_topic_nobody_holds_is_refused(start_exchange, dial, mix) -> None:
    """It would be counted for a topic that the client cannot route."""
    exchange = await start_exchange()
    client = await dial(exchange)
    await client.ask("subscribe", "diff.BTC_USDT")
    with pytest.raises(ValueError, match="session 1 holds no topic"):
        await exchange.burst(1, mix)


async def test_requests_are_kept_with_their_sizes(start_exchange, dial) -> None:
    """Every request, its bytes, and the answer it got, in order."""
    exchange = await start_exchange()
    client = await dial(exchange)
    frames = ['["subscribe","trade.*"]', '["subscribe", "nonsense"]', '["unsubscribe","trade.*"]']
    for frame in frames:
        await client.socket.send(frame)
        await client.frame()
    entry = exchange.ledger.connections[0]
    assert [(r.operation, r.topics, r.bytes) for r in entry.requests] == [
        ("subscribe", ("trade.*",), len(frames[0])),
        ("subscribe", ("nonsense",), len(frames[1])),
        ("unsubscribe", ("trade.*",), len(frames[2])),
    ]
    assert [(r.operation, r.topics, r.message) for r in entry.replies] == [
        ("subscribe", ("trade.*",), ""),
        ("subscribe", ("nonsense",), "Invalid topic: nonsense"),
        ("unsubscribe", ("trade.*",), ""),
    ]
    assert all(request.at <= reply.at for request, reply in zip(entry.requests, entry.replies, strict=True))
    assert (len(entry.acks), len(entry.errors)) == (2, 1)
    assert entry.frames == {"welcome": 1, "ack": 2, "error": 1}


async def test_the_ledger_can_be_read_as_json(start_exchange, dial) -> None:
    """The JSON holds the connection, its counts and its close."""
    exchange = await start_exchange()
    client = await dial(exchange)
    await client.ask("subscribe", "trade.*")
    await exchange.burst(7)
    await client.socket.close(1000)
    await eventually(lambda: exchange.ledger.connections[0].close)
    shown = json.loads(exchange.ledger.json())
    [connection] = shown["connections"]
    assert connection["topics"]["trade.*"]["frames"] == 7
    assert connection["frames"] == {"welcome": 1, "ack": 1, "data": 7}
    assert connection["close"]["initiator"] == "client"
    assert [attempt["status"] for attempt in shown["attempts"]] == [101]


@given(
    st.integers(0, 10**6),
    st.dictionaries(st.text(max_size=3), st.floats(0.001, 1000), min_size=1, max_size=8),
)
def test_shares_add_up(count, mix) -> None:
    """However odd the weights, the parts make the whole and each is within one of its share."""
    parts = apportion(count, mix)
    total = sum(mix.values())
    assert sum(parts.values()) == count
    assert all(abs(parts[topic] - count * weight / total) <= 1.001 for topic, weight in mix.items())


async def _receive(client, count: int) -> list[str]:
    return [await client.text() for _ in range(count)]
