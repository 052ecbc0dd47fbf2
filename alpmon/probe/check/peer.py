"""The peer as a check hears it: what is waited for, and when it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from alpmon.core import events, protocol
from alpmon.core.keepalive import NEVER
from alpmon.core.outputs import AnswerPing, Output, Refused
from alpmon.core.session import Session, Settings
from alpmon.core.states import State
from alpmon.core.subscriptions import Overflow, Rejected, Request
from alpmon.core.topics import Channel
from alpmon.probe.check.request import ACK_SECONDS, WELCOME_SECONDS
from alpmon.probe.closing import printable

if TYPE_CHECKING:
    from alpmon.probe.check.request import CheckRequest
    from alpmon.probe.connection import ProbeConnection

_PING_PAYLOAD: Final = b"alpmon check"
_CHANNELS: Final[dict[type, Channel]] = {
    events.Trade: Channel.TRADE,
    events.Book: Channel.MARKET_DEPTH,
    events.Diff: Channel.DIFF,
    events.Tickers: Channel.TICKER,
    events.Rates: Channel.RATES,
}


class Peer:
    """Answers by the session, and notes what came and when; times are monotonic, NEVER where it has not.

    Args:
        request: what is subscribed to, and how much is waited for.
        delivered: told a topic that has all its messages, and the seconds since the acknowledgement.

    Attributes:
        changed: set whenever something came that may have been waited for.
        gone: whether the connection is lost.
        frames: how many came, of any kind.
        settled_at: when every topic had its answer.
        missing: the messages that are still to come, by topic.
        refusals: what the server would not do, in words.
    """

    def __init__(self, request: CheckRequest, delivered: Callable[[str, float], None]) -> None:
        settings = Settings(WELCOME_SECONDS, ACK_SECONDS, None, 0.0, 0.0, request.max_frame_bytes)
        self.session = Session(settings, request.topics)
        self.changed = asyncio.Event()
        self.gone = False
        self.frames = 0
        self.opened_at = self.welcomed_at = self.settled_at = self.pong_at = NEVER
        self.missing = dict.fromkeys(request.topics if request.messages else (), request.messages)
        self.refusals: list[str] = []
        self._words = ""
        self._on_delivered = delivered
        self._connection: ProbeConnection | None = None

    def ping(self) -> float:
        """Send a ping; when it was handed to the socket."""
        assert self._connection is not None, "pinged before the upgrade"  # noqa: S101
        return self._connection.send_ping_now(_PING_PAYLOAD)

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:  # noqa: ARG002
        """The session begins."""
        self._connection = connection
        self.opened_at = now
        self.session.opened(now)

    def text(self, payload: bytes | memoryview, now: float, wall: float) -> None:  # noqa: ARG002
        """Data counts to its topics; the session says what becomes of all else."""
        self.frames += 1
        event = protocol.decode(payload)
        channel = _CHANNELS.get(type(event))
        if channel is not None:
            self._count(channel, event, now)
        else:
            self._carry_out(self.session.received(event, now), now)
        self.changed.set()

    def binary(self, size: int, now: float, wall: float) -> None:  # noqa: ARG002
        """Nobody waits for one."""
        self.frames += 1

    def protocol_ping(self, payload: bytes, now: float, wall: float, answered: float) -> None:  # noqa: ARG002
        """The library has answered it."""
        self.session.pinged()

    def protocol_pong(self, payload: bytes, now: float, wall: float) -> None:  # noqa: ARG002
        """It counts if it is the answer to ours."""
        if payload == _PING_PAYLOAD:
            self.pong_at = now
            self.changed.set()

    def closing(self, now: float) -> None:  # noqa: ARG002
        """The session shall say nothing more."""
        self.session.closing()

    def lost(self, now: float) -> None:  # noqa: ARG002
        """Nothing more can come."""
        self.gone = True
        self.changed.set()

    def _carry_out(self, outputs: Sequence[Output], now: float) -> None:
        for output in outputs:
            match output:
                case Request():
                    self._send(output.frame)
                case AnswerPing():
                    self._send(protocol.PONG)
                case Refused():
                    self._words = printable(output.error.message)
                case Rejected():
                    self.refusals.append(f"{', '.join(output.topics)} refused: {self._words}")
                case Overflow():
                    topics = ", ".join(output.topics)
                    self.refusals.append(f"the server takes {output.limit} topics a connection, no room for {topics}")
        if self.welcomed_at == NEVER and self.session.up:
            self.welcomed_at = now
        if self.settled_at == NEVER and self.session.state is State.LIVE:
            self.settled_at = now

    def _send(self, frame: bytes) -> None:
        assert self._connection is not None, "the session speaks before the upgrade"  # noqa: S101
        self._connection.send_text_now(frame)

    def _count(self, channel: Channel, event: Any, now: float) -> None:
        """Count a data frame to each topic it serves, the exact one before the wildcard."""
        symbols = [row.symbol for row in event.rows] if channel in (Channel.TICKER, Channel.RATES) else [event.symbol]
        exact = {f"{channel}.{symbol}" for symbol in symbols}
        known = self.session.topics
        served = {topic if topic in known else f"{channel}.*" for topic in exact}
        for topic in served & self.missing.keys():
            self.missing[topic] -= 1
            if not self.missing[topic]:
                del self.missing[topic]
                self._on_delivered(topic, max(0.0, now - self.settled_at))
