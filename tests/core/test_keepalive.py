"""Deadlines by what the welcome advertised."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.keepalive import NEVER, GiveUp, Keepalive, Lateness, SendPing

seconds = st.floats(0.1, 1000)


def welcomed(rtt_interval: float = 0.0, silence: float | None = None) -> Keepalive:
    keepalive = Keepalive(rtt_interval, silence)
    keepalive.welcomed(20.0, 30.0, now=100.0)
    return keepalive


def test_nothing_is_due_before_the_welcome() -> None:
    """The welcome has a deadline of its own; without its figures nobody is late."""
    keepalive = Keepalive(20.0, None)
    assert keepalive.deadline() == NEVER
    assert keepalive.tick(1e9) is None


def test_a_peer_that_says_nothing_for_interval_and_timeout_is_dead() -> None:
    """Not a moment earlier: the server may use all of what it advertised."""
    keepalive = welcomed()
    assert keepalive.deadline() == 150.0
    assert keepalive.tick(149.999) is None
    assert keepalive.tick(150.0) == GiveUp(Lateness.SILENCE)


def test_any_frame_puts_the_silence_off() -> None:
    """`last_frame` is written in place by the receiver."""
    keepalive = welcomed()
    keepalive.last_frame = 140.0
    assert keepalive.tick(150.0) is None
    assert keepalive.deadline() == 190.0


def test_a_configured_silence_counts_instead_of_the_advertised_one() -> None:
    """`timeouts.silence` other than auto."""
    assert welcomed(silence=5.0).deadline() == 105.0


def test_the_first_ping_goes_at_the_welcome_and_the_next_an_interval_later() -> None:
    """So the round trip is known at once."""
    keepalive = welcomed(rtt_interval=20.0)
    first = keepalive.tick(100.0)
    assert isinstance(first, SendPing)
    assert keepalive.tick(100.5) is None
    assert keepalive.ponged(first.payload, 100.5) == 0.5
    assert keepalive.tick(119.9) is None
    assert isinstance(keepalive.tick(120.0), SendPing)


def test_a_ping_unanswered_for_the_advertised_timeout_is_a_ping_timeout() -> None:
    """Even when the peer goes on talking."""
    keepalive = welcomed(rtt_interval=20.0)
    keepalive.tick(100.0)
    keepalive.last_frame = 129.0
    assert keepalive.tick(129.9) is None
    assert keepalive.tick(130.0) == GiveUp(Lateness.PING_TIMEOUT)


def test_a_pong_that_answers_nothing_measures_nothing() -> None:
    """An unsolicited pong is legal, and so is a repeated one."""
    keepalive = welcomed(rtt_interval=20.0)
    ping = keepalive.tick(100.0)
    assert isinstance(ping, SendPing)
    assert keepalive.ponged(b"other", 101.0) is None
    assert keepalive.ponged(ping.payload, 101.0) == 1.0
    assert keepalive.ponged(ping.payload, 102.0) is None


def test_another_round_trip_interval_counts_from_its_change() -> None:
    """Off is off, and on begins with an interval: a change is no reason to ask at once."""
    keepalive = welcomed(rtt_interval=20.0)
    ping = keepalive.tick(100.0)
    assert isinstance(ping, SendPing)
    keepalive.hold_by(0.0, None, 100.2)
    assert keepalive.ponged(ping.payload, 100.5) == 0.5, "what is in flight is measured yet"
    assert keepalive.deadline() == 150.0
    keepalive.hold_by(5.0, None, 110.0)
    assert keepalive.tick(114.9) is None
    assert isinstance(keepalive.tick(115.0), SendPing)


def test_the_same_round_trip_interval_again_changes_nothing() -> None:
    """Or frequent reloads would put the next ping off for ever."""
    keepalive = welcomed(rtt_interval=20.0)
    keepalive.hold_by(20.0, None, 99.0)
    assert isinstance(keepalive.tick(100.0), SendPing)


def test_another_silence_is_in_force_at_once_and_auto_is_what_was_advertised() -> None:
    """The peer may be late by it already."""
    keepalive = welcomed(silence=5.0)
    keepalive.hold_by(0.0, None, 104.0)
    assert keepalive.deadline() == 150.0
    keepalive.hold_by(0.0, 3.0, 104.0)
    assert keepalive.tick(104.0) == GiveUp(Lateness.SILENCE)


@given(st.integers(0, 40), seconds, seconds)
def test_a_peer_that_answers_in_time_is_never_given_up(pings: int, interval: float, timeout: float) -> None:
    """Whatever the figures, as long as every deadline is looked at and answered."""
    keepalive = Keepalive(interval / 2, None)
    keepalive.welcomed(interval, timeout, now=0.0)
    for _ in range(pings):
        now = keepalive.deadline()
        due = keepalive.tick(now)
        assert isinstance(due, SendPing)
        keepalive.last_frame = now
        assert keepalive.ponged(due.payload, now + timeout / 2) is not None
        keepalive.last_frame = now + timeout / 2
