"""What connections counted lately, held against the alerts that count: troubles that no present state shows.

A feed that lags, contradicts itself or loses its session now and again is live at most moments. Prometheus remembers
for its alerts; this remembers for the page, within the same windows and by the same numbers (`telemetry.alerts`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from alpmon.core.subscriptions import RequestFailure
from alpmon.telemetry import alerts
from alpmon.telemetry.alerts import Alert, Lapse
from alpmon.telemetry.labels import OWN_ENDS
from alpmon.telemetry.looplag import late_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alpmon.telemetry.histogram import Histogram
    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.state import ConnectionRecord

LOOK_SECONDS: Final = 5.0
_BATCH: Final = 20
"""Connections that are looked at in one go: frames wait meanwhile, for about a millisecond."""


class Count(NamedTuple):
    """Where a counter stands: how many of what the alert is about, and of all that they are a share of."""

    alert: Alert
    what: str
    bad: int
    of: int


class Lately:
    """Writes into each connection's record which conditions hold there by now."""

    def __init__(self) -> None:
        self._connections: list[_Connection] = []
        self._slow_at = -inf

    def look(self, monitor: Monitor, now: float, wall: float) -> Iterator[None]:
        """Count anew at monotonic `now`, one connection each time that it is asked to go on."""
        if late_share(monitor.recent_lag) > alerts.MAX_LATE_SHARE:
            self._slow_at = now
        known = {id(each.record): each for each in self._connections}
        records = [record for target in monitor.targets.values() for record in target.connections.values()]
        self._connections = [known.get(id(record)) or _Connection(record, now) for record in records]
        for connection in self._connections:
            connection.look(now, wall, self._slow_at)
            yield


class _Connection:
    def __init__(self, record: ConnectionRecord, now: float) -> None:
        self.record = record
        self._begun = now
        self._counts: dict[tuple[Alert, str], _Steps] = {}
        self._round_trips = _Steps(now)

    def look(self, now: float, wall: float, slow_at: float) -> None:
        since = {(lapse.alert, lapse.what): lapse.since_timestamp_seconds for lapse in self.record.lapses}
        counts, lapses = {}, []
        round_trips = _slow([self.record.rtt], alerts.SLOW_ROUND_TRIP_SECONDS)
        slow, of = self._round_trips.increase(*round_trips, now, alerts.LAGGING.window)
        slow_round_trips = slow / of if of else None
        for alert, what, bad, total in _counts(self.record):
            count = counts[alert, what] = self._counts.get((alert, what)) or _Steps(self._begun)
            more, more_of = count.increase(bad, total, now, alert.window)
            if not _is_too_much(alert, more, more_of) or (alert is alerts.LAGGING and slow_at > now - alert.window):
                continue
            lapses.append(
                Lapse(
                    alert=alert.name,
                    what=what,
                    count=more,
                    share=more / more_of if alert.share else None,
                    window_seconds=alert.window,
                    slow_round_trips=slow_round_trips,
                    since_timestamp_seconds=since.get((alert.name, what), wall),
                )
            )
        self._counts, self.record.lapses = counts, lapses


def _is_too_much(alert: Alert, bad: int, of: int) -> bool:
    return bad > alert.more_than and bad > alert.share * of


class _Steps:
    """A counter's changes within a window: where it stood, and since when."""

    __slots__ = ("_steps",)

    def __init__(self, now: float) -> None:
        self._steps = deque([(now, 0, 0)])

    def increase(self, bad: int, of: int, now: float, window: float) -> tuple[int, int]:
        """By how much it is more than a window ago; a counter that went back began anew."""
        steps = self._steps
        if (bad, of) < steps[-1][1:]:
            steps.clear()
            steps.append((now, 0, 0))
        if (bad, of) != steps[-1][1:]:
            steps.append((now, bad, of))
        while len(steps) > 1 and steps[1][0] <= now - window:
            steps.popleft()
        return bad - steps[0][1], of - steps[0][2]


def events(record: ConnectionRecord) -> Iterator[tuple[Alert, str, int]]:
    """What alerts count on a connection, and where it stands."""
    ends = (count for (_, _, reason), count in record.disconnects.items() if reason not in OWN_ENDS)
    yield alerts.FLAPPING, "", sum(ends)
    yield alerts.MALFORMED_FRAMES, "", record.malformed.total()
    for reason, count in record.failures.items():
        yield alerts.RECONNECT_FAILING, reason, count
    for reason, count in record.error_frames.items():
        yield alerts.ERROR_FRAMES, reason, count
    for channel, seen in record.channels.items():
        for kind, count in seen.anomalies.items():
            yield alerts.ANOMALIES, f"{channel} {kind}", count
    for topic in record.topics.values():
        if topic.standing is not None:
            yield alerts.MISSED_MESSAGES, topic.topic, topic.standing.missed


def _counts(record: ConnectionRecord) -> Iterator[Count]:
    """The same, and what alerts take a share of."""
    for alert, what, count in events(record):
        yield Count(alert, what, count, count)
    for channel, seen in record.channels.items():
        if any(seen.lag.counts):
            yield Count(alerts.LAGGING, channel, *_slow([seen.lag], alerts.LAGGING.slower_than))
    yield Count(alerts.PONG_SLOW, "", *_slow(record.pong_latency.values(), alerts.PONG_SLOW.slower_than))
    late, acknowledged = _slow(record.ack.values(), alerts.ACK_SLOW.slower_than)
    never = sum(count for (_, why), count in record.request_failures.items() if why == RequestFailure.TIMEOUT)
    yield Count(alerts.ACK_SLOW, "", late + never, acknowledged + never)


def _slow(histograms: Iterable[Histogram], limit: float) -> tuple[int, int]:
    """How many took longer than a bucket's upper limit, and of how many."""
    slow = total = 0
    for histogram in histograms:
        slow += sum(histogram.counts[histogram.bounds.index(limit) + 1 :])
        total += histogram.count
    return slow, total


async def keep(monitor: Monitor) -> None:
    """Look until cancelled."""
    lately = Lately()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for looked, _ in enumerate(lately.look(monitor, time.monotonic(), time.time()), 1):
            if looked % _BATCH == 0:
                await asyncio.sleep(0)
