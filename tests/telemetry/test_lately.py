"""What was too much lately, by the numbers of the alerts that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.topics import Channel
from alpmon.telemetry.alerts import (
    ACK_SLOW,
    ANOMALIES,
    ERROR_FRAMES,
    FLAPPING,
    LAGGING,
    MALFORMED_FRAMES,
    MISSED_MESSAGES,
    PONG_SLOW,
    RECONNECT_FAILING,
)
from alpmon.telemetry.histogram import LATENCY_BUCKETS, Histogram
from alpmon.telemetry.lately import LOOK_SECONDS, Lately
from alpmon.telemetry.state import ConnectionRecord
from tests.telemetry.records import STARTED_WALL, connection, fresh_monitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from alpmon.telemetry.alerts import Alert, Lapse

NOW = 1000.0


class Looked:
    """One connection, looked at from time to time."""

    def __init__(self) -> None:
        self.record = connection()
        self.monitor = fresh_monitor(self.record)
        self.lately = Lately()
        self.now = NOW
        self.after(0.0)

    def after(self, seconds: float) -> list[tuple[str, str]]:
        """What holds when so much more time has passed."""
        self.now += seconds
        for _ in self.lately.look(self.monitor, self.now, STARTED_WALL + self.now):
            pass
        return [(lapse.alert, lapse.what) for lapse in self.record.lapses]

    def lapse(self) -> Lapse:
        [lapse] = self.record.lapses
        return lapse


def fails(record: ConnectionRecord) -> None:
    record.failures["refused"] += 1


def ends(record: ConnectionRecord) -> None:
    record.disconnects["network", "1006", "connection_lost"] += 1


def reports(record: ConnectionRecord) -> None:
    record.error_frames["other"] += 1


def garbles(record: ConnectionRecord) -> None:
    record.malformed["not_json"] += 1


def crosses(record: ConnectionRecord) -> None:
    record.channels[Channel.MARKET_DEPTH].anomalies["crossed_book"] += 1


def misses(record: ConnectionRecord) -> None:
    standing = record.topics["trade.*"].standing
    assert standing is not None
    standing.missed += 1


COUNTED: dict[Alert, tuple[Callable[[ConnectionRecord], None], str]] = {
    RECONNECT_FAILING: (fails, "refused"),
    FLAPPING: (ends, ""),
    ERROR_FRAMES: (reports, "other"),
    MALFORMED_FRAMES: (garbles, ""),
    ANOMALIES: (crosses, "market_depth crossed_book"),
    MISSED_MESSAGES: (misses, "trade.*"),
}
COUNTING = [pytest.param(alert, *told, id=alert.name) for alert, told in COUNTED.items()]


@pytest.mark.parametrize(("alert", "happens", "what"), COUNTING)
def test_one_more_than_is_well_is_told_until_the_window_has_passed(
    alert: Alert, happens: Callable[[ConnectionRecord], None], what: str
) -> None:
    """As many as are well are not told, and neither is what lies further back than the alert looks."""
    looked = Looked()
    for _ in range(alert.more_than):
        happens(looked.record)
        assert looked.after(LOOK_SECONDS) == []
    happens(looked.record)
    assert looked.after(LOOK_SECONDS) == [(alert.name, what)]
    since = STARTED_WALL + looked.now
    assert looked.lapse().since_timestamp_seconds == since
    assert (looked.lapse().count, looked.lapse().window_seconds) == (alert.more_than + 1, alert.window)
    first = NOW + LOOK_SECONDS
    assert looked.after(first + alert.window - looked.now - 1.0) == [(alert.name, what)]
    assert looked.lapse().since_timestamp_seconds == since
    assert looked.after(1.0) == []


def test_sessions_that_we_ended_ourselves_are_not_counted() -> None:
    """A reload is no flapping."""
    looked = Looked()
    looked.record.disconnects["client", "1001", "reload"] += 10
    looked.record.disconnects["client", "1001", "shutdown"] += 10
    assert looked.after(LOOK_SECONDS) == []


def lag(record: ConnectionRecord) -> Histogram:
    return record.channels[Channel.TRADE].lag


def pong(record: ConnectionRecord) -> Histogram:
    return record.pong_latency["protocol"]


def ack(record: ConnectionRecord) -> Histogram:
    return record.ack.setdefault("subscribe", Histogram(LATENCY_BUCKETS))


SLOW = [
    pytest.param(LAGGING, lag, "trade", id="lag"),
    pytest.param(PONG_SLOW, pong, "", id="pong"),
    pytest.param(ACK_SLOW, ack, "", id="ack"),
]


@pytest.mark.parametrize(("alert", "histogram", "what"), SLOW)
def test_a_share_is_told_where_it_is_beyond_what_is_well(
    alert: Alert, histogram: Callable[[ConnectionRecord], Histogram], what: str
) -> None:
    """What took exactly as long as may be is quick; a share at the limit is well."""
    looked = Looked()
    quick, slow = round(100 * (1 - alert.share)), round(100 * alert.share)
    for seconds, times in ((alert.slower_than, quick), (alert.slower_than * 1.01, slow)):
        for _ in range(times):
            histogram(looked.record).observe(seconds)
    assert looked.after(LOOK_SECONDS) == []
    histogram(looked.record).observe(alert.slower_than * 1.01)
    assert looked.after(LOOK_SECONDS) == [(alert.name, what)]
    assert (looked.lapse().count, looked.lapse().share) == (slow + 1, (slow + 1) / 101)
    assert looked.after(alert.window) == []


def test_two_late_messages_are_no_lag() -> None:
    """On a channel of few messages they are a large share."""
    looked = Looked()
    for _ in range(2):
        lag(looked.record).observe(3.0)
    assert looked.after(LOOK_SECONDS) == []
    lag(looked.record).observe(3.0)
    assert looked.after(LOOK_SECONDS) == [(LAGGING.name, "trade")]


def test_a_request_that_was_never_acknowledged_was_slow_as_well() -> None:
    """An error was an answer."""
    looked = Looked()
    ack(looked.record).observe(0.1)
    looked.record.request_failures["subscribe", "error"] += 5
    looked.record.request_failures["subscribe", "timeout"] += 1
    assert looked.after(LOOK_SECONDS) == []
    looked.record.request_failures["subscribe", "timeout"] += 1
    assert looked.after(LOOK_SECONDS) == [(ACK_SLOW.name, "")]


def test_what_a_slow_monitor_read_late_is_no_lag() -> None:
    """Until the alert looks back no further than that."""
    looked = Looked()
    looked.monitor.recent_lag.extend([0.04] * 10)
    for _ in range(3):
        lag(looked.record).observe(3.0)
    assert looked.after(LOOK_SECONDS) == []
    looked.monitor.recent_lag.clear()
    assert looked.after(LAGGING.window - 1.0) == []
    for _ in range(3):
        lag(looked.record).observe(3.0)
    assert looked.after(1.0) == [(LAGGING.name, "trade")]


def test_round_trips_meanwhile_are_told_with_it() -> None:
    """They say whether it is the way; none, nothing."""
    looked = Looked()
    for _ in range(3):
        lag(looked.record).observe(3.0)
    looked.after(LOOK_SECONDS)
    assert looked.lapse().slow_round_trips is None
    for seconds in (0.1, 0.6, 0.7, 0.8):
        looked.record.rtt.observe(seconds)
    looked.after(LOOK_SECONDS)
    assert looked.lapse().slow_round_trips == 0.75


def test_a_connection_that_is_another_begins_anew() -> None:
    """A reload may replace one under its name; what counted before it began is not its own."""
    looked = Looked()
    for _ in range(4):
        ends(looked.record)
    assert looked.after(LOOK_SECONDS) == [(FLAPPING.name, "")]
    looked.record = looked.monitor.targets["alp"].connections["0-0"] = connection()
    assert looked.after(LOOK_SECONDS) == []
    del looked.monitor.targets["alp"]
    assert looked.after(LOOK_SECONDS) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(1.0, 200.0)), max_size=60))
def test_it_holds_just_where_more_than_are_well_lie_within_the_window(told: list[tuple[int, float]]) -> None:
    """Told by looking at all moments, which nobody could afford."""
    looked, moments = Looked(), []
    for count, seconds in told:
        for _ in range(count):
            ends(looked.record)
        shown = looked.after(seconds)
        moments += [looked.now] * count
        within = sum(moment > looked.now - FLAPPING.window for moment in moments)
        assert bool(shown) == (within > FLAPPING.more_than)
