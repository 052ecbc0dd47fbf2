"""The clock's promise: whatever delays, drifts and dialects do, the truth is within what it publishes."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.clock import MAX_DRIFT, SLOWED, Clock

EPOCH = 1_790_139_140.25
WALL_AHEAD = 1_789_000_000.0
"""Our wall clock minus our monotonic one, in every test."""
PERIOD = 0.25


@dataclass
class Server:
    """A server whose clock is `ahead` of our monotonic one at 1000.0, and drifts."""

    ahead: float = EPOCH - 1000.0
    drift: float = 0.0
    whole_seconds: bool = False

    def offset(self, now: float) -> float:
        return self.ahead + self.drift * (now - 1000.0)

    def stamp(self, now: float) -> float:
        reads = now + self.offset(now)
        return float(floor(reads)) if self.whole_seconds else round(reads, 6)


def answer(clock: Clock, server: Server, sent: float, there: float = 0.0001, back: float = 0.0001) -> bool:
    """One request and its acknowledgement, so long under way."""
    return clock.acknowledged(sent, sent + there + back, server.stamp(sent + there))


def error(clock: Clock, now: float) -> float:
    return clock.reading(now, now + WALL_AHEAD).error_seconds


def holds(clock: Clock, server: Server, now: float) -> bool:
    """Whether the truth is within the published interval; the last bits of a double near the epoch are nobody's."""
    reading = clock.reading(now, now + WALL_AHEAD)
    return abs(reading.offset_seconds - (server.offset(now) - WALL_AHEAD)) <= reading.error_seconds + 1e-6


@given(
    ahead=st.floats(-5.0, 5.0),
    drift=st.floats(-MAX_DRIFT, MAX_DRIFT),
    whole_seconds=st.booleans(),
    happenings=st.lists(
        st.tuples(
            st.sampled_from(["ack", "data"]),
            st.one_of(st.floats(0.0, 2.0), st.floats(0.0, 600.0)),
            st.floats(0.0, 0.7),
            st.floats(0.0, 0.7),
        ),
        max_size=80,
    ),
)
def test_the_truth_is_never_outside_the_published_interval(
    ahead: float, drift: float, whole_seconds: bool, happenings: list[tuple[str, float, float, float]]
) -> None:
    """Random offsets, drifts, delays either way, pauses, in either dialect; and no step is seen where none was."""
    server, clock, now = Server(EPOCH - 1000.0 + ahead, drift, whole_seconds), Clock(), 1000.0
    acknowledged = False
    for what, pause, there, back in happenings:
        now += pause
        if what == "ack":
            assert answer(clock, server, now, there, back)
            acknowledged, now = True, now + there + back
        else:
            assert clock.heard(server.stamp(now), now + back)
            now += back
        reading = clock.reading(now, now + WALL_AHEAD)
        assert isnan(reading.offset_seconds) is isnan(reading.error_seconds)
        assert not acknowledged or pause > 300 or not isnan(reading.error_seconds)
        for later in (now, now + 100.0):
            assert isnan(reading.error_seconds) or holds(clock, server, later)


@given(st.floats(0.0, 0.999), st.floats(0.0, 1.0), st.floats(-MAX_DRIFT, MAX_DRIFT))
def test_whole_seconds_are_known_within_150_ms_after_12_s_of_four_probes_a_second(
    phase: float, lateness: float, drift: float
) -> None:
    """Whatever the phase of the probes, which a timer makes up to 1 ms late each."""
    server, clock, now = Server(EPOCH + phase - 1000.0, drift, whole_seconds=True), Clock(), 1000.0
    while now < 1012.0:
        answer(clock, server, now)
        now += PERIOD + lateness / 1000
    assert error(clock, now) < 0.150
    assert holds(clock, server, now)


def test_floats_are_known_within_a_millisecond_from_one_answer() -> None:
    """Half the round trip is all that is unknown."""
    server, clock = Server(), Clock()
    answer(clock, server, 1000.000123, 0.0004, 0.0004)
    assert error(clock, 1000.001) == pytest.approx(0.0004, abs=0.00002)


def test_nothing_is_known_before_the_first_acknowledgement() -> None:
    """Data alone only says how far ahead the server is at least."""
    server, clock = Server(), Clock()
    for _ in range(10):
        clock.heard(server.stamp(1000.0), 1000.1)
    assert isnan(error(clock, 1000.1))
    assert isnan(clock.middle)


def test_data_tightens_what_acknowledgements_say() -> None:
    """A trade stamped as its second began bounds the clock from below."""
    server, clock = Server(EPOCH - 1000.0, whole_seconds=True), Clock()
    answer(clock, server, 1000.0)
    before = error(clock, 1000.8)
    assert clock.heard(server.stamp(1000.751), 1000.752)
    assert error(clock, 1000.8) < before
    assert holds(clock, server, 1000.8)


