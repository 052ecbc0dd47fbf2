"""The writing side of one WebSocket: every frame sent is counted, and so is the way it ends."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from alpmon.exchange.ledger import CloseEntry, ConnectionEntry
from alpmon.exchange.wire import Opcode, close_payload, frame

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
NO_CLOSE_FRAME: Final = 1006


class Link:
    """Writes to one client without waiting.

    Args:
        transport: the connection, TLS included.
        entry: where everything sent is written down.
        max_buffer_bytes: a client that reads more slowly than this allows is dropped.
        close_timeout_seconds: how long a client may take to answer a close frame.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        entry: ConnectionEntry,
        *,
        max_buffer_bytes: int,
        close_timeout_seconds: float,
    ) -> None:
        self.entry = entry
        self.last_sent = time.monotonic()
        self._transport = transport
        self._max_buffer_bytes = max_buffer_bytes
        self._close_timeout_seconds = close_timeout_seconds
        self._held = False
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def is_open(self) -> bool:
        """Whether frames can be written: neither side has ended the session."""
        return self.entry.close is None and not self._transport.is_closing()

    @property
    def is_held(self) -> bool:
        """Whether the connection is half-open: neither read nor written."""
        return self._held

    @property
    def unsent_bytes(self) -> int:
        """What the client has not let us hand to the system yet."""
        return self._transport.get_write_buffer_size()

    def text(self, kind: str, payload: bytes) -> bool:
        """Send a text frame and count it under `kind`; False if nothing can be sent."""
        return self._count(kind, self._write(frame(Opcode.TEXT, payload)))

    def binary(self, payload: bytes) -> bool:
        """Send a binary frame, counted as raw."""
        return self._count("raw", self._write(frame(Opcode.BINARY, payload)))

    def raw(self, octets: bytes) -> bool:
        """Put bytes on the wire as they are."""
        return self._count("raw", self._write(octets))

    def data(self, topic: str, payload: bytes) -> None:
        """Send a data frame."""
        if self._write(frame(Opcode.TEXT, payload)):
            self.entry.count_data(topic, 1, len(payload))

    def batch(self, octets: bytes) -> bool:
        """Send frames that are already written out; the caller counts them."""
        return self._write(octets)

    def control(self, opcode: Opcode, payload: bytes) -> bool:
        """Send a ping or pong."""
        return self._write(frame(opcode, payload))

    def close(self, code: int, reason: str = "") -> None:
        """Close with a code; a client that does not answer in time is cut off."""
        if self._write(frame(Opcode.CLOSE, close_payload(code, reason))):
            self.ended("server", code, reason)
            self.later(self._close_timeout_seconds, self._transport.abort)

    def answer_close(self, code: int, reason: str) -> None:
        """The client closed: answer with its code."""
        echo = close_payload(code) if code else b""
        self._write(frame(Opcode.CLOSE, echo))
        self.ended("client", code or 1005, reason)

    def drop(self, reason: str) -> None:
        """End without a close frame, after what is buffered."""
        self.ended("server", NO_CLOSE_FRAME, reason)
        self._transport.close()

    def abort(self, reason: str) -> None:
        """Reset the TCP connection at once."""
        self.ended("server", NO_CLOSE_FRAME, reason)
        connection: socket.socket | None = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def ended(self, initiator: str, code: int, reason: str) -> None:
        """Write down how the session ended; the first account stands."""
        if self.entry.close is None:
            self.entry.close = CloseEntry(time.monotonic(), initiator, code, reason)

    def hold(self) -> None:
        """Go half-open: read nothing, write nothing, close nothing."""
        self._held = True
        self._transport.pause_reading()

    def release(self) -> None:
        """Be reachable again."""
        self._held = False
        self._transport.resume_reading()

    def later(self, delay_seconds: float, act: Callable[..., Any], *arguments: Any) -> None:
        """Call after a delay unless the session has ended."""

        def fire() -> None:
            self._timers.discard(handle)
            act(*arguments)

        handle = asyncio.get_running_loop().call_later(delay_seconds, fire)
        self._timers.add(handle)

    def dispose(self) -> None:
        """Let go of the timers and the transport."""
        for handle in self._timers:
            handle.cancel()
        self._timers.clear()
        self._transport.close()

    def _write(self, octets: bytes) -> bool:
        if self._held or not self.is_open:
            return False
        if self.unsent_bytes > self._max_buffer_bytes:
            self.abort("client too slow")
            return False
        self._transport.write(octets)
        self.last_sent = time.monotonic()
        return True

    def _count(self, kind: str, sent: bool) -> bool:
        self.entry.frames[kind] += sent
        return sent
