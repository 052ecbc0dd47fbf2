"""The WebSocket connection that handles frames where they arrive, without a queue, a task or a `recv()`.

A whole, unfragmented text message under 64 KiB, which is nearly everything that the exchange sends, is cut out of the
read buffer and handled on the spot. Every other frame goes to the library, one whole frame at a time, so that the
library always stands at the boundary of a frame: handshake, pongs, fragments, limits and close codes stay its own.
"""

from __future__ import annotations

import asyncio
from time import monotonic, time
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from alpmon.probe.closing import CloseFacts, close_facts

DEFAULT_CLOSE_TIMEOUT_SECONDS: Final = 1.0

_FINAL_TEXT: Final = 0x81
_SHORTEST_HEADER: Final = 2
_LENGTH_16: Final = 126
_MASKED: Final = 0x80
_INLINE_LIMIT: Final = 0xFFFF
_READ_BUFFER_BYTES: Final = 2 * (_INLINE_LIMIT + 1)
"""Room for the longest tail that is kept, and never less than 64 KiB to read into behind it."""
_MAX_UNSENT_BYTES: Final = 1 << 20
_HEAD_END: Final = b"\r\n\r\n"
_OPCODES: Final = frozenset(Opcode)


class FrameHandler(Protocol):
    """What is told about a connection, in order, from within the event loop's callbacks; nothing here may block.

    `now` and `wall` are the monotonic and the wall clock when the read returned that completed the frame. An exception
    that leaves a method is a bug of ours: it ends the connection and comes out of `ProbeConnection.wait_lost`.
    """

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:
        """The handshake succeeded; called before the first message, which may come before `connect` has returned."""

    def text(self, payload: bytes | memoryview, now: float, wall: float) -> None:
        """A whole text message, not checked for UTF-8. The payload is gone when the call returns."""

    def binary(self, size: int, now: float, wall: float) -> None:
        """A whole binary message of `size` bytes."""

    def protocol_ping(self, payload: bytes, now: float, wall: float, answered: float) -> None:
        """A WebSocket ping; `answered` is the monotonic time when its pong had been handed to the socket."""

    def protocol_pong(self, payload: bytes, now: float, wall: float) -> None:
        """A WebSocket pong, asked for or not."""

    def closing(self, now: float) -> None:
        """The closing handshake has begun, by whichever side: frames may still come, and nothing can be sent."""

    def lost(self, now: float) -> None:
        """The connection is gone; called once, and only after `opened`."""


