"""Each topic's way in one session: asked, acknowledged, rejected. One bad topic never costs its neighbours.

The server answers each request frame with one acknowledgement or one error, and an error refuses the whole frame. Only
one request is in flight at a time: an error need not say what it is about, so with two in flight it could be about
either, and a good topic might pay for a bad one. The price is one round trip a frame, at the start of a session.

| what happens to the request in flight | what becomes of its topics |
|---|---|
| acknowledged | acknowledged; the next frame goes out |
| error that names one of its topics | that one rejected, the rest asked again at once |
| any other error, several topics | asked again in two halves, until the culprit is alone |
| any other error, one topic | rejected |
| `Too many topics`, one topic, others acknowledged | it and all that still wait overflow: the limit is learnt |
| no answer in time | rejected, until a late acknowledgement says otherwise |
| the session ends | reported as disconnected |

A rejected topic is not asked again in this session; the next session starts anew. A probe and an unsubscribe that fail
are reported and change no topic. Times are monotonic seconds; a request counts as sent at the `now` of the call that
returned it, so the driver hands it to the socket at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from alpmon.core.events import Ack, Error, ErrorReason, Operation
from alpmon.core.layout import frames
from alpmon.core.protocol import request


class TopicStatus(StrEnum):
    """Where one topic stands in this session."""

    WAITING = "waiting"
    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    OVERFLOWED = "overflowed"


class RequestOp(StrEnum):
    """Why a request was sent; the `op` label."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    PROBE = "probe"

    @property
    def operation(self) -> Operation:
        """What the request says on the wire; a probe is a subscribe that is only meant to be acknowledged."""
        return Operation.UNSUBSCRIBE if self is RequestOp.UNSUBSCRIBE else Operation.SUBSCRIBE


class RequestFailure(StrEnum):
    """Why a request was not acknowledged; the `reason` label of `alpmon_subscribe_failures_total`."""

    TIMEOUT = "timeout"
    ERROR = "error"
    DISCONNECTED = "disconnected"


@dataclass(slots=True, frozen=True)
class Request:
    """Send this frame, now."""

    op: RequestOp
    frame: bytes
    topics: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Acknowledged:
    """The server accepted these topics, so many seconds after the request; still wanted ones only."""

    op: RequestOp
    topics: tuple[str, ...]
    seconds: float


@dataclass(slots=True, frozen=True)
class Failed:
    """One request frame failed, so many seconds after it was sent; its topics may be asked again."""

    op: RequestOp
    reason: RequestFailure
    topics: tuple[str, ...]
    seconds: float


@dataclass(slots=True, frozen=True)
class Rejected:
    """These topics are given up for this session."""

    topics: tuple[str, ...]
    reason: ErrorReason | RequestFailure


@dataclass(slots=True, frozen=True)
class Overflow:
    """The server takes `limit` topics a connection and not these: another connection must carry them."""

    topics: tuple[str, ...]
    limit: int


Output: TypeAlias = Request | Acknowledged | Failed | Rejected | Overflow


@dataclass(slots=True)
class _Flight:
    """The request that awaits its answer."""

    op: RequestOp
    topics: tuple[str, ...]
    sent_at: float
    unanswered: tuple[str, ...]

    def answered_by(self, listed: Sequence[str]) -> tuple[str, ...]:
        """The topics that an acknowledgement answers: those it lists, or all.

        All, if it lists none, or as many as were asked with one of them ours: the documented example answers a
        request for `topic1` and `topic2` with `topic1` twice.
        """
        ours = tuple(topic for topic in self.unanswered if topic in listed)
        if not listed or (ours and len(listed) == len(self.topics)):
            return self.unanswered
        return ours


