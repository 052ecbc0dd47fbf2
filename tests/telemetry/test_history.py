"""The rings behind the timelines and sparklines."""

from __future__ import annotations

import math

import msgspec
import pytest

from alpmon.core.states import State
from alpmon.telemetry.histogram import Histogram
from alpmon.telemetry.history import SAMPLES, STEP_SECONDS, ConnectionHistory, History, encode
from tests.telemetry.records import RULE, STARTED_WALL, bring_up, connection, fresh_monitor

NOW = 1000.0


class Sampled:
    """One connection and its history."""

    def __init__(self) -> None:
        self.record = connection()
        self.monitor = fresh_monitor(self.record)
        self.history = History()
        self.now = NOW

    def step(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.now += STEP_SECONDS
            self.history.sample(self.monitor.targets.values(), self.now, STARTED_WALL + self.now)

    def shown(self, after: int = 0) -> ConnectionHistory:
        return self.history.after(after).targets["alp"]["0-0"]


def test_before_the_first_sample_there_is_nothing() -> None:
    """And no connection is made up."""
    shown = History().after(0)
    assert (shown.sample, shown.targets) == (0, {})


def test_a_timeline_tells_each_step_of_a_life() -> None:
    """Down, settling, up, in trouble, ended and up again, down."""
    sampled = Sampled()
    sampled.step()
    bring_up(sampled.record, sampled.now)
    sampled.record.state = State.SUBSCRIBING
    sampled.step()
    sampled.record.state = State.LIVE
    sampled.step()  # 10 s old, which is the threshold
    sampled.step()
    for topic in sampled.record.topics.values():
        assert topic.freshness is not None
        topic.freshness.message(sampled.now)
    sampled.record.disconnects["server", "1012", "close_frame"] += 1
    sampled.step()
    sampled.step()
    sampled.record.established_wall = 0.0
    sampled.step()
    assert sampled.shown().marks == "dsttetd"
    assert RULE.after == 2 * STEP_SECONDS


def test_messages_are_counted_step_by_step() -> None:
    """By topic; a step without any is a zero."""
    sampled = Sampled()
    for messages in (3, 3, 10):
        sampled.record.topics["trade.*"].messages = messages
        sampled.step()
    assert sampled.shown().messages["trade.*"].tolist() == [3, 0, 7]
    assert sampled.shown().messages["ticker.*"].tolist() == [0, 0, 0]


def test_latencies_are_means_over_a_step() -> None:
    """Over all kinds of ping and request; what was not measured is not a number."""
    sampled = Sampled()
    record = sampled.record
    record.rtt.observe(0.002)
    record.rtt.observe(0.004)
    record.ack["subscribe"] = Histogram(record.rtt.bounds)
    record.ack["subscribe"].observe(0.35)
    sampled.step()
    for histogram in record.pong_latency.values():
        histogram.observe(0.001)
    sampled.step()
    shown = sampled.shown()
    assert shown.round_trip_seconds.tolist() == pytest.approx([0.003, math.nan], nan_ok=True)
    assert shown.acknowledgement_seconds.tolist() == pytest.approx([0.35, math.nan], nan_ok=True)
    assert shown.pong_seconds.tolist() == pytest.approx([math.nan, 0.001], nan_ok=True)


def test_the_rings_are_bounded() -> None:
    """Fifteen minutes, however long it runs; the newest stay."""
    sampled = Sampled()
    trades = sampled.record.topics["trade.*"]
    for _ in range(SAMPLES + 20):
        trades.messages += 1 if trades.messages < 30 else 2
        sampled.step()
    shown = sampled.shown()
    assert len(shown.marks) == len(shown.messages["trade.*"]) == len(shown.round_trip_seconds) == SAMPLES
    assert shown.messages["trade.*"].tolist() == [1] * 10 + [2] * (SAMPLES - 10)
    assert SAMPLES * STEP_SECONDS == 15 * 60


def test_only_what_is_new_is_told_to_who_has_the_rest() -> None:
    """A number from before a restart, or of one that is too old, means all."""
    sampled = Sampled()
    sampled.step(5)
    assert len(sampled.shown(after=3).marks) == 2
    assert sampled.shown(after=5).marks == ""
    assert len(sampled.shown(after=99).marks) == len(sampled.shown(after=-1).marks) == 5


def test_what_left_the_configuration_leaves_the_history() -> None:
    """Topics and connections; nothing grows for ever."""
    sampled = Sampled()
    sampled.step()
    del sampled.record.topics["trade.*"]
    sampled.step()
    assert list(sampled.shown().messages) == ["ticker.*"]
    del sampled.monitor.targets["alp"].connections["0-0"]
    sampled.step()
    assert sampled.history.after(0).targets == {}


def test_it_is_plain_json() -> None:
    """Rings are lists, and what was not measured is null."""
    sampled = Sampled()
    sampled.step()
    told = msgspec.json.decode(encode(sampled.history.after(0)))
    assert told["targets"]["alp"]["0-0"] == {
        "marks": "d",
        "round_trip_seconds": [None],
        "acknowledgement_seconds": [None],
        "pong_seconds": [None],
        "messages": {"trade.*": [0], "ticker.*": [0]},
    }
    assert (told["sample"], told["step_seconds"], told["capacity"]) == (1, STEP_SECONDS, SAMPLES)
