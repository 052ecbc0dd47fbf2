"""Reconnect delays: at once after a good session, patient after many bad ones, never in step with others."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.backoff import Backoff, deserves_reset


class Top(Random):
    """Chance that always draws the upper end, so that a delay shows its ceiling."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Bottom(Random):
    """Chance that always draws the lower end."""

    def uniform(self, a: float, b: float) -> float:
        return a


def ceilings(backoff: Backoff, count: int) -> list[float]:
    return [backoff.next_delay() for _ in range(count)]


def test_first_retry_is_at_once_then_the_ceiling_grows_to_the_cap() -> None:
    """The ceilings are half a second, initial, then by the factor up to maximum, and stay there."""
    backoff = Backoff(initial=1.0, maximum=10.0, factor=2.0, rng=Top())
    assert ceilings(backoff, 8) == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_short_initial_bounds_the_first_delay_too() -> None:
    """A test or a user that wants fast retries gets them from the first."""
    assert ceilings(Backoff(0.01, 0.05, 2.0, Top()), 3) == [0.01, 0.01, 0.02]


def test_reset_starts_over() -> None:
    """After a good session the next retry is a first one."""
    backoff = Backoff(1.0, 60.0, 1.6, Top())
    ceilings(backoff, 20)
    backoff.reset()
    assert ceilings(backoff, 3) == [0.5, 1.0, 1.6]


def test_jitter_is_kept_at_the_cap() -> None:
    """A herd at the cap is spread over all of it: each tenth of the interval gets about a tenth of the draws."""
    backoff = Backoff(1.0, 60.0, 1.6, Random(1))
    ceilings(backoff, 50)
    tenths = [0] * 10
    for _ in range(2000):
        tenths[int(backoff.next_delay() // 6)] += 1
    assert min(tenths) > 140
    assert max(tenths) < 260


@pytest.mark.parametrize(
    ("asked", "least"), [(5.0, 5.0), (0.0, 0.0), (-3.0, 0.0), (float("nan"), 0.0), (1e9, 3600.0), (None, 0.0)]
)
def test_retry_after_is_a_lower_bound_within_an_hour(asked: float | None, least: float) -> None:
    """The server's wish is honoured, an absurd one bounded, a senseless one ignored."""
    assert Backoff(1.0, 60.0, 1.6, Bottom()).next_delay(asked) == least


def test_retry_after_keeps_its_jitter() -> None:
    """Everybody was told the same number, so the delays still differ."""
    delays = {Backoff(1.0, 60.0, 1.6, Random(seed)).next_delay(30.0) for seed in range(100)}
    assert len(delays) == 100
    assert min(delays) >= 30.0


@given(
    initial=st.floats(0.001, 100),
    over=st.floats(1, 100),
    factor=st.floats(1, 10),
    seed=st.integers(),
    wishes=st.lists(st.none() | st.floats(), max_size=60),
)
def test_no_delay_leaves_its_bounds(
    initial: float, over: float, factor: float, seed: int, wishes: list[float | None]
) -> None:
    """Whatever the history and the server say, a delay is 0 .. an hour + maximum, and without a wish 0 .. maximum."""
    maximum = initial * over
    backoff = Backoff(initial, maximum, factor, Random(seed))
    for wish in wishes:
        delay = backoff.next_delay(wish)
        assert 0.0 <= delay <= maximum + (0.0 if wish is None else 3600.0)
        if wish is not None and 0.0 < wish <= 3600.0:
            assert delay >= wish


@pytest.mark.parametrize(
    ("acknowledged", "delivered", "lived_seconds", "expected"),
    [
        (True, True, 0.1, True),
        (True, False, 59.9, False),
        (False, True, 59.9, False),
        (False, False, 60.0, True),
        (False, False, 0.0, False),
    ],
)
def test_only_a_good_session_earns_a_reset(
    acknowledged: bool, delivered: bool, lived_seconds: float, expected: bool
) -> None:
    """Acknowledged and delivered, or a minute of life; a welcome alone is not enough."""
    assert deserves_reset(acknowledged, delivered, lived_seconds) is expected
