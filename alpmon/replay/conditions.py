"""Where on a connection of a recording the conditions of the shipped alerts hold, by the rules' own words."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from alpmon.core.freshness import TopicState
from alpmon.replay.alarms import Subject
from alpmon.telemetry.alerts import (
    DOWN,
    NEVER_DELIVERED,
    REJECTED,
    SILENT,
    STALE,
    STALE_NOT_THIN_SECONDS,
    THIN,
)
from alpmon.telemetry.lately import events
from alpmon.telemetry.troubles import THIN_RATIO

if TYPE_CHECKING:
    from alpmon.core.freshness import TopicFreshness
    from alpmon.replay.alarms import Alarms
    from alpmon.replay.line import ReplayedLine
    from alpmon.telemetry.alerts import Alert
    from alpmon.telemetry.state import TopicRecord

_OF_A_STATE: Final = (STALE, SILENT, NEVER_DELIVERED, REJECTED)
_BLIND: Final = (TopicState.DOWN, TopicState.PENDING, TopicState.REJECTED)
_LATE: Final = (TopicState.STALE, TopicState.SILENT)


class Conditions:
    """Tells alarms what begins and what ends. `now` is monotonic, as is each moment."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._counted: dict[tuple[Alert, Subject], int] = {}

    def turned(self, line: ReplayedLine, topic: str, state: TopicState, since: float, now: float) -> None:
        """A topic has been in another state since that moment."""
        subject, record = Subject(line.name, topic), line.record.topics[topic]
        if not line.is_held or record.freshness is None:
            return
        for alert in _OF_A_STATE:
            self._alarms.end(alert, subject, since)
        if state is TopicState.STALE and record.last_message_wall:
            self._alarms.begin(STALE, subject, since)
        elif state is TopicState.REJECTED:
            self._alarms.begin(REJECTED, subject, since)
        elif state is TopicState.SILENT and record.last_message_wall:
            self._alarms.begin(SILENT, subject, max(since, _late_from(record.freshness, now)))
        elif state is TopicState.SILENT:
            self._alarms.begin(NEVER_DELIVERED, subject, since)
        self._judge_rate(subject, record, state, since, since)

    def rates_read(self, line: ReplayedLine, now: float) -> None:
        """The topics' rates may be others now."""
        for topic in line.record.topics.values():
            if topic.freshness is not None and line.is_held:
                state, since = topic.freshness.state(now), topic.freshness.since(now)
                self._judge_rate(Subject(line.name, topic.topic), topic, state, since, now)

    def look(self, line: ReplayedLine, now: float) -> None:
        """Is the connection up, and what has it counted since the last look?"""
        if not line.is_held:
            return
        subject = Subject(line.name)
        if line.record.up:
            self._alarms.end(DOWN, subject, now)
        else:
            self._alarms.begin(DOWN, subject, now)
        for alert, what, count in events(line.record):
            key = alert, Subject(line.name, what)
            new = count - self._counted.get(key, 0)
            if new:
                self._alarms.count(*key, new, now)
                self._counted[key] = count

    def take_up(self, line: ReplayedLine, down_since: float | None) -> None:
        """Begin with a connection that has been there before: what it counted was then."""
        if down_since is not None:
            self._alarms.begin(DOWN, Subject(line.name), down_since)
        for alert, what, count in events(line.record):
            self._counted[alert, Subject(line.name, what)] = count

    def gone(self, line: ReplayedLine, now: float, topic: str | None = None) -> None:
        """The configuration holds a topic of a connection no more, or the connection itself."""
        if not line.is_held:
            return  # Its name may be another's by now.
        self._alarms.forget(line.name, now, topic)
        for alert, subject in list(self._counted):
            if subject.line == line.name and topic in (None, subject.what):
                del self._counted[alert, subject]

    def _judge_rate(self, subject: Subject, topic: TopicRecord, state: TopicState, since: float, now: float) -> None:
        lost_at = since + STALE_NOT_THIN_SECONDS if state in _LATE else inf
        if topic.meter.rate.ratio < THIN_RATIO and state not in _BLIND and now < lost_at:
            self._alarms.begin(THIN, subject, now)
        else:
            self._alarms.end(THIN, subject, min(now, lost_at))


def _late_from(freshness: TopicFreshness, now: float) -> float:
    """From when on a topic would normally have delivered: its threshold after the acknowledgement."""
    return now - freshness.age(now) + freshness.stale_after()
