"""From counters to rates: which slots count, and which do not."""

from __future__ import annotations

import asyncio
import math

import pytest

from alpmon.core.freshness import Rule, TopicFreshness
from alpmon.core.rates import SLOT_SECONDS
from alpmon.core.states import State
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.rates import read_rates, watch_rates
from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord
from tests.waiting import eventually

SESSION_WALL = 1_790_000_000.0


class Line:
    """One connection with one topic, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.freshness = TopicFreshness(Rule(), self.now)
        self.topic = TopicRecord("trade.*", self.freshness)
        self.record = ConnectionRecord("0-0", State.LIVE, topics={"trade.*": self.topic})
        self.sessions = 0

    @property
    def ratio(self) -> float:
        return self.topic.meter.rate.ratio

    def welcomed(self, *, acknowledged: bool = True) -> None:
        self.sessions += 1
        self.record.established_wall = SESSION_WALL + self.sessions
        self.freshness.up(self.now)
        if acknowledged:
            self.freshness.acknowledged(self.now)

    def lost(self) -> None:
        self.record.established_wall = 0.0
        self.freshness.down(self.now)

    def run(self, slots: int, messages: int, seconds: float = SLOT_SECONDS) -> None:
        for _ in range(slots):
            self.now += seconds
            for _ in range(messages):
                self.topic.messages += 1
                self.freshness.message(self.now)
            read_rates(self.record, self.now, SESSION_WALL + self.now)


@pytest.fixture
def line() -> Line:
    """Twenty minutes of ten messages a slot were seen."""
    line = Line()
    line.welcomed()
    line.run(600, 10)
    assert line.ratio == pytest.approx(1.0)
    return line


def test_a_thinned_topic_shows(line: Line) -> None:
    """Half a minute of one message in ten slots is enough here."""
    for _ in range(3):
        line.run(9, 0)
        line.run(1, 1)
    assert line.ratio < 0.2


def test_time_while_down_is_no_thin_feed(line: Line) -> None:
    """Down for an hour: the ratio is what it was, and goes on in the next session."""
    before = line.ratio
    line.lost()
    line.run(1800, 0)
    assert line.ratio == before
    line.welcomed()
    line.run(100, 10)
    assert line.ratio == pytest.approx(before, abs=0.05)


def test_time_before_the_acknowledgement_does_not_count(line: Line) -> None:
    """Not asked for is not thin."""
    before = line.ratio
    line.lost()
    line.welcomed(acknowledged=False)
    line.run(600, 0)
    assert line.ratio == before


def test_reconnects_do_not_make_a_thin_feed_look_usual(line: Line) -> None:
    """What is thin before is thin after; a slot with a reconnect in it counts for nothing."""
    for _ in range(5):
        line.run(3, 0)
        line.run(1, 1)
        line.lost()
        line.welcomed()
    assert line.ratio < 0.2


def test_a_pause_of_our_own_does_not_count(line: Line) -> None:
    """A process that was stopped for a minute saw nothing of it, and takes what had piled up for a burst."""
    before = line.ratio
    line.run(1, 0, seconds=60.0)
    assert line.ratio == before
    line.run(1, 300)
    line.run(100, 10)
    assert line.ratio > 0.8


def test_a_quiet_topic_is_not_thin(line: Line) -> None:
    """Where evidence says that nothing was missed, the rate says nothing either."""
    line.run(1, 0)
    while line.freshness.state(line.now) == "live":
        line.run(1, 0)
    assert line.ratio < 0.9
    line.freshness.evidence(line.now, True)
    line.run(600, 0)
    assert line.freshness.state(line.now) == "quiet"
    assert line.ratio == pytest.approx(1.0)


def test_a_silent_topic_is_never_learnt() -> None:
    """Acknowledged, and nothing ever came: there is no usual rate."""
    line = Line()
    line.welcomed()
    line.run(2000, 0)
    assert math.isnan(line.ratio)


def test_a_private_channel_has_no_rate() -> None:
    """Accounts may be silent for ever."""
    line = Line()
    line.record.topics["wallet"] = TopicRecord("wallet", None, messages=100)
    line.welcomed()
    line.run(600, 10)
    assert math.isnan(line.record.topics["wallet"].meter.rate.ratio)


async def test_the_counters_are_read_by_themselves() -> None:
    """All connections of all targets, for as long as the task lives."""
    monitor = Monitor(started_wall=SESSION_WALL)
    lines = [Line(), Line()]
    for name, line in zip("ab", lines, strict=True):
        line.welcomed()
        monitor.targets[name] = TargetRecord(name, "ws://h/", {"0-0": line.record})
    task = asyncio.create_task(watch_rates(monitor, interval=0.001))
    try:
        for line in lines:
            line.topic.messages += 7
            await eventually(lambda line=line: line.topic.meter.seen == 7)  # type: ignore[misc]
    finally:
        task.cancel()
