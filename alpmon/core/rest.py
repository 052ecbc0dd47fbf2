"""What to ask REST about a topic, and the facts in its answers.

Shapes: the exchange's public REST API; ticker rows carry `last`, `buy`, `sell` and `timestamp`, trades an `id`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from alpmon.core.events import Number
from alpmon.core.facts import Fact, quote, sides
from alpmon.core.topics import Channel, split_topic


class Endpoint(StrEnum):
    """What can be asked."""

    TICKER = "ticker"
    ORDERBOOK = "orderbook"
    TRADES = "trades"


class Question(NamedTuple):
    """One REST read: `GET <url>/<endpoint>`, with `pair` unless it is None."""

    endpoint: Endpoint
    pair: str | None

    @property
    def path(self) -> str:
        """The endpoint with its query."""
        return self.endpoint if self.pair is None else f"{self.endpoint}?pair={self.pair}"


class UnreadableError(Exception):
    """An answer that is not what the endpoint should say."""


_ENDPOINTS: Final = {
    Channel.TICKER: Endpoint.TICKER,
    Channel.TRADE: Endpoint.TRADES,
    Channel.MARKET_DEPTH: Endpoint.ORDERBOOK,
    Channel.DIFF: Endpoint.ORDERBOOK,
}


def question(topic: str) -> Question | None:
    """What to ask about a topic; None where REST has no counterpart: rates, and the books of all pairs at once.

    All tickers come in one answer. So do the latest trades of all pairs, which the exchange's own client asks for by
    leaving the pair out.
    """
    channel, symbol = split_topic(topic)
    endpoint = _ENDPOINTS.get(channel)
    if endpoint is None or (endpoint is Endpoint.ORDERBOOK and symbol == "*"):
        return None
    return Question(endpoint, None if endpoint is Endpoint.TICKER or symbol == "*" else symbol)


class _RestLevel(msgspec.Struct):
    price: Number
    amount: Number


class _RestBook(msgspec.Struct):
    buy: list[_RestLevel]
    sell: list[_RestLevel]


class _RestTicker(msgspec.Struct):
    pair: str
    last: Number
    buy: Number
    sell: Number
    timestamp: Number


class _RestTrade(msgspec.Struct):
    id: int | str
    pair: str


_decode_book: Final = msgspec.json.Decoder(_RestBook).decode
_decode_tickers: Final = msgspec.json.Decoder(list[_RestTicker]).decode
_decode_trades: Final = msgspec.json.Decoder(list[_RestTrade]).decode


def read(asked: Question, body: bytes) -> dict[str, Fact]:
    """The facts in an answer.

    Raises:
        UnreadableError: it is not of the endpoint's shape.
    """
    try:
        return _READERS[asked.endpoint](asked, body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(f"not what {asked.endpoint} should answer: {str(error)[:100]}") from None


def _read_book(asked: Question, body: bytes) -> dict[str, Fact]:
    book = _decode_book(body)
    bids, asks = ([(level.price, level.amount) for level in side] for side in (book.buy, book.sell))
    return {asked.pair or "*": sides(bids, asks)}


def _read_tickers(asked: Question, body: bytes) -> dict[str, Fact]:
    del asked
    rows = _decode_tickers(body)
    return {row.pair: quote(row.timestamp, row.last, row.buy, row.sell) for row in rows}


def _read_trades(asked: Question, body: bytes) -> dict[str, Fact]:
    newest: dict[str, Fact] = {}
    for number, pair in sorted((int(trade.id), trade.pair) for trade in _decode_trades(body)):
        newest[asked.pair or pair] = number
    return newest


_READERS: Final[dict[Endpoint, Callable[[Question, bytes], dict[str, Fact]]]] = {
    Endpoint.ORDERBOOK: _read_book,
    Endpoint.TICKER: _read_tickers,
    Endpoint.TRADES: _read_trades,
}
