"""Our connection and the library's own over the same bytes: what is heard and what is sent must not differ."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import struct
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Event
from websockets.streams import StreamReader
from websockets.uri import parse_uri
from websockets.utils import accept_key

from alpmon.probe import connection as module
from alpmon.probe.connection import ProbeConnection

URI = parse_uri("ws://exchange.example/ws")
BYTE_BY_BYTE_UP_TO = 400

# What a server may send


class Shown(bytes):
    """Frames of a stream; a failure shows the first of them."""

    __slots__ = ()

    def __new__(cls, parts: list[bytes]) -> Shown:
        return super().__new__(cls, b"".join(parts))

    def __repr__(self) -> str:
        return f"{bytes(self[:300])!r} of {len(self)} bytes"


def raw(head: int, payload: bytes = b"", *, masked: bool = False) -> bytes:
    """A frame with any first byte; a masked one has a zero mask."""
    size, mask_bit = len(payload), 0x80 if masked else 0
    if size < 126:
        header = struct.pack("!BB", head, mask_bit | size)
    elif size < 65_536:
        header = struct.pack("!BBH", head, mask_bit | 126, size)
    else:
        header = struct.pack("!BBQ", head, mask_bit | 127, size)
    return header + (bytes(4) if masked else b"") + payload


SIZES = st.sampled_from([0, 1, 2, 5, 57, 124, 125, 126, 127, 348, 1_564, 65_534, 65_535, 65_536, 70_000, 70_001])
PATTERNS = st.sampled_from([b"1", b'["t",1]', b"\xff", b"\x88", b"\x81\x00"])  # the last: frames in a frame
PAYLOADS = st.builds(lambda size, pattern: (pattern * (size // len(pattern) + 1))[:size], SIZES, PATTERNS)
SMALL = st.binary(max_size=125)

CONTROL = st.builds(raw, st.sampled_from([0x89, 0x8A]), SMALL)
MESSAGE = st.builds(raw, st.sampled_from([0x81, 0x81, 0x81, 0x82]), PAYLOADS)
FRAGMENTED = st.builds(
    lambda opcode, first, middle, last: raw(opcode, first) + b"".join(middle) + raw(0x80, last),
    st.sampled_from([0x01, 0x02]),
    PAYLOADS,
    st.lists(CONTROL | st.builds(raw, st.just(0x00), SMALL), max_size=4),
    PAYLOADS,
)
CLOSE = st.builds(raw, st.just(0x88), st.sampled_from([b"", b"\x03\xe8", b"\x03\xf1bye", b"\x0f\xa1" + b"x" * 123]))
BREACH = st.one_of(
    st.builds(raw, st.sampled_from([0xC1, 0xA1, 0x91, 0xC9, 0xC8, 0x41, 0x83, 0x8B, 0x03, 0x8F, 0x80, 0x00]), PAYLOADS),
    st.builds(lambda head, payload: raw(head, payload, masked=True), st.sampled_from([0x81, 0x89, 0x88]), PAYLOADS),
    st.builds(lambda payload: raw(0x01, payload) + raw(0x81, payload), SMALL),
    st.builds(raw, st.sampled_from([0x01, 0x02]), SMALL),  # a fragment that something else may follow
    st.builds(raw, st.sampled_from([0x09, 0x0A, 0x08]), SMALL),  # control frames in fragments
    st.builds(raw, st.sampled_from([0x89, 0x8A, 0x88]), st.builds(bytes, st.sampled_from([126, 70_000]))),
    st.builds(raw, st.just(0x88), st.sampled_from([b"\x03", b"\x00\x01", b"\x03\xe8\xff", b"\x03\xed", b"\x13\x88"])),
    st.just(struct.pack("!BBQ", 0x81, 127, 200_000) + bytes(100)),
    st.just(struct.pack("!BBQ", 0x82, 127, 1 << 62)),
    st.sampled_from([b"\x83\x7e", b"\x8b\x7f\x00", b"\x81\xfe\x01"]),  # refused before their length is known
    st.binary(min_size=1, max_size=40),
)
FRAMES = st.lists(
    st.one_of(MESSAGE, MESSAGE, MESSAGE, CONTROL, FRAGMENTED, FRAGMENTED, CLOSE, BREACH.map(bytes)), max_size=8
).map(Shown)
ACCEPTED = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"
HEADS = st.sampled_from(
    [ACCEPTED] * 8
    + [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1 101 \n\n\r\n\r\n",
    ]
)


@dataclass(frozen=True)
class Stream:
    """What one server sends, where the reads fall, and how our event loop reads."""

    head: str
    frames: bytes
    cuts: list[int]
    byte_by_byte: bool
    buffered: bool
    max_size: int

    def reads(self, key: str) -> list[bytes]:
        """The reads of a client that sent this key."""
        data = self.head.format(accept_key(key)).encode() + self.frames
        places = {0, len(data), *(cut % (len(data) + 1) for cut in self.cuts)}
        if self.byte_by_byte:
            places.update(range(min(BYTE_BY_BYTE_UP_TO, len(data))))
        return [data[a:b] for a, b in itertools.pairwise(sorted(places))]


CUTS = st.lists(st.integers(0, 400) | st.integers(0, 1 << 20), max_size=12)
STREAMS = st.builds(Stream, HEADS, FRAMES, CUTS, st.booleans(), st.booleans(), st.sampled_from([60_000, 150_000]))

# Who listens


class Wire(asyncio.Transport):
    """Where a connection writes to; keeps the frames, unmasked, as the random masks would differ."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def write(self, data: Any) -> None:
        reader = StreamReader()
        reader.feed_data(data)
        try:
            next(Frame.parse(reader.read_exact, mask=True))
        except StopIteration as whole:
            self.sent.append(f"{whole.value.opcode!r} {bytes(whole.value.data)!r}")

    def write_eof(self) -> None:
        self.sent.append("end of stream")

    def abort(self) -> None:
        self.sent.append("abort")

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False


