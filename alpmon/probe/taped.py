"""What a connection goes through, written down as it happens: only in `alpmon record`, and in no other's way.

Whatever the core is told is told to the tape as well, with the same clocks and in the same order, so that a replay
tells the core the same. What belongs to an account is not written: of a private frame its type, stamp and length.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from alpmon.core import events, protocol
from alpmon.core.events import Flaw, Malformed, Private, Unknown
from alpmon.core.freshness import Source, TopicFreshness
from alpmon.core.outputs import Output
from alpmon.core.session import Session
from alpmon.core.states import State
from alpmon.masking import SECRETS
from alpmon.probe.intake import Intake
from alpmon.telemetry import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from alpmon.core.cadence import Cadence
    from alpmon.core.freshness import Rule
    from alpmon.probe.connection import ProbeConnection
    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.state import SessionEnd, TopicRecord
    from alpmon.telemetry.tape import Tape

_PUBLIC_HEADS: Final = frozenset({b'["t",', b'["tk"', b'["p",', b'["d",', b'["r",'})
_STAND_IN: Final = {
    Flaw.INVALID_UTF8: b"\xff",
    Flaw.INVALID_JSON: b"?",
    Flaw.NOT_ARRAY: b"{}",
    Flaw.BAD_SHAPE: b"[]",
}
"""For each flaw a frame that has it and says nothing."""
_UNKNOWN_STAND_IN: Final = b'["?"]'
_SETTLING: Final = (State.CONNECTING, State.WELCOMING, State.SUBSCRIBING)


class LineTape:
    """One connection's part of the tape, over all its sessions."""

    def __init__(self, tape: Tape, target: str, connection: str) -> None:
        self._tape = tape
        self._line = f"{target}/{connection}"
        self._account = False

    def held(self, topics: Sequence[str], *, account: bool) -> None:
        """A worker begins with these topics, and the private channels or not."""
        self._account = account
        self._write(entries.Held, time.monotonic(), time.time(), True, topics=tuple(topics), account=account)

    def released(self, now: float) -> None:
        """The configuration holds the connection no more; another one may take its name before its session ends."""
        after = self._tape.another_name(self._line)
        self._write(entries.Released, now, time.time(), True, after=after)
        self._line = after

    def opened(self, topics: Sequence[str], now: float, wall: float) -> None:
        """The upgrade is done, for a session that is to carry these topics."""
        self._write(entries.Open, now, wall, True, topics=tuple(topics))

    def text(self, payload: bytes | bytearray | memoryview, now: float, wall: float, *, settling: bool) -> None:
        """A text frame; `settling` until everything has its answer."""
        shown = bytes(payload)
        establishing = False
        if shown[:5] not in _PUBLIC_HEADS:
            event = protocol.decode(shown)
            establishing = _establishes(event, settling=settling)
            shown = SECRETS.frame(_without_account(shown, event, account=self._account))
        try:
            written: dict[str, Any] = {"data": shown.decode()}
        except UnicodeDecodeError:
            written = {"base64": shown}
        self._write(entries.Text, now, wall, establishing, size=len(payload), **written)

    def binary(self, size: int, now: float, wall: float) -> None:
        """A binary frame."""
        self._write(entries.Binary, now, wall, size=size)

    def ping(self, now: float, wall: float, answered: float) -> None:
        """A WebSocket ping."""
        self._write(entries.Ping, now, wall, answered=answered)

    def pong(self, payload: bytes, now: float, wall: float) -> None:
        """A WebSocket pong."""
        self._write(entries.Pong, now, wall, payload=payload)

    def tick(self, now: float, wall: float) -> None:
        """A deadline was looked at."""
        self._write(entries.Tick, now, wall)

    def asked(self, what: str, now: float, topics: Sequence[str] = ()) -> None:
        """The session was asked for something."""
        self._write(entries.Asked, now, time.time(), bool(topics), what=what, topics=tuple(topics))

    def closing(self, now: float) -> None:
        """The closing handshake began."""
        self._write(entries.Closing, now, time.time())

    def lost(self, now: float) -> None:
        """The socket is gone."""
        self._write(entries.Lost, now, time.time())

    def failed(self, reason: str, detail: str, now: float, wall: float) -> None:
        """An attempt ended before the welcome."""
        self._write(entries.Failed, now, wall, True, reason=reason, detail=detail)

    def disconnected(self, end: SessionEnd, now: float) -> None:
        """A session ended."""
        how = {"initiator": end.initiator, "code": end.code, "reason": end.reason}
        self._write(entries.Disconnected, now, end.wall, True, **how, close_reason=end.close_reason, error=end.error)

    def learnt(self, topic: str, cadence: Mapping[str, Any] | None, rate: Mapping[str, Any] | None) -> None:
        """A topic was given what it had learnt before."""
        self._write(entries.Learnt, time.monotonic(), time.time(), topic=topic, cadence=cadence, rate=rate)

    def evidence(self, topic: str, nothing_missed: bool | None, now: float) -> None:
        """REST said something of a topic's silence."""
        self._write(entries.Evidence, now, time.time(), topic=topic, nothing_missed=nothing_missed)

    def _write(
        self, kind: Callable[..., entries.AnyEntry], now: float, wall: float, establishing: bool = False, **more: Any
    ) -> None:
        self._tape.write(kind(now=now, wall=wall, line=self._line, **more), establishing=establishing)


