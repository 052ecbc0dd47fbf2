"""Which of the shipped alerts a recording would have set off, and from when to when.

To the moment, where Prometheus has a scrape and an evaluation between what happens and what it says; and of what this
one monitor saw.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alpmon.telemetry.alerts import Alert


class Subject(NamedTuple):
    """What an alert is about: a connection, and there a topic, a reason or nothing more."""

    line: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.line} {self.what}".rstrip()


@dataclass(slots=True)
class _Alarm:
    """One condition that holds, or held. Monotonic seconds: since when, until when, and whether it has fired."""

    since: float
    until: float = inf
    fires: bool = False


class Alarms:
    """Is told when conditions begin and end, and tells when their alerts do.

    Args:
        report: is given line, moment and words.

    Attributes:
        fired: how often each alert did, by its name.
    """

    def __init__(self, report: Callable[[str, float, str], None]) -> None:
        self.fired: Counter[str] = Counter()
        self._report = report
        self._alarms: dict[tuple[Alert, Subject], _Alarm] = {}
        self._events: dict[tuple[Alert, Subject], deque[float]] = {}

    def begin(self, alert: Alert, subject: Subject, at: float) -> None:
        """Its condition holds from this moment on; nothing new if it did already."""
        self._settle(alert, subject, at)
        alarm = self._alarms.setdefault((alert, subject), _Alarm(at))
        alarm.until = inf

    def end(self, alert: Alert, subject: Subject, at: float) -> None:
        """Its condition holds no more; nothing new if it did not."""
        alarm = self._alarms.get((alert, subject))
        if alarm is not None and alarm.until == inf:
            alarm.until = at
            self._settle(alert, subject, at)

    def count(self, alert: Alert, subject: Subject, events: int, at: float) -> None:
        """So many more of what the alert counts; its condition holds while too many lie within its window."""
        latest = self._events.setdefault((alert, subject), deque(maxlen=alert.more_than + 1))
        self._lapse(alert, subject, at)
        latest.extend([at] * min(events, alert.more_than + 1))
        if len(latest) > alert.more_than and latest[0] > at - alert.window:
            self.begin(alert, subject, at)

    def forget(self, line: str, at: float, what: str | None = None) -> None:
        """There is nothing more to be seen of a connection, or of one thing there."""
        for alert, subject in list(self._alarms):
            if subject.line == line and what in (None, subject.what):
                self.end(alert, subject, at)
        for alert, subject in list(self._events):
            if subject.line == line and what in (None, subject.what):
                del self._events[alert, subject]

    def until(self, now: float) -> None:
        """Tell what fires and resolves by now."""
        for alert, subject in list(self._events):
            self._lapse(alert, subject, now)
        for alert, subject in list(self._alarms):
            self._settle(alert, subject, now)

    def firing(self) -> Iterator[tuple[Alert, Subject]]:
        """What fires by the last moment that was told, what began first at first."""
        firing = [(key, alarm.since) for key, alarm in self._alarms.items() if alarm.fires]
        return (key for key, _ in sorted(firing, key=lambda each: each[1]))

    def _lapse(self, alert: Alert, subject: Subject, now: float) -> None:
        """End a condition that counts, where by now the oldest event that it needs lies too far back."""
        latest = self._events[alert, subject]
        if len(latest) > alert.more_than and latest[0] + alert.window <= now:
            self.end(alert, subject, latest[0] + alert.window)

    def _settle(self, alert: Alert, subject: Subject, now: float) -> None:
        """Do what comes of one condition by now."""
        alarm = self._alarms.get((alert, subject))
        if alarm is None:
            return
        fires_at, resolves_at = alarm.since + alert.hold, alarm.until + alert.keep
        if not alarm.fires and fires_at <= min(now, alarm.until):
            alarm.fires = True
            self.fired[alert.name] += 1
            self._tell(alert, subject, fires_at, "fires", f" ({alert.severity})")
        if not alarm.fires and alarm.until <= now:
            del self._alarms[alert, subject]
        elif alarm.fires and resolves_at <= now:
            del self._alarms[alert, subject]
            self._tell(alert, subject, resolves_at, "resolves", f", after {resolves_at - fires_at:.3f} s")

    def _tell(self, alert: Alert, subject: Subject, at: float, what: str, how: str) -> None:
        of = f" for {subject.what}" if subject.what else ""
        self._report(subject.line, at, f"{alert.name} {what}{of}{how}")
