"""The exchange's frames: wire bytes to typed events and back, in both dialects.

``decode`` never raises: whatever a peer sends becomes an event, ``Unknown`` or ``Malformed`` at worst. Times are the
server's stamps in seconds since the epoch; the observed dialect writes whole seconds, the documented one fractions.
Shapes are those of the exchange's pages ws-overview, ws-market-data, ws-orderbook and ws-private-channels, and of
frames captured on the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

Number: TypeAlias = str | float
"""A decimal as the exchange writes it: text in every frame seen, a JSON number tolerated."""

TradeId: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""64 bits: JSON would allow thousands of digits, which nothing that writes or stores an event can take."""

PING: Final = b"1"
PONG: Final = b"2"

_NANOSECONDS_FROM: Final = 100_000_000
"""A welcome's interval from here on is nanoseconds: milliseconds would make it over a day, nanoseconds 0.1 s."""
_MAX_ADVERTISED_SECONDS: Final = 86_400.0
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}_[A-Z0-9]{1,20}")
_NAMED_TOPIC = re.compile(r"\b[Ii]nvalid topic:? (\S{1,128})$")


class Channel(StrEnum):
    """What a frame is about; the `channel` label."""

    TICKER = "ticker"
    TRADE = "trade"
    RATES = "rates"
    DIFF = "diff"
    MARKET_DEPTH = "market_depth"
    WALLET = "wallet"
    ORDER = "order"
    ACCOUNT_TRADE = "account_trade"


PRIVATE_CHANNELS: Final = (Channel.WALLET, Channel.ORDER, Channel.ACCOUNT_TRADE)
PUBLIC_CHANNELS: Final = tuple(c for c in Channel if c not in PRIVATE_CHANNELS)


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

_UNREADABLE: Final = {flaw: Malformed(flaw) for flaw in Flaw}
_UNKNOWN: Final = Unknown()
_PING: Final = Ping()
_untyped = msgspec.json.Decoder()
_tickers = msgspec.json.Decoder(list[str | float | TickerRow])


class _BadShapeError(Exception):
    """A known type with fields that are not what it should hold."""


def malformed(flaw: Flaw) -> Malformed:
    """The event for a frame that cannot be read; one shared object a flaw."""
    return _UNREADABLE[flaw]


def decode(payload: bytes | bytearray | memoryview) -> Event:
    """Read one text frame's payload. Never raises; costs no more than the typed decode for a data frame.

    Whatever a data frame holds beyond its known fields is skipped unread, so a newer exchange may add to it. Damage in
    there, bytes that are no UTF-8 among it, is therefore not found, and the frame is data: to look for it would cost
    every frame, a trade 15 % of its decode.
    """
    reader = _BY_HEAD.get(bytes(payload[:5]))
    if reader is None:
        return _decode_slowly(payload)
    try:
        return reader(payload)
    except (msgspec.MsgspecError, _BadShapeError, RecursionError, UnicodeDecodeError, ValueError):
        return _decode_slowly(payload)


def _read_tickers(payload: bytes | bytearray | memoryview) -> Tickers:
    frame: Any = _tickers.decode(payload)
    _tag, time, *rows = frame
    if type(time) is not float or not rows:
        raise _BadShapeError
    for row in rows:
        if type(row) is not TickerRow:
            raise _BadShapeError
    return Tickers(time, rows)


def _decode_slowly(payload: bytes | bytearray | memoryview) -> Event:
    """Everything that is not plainly a data frame: the rare kinds, odd spacing, and the reasons for refusal."""
    if payload == PING:
        return _PING
    raw = bytes(payload)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return _UNREADABLE[Flaw.INVALID_UTF8]
    try:
        frame = _untyped.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return _UNREADABLE[Flaw.INVALID_JSON]
    if not isinstance(frame, list):
        return _UNREADABLE[Flaw.NOT_ARRAY]
    if not frame or not isinstance(frame[0], str):
        return _UNREADABLE[Flaw.BAD_SHAPE]
    reader = _BY_TAG.get(frame[0])
    if reader is None:
        return _UNKNOWN
    try:
        return reader(frame)
    except (msgspec.MsgspecError, _BadShapeError, LookupError, TypeError, ValueError, OverflowError):
        return _UNREADABLE[Flaw.BAD_SHAPE]