class Subscriptions:
    """The topics of one session; a new session takes a new object.

    Every method that takes an event returns what is to be done and what has become known, in order.

    Args:
        topics: what the session is to carry.
        max_frame_bytes: longest request frame; each topic alone must fit.
        ack_timeout_seconds: how long a request may stay without an answer.
    """

    def __init__(self, topics: Iterable[str], max_frame_bytes: int, ack_timeout_seconds: float) -> None:
        self.status: dict[str, TopicStatus] = dict.fromkeys(topics, TopicStatus.WAITING)
        self._max_frame_bytes = max_frame_bytes
        self._ack_timeout_seconds = ack_timeout_seconds
        self._queue: deque[tuple[RequestOp, tuple[str, ...]]] = deque()
        self._flight: _Flight | None = None
        self._timed_out: dict[str, float] = {}
        self._probes = 0
        self._closing = False

    @property
    def settled(self) -> bool:
        """Every topic has its answer and nothing is in flight."""
        return self._flight is None and TopicStatus.WAITING not in self.status.values()

    def deadline(self) -> float | None:
        """When the answer in flight is overdue and `tick` is to be called; None if none is awaited."""
        return None if self._flight is None else self._flight.sent_at + self._ack_timeout_seconds

    def start(self, now: float) -> list[Output]:
        """Ask for every topic; once, after the welcome."""
        return self._ask(RequestOp.SUBSCRIBE, tuple(self.status), now)

    def add(self, topics: Iterable[str], now: float) -> list[Output]:
        """Ask for more topics; those known to this session keep their answer, unless it was that there is no room."""
        unasked = (None, TopicStatus.OVERFLOWED)
        fresh = tuple(topic for topic in dict.fromkeys(topics) if self.status.get(topic) in unasked)
        self.status.update(dict.fromkeys(fresh, TopicStatus.WAITING))
        return self._ask(RequestOp.SUBSCRIBE, fresh, now)

    def remove(self, topics: Iterable[str], now: float) -> list[Output]:
        """Forget topics at once, and unsubscribe from those that the server may be sending."""
        leaving = tuple(topic for topic in dict.fromkeys(topics) if topic in self.status)
        unanswered = {*self._timed_out, *(self._flight.topics if self._flight else ())}
        held = tuple(t for t in leaving if t in unanswered or self.status[t] is TopicStatus.ACKNOWLEDGED)
        for topic in leaving:
            del self.status[topic]
            self._timed_out.pop(topic, None)
        self._unqueue(leaving)
        return self._ask(RequestOp.UNSUBSCRIBE, held, now)

    def probe(self, now: float) -> list[Output]:
        """Subscribe again to an acknowledged topic, each in turn, unless a request is in flight.

        The server acknowledges it again, harmlessly: that is how long an acknowledgement takes at present.
        """
        acknowledged = self._having(TopicStatus.ACKNOWLEDGED)
        if self._flight is not None or not acknowledged:
            return []
        topic = acknowledged[self._probes % len(acknowledged)]
        self._probes += 1
        return self._ask(RequestOp.PROBE, (topic,), now)

    def acknowledged(self, ack: Ack, now: float) -> list[Output]:
        """An acknowledgement came: for the request in flight, for one given up before, or for nothing of ours."""
        outputs = self._accept_late(ack, now)
        flight = self._flight
        if flight is None or flight.op.operation is not ack.operation:
            return outputs
        answered = flight.answered_by(ack.topics)
        if not answered:
            return outputs
        flight.unanswered = _without(flight.unanswered, answered)
        if not flight.unanswered:
            self._flight = None
        return [*outputs, self._accept(flight, answered, now), *self._send_next(now)]

    def refused(self, error: Error, now: float) -> list[Output]:
        """An error came; one that cannot be about the request in flight is ignored."""
        flight = self._flight
        if flight is None or error.operation not in (None, flight.op.operation) or error.topic in self._timed_out:
            return []
        failed = self._end_flight(flight, RequestFailure.ERROR, now)
        verdict = self._divide(flight.unanswered, error) if flight.op is RequestOp.SUBSCRIBE else []
        return [failed, *verdict, *self._send_next(now)]

    def tick(self, now: float) -> list[Output]:
        """Give up a request whose answer is overdue."""
        flight = self._flight
        if flight is None or now < flight.sent_at + self._ack_timeout_seconds:
            return []
        outputs: list[Output] = [self._end_flight(flight, RequestFailure.TIMEOUT, now)]
        if flight.op is RequestOp.SUBSCRIBE:
            wanted = self._still_wanted(flight.unanswered)
            self._timed_out.update(dict.fromkeys(wanted, flight.sent_at))
            outputs += self._reject(wanted, RequestFailure.TIMEOUT)
        return outputs + self._send_next(now)

    def hold_by(self, max_frame_bytes: int, ack_timeout_seconds: float) -> None:
        """Other limits are in force from here on; what is queued was packed by the old ones."""
        self._max_frame_bytes, self._ack_timeout_seconds = max_frame_bytes, ack_timeout_seconds

    def closing(self) -> None:
        """Nothing can be sent any more; what is in flight may still be answered."""
        self._closing = True

    def drop(self, now: float) -> list[Output]:
        """The session is over: nothing more is sent, and no answer will come."""
        self._queue.clear()
        return [] if self._flight is None else [self._end_flight(self._flight, RequestFailure.DISCONNECTED, now)]

    def _ask(self, op: RequestOp, topics: Sequence[str], now: float) -> list[Output]:
        self._queue.extend((op, asked) for _, asked in frames(op.operation, topics, self._max_frame_bytes))
        return self._send_next(now)

    def _send_next(self, now: float) -> list[Output]:
        if self._closing or self._flight is not None or not self._queue:
            return []
        op, topics = self._queue.popleft()
        self._flight = _Flight(op, topics, now, topics)
        return [Request(op, request(op.operation, topics), topics)]

    def _unqueue(self, leaving: Sequence[str]) -> None:
        """Ask no more for these; an unsubscribe that was queued before stays."""
        kept = (
            (op, topics if op is not RequestOp.SUBSCRIBE else _without(topics, leaving)) for op, topics in self._queue
        )
        self._queue = deque((op, topics) for op, topics in kept if topics)

    def _end_flight(self, flight: _Flight, reason: RequestFailure, now: float) -> Failed:
        self._flight = None
        return Failed(flight.op, reason, flight.unanswered, now - flight.sent_at)

    def _accept(self, flight: _Flight, topics: Sequence[str], now: float) -> Acknowledged:
        if flight.op is RequestOp.SUBSCRIBE:
            topics = [topic for topic in topics if topic in self.status]
            self.status.update(dict.fromkeys(topics, TopicStatus.ACKNOWLEDGED))
        return Acknowledged(flight.op, tuple(topics), now - flight.sent_at)

    def _accept_late(self, ack: Ack, now: float) -> list[Output]:
        """Topics given up for want of an answer were subscribed after all."""
        late = [topic for topic in dict.fromkeys(ack.topics) if topic in self._timed_out]
        if not late or ack.operation is not Operation.SUBSCRIBE:
            return []
        self.status.update(dict.fromkeys(late, TopicStatus.ACKNOWLEDGED))
        sent_at = min(self._timed_out.pop(topic) for topic in late)
        return [Acknowledged(RequestOp.SUBSCRIBE, tuple(late), now - sent_at)]

    def _divide(self, refused: tuple[str, ...], error: Error) -> list[Output]:
        """Find the culprit of a refused subscribe: by its name, or by asking again for less."""
        wanted = self._still_wanted(refused)
        if error.topic in refused:
            self._ask_again(_without(wanted, (error.topic,)))
            return self._reject(tuple(topic for topic in wanted if topic == error.topic), error.reason)
        if len(refused) > 1:
            self._ask_again(wanted[: len(wanted) // 2], wanted[len(wanted) // 2 :])
            return []
        if error.reason is ErrorReason.TOO_MANY_TOPICS and wanted and self._having(TopicStatus.ACKNOWLEDGED):
            return [self._overflow()]
        return self._reject(wanted, error.reason)

    def _ask_again(self, *parts: tuple[str, ...]) -> None:
        self._queue.extendleft((RequestOp.SUBSCRIBE, part) for part in reversed(parts) if part)

    def _reject(self, topics: tuple[str, ...], reason: ErrorReason | RequestFailure) -> list[Output]:
        self.status.update(dict.fromkeys(topics, TopicStatus.REJECTED))
        return [Rejected(topics, reason)] if topics else []

    def _overflow(self) -> Overflow:
        """The connection is full: what waits would be refused one by one."""
        limit = len(self._having(TopicStatus.ACKNOWLEDGED))
        topics = self._having(TopicStatus.WAITING)
        self._unqueue(topics)
        self.status.update(dict.fromkeys(topics, TopicStatus.OVERFLOWED))
        return Overflow(topics, limit)

    def _having(self, status: TopicStatus) -> tuple[str, ...]:
        return tuple(topic for topic, now_in in self.status.items() if now_in is status)

    def _still_wanted(self, topics: Iterable[str]) -> tuple[str, ...]:
        return tuple(topic for topic in topics if self.status.get(topic) is TopicStatus.WAITING)


def _without(topics: tuple[str, ...], gone: Container[str]) -> tuple[str, ...]:
    return tuple(topic for topic in topics if topic not in gone)
