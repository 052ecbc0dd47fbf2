"""The learnt threshold: what it must do on each kind of stream; how well is measured in tests/benchmarks/cadence.py."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.cadence import Cadence

FLOOR, CEILING = 1e-3, 7200.0
HOUR = 3600.0


def fed(gaps: Iterable[float], floor: float = FLOOR, ceiling: float = CEILING) -> Cadence:
    cadence = Cadence(floor, ceiling)
    for gap in gaps:
        cadence.observe(gap)
    return cadence


def alarms(cadence: Cadence, gaps: Iterable[float]) -> list[int]:
    """The places of the gaps that reached the threshold in force."""
    places = []
    for place, gap in enumerate(gaps):
        if gap >= cadence.stale_after():
            places.append(place)
        cadence.observe(gap)
    return places


def poisson(seed: int, rate: float, hours: float) -> list[float]:
    rng = random.Random(seed)
    return [rng.expovariate(rate) for _ in range(int(rate * hours * HOUR))]


def monthly_quantile(rate: float) -> float:
    """The gap that Poisson arrivals exceed once in thirty days."""
    return math.log(rate * 30 * 24 * HOUR) / rate


class TestBeforeItHasLearnt:
    @pytest.mark.parametrize("count", range(8))
    def test_the_ceiling_holds(self, count: int) -> None:
        """Fewer than eight gaps say nothing."""
        assert fed([1.0] * count).stale_after() == CEILING

    def test_eight_gaps_are_enough(self) -> None:
        """With eight there is a threshold, and a cautious one."""
        assert 5.0 < fed([1.0] * 8).stale_after() < CEILING / 10


class TestTheTail:
    @pytest.mark.parametrize("rate", [0.05, 1.0, 20.0])
    def test_poisson_arrivals_get_the_monthly_quantile(self, rate: float) -> None:
        """Two days are enough for 0.9 to 2 times what a month would show."""
        for seed in range(3):
            threshold = fed(poisson(seed, rate, hours=min(48.0, 24.0 / rate + 2))).stale_after()
            assert 0.9 < threshold / monthly_quantile(rate) < 2.0

    def test_a_metronome_gets_little_more_than_its_beat(self) -> None:
        """A tail narrower than a bin does not blow up the extrapolation."""
        rng = random.Random(1)
        threshold = fed(1.0 + rng.uniform(-0.004, 0.004) for _ in range(40_000)).stale_after()
        assert 1.004 < threshold < 1.3

    def test_equal_gaps_leave_room_for_rounding(self) -> None:
        """A perfect grid does not put the threshold on the gap itself."""
        assert 1.05 < fed([1.0] * 10_000).stale_after() < 1.5

    @pytest.mark.parametrize("spacing", [0.0, 0.001, 0.2])
    @pytest.mark.parametrize("size", [10, 200])
    def test_bursts_are_not_taken_for_the_pace(self, size: int, spacing: float) -> None:
        """Many messages at once and then half a minute of nothing: within the hour half a minute is normal."""
        rng = random.Random(1)
        burst = [spacing] * (size - 1)
        cadence = fed((gap for _ in range(150) for gap in [*burst, rng.uniform(20.0, 30.0)]), 5.0, 600.0)
        pauses = [gap for _ in range(500) for gap in [*burst, rng.uniform(20.0, 30.0)]]
        assert alarms(cadence, pauses) == []
        assert 30.0 < cadence.stale_after() < 90.0

    def test_a_fast_feed_gets_the_floor(self) -> None:
        """What is far quicker than the floor is learnt as well, and is not left at the ceiling."""
        assert fed(poisson(1, 200.0, hours=0.01), 5.0, 600.0).stale_after() == 5.0

    def test_a_heavier_tail_gets_more_room(self) -> None:
        """Lognormal gaps with the mean of Poisson arrivals need several times their threshold."""
        rng = random.Random(1)
        heavy = fed(rng.lognormvariate(-0.5, 1.0) for _ in range(100_000)).stale_after()
        assert heavy > 2.5 * monthly_quantile(1.0)

    def test_fewer_alarms_asked_for_is_a_higher_threshold(self) -> None:
        """The rate of false alarms is a parameter."""
        gaps = poisson(1, 1.0, 10)
        strict, loose = Cadence(FLOOR, CEILING, 1 / 300), Cadence(FLOOR, CEILING, 24.0)
        for gap in gaps:
            strict.observe(gap)
            loose.observe(gap)
        assert loose.stale_after() < fed(gaps).stale_after() < strict.stale_after()


class TestChange:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_tenfold_slowdown_costs_one_episode_and_is_relearnt_in_an_hour(self, seed: int) -> None:
        """One gap is a surprise; after it the new pace is learnt from nothing."""
        cadence = fed(poisson(seed, 1.0, hours=24))
        assert len(alarms(cadence, poisson(seed + 100, 0.1, hours=1))) == 1
        assert 0.6 < cadence.stale_after() / monthly_quantile(0.1) < 3.5
        assert alarms(cadence, poisson(seed + 200, 0.1, hours=24)) == []

    def test_a_speedup_is_forgotten_into(self) -> None:
        """The slow past fades, and a few days later an alarm comes soon again."""
        cadence = fed(poisson(1, 0.1, hours=24))
        slow = cadence.stale_after()
        for gap in poisson(2, 1.0, hours=24 * 9):
            cadence.observe(gap)
        assert cadence.stale_after() < slow / 4

    def test_the_second_night_is_expected(self) -> None:
        """A tenfold slower night surprises once, not every evening."""
        cadence = fed([])
        days = [poisson(day * 2 + night, (1.0, 0.1)[night], hours=12) for day in range(4) for night in (0, 1)]
        surprises = [len(alarms(cadence, half)) for half in days]
        assert surprises == [0, 1, 0, 0, 0, 0, 0, 0]

    def test_a_pause_that_comes_back_is_learnt_in_the_end(self) -> None:
        """Five minutes of maintenance every two hours become normal within a few days."""
        cadence = fed([])
        days = [[gap for _ in range(12) for gap in [*([1.0] * 6900), 300.0]] for _ in range(5)]
        surprises = [len(alarms(cadence, day)) for day in days]
        assert 0 < sum(surprises) < 30
        assert surprises[-1] == 0

    def test_an_outage_does_not_blind_it(self) -> None:
        """Of one dead hour little is left when the feed has been back for a while."""
        cadence = fed(poisson(1, 1.0, hours=24))
        before = cadence.stale_after()
        cadence.observe(HOUR)
        assert cadence.stale_after() == CEILING
        for gap in poisson(2, 1.0, hours=1):
            cadence.observe(gap)
        assert before <= cadence.stale_after() < 2 * before
        for gap in poisson(3, 1.0, hours=48):
            cadence.observe(gap)
        assert cadence.stale_after() < 1.5 * before


class TestSaving:
    @pytest.mark.parametrize("outage", [False, True])
    def test_a_restart_does_not_start_from_nothing(self, outage: bool) -> None:
        """The threshold survives the way through JSON, also while a fresh memory is open."""
        cadence = fed(poisson(1, 1.0, hours=24))
        if outage:
            cadence.observe(HOUR)
            for gap in poisson(2, 0.5, hours=1):
                cadence.observe(gap)
        saved = json.loads(json.dumps(cadence.snapshot()))
        restored = Cadence(FLOOR, CEILING)
        restored.restore(saved)
        assert restored.stale_after() == pytest.approx(cadence.stale_after(), rel=0.01)
        assert 100 < len(json.dumps(saved)) < 50_000

    def test_an_extrapolation_beyond_all_measure_is_saved_as_what_it_can_mean(self) -> None:
        """Two long gaps among short ones and then an outage: the tail reaches thousands of years, the file a day."""
        cadence = fed([*([0.02] * 4), 60.0, 60.0, *([0.02] * 6), 80_000.0])
        saved = cadence.snapshot()
        assert saved["fresh"] is not None, "the verdict so far is held"
        assert 0.0 < float(str(saved["held_seconds"])) <= 24 * HOUR
        restored = Cadence(FLOOR, CEILING)
        restored.restore(json.loads(json.dumps(saved)))
        assert restored.stale_after() == cadence.stale_after()

    def test_nothing_learnt_is_saved_too(self) -> None:
        """A topic that never spoke has a snapshot like every other."""
        restored = Cadence(FLOOR, CEILING)
        restored.restore(Cadence(FLOOR, CEILING).snapshot())
        assert restored.stale_after() == CEILING
        assert not restored.knows_gaps

    def test_a_single_gap_is_known_for_ever(self) -> None:
        """Before it is folded, after it is, and after a restart."""
        cadence = fed([1.0])
        assert cadence.knows_gaps
        restored = Cadence(FLOOR, CEILING)
        restored.restore(cadence.snapshot())
        assert cadence.knows_gaps
        assert restored.knows_gaps

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda s: s.clear(),
            lambda s: s.update(known=None),
            lambda s: s.update(more=1),
            lambda s: s.update(held_seconds=-1.0),
            lambda s: s["known"].update(seconds=-1.0),
            lambda s: s["known"].update(seconds=math.nan),
            lambda s: s["known"]["gaps"].append([1.0, 0.0]),
            lambda s: s["known"]["gaps"].append([1.0, math.nan]),
            lambda s: s["known"]["gaps"].append([math.inf, 1.0]),
            lambda s: s["known"]["gaps"].append([math.nan, 1.0]),
            lambda s: s["known"]["gaps"].append(["1", 1.0]),
        ],
    )
    def test_a_spoilt_snapshot_is_refused_and_changes_nothing(self, spoil: Callable[[dict[str, object]], None]) -> None:
        """A file that somebody edited costs what was saved, never the monitor."""
        cadence = fed(poisson(1, 1.0, hours=1))
        saved = json.loads(json.dumps(cadence.snapshot()))
        before = cadence.stale_after()
        spoil(saved)
        with pytest.raises(ValueError, match="cadence"):
            cadence.restore(saved)
        assert cadence.stale_after() == before


ANY_GAP = st.one_of(st.just(0.0), st.floats(0.0, 1e9), st.floats(1e-6, 10.0))


@given(st.lists(ANY_GAP, max_size=400))
def test_whatever_comes_the_threshold_keeps_its_bounds(gaps: list[float]) -> None:
    """No sequence of gaps raises, and the threshold stays between floor and ceiling."""
    cadence = Cadence(5.0, 600.0)
    for gap in gaps:
        cadence.observe(gap)
        assert 5.0 <= cadence.stale_after() <= 600.0
    restored = Cadence(5.0, 600.0)
    restored.restore(json.loads(json.dumps(cadence.snapshot())))
    assert restored.stale_after() == pytest.approx(cadence.stale_after(), rel=0.05)


@given(st.lists(st.floats(1e-2, 10.0), min_size=64, max_size=64), st.floats(0.1, 10.0))
def test_the_unit_of_time_does_not_matter_much(gaps: list[float], factor: float) -> None:
    """Gaps that are all so many times as long get a threshold about so many times as high."""
    ratio = fed(gap * factor for gap in gaps).stale_after() / fed(gaps).stale_after()
    assert 0.4 < ratio / factor < 2.5


def test_memory_is_bounded() -> None:
    """A month of every kind of gap takes no more room than a day of it."""
    rng = random.Random(1)
    cadence = fed(10 ** rng.uniform(-4, 6) for _ in range(20_000))
    first = len(json.dumps(cadence.snapshot()))
    for _ in range(20_000):
        cadence.observe(10 ** rng.uniform(-4, 6))
    assert len(json.dumps(cadence.snapshot())) < 2 * first + 1000