def _stamp(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _BadShapeError
    return float(value)


def _strings(values: Sequence[object]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise _BadShapeError
    return tuple(str(value) for value in values)


def _advertised_seconds(value: object) -> float:
    number = _stamp(value)
    seconds = number / 1e9 if number >= _NANOSECONDS_FROM else number / 1e3
    if not 0 < seconds <= _MAX_ADVERTISED_SECONDS:
        raise _BadShapeError
    return seconds


def _from_welcome(frame: list[Any]) -> Welcome:
    _, time, interval, timeout, client_id, *_ = frame
    if not isinstance(client_id, str):
        raise _BadShapeError
    shown = client_id if _CLIENT_ID.fullmatch(client_id) else "unprintable"
    return Welcome(_stamp(time), _advertised_seconds(interval), _advertised_seconds(timeout), shown)


def _from_ack(frame: list[Any]) -> Ack:
    operation, time, *topics = frame
    return Ack(Operation(operation), _stamp(time), _strings(topics), isinstance(time, int))


def _from_error(frame: list[Any]) -> Error:
    _, time, message, *rest = frame
    if not isinstance(message, str):
        raise _BadShapeError
    named = _NAMED_TOPIC.search(message)
    operation = rest[0] if rest and isinstance(rest[0], str) else None
    return Error(_stamp(time), message, _error_reason(message), operation, named[1] if named else None)


def _error_reason(message: str) -> ErrorReason:
    """Classify by the words that the exchange uses; measured: `Invalid topic: X`, `Too many topics`."""
    said = message.lower()
    if "too many topics" in said:
        return ErrorReason.TOO_MANY_TOPICS
    if "topic" in said and ("invalid" in said or "not exist" in said):
        return ErrorReason.INVALID_TOPIC
    if any(word in said for word in ("auth", "token", "permission", "forbidden")):
        return ErrorReason.UNAUTHORIZED
    return ErrorReason.OTHER


def _from_private(channel: Channel) -> Callable[[list[Any]], Private]:
    return lambda frame: Private(channel, _stamp(frame[1]))


def _from_tickers(frame: list[Any]) -> Tickers:
    _, time, *rows = frame
    if not rows:
        raise _BadShapeError
    return Tickers(_stamp(time), msgspec.convert(rows, list[TickerRow]))


def _from_array(shape: type) -> Callable[[list[Any]], Any]:
    return lambda frame: msgspec.convert(frame, shape)


_BY_TAG: Final[dict[str, Callable[[list[Any]], Event]]] = {
    "welcome": _from_welcome,
    "subscribe": _from_ack,
    "unsubscribe": _from_ack,
    "error": _from_error,
    "tk": _from_tickers,
    "t": _from_array(Trade),
    "p": _from_array(Book),
    "d": _from_array(Diff),
    "r": _from_array(Rates),
    "w": _from_private(Channel.WALLET),
    "o": _from_private(Channel.ORDER),
    "ta": _from_private(Channel.ACCOUNT_TRADE),
}

_BY_HEAD: Final[dict[bytes, Callable[[bytes | bytearray | memoryview], Event]]] = {
    b'["t",': msgspec.json.Decoder(Trade).decode,
    b'["tk"': _read_tickers,
    b'["p",': msgspec.json.Decoder(Book).decode,
    b'["d",': msgspec.json.Decoder(Diff).decode,
    b'["r",': msgspec.json.Decoder(Rates).decode,
}
"""Data frames as both dialects write them, told by five bytes so that one typed decode is all they cost."""


def encode(event: Event) -> bytes:
    """Write an event as a server would; the inverse of ``decode`` for every well-formed event."""
    match event:
        case Ping():
            return PING
        case Welcome():
            interval, timeout = (round(s * 1e3) for s in (event.ping_interval_seconds, event.ping_timeout_seconds))
            return msgspec.json.encode(["welcome", event.time, interval, timeout, event.client_id])
        case Ack():
            time = int(event.time) if event.whole_seconds else event.time
            return msgspec.json.encode([event.operation, time, *event.topics])
        case Error():
            tail = [] if event.operation is None else [event.operation]
            return msgspec.json.encode(["error", event.time, event.message, *tail])
        case Tickers():
            return msgspec.json.encode(["tk", event.time, *event.rows])
        case Trade() | Book() | Diff() | Rates():
            return msgspec.json.encode(event)
        case _:
            raise TypeError(f"{type(event).__name__} keeps too little of its frame to be written again")


def request(operation: Operation, topics: Iterable[str]) -> bytes:
    """A request frame: ``["subscribe","topic1",...]``."""
    return msgspec.json.encode([operation, *topics])


def auth(token: str) -> bytes:
    """The frame that opens the private channels: ``["auth","<JWT>"]``."""
    return msgspec.json.encode(["auth", token])


def is_symbol(text: str) -> bool:
    """Whether text from the wire is a plausible pair, safe to become a label value once it is capped."""
    return _SYMBOL.fullmatch(text) is not None


def split_topic(topic: str) -> tuple[Channel, str]:
    """``"trade.BTC_USDT"`` to ``(Channel.TRADE, "BTC_USDT")``; the symbol of a wildcard is ``"*"``.

    Raises:
        ValueError: the topic names no public channel or no plausible symbol.
    """
    name, dot, symbol = topic.partition(".")
    if not dot or name not in PUBLIC_CHANNELS:
        raise ValueError(
            f"{topic!r} names no public channel: it starts with {', '.join(PUBLIC_CHANNELS)}, a dot, and * or a pair"
        )
    if symbol != "*" and not is_symbol(symbol):
        raise ValueError(f"{topic!r} names no pair: after the dot comes * or a pair like BTC_USDT")
    return Channel(name), symbol
