"""What the session wants done, and what it has found: done, counted and said, one method an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from alpmon.core import protocol
from alpmon.core import subscriptions as subs
from alpmon.core.keepalive import SendPing
from alpmon.core.outputs import (
    AnswerPing,
    Authenticated,
    DialectSeen,
    Drop,
    DropCause,
    Moved,
    Output,
    Refused,
    RoundTrip,
    SendAuth,
    Welcomed,
)
from alpmon.core.states import State
from alpmon.logs import Bounded
from alpmon.telemetry.labels import Phase, PingKind
from alpmon.telemetry.recorder import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from alpmon.core.session import Session
    from alpmon.probe.acktimes import AckTimes
    from alpmon.probe.connection import ProbeConnection
    from alpmon.probe.feed import Feed
    from alpmon.probe.siblings import Sibling
    from alpmon.telemetry.state import ConnectionRecord

_INTERNAL_ERROR: Final = 1011
_WARN_EVERY_SECONDS: Final = 10.0
"""What a peer does wrong again and again is counted each time and told so often."""


class Outcomes:
    """Carries out for one connection, over all its sessions.

    Args:
        record: where everything is counted.
        session: whose outputs these are.
        feed: forgets its routes when topics go.
        times: is told about requests that were given up.
        log: bound to target and connection.
        token: gives the present token, asked only when the session wants to send one.
        overflow: told about topics that the server had no room for, and the limit learnt.
        sibling: compares the connection with its siblings; None where it has none.

    Attributes:
        connection: where to send; None before the first upgrade.
        drop_cause: why we dropped it; None where we did not.
    """

    def __init__(
        self,
        record: ConnectionRecord,
        session: Session,
        feed: Feed,
        times: AckTimes,
        log: FilteringBoundLogger,
        *,
        token: Callable[[], str],
        overflow: Callable[[Sequence[str], int], None],
        sibling: Sibling | None,
    ) -> None:
        self.connection: ProbeConnection | None = None
        self.drop_cause: DropCause | None = None
        self.sibling = sibling
        self._record = record
        self._recorder = record.recorder
        self._session = session
        self._feed = feed
        self._times = times
        self._log = log
        self._token = token
        self._overflow = overflow
        self._opened_at = 0.0
        self._warnings = Bounded(_WARN_EVERY_SECONDS)
        self._last_ping: dict[PingKind, float] = {}
        self._doers: dict[type, Callable[[Any, float, float], None]] = {
            Moved: self._moved,
            Welcomed: self._welcomed,
            AnswerPing: self._answer_ping,
            SendAuth: self._send_auth,
            Authenticated: self._authenticated,
            Refused: self._refused,
            RoundTrip: self._round_trip,
            DialectSeen: self._dialect_seen,
            Drop: self._drop,
            SendPing: self._send_ping,
            subs.Request: self._request,
            subs.Acknowledged: self._acknowledged,
            subs.Failed: self._failed,
            subs.Rejected: self._rejected,
            subs.Overflow: self._overflowed,
        }

    def opened(self, connection: ProbeConnection, now: float) -> None:
        """A session may begin, and nothing is left of the last one."""
        self.connection = connection
        self.drop_cause = None
        self._opened_at = now
        self._last_ping.clear()

    def carry_out(self, outputs: Sequence[Output], now: float, wall: float) -> None:
        """Do what the session says, in its order."""
        for output in outputs:
            self._doers[type(output)](output, now, wall)

    def left(self, topics: Sequence[str], now: float) -> None:
        """The connection is not to carry these topics any more."""
        if self.sibling is not None:
            self.sibling.left(topics, now)

    def warn(self, event: str, reason: str, now: float, **more: str) -> None:
        """Say at a bounded rate what the peer does wrong."""
        allowed, suppressed = self._warnings.allow((event, reason), now)
        if allowed:
            self._log.warning(event, reason=reason, suppressed=suppressed, **more)

    def note_ping(self, kind: PingKind, now: float, wall: float, answered: float | None) -> None:
        """A ping came, and its answer was handed to the socket at `answered`; None where it could not be."""
        record = self._record
        record.pings[kind] += 1
        record.last_ping_wall = wall
        if answered is not None:
            record.pong_latency[kind].observe_for(answered - now, record.client_id, wall)
        before = self._last_ping.get(kind)
        if before is not None:
            record.ping_interval[kind].observe(now - before)
        self._last_ping[kind] = now

    # One method an output: `(output, monotonic, wall)`

    def _moved(self, moved: Moved, now: float, wall: float) -> None:
        del now
        self._record.state = moved.after
        self._record.state_since_wall = wall
        self._log.info("state", before=moved.before, after=moved.after, **self._context(moved))

    def _context(self, moved: Moved) -> dict[str, str]:
        """Which session, and if it has just ended, how."""
        record = self._record
        told = {"client_id": record.client_id} if record.client_id else {}
        if record.up and record.last_end is not None and moved.after in (State.BACKOFF, State.STOPPED):
            end = record.last_end
            told |= {"initiator": end.initiator, "code": end.code, "reason": end.reason}
        return told

    def _welcomed(self, welcomed: Welcomed, now: float, wall: float) -> None:
        record, welcome = self._record, welcomed.welcome
        record.client_id = welcome.client_id
        record.established_wall = wall
        record.advertised_interval_seconds = welcome.ping_interval_seconds
        record.advertised_timeout_seconds = welcome.ping_timeout_seconds
        record.connect[Phase.WELCOME].observe(now - self._opened_at)
        for topic in record.topics.values():
            if topic.freshness is not None:
                topic.freshness.up(now)
        self._log.info(
            "welcomed",
            client_id=welcome.client_id,
            ping_interval_seconds=welcome.ping_interval_seconds,
            ping_timeout_seconds=welcome.ping_timeout_seconds,
        )

    def _answer_ping(self, _: AnswerPing, now: float, wall: float) -> None:
        answered = self._open().send_text_now(protocol.PONG)
        self.note_ping(PingKind.TEXT, now, wall, answered)

    def _send_ping(self, ping: SendPing, now: float, wall: float) -> None:
        del now, wall
        self._open().send_ping_now(ping.payload)

    def _send_auth(self, _: SendAuth, now: float, wall: float) -> None:
        del now, wall
        self._open().send_text_now(protocol.auth(self._token()))

    def _authenticated(self, answer: Authenticated, now: float, wall: float) -> None:
        del now, wall
        self._record.token_accepted = answer.accepted
        if answer.accepted:
            self._log.info("authenticated")
        else:
            self._log.error("token refused", hint="the private channels stay closed in this session")

    def _refused(self, refused: Refused, now: float, wall: float) -> None:
        self._record.error_frames[refused.reason] += 1
        self._recorder.trouble(Trouble.ERROR, refused.reason, "", self._record.client_id, wall)
        self.warn("error frame", refused.reason, now, message=refused.error.message[:200])

    def _round_trip(self, trip: RoundTrip, now: float, wall: float) -> None:
        del now
        self._record.rtt.observe_for(trip.seconds, self._record.client_id, wall)

    def _dialect_seen(self, seen: DialectSeen, now: float, wall: float) -> None:
        del now, wall
        self._record.dialect = seen.dialect
        self._log.info("dialect", dialect=seen.dialect)

    def _drop(self, drop: Drop, now: float, wall: float) -> None:
        del now, wall
        if self.drop_cause is not None:
            return
        self.drop_cause = drop.cause
        connection = self._open()
        if drop.cause is DropCause.SILENCE:
            connection.abort()  # Nobody is there to shake hands with.
        else:
            connection.close_now(_INTERNAL_ERROR, drop.cause.replace("_", " "))

    def _request(self, request: subs.Request, now: float, wall: float) -> None:
        del wall
        if self._open().send_text_now(request.frame) is None:
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
        if self.sibling is not None:
            self.sibling.subscribed(ack.topics, now)

    def _failed(self, failed: subs.Failed, now: float, wall: float) -> None:
        del wall
        self._record.request_failures[failed.op, failed.reason] += 1
        if failed.reason is subs.RequestFailure.TIMEOUT:
            self._times.gave_up(now - failed.seconds, now)

    def _rejected(self, rejected: subs.Rejected, now: float, wall: float) -> None:
        del wall
        for freshness in self._freshness(rejected.topics):
            freshness.rejected(now)
        self._log.warning("topics rejected", topics=rejected.topics, reason=rejected.reason)

    def _overflowed(self, overflow: subs.Overflow, now: float, wall: float) -> None:
        del wall
        self._log.warning("too many topics for one connection", limit=overflow.limit, moved=overflow.topics)
        self._session.forget(overflow.topics)
        self.left(overflow.topics, now)
        self._record.drop_topics(overflow.topics)
        self._feed.forget_routes()
        self._overflow(overflow.topics, overflow.limit)

    def _freshness(self, topics: Sequence[str]) -> list[Any]:
        records = (self._record.topics.get(topic) for topic in topics)
        return [record.freshness for record in records if record is not None and record.freshness is not None]

    def _open(self) -> ProbeConnection:
        assert self.connection is not None, "the session wants to send before the upgrade"  # noqa: S101
        return self.connection
