"""What one connection receives, from its first frame to its last: counted, understood, answered.

`Intake` is the handler of a `ProbeConnection`. It is called where the bytes arrive, in the event loop's own callback:
data frames go straight to the feed, everything else through the session, whose outputs it carries out at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from alpmon.core import numeric, protocol
from alpmon.core import session as life
from alpmon.core import subscriptions as subs
from alpmon.core.keepalive import NEVER, SendPing
from alpmon.core.protocol import Flaw, FrameKind
from alpmon.core.session import State
from alpmon.logs import Bounded
from alpmon.probe.feed import Feed
from alpmon.telemetry.recorder import Trouble
from alpmon.telemetry.state import Phase, PingKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from alpmon.core.session import DropCause, Session
    from alpmon.probe.connection import ProbeConnection
    from alpmon.probe.siblings import Sibling
    from alpmon.telemetry.state import ConnectionRecord, TargetRecord

GOING_AWAY: Final = 1001
INTERNAL_ERROR: Final = 1011

_WARN_EVERY_SECONDS: Final = 10.0
"""What a peer does wrong again and again is counted each time and told so often."""

_DOUBT_EVERY_SECONDS: Final = 5.0
_OVERDUE_SECONDS: Final = 60.0
"""An answer that was given up may still come for so long, and be taken for that of a later request."""

_KIND_OF: Final[dict[type, FrameKind]] = {
    protocol.Welcome: FrameKind.WELCOME,
    protocol.Ack: FrameKind.ACK,
    protocol.Error: FrameKind.ERROR,
    protocol.Ping: FrameKind.PING,
    protocol.Unknown: FrameKind.UNKNOWN,
    protocol.Malformed: FrameKind.MALFORMED,
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
        self.drop_cause: DropCause | None = None
        self.is_open = False
        self._record = record
        self._recorder = record.recorder
        self._log = log
        self._token = token
        self._overflow = overflow
        self._sibling = sibling
        self._clock = target.clock
        self._doubted_until = 0.0
        self._overdue_since = NEVER
        self._overdue_until = 0.0
        self._connection: ProbeConnection | None = None
        self._opened_at = 0.0
        self._warnings = Bounded(_WARN_EVERY_SECONDS)
        self._last_ping: dict[PingKind, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._receives = False
        self._keepalive = session.keepalive
        self._doers: dict[type, Callable[[Any, float, float], None]] = {
            life.Moved: self._moved,
            life.Welcomed: self._welcomed,
            life.AnswerPing: self._answer_ping,
            life.SendAuth: self._send_auth,
            life.Authenticated: self._authenticated,
            life.Refused: self._refused,
            life.RoundTrip: self._round_trip,
            life.DialectSeen: self._dialect_seen,
            life.Drop: self._drop,
            SendPing: self._send_ping,
            subs.Request: self._request,
            subs.Acknowledged: self._acknowledged,
            subs.Failed: self._failed,
            subs.Rejected: self._rejected,
            subs.Overflow: self._overflowed,
        }

    # What the connection calls, in the loop's own callbacks

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:
        """The upgrade is done; no frame came before."""
        self._connection = connection
        self.is_open = True
        self._opened_at = now
        self._keepalive = self.session.keepalive
        self._last_ping.clear()
        self._overdue_until = 0.0
        self.feed.forget_routes()
        self.drop_cause = None
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
            if type(event) is not protocol.Private:
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
        self._note_ping(PingKind.PROTOCOL, now, wall, answered)
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

    def carry_out(self, outputs: Sequence[life.Output], now: float, wall: float) -> None:
        """Do what the session says, in its order, then wait for its next deadline."""
        for output in outputs:
            self._doers[type(output)](output, now, wall)
        self._arm()

    def compare_by(self, sibling: Sibling | None, now: float) -> None:
        """Compare the connection, in the midst of its session, with others than before, or with none any more."""
        self._sibling = sibling
        if sibling is not None:
            sibling.subscribed([name for name, topic in self._record.topics.items() if topic.subscribed_wall], now)

    def left(self, topics: Sequence[str], now: float) -> None:
        """The connection is not to carry these topics any more."""
        if self._sibling is not None:
            self._sibling.left(topics, now)

    def close(self, code: int, reason: str) -> None:
        """Start the close handshake on a connection that is open; nothing to do on any other."""
        if self._connection is not None:
            self._connection.close_now(code, reason)

    def abort(self) -> None:
        """Drop a connection that is open, and hear nothing more of it."""
        if self._connection is not None:
            self._connection.abort()

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
        except Exception as bug:  # noqa: BLE001 - or nobody but the loop's own log would hear of it
            self._open_connection().fail(bug)

    def tick(self, now: float, wall: float) -> None:
        """Do what is due by now."""
        self.carry_out(self.session.tick(now), now, wall)

    # What is received

    def _keep(self, event: numeric.Event, payload: bytes | bytearray | memoryview, wall: float) -> None:
        """Let the recorder have a frame that is not public data."""
        kind = _KIND_OF.get(type(event), FrameKind.DATA)
        account = protocol.Channel.WALLET in self._record.topics
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
        if isinstance(event, protocol.Malformed):
            self._record.malformed[event.flaw] += 1
            self._warn("malformed frame", event.flaw, now)
            self._recorder.trouble(Trouble.MALFORMED, event.flaw, "", self._record.client_id, wall)
        outputs = self.session.received(event, now)
        if isinstance(event, protocol.Ack):
            self._tell_clock(event, outputs, now)
        if outputs:
            self.carry_out(outputs, now, wall)

    def _tell_clock(self, ack: protocol.Ack, outputs: Sequence[life.Output], now: float) -> None:
        """An acknowledgement bounds the clock from both sides, by the earliest request that it can be the answer to."""
        answered = [output.seconds for output in outputs if isinstance(output, subs.Acknowledged)]
        if not answered:
            return
        sent = now - max(answered)
        if now < self._overdue_until:
            sent = min(sent, self._overdue_since)
        if not self._clock.acknowledged(sent, now, ack.time):
            self._log.warning("clock stepped", offset_seconds=round(self._clock.middle + now - time.time(), 6))
        self.session.aim_probe(self._clock.aim)

    def _doubt_clock(self, now: float) -> None:
        """A stamp from the future: either it is wrong or a clock has stepped, which an acknowledgement will tell."""
        if now >= self._doubted_until:
            self._doubted_until = now + _DOUBT_EVERY_SECONDS
            self.session.hasten_probe(now)
            self._arm()

    def _warn(self, event: str, reason: str, now: float, **more: str) -> None:
        allowed, suppressed = self._warnings.allow((event, reason), now)
        if allowed:
            self._log.warning(event, reason=reason, suppressed=suppressed, **more)

    def _note_ping(self, kind: PingKind, now: float, wall: float, answered: float | None) -> None:
        record = self._record
        record.pings[kind] += 1
        record.last_ping_wall = wall
        if answered is not None:
            record.pong_latency[kind].observe_for(answered - now, record.client_id, wall)
        before = self._last_ping.get(kind)
        if before is not None:
            record.ping_interval[kind].observe(now - before)
        self._last_ping[kind] = now

    # What the session wants, one method an output: `(output, monotonic, wall)`

    def _moved(self, moved: life.Moved, now: float, wall: float) -> None:
        del now
        self._record.state = moved.after
        self._record.state_since_wall = wall
        self._log.info("state", before=moved.before, after=moved.after, **self._context(moved))

    def _context(self, moved: life.Moved) -> dict[str, str]:
        """Which session, and if it has just ended, how."""
        record = self._record
        told = {"client_id": record.client_id} if record.client_id else {}
        if record.up and record.last_end is not None and moved.after in (State.BACKOFF, State.STOPPED):
            end = record.last_end
            told |= {"initiator": end.initiator, "code": end.code, "reason": end.reason}
        return told

    def _welcomed(self, welcomed: life.Welcomed, now: float, wall: float) -> None:
        record, welcome = self._record, welcomed.welcome
        record.client_id = welcome.client_id
        record.established_wall = wall
        record.advertised_interval_seconds = welcome.ping_interval_seconds
        record.advertised_timeout_seconds = welcome.ping_timeout_seconds
        record.connect[Phase.WELCOME].observe(now - self._opened_at)
        for topic in record.topics.values():
            if topic.freshness is not None:
                topic.freshness.up(now)
        self._receives = True
        self._log.info(
            "welcomed",
            client_id=welcome.client_id,
            ping_interval_seconds=welcome.ping_interval_seconds,
            ping_timeout_seconds=welcome.ping_timeout_seconds,
        )

    def _answer_ping(self, _: life.AnswerPing, now: float, wall: float) -> None:
        answered = self._open_connection().send_text_now(protocol.PONG)
        self._note_ping(PingKind.TEXT, now, wall, answered)

    def _send_ping(self, ping: SendPing, now: float, wall: float) -> None:
        del now, wall
        self._open_connection().send_ping_now(ping.payload)

    def _send_auth(self, _: life.SendAuth, now: float, wall: float) -> None:
        del now, wall
        self._open_connection().send_text_now(protocol.auth(self._token()))

    def _authenticated(self, answer: life.Authenticated, now: float, wall: float) -> None:
        del now, wall
        if answer.accepted:
            self._log.info("authenticated")
        else:
            self._log.error("token refused", hint="the private channels stay closed in this session")

    def _refused(self, refused: life.Refused, now: float, wall: float) -> None:
        self._record.error_frames[refused.reason] += 1
        self._recorder.trouble(Trouble.ERROR, refused.reason, "", self._record.client_id, wall)
        self._warn("error frame", refused.reason, now, message=refused.error.message[:200])

    def _round_trip(self, trip: life.RoundTrip, now: float, wall: float) -> None:
        del now
        self._record.rtt.observe_for(trip.seconds, self._record.client_id, wall)

    def _dialect_seen(self, seen: life.DialectSeen, now: float, wall: float) -> None:
        del now, wall
        self._record.dialect = seen.dialect
        self._log.info("dialect", dialect=seen.dialect)

    def _drop(self, drop: life.Drop, now: float, wall: float) -> None:
        del now, wall
        if self.drop_cause is not None:
            return
        self.drop_cause = drop.cause
        connection = self._open_connection()
        if drop.cause is life.DropCause.SILENCE:
            connection.abort()  # Nobody is there to shake hands with.
        else:
            connection.close_now(INTERNAL_ERROR, drop.cause.replace("_", " "))

    def _request(self, request: subs.Request, now: float, wall: float) -> None:
        del wall
        if self._open_connection().send_text_now(request.frame) is None:
            return
        self._record.requests[request.op] += 1
        if request.op is subs.RequestOp.SUBSCRIBE:
            for freshness in self._freshness(request.topics):
                freshness.asked(now)

    def _acknowledged(self, ack: subs.Acknowledged, now: float, wall: float) -> None:
        self._record.ack[ack.op].observe_for(ack.seconds, self._record.client_id, wall)
        if ack.op is not subs.RequestOp.SUBSCRIBE:
            return
        for topic in ack.topics:
            self._record.topics[topic].subscribed_wall = wall
        for freshness in self._freshness(ack.topics):
            freshness.acknowledged(now)
        if self._sibling is not None:
            self._sibling.subscribed(ack.topics, now)

    def _failed(self, failed: subs.Failed, now: float, wall: float) -> None:
        del wall
        self._record.request_failures[failed.op, failed.reason] += 1
        if failed.reason is subs.RequestFailure.TIMEOUT:
            sent = now - failed.seconds
            self._overdue_since = min(sent, self._overdue_since) if now < self._overdue_until else sent
            self._overdue_until = now + _OVERDUE_SECONDS

    def _rejected(self, rejected: subs.Rejected, now: float, wall: float) -> None:
        del wall
        for freshness in self._freshness(rejected.topics):
            freshness.rejected(now)
        self._log.warning("topics rejected", topics=rejected.topics, reason=rejected.reason)

    def _overflowed(self, overflow: subs.Overflow, now: float, wall: float) -> None:
        del wall
        self._log.warning("too many topics for one connection", limit=overflow.limit, moved=overflow.topics)
        self.session.forget(overflow.topics)
        self.left(overflow.topics, now)
        self._record.drop_topics(overflow.topics)
        self.feed.forget_routes()
        self._overflow(overflow.topics, overflow.limit)

    def _freshness(self, topics: Sequence[str]) -> list[Any]:
        records = (self._record.topics.get(topic) for topic in topics)
        return [record.freshness for record in records if record is not None and record.freshness is not None]

    def _open_connection(self) -> ProbeConnection:
        assert self._connection is not None, "the session wants to send before the upgrade"  # noqa: S101
        return self._connection