def _establishes(event: events.Event, *, settling: bool) -> bool:
    """Whether a frame has a part in what the session carries; the acknowledgement of a probe has none."""
    if isinstance(event, events.Ack) and event.operation is events.Operation.UNSUBSCRIBE:
        return True
    return settling and isinstance(event, events.Welcome | events.Ack | events.Error)


def _without_account(payload: bytes, event: events.Event, *, account: bool) -> bytes:
    """The frame, or on an account's connection one that is read alike and tells nothing of the account."""
    if isinstance(event, Private):
        return msgspec.json.encode(msgspec.json.decode(payload)[:2])
    if account and isinstance(event, Unknown):
        return _UNKNOWN_STAND_IN
    if account and isinstance(event, Malformed):
        return _STAND_IN[event.flaw]
    return payload


class TapedSession(Session):
    """A session that writes down what it is asked for from our side."""

    def __init__(self, tape: LineTape, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tape = tape
        tape.held(self.topics, account=kwargs.get("authenticate", False))

    def add(self, topics: Sequence[str], now: float) -> list[Output]:
        """As a session does."""
        self._tape.asked("add", now, topics)
        return super().add(topics, now)

    def remove(self, topics: Sequence[str], now: float) -> list[Output]:
        """As a session does."""
        self._tape.asked("remove", now, topics)
        return super().remove(topics, now)

    def reauthenticate(self, now: float) -> list[Output]:
        """As a session does."""
        self._tape.asked("reauthenticate", now)
        return super().reauthenticate(now)


class TapedIntake(Intake):
    """An intake that writes down what it is told before it takes it in."""

    def __init__(self, tape: LineTape, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tape = tape

    def opened(self, connection: ProbeConnection, now: float, wall: float) -> None:
        """As an intake does."""
        self._tape.opened(self.session.topics, now, wall)
        super().opened(connection, now, wall)

    def text(self, payload: bytes | bytearray | memoryview, now: float, wall: float) -> None:
        """As an intake does."""
        settling = self.session.state in _SETTLING
        self._tape.text(payload, now, wall, settling=settling)
        super().text(payload, now, wall)

    def binary(self, size: int, now: float, wall: float) -> None:
        """As an intake does."""
        self._tape.binary(size, now, wall)
        super().binary(size, now, wall)

    def protocol_ping(self, payload: bytes, now: float, wall: float, answered: float) -> None:
        """As an intake does."""
        self._tape.ping(now, wall, answered)
        super().protocol_ping(payload, now, wall, answered)

    def protocol_pong(self, payload: bytes, now: float, wall: float) -> None:
        """As an intake does."""
        self._tape.pong(payload, now, wall)
        super().protocol_pong(payload, now, wall)

    def closing(self, now: float) -> None:
        """As an intake does."""
        self._tape.closing(now)
        super().closing(now)

    def lost(self, now: float) -> None:
        """As an intake does."""
        self._tape.lost(now)
        super().lost(now)

    def tick(self, now: float, wall: float) -> None:
        """As an intake does."""
        self._tape.tick(now, wall)
        super().tick(now, wall)


class TapedFreshness(TopicFreshness):
    """A topic's freshness that writes down what REST says of it; once, however often that is repeated."""

    __slots__ = ("_said", "_tape", "_topic")

    def __init__(self, tape: LineTape, topic: str, rule: Rule, now: float, cadence: Cadence | None = None) -> None:
        super().__init__(rule, now, cadence)
        self._tape = tape
        self._topic = topic
        self._said: tuple[float, bool | None] | None = None

    def judge_by(self, rule: Rule, now: float) -> None:
        """As freshness does; what REST says next may count where it did not before."""
        self._said = None
        super().judge_by(rule, now)

    def evidence(self, now: float, nothing_missed: bool | None, source: Source = Source.SIBLINGS) -> None:
        """As freshness does."""
        said = self._seed, nothing_missed
        if source is Source.REFERENCE and self._said != said:
            self._said = said
            self._tape.evidence(self._topic, nothing_missed, now)
        super().evidence(now, nothing_missed, source)


def stood_by(monitor: Monitor, now: float, wall: float) -> Iterator[entries.Stood]:
    """Where every topic stands, for a part of the tape that may be read without those before it."""
    for target in monitor.targets.values():
        for record in target.connections.values():
            topics = tuple(
                _stood(topic, topic.freshness) for topic in record.topics.values() if topic.freshness is not None
            )
            yield entries.Stood(now=now, wall=wall, line=f"{target.name}/{record.label}", again=True, topics=topics)


def _stood(topic: TopicRecord, freshness: TopicFreshness) -> entries.TopicStood:
    return entries.TopicStood(
        topic=topic.topic,
        stand=freshness.stand(),
        compared=None if topic.standing is None else topic.standing.told(),
        last_message_wall=topic.last_message_wall,
    )


def learnt_by(monitor: Monitor, now: float, wall: float) -> Iterator[entries.Learnt]:
    """What every topic has learnt, for a part of the tape that may be read without those before it."""
    for target in monitor.targets.values():
        for record in target.connections.values():
            for topic in record.topics.values():
                cadence = None if topic.freshness is None else topic.freshness.snapshot()
                rate = topic.meter.rate.snapshot()
                if cadence is not None or rate is not None:
                    line = f"{target.name}/{record.label}"
                    yield entries.Learnt(
                        now=now, wall=wall, line=line, again=True, topic=topic.topic, cadence=cadence, rate=rate
                    )
