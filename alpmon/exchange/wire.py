"""Frames as the server writes them: a RFC 6455 header, and events as the exchange's JSON arrays."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

import msgspec

from alpmon.core.events import Book, Diff, Rates, Tickers, Trade
from alpmon.core.topics import Channel

_TWO_BYTE_SIZE: Final = 126
_EIGHT_BYTE_SIZE: Final = 1 << 16


class Opcode(IntEnum):
    """The kinds of WebSocket frame that the server writes."""

    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


@dataclass(slots=True)
class AccountEvent:
    """A private frame: `[tag, time, *fields]`."""

    channel: Channel
    tag: str
    time: float
    fields: tuple[Any, ...]


MarketEvent: TypeAlias = Trade | Tickers | Book | Diff | Rates | AccountEvent


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """One final, unmasked frame."""
    first, size = 0x80 | opcode, len(payload)
    if size < _TWO_BYTE_SIZE:
        return bytes((first, size)) + payload
    if size < _EIGHT_BYTE_SIZE:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def close_payload(code: int, reason: str = "") -> bytes:
    """The body of a close frame."""
    return struct.pack("!H", code) + reason.encode()


def encode(event: MarketEvent, stamp: float) -> bytes:
    """A data frame's payload with `stamp` (int or float, as the dialect writes it) for its time."""
    return msgspec.json.encode(_array(event, stamp))


def _array(event: MarketEvent, stamp: float) -> list[Any]:
    match event:
        case Trade():
            return [event.tag, stamp, event.id, event.symbol, event.amount, event.price, event.side]
        case Tickers():
            return ["tk", stamp, *event.rows]
        case Book():
            return [event.tag, stamp, event.levels]
        case Diff():
            return [event.tag, stamp, event.symbol, event.sides]
        case Rates():
            return [event.tag, stamp, event.rows]
        case AccountEvent():
            return [event.tag, stamp, *event.fields]
