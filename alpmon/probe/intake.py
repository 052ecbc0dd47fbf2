"""What one connection receives, from its first frame to its last: counted, understood, answered.

`Intake` is the handler of a `ProbeConnection`. It is called where the bytes arrive, in the event loop's own callback:
data frames go straight to the feed, everything else through the session, whose outputs it carries out at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from alpmon.core import events, numeric, protocol
from alpmon.core.events import Flaw, FrameKind
from alpmon.core.keepalive import NEVER
from alpmon.core.outputs import Output
from alpmon.core.topics import Channel
from alpmon.probe.acktimes import AckTimes
from alpmon.probe.feed import Feed
from alpmon.probe.outcomes import Outcomes
from alpmon.telemetry.labels import PingKind
from alpmon.telemetry.recorder import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from alpmon.core.outputs import DropCause
    from alpmon.core.session import Session
    from alpmon.probe.connection import ProbeConnection
    from alpmon.probe.siblings import Sibling
    from alpmon.telemetry.state import ConnectionRecord, TargetRecord

_KIND_OF: Final[dict[type, FrameKind]] = {
    events.Welcome: FrameKind.WELCOME,
    events.Ack: FrameKind.ACK,
    events.Error: FrameKind.ERROR,
    events.Ping: FrameKind.PING,
    events.Unknown: FrameKind.UNKNOWN,
    events.Malformed: FrameKind.MALFORMED,
}
"""The `kind` of everything that is not data."""


class Intake:
    """Receives for one connection, over all its sessions.

    Args:
        target: where the target's symbols are capped.
        record: where everything is counted.
        session: the connection's life, which decides what to answer.
        log: bound to target and connection.
        token: gives the present token, asked only when the session wants to send one.
        overflow: told about topics that the server had no room for, and the limit learnt.
        sibling: compares the connection with its siblings; None where it has none.

    Attributes:
        feed: counts the data; forgets its routes when topics change.
        is_open: from the upgrade until the socket is gone.
    """

    def __init__(
        self,
        target: TargetRecord,
        record: ConnectionRecord,
        session: Session,
        log: FilteringBoundLogger,
        *,
        token: Callable[[], str],
        overflow: Callable[[Sequence[str], int], None],
        sibling: Sibling | None = None,
    ) -> None:
        self.session = session
        self.feed = Feed(target, record, self._doubt_clock)
        self.is_open = False
        self._times = AckTimes(target.clock, session, log)
        self._outcomes = Outcomes(
            record, session, self.feed, self._times, log, token=token, overflow=overflow, sibling=sibling
        )
        self._record = record
        self._recorder = record.recorder
        self._sibling = sibling
        self._timer: asyncio.TimerHandle | None = None
        self._receives = False
        self._keepalive = session.keepalive

    # What the connection calls, in the loop's own callbacks

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:
        """The upgrade is done; no frame came before."""
        self.is_open = True
        self._keepalive = self.session.keepalive
        self._outcomes.opened(connection, now)
        self._times.opened()
        self.feed.forget_routes()
        self.carry_out(self.session.opened(now), now, wall)

    def text(self, payload: bytes | bytearray | memoryview, now: float, wall: float) -> None:
        """One whole text message; its bytes are only valid during the call."""
        self._keepalive.last_frame = now
        self._record.last_frame_wall = wall
        event = numeric.decode(payload)
        if self._receives and self.feed.take(event, len(payload), now, wall):
            self._record.data_frames += 1
            if self._sibling is not None:
                self._sibling.saw(event, payload, now)  # type: ignore[arg-type] # it is data
            if type(event) is not events.Private:
                if now >= self._recorder.due:
                    self._recorder.keep(payload, now, wall)
                return
        self._keep(event, payload, wall)
        self._not_public_data(event, now, wall)

    def binary(self, size: int, now: float, wall: float) -> None:
        """One binary message: nobody ever sends one on purpose."""
        self._heard(now, wall)
        event = protocol.malformed(Flaw.BINARY)
        self._keep(event, f"({size} bytes, binary)".encode(), wall)
        self._not_public_data(event, now, wall)

    def protocol_ping(self, payload: bytes, now: float, wall: float, answered: float) -> None:
        """A WebSocket ping, whose pong the library handed to the socket at `answered`."""
        del payload
        self._heard(now, wall)
        self._record.frames[FrameKind.PING] += 1
        self._outcomes.note_ping(PingKind.PROTOCOL, now, wall, answered)
        self.carry_out(self.session.pinged(), now, wall)

    def protocol_pong(self, payload: bytes, now: float, wall: float) -> None:
        """A WebSocket pong, perhaps to a ping of ours."""
        self._heard(now, wall)
        self.carry_out(self.session.ponged(payload, now), now, wall)

    def closing(self, now: float) -> None:
        """Frames may still come, and nothing can be sent: nothing is due any more."""
        del now
        self.session.closing()
        self._disarm()

    def lost(self, now: float) -> None:
        """The socket is gone; the worker tells the session, with the cause."""
        self.is_open = self._receives = False
        self.session.closing()
        self._disarm()
        if self._sibling is not None:
            self._sibling.lost(now)

    # What the worker calls

    @property
    def drop_cause(self) -> DropCause | None:
        """Why we dropped the last connection; None where we did not."""
        return self._outcomes.drop_cause

    def carry_out(self, outputs: Sequence[Output], now: float, wall: float) -> None:
        """Do what the session says, in its order, then wait for its next deadline."""
        self._outcomes.carry_out(outputs, now, wall)
        self._receives = self.is_open and self.session.up
        self._arm()

    def compare_by(self, sibling: Sibling | None, now: float) -> None:
        """Compare the connection, in the midst of its session, with others than before, or with none any more."""
        self._sibling = self._outcomes.sibling = sibling
        if sibling is not None:
            sibling.subscribed([name for name, topic in self._record.topics.items() if topic.subscribed_wall], now)

    def add(self, topics: Sequence[str], now: float, wall: float) -> None:
        """Subscribe to topics that the record holds by now, on the present session and in every later one."""
        self.feed.forget_routes()
        if self.session.up:
            for topic in topics:
                freshness = self._record.topics[topic].freshness
                if freshness is not None:
                    freshness.up(now)
        self.carry_out(self.session.add(topics, now), now, wall)

    def remove(self, topics: Sequence[str], now: float, wall: float) -> None:
        """Unsubscribe from topics; the record may hold them still."""
        self.feed.forget_routes()
        self._outcomes.left(topics, now)
        self.carry_out(self.session.remove(topics, now), now, wall)

    def close(self, code: int, reason: str) -> None:
        """Start the close handshake on a connection that is open; nothing to do on any other."""
        if self._outcomes.connection is not None:
            self._outcomes.connection.close_now(code, reason)

    def abort(self) -> None:
        """Drop a connection that is open, and hear nothing more of it."""
        if self._outcomes.connection is not None:
            self._outcomes.connection.abort()

    # Time

    def _arm(self) -> None:
        due = self.session.deadline()
        if self._timer is not None and self._timer.when() <= due and not self._timer.cancelled():
            return  # An early call only looks again: cheaper than a new timer for every frame.
        self._disarm()
        if due < NEVER:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_time)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time(self) -> None:
        # The loop runs what its sockets have read before the timers of the same turn, so after a stall of ours the
        # peer's frames are in before anybody calls it silent.
        self._timer = None
        try:
            self.tick(time.monotonic(), time.time())
        except Exception as bug:  # or nobody but the loop's own log would hear of it
            if self._outcomes.connection is None:
                raise
            self._outcomes.connection.fail(bug)

    def tick(self, now: float, wall: float) -> None:
        """Do what is due by now."""
        self.carry_out(self.session.tick(now), now, wall)

    # What is received

    def _keep(self, event: numeric.Event, payload: bytes | bytearray | memoryview, wall: float) -> None:
        """Let the recorder have a frame that is not public data."""
        kind = _KIND_OF.get(type(event), FrameKind.DATA)
        account = Channel.WALLET in self._record.topics
        self._recorder.keep_other(kind, payload, wall, account=account)

    def _heard(self, now: float, wall: float) -> None:
        self._keepalive.last_frame = now
        self._record.last_frame_wall = wall

    def _not_public_data(self, event: numeric.Event, now: float, wall: float) -> None:
        kind = _KIND_OF.get(type(event))
        if kind is not None:
            self._record.frames[kind] += 1
        elif not self._receives:
            self._record.data_frames += 1
            self._record.unrouted += 1  # Data outside a session belongs to no subscription.
        if isinstance(event, events.Malformed):
            self._record.malformed[event.flaw] += 1
            self._outcomes.warn("malformed frame", event.flaw, now)
            self._recorder.trouble(Trouble.MALFORMED, event.flaw, "", self._record.client_id, wall)
        outputs = self.session.received(event, now)
        if isinstance(event, events.Ack):
            self._times.acknowledged(event, outputs, now)
        if outputs:
            self.carry_out(outputs, now, wall)

    def _doubt_clock(self, now: float) -> None:
        if self._times.doubt(now):
            self._arm()