class Stock(ClientConnection):
    """The library's own connection, which writes down what it handles."""

    def __init__(self, protocol: ClientProtocol) -> None:
        super().__init__(protocol, max_queue=None)
        self.heard: list[tuple[Any, ...]] = []
        self._parts: list[Frame] = []

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, Response):
            if self.protocol.handshake_exc is None:
                self.heard.append(("opened",))
        elif isinstance(event, Frame) and event.opcode in (Opcode.PING, Opcode.PONG):
            self.heard.append((event.opcode, bytes(event.data)))
        elif isinstance(event, Frame) and event.opcode is not Opcode.CLOSE:
            self._parts.append(event)
            if event.fin:
                parts, self._parts = self._parts, []
                self.heard.append((parts[0].opcode, b"".join(part.data for part in parts)))


class Handler:
    """Writes down what our connection tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.lost_calls = 0

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:
        self.heard.append(("opened",))

    def text(self, payload: bytes | memoryview, now: float, wall: float) -> None:
        self.heard.append((Opcode.TEXT, bytes(payload)))

    def binary(self, size: int, now: float, wall: float) -> None:
        self.heard.append((Opcode.BINARY, size))

    def protocol_ping(self, payload: bytes, now: float, wall: float, answered: float) -> None:
        self.heard.append((Opcode.PING, payload))

    def protocol_pong(self, payload: bytes, now: float, wall: float) -> None:
        self.heard.append((Opcode.PONG, payload))

    def closing(self, now: float) -> None: ...

    def lost(self, now: float) -> None:
        self.lost_calls += 1


def feed_buffered(connection: ProbeConnection, data: bytes) -> None:
    """As CPython's event loop reads."""
    while data:
        room = connection.get_buffer(-1)
        size = min(len(room), len(data))
        room[:size] = data[:size]
        connection.buffer_updated(size)
        data = data[size:]


def feed_bytes(connection: ProbeConnection, data: bytes) -> None:
    """As uvloop reads."""
    connection.data_received(data)