class ProbeConnection(ClientConnection, asyncio.BufferedProtocol):
    """One client connection that tells a `FrameHandler` what arrives.

    CPython's event loop reads straight into a buffer that all connections share (`BufferedProtocol`), uvloop hands over
    bytes (`data_received`). The library's `recv()` never sees a message.

    Attributes:
        bug: The exception that left the handler or the parser, if one did.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        handler: FrameHandler,
        *,
        close_timeout_seconds: float = DEFAULT_CLOSE_TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(protocol, ping_interval=None, close_timeout=close_timeout_seconds, max_queue=None)
        self.bug: Exception | None = None
        self._handler = handler
        self._close_timeout_seconds = close_timeout_seconds
        self._buffer, self._view = _read_buffer(self.loop)
        self._inline_limit = min(_INLINE_LIMIT, protocol.max_message_size or _INLINE_LIMIT)
        self._arrived = self._arrived_wall = 0.0
        self._opened = False
        self._head_end = b""  # the last bytes seen of the handshake's response
        self._tail = b""  # the start of a frame whose rest has not arrived
        self._passing = 0  # bytes still to come of a frame that the library is reading
        self._in_fragments = False
        self._message: bytearray | None = None  # a fragmented text so far
        self._message_bytes = 0
        self._aborted = False
        self._peer_reads_nothing = False
        self._close_timer: asyncio.TimerHandle | None = None

    # What the handler and the worker may do

    async def handshake(self, *arguments: Any, **options: Any) -> None:
        """Upgrade.

        Raises:
            websockets.exceptions.InvalidHandshake: the peer does not; it may have said so before it was asked.
        """
        if self.protocol.handshake_exc is None:
            await super().handshake(*arguments, **options)
        else:
            raise self.protocol.handshake_exc

    def send_text_now(self, data: bytes) -> float | None:
        """Send a text message.

        Returns:
            The monotonic time when it had been handed to the socket; None where it was not, as the connection closes.
        """
        if not self._may_send:
            return None
        self.protocol.send_text(data)
        self.send_data()
        handed_over = monotonic()
        self._bound_unsent()
        return handed_over

    def send_ping_now(self, payload: bytes) -> float:
        """Send a WebSocket ping of at most 125 bytes, unless the connection closes; returns when that was."""
        if self._may_send:
            self.protocol.send_ping(payload)
            self.send_data()
        handed_over = monotonic()
        self._bound_unsent()
        return handed_over

    def close_now(self, code: int, reason: str = "") -> None:
        """Start the closing handshake and return; a peer that does not finish it in time is dropped."""
        if self._may_send:
            self.protocol.send_close(code, reason)
            self.send_data()
            self._limit_closing()

    def abort(self) -> None:
        """Drop the connection without a word; nothing that arrives from here on is handled."""
        self._aborted = True
        self.transport.abort()

    def fail(self, bug: Exception) -> None:
        """Drop the connection for a bug of ours, which comes out of `wait_lost`; the first one counts."""
        self.bug = self.bug or bug
        self.abort()

    async def wait_lost(self) -> CloseFacts:
        """Wait until the connection is gone.

        Raises:
            Exception: the bug that ended it, if one did.
        """
        await self.wait_closed()
        if self.bug is not None:
            raise self.bug
        decided = self._aborted and not self._peer_reads_nothing
        return close_facts(self.protocol, decided_to_drop=decided, network_error=self.connection_exc)

    # What the event loop calls

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Room for the next read, behind the tail of the last one."""
        kept = len(self._tail)
        self._view[:kept] = self._tail
        return self._view[kept:]

    def buffer_updated(self, nbytes: int) -> None:
        """Handle what was read into the buffer."""
        self._take(self._buffer, self._view, len(self._tail) + nbytes)

    def data_received(self, data: bytes) -> None:
        """Handle what was read, where the event loop knows no buffered protocols."""
        data = self._tail + data
        self._take(data, memoryview(data), len(data))

    def eof_received(self) -> None:
        """The peer sends nothing more."""
        self._let_go_of_the_tail()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        now = monotonic()
        self._let_go_of_the_tail()
        if self._close_timer is not None:
            self._close_timer.cancel()
        super().connection_lost(exc)
        if self._opened:
            try:
                self._handler.lost(now)
            except Exception as bug:  # noqa: BLE001 - as above
                self.fail(bug)

    # From bytes to frames

    def _take(self, data: bytes | bytearray, view: memoryview, end: int) -> None:
        now = self._arrived = monotonic()
        wall = self._arrived_wall = time()
        self._tail = b""
        try:
            state = self.protocol.state
            if state is State.CONNECTING:
                data = self._shake_hands(bytes(view[:end]))
                view, end, state = memoryview(data), len(data), self.protocol.state
            if state is not State.OPEN:
                self._pass_on(view[:end])
                return
            position = self._walk(data, view, end, now, wall)
            if position != end:
                self._tail = bytes(view[position:end])
        except Exception as bug:  # noqa: BLE001 - kept for wait_lost(), which raises it
            self.fail(bug)

    def _walk(self, data: bytes | bytearray, view: memoryview, end: int, now: float, wall: float) -> int:
        """Handle every whole frame in `view[:end]`; returns where the first incomplete one starts.

        The way of every frame: one long function, as each call and each attribute spared is a few percent.
        """
        text = self._handler.text
        limit = self._inline_limit
        position = self._pass_frame(view, 0, end) if self._passing else 0
        while end - position >= _SHORTEST_HEADER and not self._aborted:
            if data[position] == _FINAL_TEXT and not self._in_fragments:
                length = data[position + 1]
                start = position + 2
                if length == _LENGTH_16:
                    start += 2
                    if start > end:
                        break
                    length = data[position + 2] << 8 | data[position + 3]
                elif length > _LENGTH_16:
                    length = limit + 1
                if length <= limit:
                    if start + length > end:
                        break
                    position = start + length
                    text(view[start:position], now, wall)
                    continue
            self._passing = _frame_bytes(view[position:end])
            if not self._passing:
                break
            position = self._pass_frame(view, position, end)
        return position

    def _pass_frame(self, view: memoryview, position: int, end: int) -> int:
        """Let the library read what there is of one frame, and everything behind it once it closes; returns where."""
        stop = min(position + self._passing, end)
        self._passing -= stop - position
        self._pass_on(view[position:stop])
        if self.protocol.state is not State.OPEN:
            self._pass_on(view[stop:end])
            return end
        return stop

    def _pass_on(self, data: memoryview) -> None:
        if data and not self._aborted:
            super().data_received(bytes(data))
            self._limit_closing()
            self._bound_unsent()

    def _shake_hands(self, data: bytes) -> bytes:
        """Let the library read the handshake's response; returns what the same read held behind it.

        The library must not see the first bytes of a frame that it will not get the rest of.
        """
        seen = self._head_end + data
        found = seen.find(_HEAD_END)
        self._head_end = seen[-len(_HEAD_END) + 1 :]
        cut = len(data) if found < 0 else found + len(_HEAD_END) - (len(seen) - len(data))
        super().data_received(data[:cut])
        self._limit_closing()  # A peer that speaks no HTTP need not go by itself.
        if self.protocol.state is State.OPEN:
            self._opened = True
            self._handler.opened(self, self._arrived, self._arrived_wall)
        return data[cut:]

    def process_event(self, event: Event) -> None:
        """Handle what the library has read: the handshake's response, control frames, messages of several frames."""
        if not isinstance(event, Frame):
            super().process_event(event)
        elif self._aborted:
            pass
        elif event.opcode is Opcode.PING:
            self._handler.protocol_ping(bytes(event.data), self._arrived, self._arrived_wall, monotonic())
        elif event.opcode is Opcode.PONG:
            self._handler.protocol_pong(bytes(event.data), self._arrived, self._arrived_wall)
        elif event.opcode is not Opcode.CLOSE:
            self._assemble(event)

    def _assemble(self, frame: Frame) -> None:
        """Collect a message; the library has already refused frames out of order and messages over the limit."""
        if not self._in_fragments:
            self._message = bytearray() if frame.opcode is Opcode.TEXT else None
            self._message_bytes = 0
        self._in_fragments = not frame.fin
        self._message_bytes += len(frame.data)
        if self._message is not None:
            self._message += frame.data
        if frame.fin:
            message, self._message = self._message, None
            if message is None:
                self._handler.binary(self._message_bytes, self._arrived, self._arrived_wall)
            else:
                self._handler.text(bytes(message), self._arrived, self._arrived_wall)

    def _let_go_of_the_tail(self) -> None:
        """The rest of the tail will not come: the library shall see how the stream ended."""
        tail, self._tail = self._tail, b""
        self._pass_on(memoryview(tail))

    # Limits and ends

    @property
    def _may_send(self) -> bool:
        return self.protocol.state is State.OPEN and not self._aborted

    def _bound_unsent(self) -> None:
        """A peer that does not read must not fill our memory with answers to its pings."""
        if self.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self._peer_reads_nothing = True
            self.abort()

    def _limit_closing(self) -> None:
        if self._close_timer is None and self.protocol.close_expected():
            self._close_timer = self.loop.call_later(self._close_timeout_seconds, self.transport.abort)
            if self._opened:
                self._handler.closing(monotonic())


_read_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[bytearray, memoryview]] = WeakKeyDictionary()


def _read_buffer(loop: asyncio.AbstractEventLoop) -> tuple[bytearray, memoryview]:
    """One buffer a loop: from `get_buffer` to the end of `buffer_updated` a loop does nothing else."""
    if loop not in _read_buffers:
        buffer = bytearray(_READ_BUFFER_BYTES)
        _read_buffers[loop] = buffer, memoryview(buffer)
    return _read_buffers[loop]


def _frame_bytes(data: memoryview) -> int:
    """How long the frame at the start of `data` is, header included; 0 while its header does not say.

    A frame that the library refuses by its first two bytes is all there is.
    """
    length = data[1]
    if length & _MASKED or data[0] & 0x0F not in _OPCODES:
        return len(data)
    if length < _LENGTH_16:
        return 2 + length
    header = 4 if length == _LENGTH_16 else 10
    return header + int.from_bytes(data[2:header], "big") if len(data) >= header else 0
