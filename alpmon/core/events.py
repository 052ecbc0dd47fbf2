"""What the exchange's frames say, in both dialects: typed events, and the words that they are told by.

Times are the server's stamps in seconds since the epoch; the observed dialect writes whole seconds, the documented one
fractions. Shapes are those of the exchange's pages ws-overview, ws-market-data, ws-orderbook and ws-private-channels,
and of frames captured on the wire.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec

from alpmon.core.topics import Channel

Number: TypeAlias = str | float
"""A decimal as the exchange writes it: text in every frame seen, a JSON number tolerated."""

TradeId: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""64 bits: JSON would allow thousands of digits, which nothing that writes or stores an event can take."""


class Dialect(StrEnum):
    """Which of the two descriptions of the exchange a session behaves like."""

    DOCUMENTED = "documented"
    OBSERVED = "observed"
    UNKNOWN = "unknown"


class FrameKind(StrEnum):
    """Every frame received is exactly one of these; the `kind` label of `alpmon_frames_total`."""

    WELCOME = "welcome"
    ACK = "ack"
    ERROR = "error"
    PING = "ping"
    DATA = "data"
    UNKNOWN = "unknown"
    MALFORMED = "malformed"


class Flaw(StrEnum):
    """Why a frame could not be read; the `reason` label of `alpmon_malformed_frames_total`."""

    BINARY = "binary"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    NOT_ARRAY = "not_array"
    BAD_SHAPE = "bad_shape"


class Operation(StrEnum):
    """What a request frame asks for."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"


class ErrorReason(StrEnum):
    """What an error frame complains of; the `reason` label of `alpmon_error_frames_total`."""

    INVALID_TOPIC = "invalid_topic"
    TOO_MANY_TOPICS = "too_many_topics"
    UNAUTHORIZED = "unauthorized"
    OTHER = "other"


class Welcome(msgspec.Struct, frozen=True):
    """The first frame of a session; intervals in seconds whatever unit the wire used."""

    time: float
    ping_interval_seconds: float
    ping_timeout_seconds: float
    client_id: str


class Ping(msgspec.Struct, frozen=True):
    """The documented dialect's text ping, ``1``; to be answered with ``2``."""


class Ack(msgspec.Struct, frozen=True):
    """A request was accepted; ``topics`` as the server lists them, any number, repeats included."""

    operation: Operation
    time: float
    topics: tuple[str, ...]
    whole_seconds: bool
    """The stamp was written without a fraction, as the observed dialect does."""


class Error(msgspec.Struct, frozen=True):
    """A request was refused; nothing of its frame was added.

    ``topic`` is the culprit where the message names it; ``operation`` is None in the documented dialect.
    """

    time: float
    message: str
    reason: ErrorReason
    operation: str | None
    topic: str | None


class Trade(msgspec.Struct, array_like=True, gc=False):
    """``["t", time, id, symbol, amount, price, side]``."""

    tag: Literal["t"]
    time: float
    id: TradeId
    symbol: str
    amount: Number
    price: Number
    side: str


class TickerRow(msgspec.Struct, array_like=True, gc=False):
    """One pair's row of a ticker frame."""

    symbol: str
    close: Number
    base_volume: Number
    quote_volume: Number
    change: Number
    high: Number
    low: Number
    bid: Number
    ask: Number


class Tickers(msgspec.Struct, gc=False):
    """``["tk", time, row, row, ...]``; at least one row."""

    time: float
    rows: list[TickerRow]


class Levels(msgspec.Struct, gc=False):
    """The sides of an order book, best level first, each level ``(price, amount)``."""

    asks: list[tuple[Number, Number]] = msgspec.field(name="Asks")
    bids: list[tuple[Number, Number]] = msgspec.field(name="Bids")
    symbol: str = msgspec.field(name="Symbol")
    total_asks: Number = msgspec.field(name="TotalAsks", default="0")
    total_bids: Number = msgspec.field(name="TotalBids", default="0")


class Book(msgspec.Struct, array_like=True, gc=False):
    """``["p", time, {...}]``, a whole order book on topic ``market_depth.PAIR``."""

    tag: str
    time: float
    levels: Levels

    @property
    def symbol(self) -> str:
        """The pair, which this frame carries inside the book."""
        return self.levels.symbol


class Diff(msgspec.Struct, array_like=True, gc=False):
    """``["d", time, symbol, [asks, bids]]``, changed levels on topic ``diff.PAIR``."""

    tag: str
    time: float
    symbol: str
    sides: tuple[list[tuple[Number, Number]], list[tuple[Number, Number]]]


class Rate(msgspec.Struct, array_like=True, gc=False):
    """One row of a rates frame."""

    rate: Number
    base: str
    quote: str

    @property
    def symbol(self) -> str:
        """The pair, which this frame writes in two parts."""
        return f"{self.base}_{self.quote}"


class Rates(msgspec.Struct, array_like=True, gc=False):
    """``["r", time, [[rate, base, quote], ...]]``."""

    tag: str
    time: float
    rows: list[Rate]


class Private(msgspec.Struct, gc=False):
    """An account event; its payload is nobody's business, so only the stamp is kept."""

    channel: Channel
    time: float


class Unknown(msgspec.Struct, frozen=True):
    """A well-formed array of a type that neither description mentions."""


class Malformed(msgspec.Struct, frozen=True):
    """A frame that cannot be read."""

    flaw: Flaw


Data: TypeAlias = Trade | Tickers | Book | Diff | Rates | Private
Event: TypeAlias = Welcome | Ping | Ack | Error | Data | Unknown | Malformed
