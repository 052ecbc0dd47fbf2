"""What a feed counts of any stream, held against a plain account of the same stream."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.freshness import Mode, Rule, TopicFreshness
from alpmon.core.numeric import decode
from alpmon.core.states import State
from alpmon.core.topics import Channel
from alpmon.probe.feed import Feed
from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord

PAIRS = ("BTC_USDT", "ETH_USDT", "XRP_USDT")
LAYOUTS = (
    ("ticker.*", "trade.*", "market_depth.*", "diff.*", "rates.*"),
    ("ticker.BTC_USDT", "ticker.ETH_USDT", "trade.BTC_USDT", "market_depth.BTC_USDT", "diff.BTC_USDT"),
    ("trade.*", "market_depth.ETH_USDT"),
)
STARTED = 1000.0
WALL = 1e9
"""The wall clock minus the monotonic one."""

pairs = st.sampled_from(PAIRS)
stamps = st.integers(100, 103)
numbers = st.sampled_from(["1", "2.5", "0.00000001"])
rows = st.lists(pairs, min_size=1, max_size=4).map(lambda named: [[pair, *["1"] * 8] for pair in named])
trades = st.builds(
    lambda time, number, pair, amount: ["t", time, number, pair, amount, "3", "buy"],
    stamps,
    st.integers(1, 6),
    pairs,
    numbers,
)
tickers = st.builds(lambda time, found: ["tk", time, *found], stamps, rows)
books = st.builds(
    lambda time, ask, bid, pair: ["p", time, {"Asks": [[ask, "1"]], "Bids": [[bid, "1"]], "Symbol": pair}],
    stamps,
    st.sampled_from(["5", "6"]),
    st.sampled_from(["4", "5"]),
    pairs,
)
diffs = st.builds(lambda time, pair: ["d", time, pair, [[["5", "1"]], []]], stamps, pairs)
rates = st.builds(
    lambda time, named: ["r", time, [["1", *pair.split("_")] for pair in named]],
    stamps,
    st.lists(pairs, min_size=1, max_size=3),
)
frames = st.one_of(trades, tickers, books, diffs, rates)
CHANNELS = {
    "t": Channel.TRADE,
    "tk": Channel.TICKER,
    "p": Channel.MARKET_DEPTH,
    "d": Channel.DIFF,
    "r": Channel.RATES,
}


def symbols_of(frame: list[Any]) -> list[str]:
    """One for each row."""
    match frame:
        case ["t", _, _, pair, *_] | ["d", _, pair, _]:
            return [pair]
        case ["p", _, book]:
            return [book["Symbol"]]
        case ["r", _, found]:
            return ["_".join(row[1:]) for row in found]
        case ["tk", _, *found]:
            return [row[0] for row in found]
    raise AssertionError(frame)


@dataclass
class Account:
    """The same, added up without haste."""

    topics: tuple[str, ...]
    messages: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    symbols: Counter[tuple[Channel, str]] = field(default_factory=Counter)
    anomalies: Counter[tuple[Channel, str]] = field(default_factory=Counter)
    gaps: dict[str, list[float]] = field(default_factory=dict)
    unrouted: int = 0
    last: dict[str, float] = field(default_factory=dict)
    stamp: dict[tuple[Channel, str], float] = field(default_factory=dict)
    ids: dict[str, list[int]] = field(default_factory=dict)

    def topic_of(self, channel: Channel, symbol: str) -> str | None:
        names = (f"{channel}.{symbol}", f"{channel}.*")
        return next((name for name in names if name in self.topics), None)

    def take(self, frame: list[Any], size: int, now: float) -> None:
        channel = CHANNELS[frame[0]]
        served = [(symbol, self.topic_of(channel, symbol)) for symbol in symbols_of(frame)]
        explained = [(symbol, topic) for symbol, topic in served if topic is not None]
        if not explained:
            self.unrouted += 1
            return
        for topic in {topic for _, topic in explained}:
            self.messages[topic] += 1
            self.bytes[topic] += size
            if topic in self.last:
                self.gaps.setdefault(topic, []).append(now - self.last[topic])
            self.last[topic] = now
        for symbol, topic in explained:
            self.symbols[channel, symbol] += topic.endswith("*")
        self.judge(channel, frame, [symbol for symbol, _ in explained])

    def judge(self, channel: Channel, frame: list[Any], symbols: list[str]) -> None:
        before = [self.stamp.get((channel, symbol), 0.0) for symbol in symbols]
        self.anomalies[channel, "timestamp_regression"] += any(frame[1] < stamp for stamp in before)
        self.stamp |= {(channel, symbol): frame[1] for symbol in symbols}
        if channel is Channel.TRADE:
            known = self.ids.setdefault(symbols[0], [])
            repeated = frame[2] in known
            self.anomalies[channel, "trade_id_repeat"] += repeated
            self.anomalies[channel, "trade_id_regression"] += not repeated and bool(known) and frame[2] < known[-1]
            known += [] if repeated else [frame[2]]
        if channel is Channel.MARKET_DEPTH:
            crossed = float(frame[2]["Bids"][0][0]) >= float(frame[2]["Asks"][0][0])
            self.anomalies[channel, "crossed_book"] += crossed


@given(
    st.sampled_from(LAYOUTS),
    st.lists(st.tuples(frames, st.sampled_from([0.0, 0.0, 0.02, 3.0])), max_size=40),
)
def test_any_stream_is_counted_as_a_plain_account_counts_it(
    topics: tuple[str, ...], stream: list[tuple[list[Any], float]]
) -> None:
    """Messages and bytes by topic, rows by pair, gaps, anomalies; several frames of one read or one each."""
    target, record = TargetRecord("alp", "wss://exchange.test/ws"), ConnectionRecord("0-0", State.LIVE)
    for topic in topics:
        freshness = TopicFreshness(Rule(Mode.FIXED, after=10.0), STARTED)
        freshness.up(STARTED)
        freshness.acknowledged(STARTED)
        record.topics[topic] = TopicRecord(topic, freshness)
    feed, account, now = Feed(target, record, lambda now: None), Account(topics), STARTED
    for frame, pause in stream:
        payload = json.dumps(frame, separators=(",", ":")).encode()
        now += pause
        assert feed.take(decode(payload), len(payload), now, now + WALL)
        account.take(frame, len(payload), now)
    counted = {name: topic for name, topic in record.topics.items() if topic.messages}
    assert {name: topic.messages for name, topic in counted.items()} == account.messages
    assert {name: topic.bytes for name, topic in counted.items()} == account.bytes
    heard = {name: topic.last_message_wall for name, topic in counted.items()}
    assert heard == {name: now + WALL for name, now in account.last.items()}
    for name, topic in counted.items():
        gaps = account.gaps.get(name, [])
        assert topic.interarrival.count == len(gaps)
        assert abs(topic.interarrival.sum - sum(gaps)) < 1e-6
        assert topic.freshness is not None
        assert topic.freshness.age(now) == now - account.last[name]
    assert {key: symbol.messages for key, symbol in record.symbols.items()} == +account.symbols
    found = {(c, kind): n for c, channel in record.channels.items() for kind, n in channel.anomalies.items() if n}
    assert found == +account.anomalies
    assert record.unrouted == account.unrouted