def as_ours(heard: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Of a binary message only the size is told."""
    return [(what[0], len(what[1])) if what[0] is Opcode.BINARY else what for what in heard]


def ending(connection: ClientConnection) -> tuple[Any, ...]:
    protocol = connection.protocol
    closes: tuple[Close | None, Close | None] = protocol.close_rcvd, protocol.close_sent
    return *closes, protocol.close_rcvd_then_sent, repr(protocol.parser_exc), str(protocol.handshake_exc)


async def difference(stream: Stream, probe: type[ProbeConnection]) -> str | None:
    """The first difference after any read, or at the end; None where there is none."""
    handler = Handler()
    feed = feed_buffered if stream.buffered else feed_bytes
    stock, stock_wire = Stock(ClientProtocol(URI, max_size=stream.max_size)), Wire()
    ours, our_wire = probe(ClientProtocol(URI, max_size=stream.max_size), handler), Wire()
    stock.connection_made(stock_wire)
    ours.connection_made(our_wire)
    reads = zip(stream.reads(stock.protocol.key), stream.reads(ours.protocol.key), strict=True)

    def compare(when: str) -> str | None:
        expected = (as_ours(stock.heard), stock_wire.sent, stock.state, ending(stock))
        found = (handler.heard, our_wire.sent, ours.state, ending(ours))
        return None if expected == found and ours.bug is None else f"{when}: {found} not {expected}, {ours.bug}"

    for number, (for_stock, for_ours) in enumerate(reads):
        stock.data_received(for_stock)
        feed(ours, for_ours)
        if found := compare(f"read {number}"):
            ours.connection_lost(None)
            return found
    for connection in (stock, ours):
        connection.eof_received()
        connection.connection_lost(None)
    found = compare("the end")
    return found or (None if handler.lost_calls == (("opened",) in handler.heard) else "lost is told once, if opened")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@settings(max_examples=1000, deadline=None)
@given(stream=STREAMS)
def test_no_stream_of_bytes_tells_us_from_the_library(runner: asyncio.Runner, stream: Stream) -> None:
    """Messages, pongs, close frames and errors are the same, after every read, however the stream is cut."""
    assert runner.run(difference(stream, ProbeConnection)) is None


FAULTS = {
    "a text within a fragmented message is taken for a message": ("and not self._in_fragments:", ":"),
    "a fragmented message never ends": ("self._in_fragments = not frame.fin", "self._in_fragments = True"),
    "a frame that just fits is left for later": ("start + length > end", "start + length >= end"),
    "the bytes of a length are added, not joined": ("<< 8 | data[position + 3]", "+ data[position + 3]"),
    "a half length is read": ("if start > end:", "if start > end + 1:"),
    "a length of 64 bits is taken for 127 bytes": ("elif length > _LENGTH_16:", "elif length > _LENGTH_16 + 1:"),
    "a reserved bit is overlooked": ("data[position] == _FINAL_TEXT", "data[position] & 0x8F == _FINAL_TEXT"),
    "a binary message is taken for text": ("data[position] == _FINAL_TEXT", "data[position] & 0xFC == 0x80"),
    "a fragment is taken for a message": ("data[position] == _FINAL_TEXT", "data[position] & 0x7F == 1"),
    "a limit is overlooked": ("min(_INLINE_LIMIT, protocol.max_message_size or _INLINE_LIMIT)", "_INLINE_LIMIT"),
    "frames behind a close are handled": ("        if self.protocol.state is not State.OPEN:\n", "        if False:\n"),
    "the rest of a frame is forgotten": ("self._passing -= stop - position", "self._passing = 0"),
    "the length of a frame leaves its header out": ("        return 2 + length", "        return length"),
    "64 bits of length are read as 16": ("header = 4 if length == _LENGTH_16 else 10", "header = 4"),
    "a masked frame is waited for": ("if length & _MASKED or data[0]", "if data[0]"),
    "an unknown opcode is waited for": (" or data[0] & 0x0F not in _OPCODES", ""),
    "the tail is lost": ("self._tail = bytes(view[position:end])", "self._tail = b''"),
    "the tail is handled twice": ('        self._tail = b""\n        try:', "        try:"),
    "the tail is lost at the end": ("self._pass_on(memoryview(tail))", "self._pass_on(memoryview(b''))"),
    "the library keeps half a frame": (
        "        super().data_received(data[:cut])",
        "        super().data_received(data)",
    ),
    "bytes behind the handshake are lost": ("        return data[cut:]", '        return b""'),
    "the end of the head is looked for in each read alone": ("seen = self._head_end + data", "seen = data"),
    "a message is assembled on top of the last": ("self._message = bytearray() if", "self._message = self._message if"),
    "the size of a binary message is its last frame's": ("self._message_bytes += len", "self._message_bytes = len"),
}


def with_fault(old: str, new: str) -> type[ProbeConnection]:
    """Our connection with a fault in its source."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} is not once in the source"
    faulty = types.ModuleType(module.__name__)
    exec(compile(source.replace(old, new), module.__file__, "exec"), faulty.__dict__)
    probe: type[ProbeConnection] = faulty.ProbeConnection
    return probe


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(runner: asyncio.Runner, fault: str) -> None:
    """The comparison is worth something: each of these faults in the source shows."""
    probe = with_fault(*FAULTS[fault])
    quick = settings(max_examples=4000, deadline=None, database=None, phases=[Phase.generate], derandomize=True)

    def shows(stream: Stream) -> bool:
        return runner.run(difference(stream, probe)) is not None

    assert find(STREAMS, shows, settings=quick)
