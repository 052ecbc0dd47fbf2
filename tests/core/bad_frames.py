"""Frames that a server should never send, with what each is to be counted as. None may cost the session."""

from __future__ import annotations

from base64 import b64encode
from typing import NamedTuple

from alpmon.core.events import Flaw
from alpmon.exchange.faults import Payload
from alpmon.exchange.wire import Opcode, frame


class BadFrame(NamedTuple):
    """One bad frame; `flaw` is None where it is well formed but of a type that nobody knows."""

    name: str
    payload: bytes
    is_binary: bool
    flaw: Flaw | None

    def as_payload(self) -> Payload:
        """For the simulated exchange, which then sends it as it stands, bad UTF-8 included."""
        opcode = Opcode.BINARY if self.is_binary else Opcode.TEXT
        return Payload(raw=b64encode(frame(opcode, self.payload)))


_TRADE = b'["t",1694003848,293107798,"BTC_USDT","0.20285052","25705.02","buy"]'
_ROW = b'["BTC_USDT","1","1","1","1","1","1","1","1"]'

_BINARY: dict[str, bytes] = {
    "binary trade": _TRADE,
    "binary ping": b"1",
    "empty binary": b"",
    "binary noise": bytes(range(256)),
}
_INVALID_UTF8: dict[str, bytes] = {
    "lone 0xff": b"\xff",
    "latin-1 in a trade": _TRADE.replace(b"BTC", b"B\xe9C"),
    "overlong slash": b'["x","\xc0\xaf"]',
    "encoded surrogate": b'["x","\xed\xa0\x80"]',
    "cut multi-byte character": b'["x","\xe2\x82',
    "utf-16 with its mark": '["x"]'.encode("utf-16"),
    "bad utf-8 among thousands": b'["x","' + b"a" * 60_000 + b'\xff"]',
}
_INVALID_JSON: dict[str, bytes] = {
    "empty text": b"",
    "blank text": b" \r\n\t",
    "words": b"hello",
    "html": b"<html><body>502 Bad Gateway</body></html>",
    "cut trade": _TRADE[:-20],
    "two frames in one": _TRADE + _TRADE,
    "trade with a trailing word": _TRADE + b"x",
    "trailing zero byte": _TRADE + b"\0",
    "byte order mark": b"\xef\xbb\xbf" + _TRADE,
    "single quotes": _TRADE.replace(b'"', b"'"),
    "trailing comma": _TRADE[:-1] + b",]",
    "not a number": _TRADE.replace(b"1694003848", b"NaN"),
    "infinity": _TRADE.replace(b"1694003848", b"Infinity"),
    "number over the double range": _TRADE.replace(b"1694003848", b"1e400"),
    "five thousand digits": _TRADE.replace(b"293107798", b"9" * 5_000),
    "leading zero": _TRADE.replace(b"293107798", b"007"),
    "control character in a string": b'["x","\x01"]',
    "escaped lone surrogate": b'["x","\\ud800"]',
    "60000 brackets": b"[" * 60_000,
    "60000 brackets inside a trade": b'["t",1694003848,' + b"[" * 60_000,
    "10000 nested objects inside a book": b'["p",1694003848,' + b'{"a":' * 10_000,
}
_NOT_ARRAY: dict[str, bytes] = {
    "the client's own pong": b"2",
    "ping with a space": b"1 ",
    "ping as a fraction": b"1.0",
    "object": b'{"event":"welcome"}',
    "string": b'"welcome"',
    "null": b"null",
    "true": b"true",
}
_BAD_SHAPE: dict[str, bytes] = {
    "empty array": b"[]",
    "number as the type": b"[1,2,3]",
    "null as the type": b"[null]",
    "array as the type": b'[["t"]]',
    "trade of the type alone": b'["t"]',
    "trade cut short": b'["t",1694003848,293107798,"BTC_USDT"]',
    "trade with a null symbol": _TRADE.replace(b'"BTC_USDT"', b"null"),
    "trade with a boolean stamp": _TRADE.replace(b"1694003848", b"true"),
    "trade with a quoted stamp": _TRADE.replace(b"1694003848", b'"1694003848"'),
    "trade with a 31-digit id": _TRADE.replace(b"293107798", b"1" + b"0" * 30),
    "trade with a stamp of 400 digits": _TRADE.replace(b"1694003848", b"9" * 400),
    "trade with an object for a price": _TRADE.replace(b'"25705.02"', b"{}"),
    "ticker without rows": b'["tk",1694003337]',
    "ticker with an empty row": b'["tk",1694003337,[]]',
    "ticker with one short row": b'["tk",1694003337,' + _ROW + b',["XRP_USDT","1"]]',
    "ticker with a word among its rows": b'["tk",1694003337,' + _ROW + b',"row"]',
    "ticker without a stamp": b'["tk",' + _ROW + b"]",
    "book without sides": b'["p",1694178331,{"Symbol":"BTC_USDT"}]',
    "book with null sides": b'["p",1694178331,{"Asks":null,"Bids":null,"Symbol":"BTC_USDT"}]',
    "book level without an amount": b'["p",1694178331,{"Asks":[["1"]],"Bids":[],"Symbol":"BTC_USDT"}]',
    "book as an array": b'["p",1694178331,[[],[],"BTC_USDT"]]',
    "diff with one side": b'["d",1694004500,"BTC_USDT",[[]]]',
    "rates as an object": b'["r",1694004500,{"BTC":"1"}]',
    "wallet without a stamp": b'["w"]',
    "order with a word for a stamp": b'["o","now"]',
    "acknowledgement without a stamp": b'["subscribe"]',
    "acknowledgement of numbers": b'["subscribe",1790139140,1,2]',
    "error without a message": b'["error",1790139264]',
    "error with an object for a message": b'["error",1790139264,{"text":"no"}]',
    "welcome without intervals": b'["welcome",1694002700,"5c00d9c2"]',
    "welcome with no interval": b'["welcome",1694002700,0,0,"5c00d9c2"]',
    "welcome with a negative timeout": b'["welcome",1694002700,20000,-1,"5c00d9c2"]',
    "welcome that pings once in a thousand years": b'["welcome",1694002700,3e22,3e22,"5c00d9c2"]',
}
_UNKNOWN: dict[str, bytes] = {
    "type that nobody knows": b'["x",1694003848]',
    "type in the wrong case": b'["T",1694003848,293107798,"BTC_USDT","1","1","buy"]',
    "empty type": b'[""]',
    "type that only starts like a ticker": b'["tkx",1694003337]',
    "type of 60000 characters": b'["' + b"t" * 60_000 + b'"]',
    "unknown type, nested 200 deep": b'["x",' + b"[" * 200 + b"]" * 200 + b"]",
}

BAD_FRAMES: list[BadFrame] = [
    BadFrame(name, payload, flaw is Flaw.BINARY, flaw)
    for flaw, frames in (
        (Flaw.BINARY, _BINARY),
        (Flaw.INVALID_UTF8, _INVALID_UTF8),
        (Flaw.INVALID_JSON, _INVALID_JSON),
        (Flaw.NOT_ARRAY, _NOT_ARRAY),
        (Flaw.BAD_SHAPE, _BAD_SHAPE),
        (None, _UNKNOWN),
    )
    for name, payload in frames.items()
]