def test_an_estimate_loosens_as_it_ages() -> None:
    """By what two clocks may drift apart: 6 ms a minute."""
    server, clock = Server(), Clock()
    answer(clock, server, 1000.0)
    assert error(clock, 1060.0) - error(clock, 1000.0) == pytest.approx(0.006)


@pytest.mark.parametrize("step", [-30.0, -0.5, 0.5, 30.0])
def test_a_step_of_the_servers_clock_is_found_with_the_next_acknowledgement(step: float) -> None:
    """Nothing that was known before is kept."""
    server, clock = Server(), Clock()
    for at in range(10):
        assert answer(clock, server, 1000.0 + at)
    server.ahead += step
    assert not answer(clock, server, 1010.0)
    assert holds(clock, server, 1010.001)
    assert error(clock, 1010.001) < 0.001
    assert answer(clock, server, 1011.0)


def test_a_step_of_our_own_wall_clock_is_known_at_once() -> None:
    """The offset from it changes by the step, without any new evidence."""
    server, clock = Server(), Clock()
    answer(clock, server, 1000.0)
    before, after = clock.reading(1001.0, 500.0), clock.reading(1001.0, 503.0)
    assert after.offset_seconds == pytest.approx(before.offset_seconds - 3.0)
    assert after.error_seconds == before.error_seconds


@pytest.mark.parametrize("stamp", [EPOCH + 2.0, 1e15, 1e308])
def test_a_frame_from_the_future_teaches_nothing(stamp: float) -> None:
    """Nothing from the wire is trusted: one wrong stamp must not move the clock."""
    server, clock = Server(), Clock()
    answer(clock, server, 1000.0)
    before = clock.reading(1001.0, 1001.0)
    assert not clock.heard(stamp, 1001.0)
    assert clock.reading(1001.0, 1001.0) == before


@pytest.mark.parametrize("stamp", [0.0, -1e308, 1e308])
def test_a_senseless_acknowledgement_is_outlived_by_the_next(stamp: float) -> None:
    """It passes for a step, and so does the way back."""
    server, clock = Server(), Clock()
    answer(clock, server, 1000.0)
    assert not clock.acknowledged(1001.0, 1001.1, stamp)
    answer(clock, server, 1002.0)
    assert holds(clock, server, 1002.1)
    assert error(clock, 1002.1) < 0.001


def test_the_bar_lets_pass_what_would_teach_something_and_little_else() -> None:
    """What is below it would better the bound by a tenth of a millisecond at most."""
    server, clock = Server(), Clock()
    answer(clock, server, 1000.0, 0.0, 0.010)
    assert server.stamp(1001.0) - SLOWED * 1001.001 > clock.bar
    assert server.stamp(1001.0) - SLOWED * 1001.020 < clock.bar
    assert clock.heard(server.stamp(1001.0), 1001.001)
    assert server.stamp(1001.1) - SLOWED * 1001.101 < clock.bar


def test_evidence_leaves_after_an_hour_and_memory_stays_bounded() -> None:
    """Thirteen buckets of five minutes at most, whatever comes."""
    server, clock = Server(), Clock()
    answer(clock, server, 1000.0)
    assert clock.heard(server.stamp(4599.0), 4599.0)
    assert not isnan(error(clock, 4599.0))
    for at in range(4700, 12_000, 10):
        clock.heard(server.stamp(at), at + 0.001)
    assert isnan(error(clock, 12_000.0)), "no request was acknowledged within the hour"
    assert len(clock._buckets) <= 14


def test_aimed_probes_halve_what_is_unknown_of_whole_seconds() -> None:
    """Ten probes a minute apart know the clock better than a thousand at the same phase; drift sets the limit."""
    server, clock, due = Server(EPOCH - 1000.0, 50e-6, whole_seconds=True), Clock(), 1000.0
    answer(clock, server, due)
    for _ in range(10):
        due += 60.0
        at = clock.aim(due)
        assert abs(at - due) <= 0.5 + 1e-6
        assert answer(clock, server, at)
        assert holds(clock, server, at + 1)
    assert error(clock, at) < 0.020


def test_a_clock_of_fractions_needs_no_aim() -> None:
    """Each moment is as good as any other, and so it is before anything is known."""
    server, clock = Server(), Clock()
    assert clock.aim(1000.0) == 1000.0
    answer(clock, server, 1000.0)
    assert clock.aim(1060.0) == 1060.0


@pytest.mark.parametrize(("stamp", "unit"), [(1000.0, 1.0), (1000.5, 0.1), (1000.125, 0.001), (1000.123456, 1e-6)])
def test_a_stamp_may_have_been_cut_at_its_last_digit(stamp: float, unit: float) -> None:
    """The upper bound allows for all that may have been cut off."""
    clock = Clock()
    clock.acknowledged(0.0, 0.0, stamp)
    assert error(clock, 0.0) == pytest.approx(unit / 2, abs=2e-6)
