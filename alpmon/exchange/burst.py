"""Many frames as fast as one client can take them, counted exactly."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final

from alpmon.core.events import Rates, Tickers
from alpmon.core.topics import Channel, split_topic
from alpmon.exchange.dialects import WILDCARD
from alpmon.exchange.pairs import PAIRS
from alpmon.exchange.quotes import Quotes
from alpmon.exchange.session import Session
from alpmon.exchange.wire import MarketEvent, Opcode, encode, frame

_CHUNK_BYTES: Final = 1 << 16
_VARIANTS: Final = 66
"""Different frames made of each topic; trades are all different, their ids rise."""


async def burst(session: Session, quotes: Quotes, rng: Random, count: int, mix: Mapping[str, float], now: float) -> int:
    """Write `count` frames of the topics in `mix`, shuffled; returns how many were written before the end, if any.

    Args:
        session: who gets them; the data faults do not apply.
        quotes: makes the frames.
        rng: shuffles them.
        count: how many frames in all; the share of each topic is exact.
        mix: weights by topic as subscribed.
        now: unix seconds, the stamp of all frames.
    """
    sources = {topic: payloads(topic, quotes, now, session.stamp(now)) for topic in mix}
    order = [topic for topic, share in apportion(count, mix).items() for _ in range(share)]
    rng.shuffle(order)
    written, position = 0, 0
    while position < count and session.is_open:
        chunk, frames, octets = bytearray(), Counter[str](), Counter[str]()
        while position < count and len(chunk) < _CHUNK_BYTES:
            topic = order[position]
            payload = next(sources[topic])
            chunk += frame(Opcode.TEXT, payload)
            frames[topic] += 1
            octets[topic] += len(payload)
            position += 1
        if not session.link.batch(bytes(chunk)):
            break
        written = position
        for topic, sent in frames.items():
            session.entry.count_data(topic, sent, octets[topic])
        await session.drain()
    return written


def apportion(count: int, mix: Mapping[str, float]) -> dict[str, int]:
    """Split `count` frames by weight; the parts always add up to it."""
    total = sum(mix.values())
    bounds = [0, *(round(count * weight / total) for weight in itertools.accumulate(mix.values()))]
    return {topic: upto - since for topic, (since, upto) in zip(mix, itertools.pairwise(bounds), strict=True)}


def payloads(topic: str, quotes: Quotes, now: float, stamp: float) -> Iterator[bytes]:
    """Frames of one topic for ever."""
    channel, symbol = split_topic(topic)
    symbols = itertools.cycle([pair.symbol for pair in PAIRS] if symbol == WILDCARD else [symbol])
    make = _whole_ticker if topic == "ticker.*" else _MAKERS[channel]

    def one() -> bytes:
        return encode(make(quotes, next(symbols), now), stamp)

    if channel is Channel.TRADE:
        while True:
            yield one()
    yield from itertools.cycle([one() for _ in range(_VARIANTS)])


def _whole_ticker(quotes: Quotes, _symbol: str, now: float) -> MarketEvent:
    return quotes.tickers(now)


_MAKERS: Final[dict[Channel, Callable[[Quotes, str, float], MarketEvent]]] = {
    Channel.TICKER: lambda quotes, symbol, now: Tickers(now, [quotes.ticker_row(symbol, now)]),
    Channel.TRADE: lambda quotes, symbol, now: quotes.trade(symbol, now),
    Channel.RATES: lambda quotes, symbol, now: Rates("r", now, [quotes.rate(symbol)]),
    Channel.DIFF: lambda quotes, symbol, now: quotes.diff(symbol, now),
    Channel.MARKET_DEPTH: lambda quotes, symbol, now: quotes.book(symbol, now),
}
