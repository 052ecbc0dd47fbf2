"""The rate ratio: what it must tell on each kind of stream; how well is measured in tests/benchmarks/rates.py."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.rates import SLOT_SECONDS, Rate

HOUR = 3600.0
DAY = 24 * HOUR
SILENCE = 5.0
THIN = 0.2
ONE_A_SECOND = int(SLOT_SECONDS)


class Stream:
    """Slots of a simulated stream into one rate, on a clock of its own."""

    def __init__(self, silence: float = SILENCE) -> None:
        self.rate = Rate()
        self.wall = 0.0
        self.silence = silence

    def slot(self, messages: int) -> float:
        self.wall += SLOT_SECONDS
        self.rate.observe(messages, SLOT_SECONDS, self.silence, self.wall)
        return self.rate.ratio

    def feed(self, counts: Iterable[int]) -> list[float]:
        """The ratio after each slot."""
        return [self.slot(messages) for messages in counts]

    def seconds_until_thin(self, counts: Iterator[int], within: float = DAY) -> float:
        start = self.wall
        while self.slot(next(counts)) >= THIN or math.isnan(self.rate.ratio):
            if self.wall - start > within:
                return math.inf
        return self.wall - start


def counts(gaps: Iterator[float]) -> Iterator[int]:
    """Messages in each slot."""
    now, end, count = 0.0, SLOT_SECONDS, 0
    for gap in gaps:
        now += gap
        while now >= end:
            yield count
            end, count = end + SLOT_SECONDS, 0
        count += 1


def first(hours: float, slots: Iterator[int]) -> list[int]:
    return [next(slots) for _ in range(int(hours * HOUR / SLOT_SECONDS))]


def poisson(rng: random.Random, rate: float) -> Iterator[float]:
    while True:
        yield rng.expovariate(rate)


def lognormal(rng: random.Random, mean: float, sigma: float) -> Iterator[float]:
    while True:
        yield rng.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)


def clusters(rng: random.Random, rate: float, size: float) -> Iterator[float]:
    """Clusters of about `size` messages more, a second apart."""
    while True:
        yield rng.expovariate(rate / size)
        for _ in range(int(rng.expovariate(1 / size))):
            yield rng.expovariate(1.0)


def test_nothing_is_said_until_it_is_learnt() -> None:
    """Ten minutes and forty messages at least."""
    ratios = Stream().feed([ONE_A_SECOND] * 400)
    assert all(math.isnan(ratio) for ratio in ratios[:299])
    assert ratios[-1] == pytest.approx(1.0)
    assert all(math.isnan(ratio) for ratio in Stream().feed([0] * 3600))


@pytest.mark.parametrize(
    "gaps",
    [
        lambda rng: poisson(rng, 1.0),
        lambda rng: poisson(rng, 0.05),
        lambda rng: lognormal(rng, 1.0, 1.0),
        lambda rng: lognormal(rng, 5.5, 1.4),
        lambda rng: clusters(rng, 1.0, 5.0),
    ],
    ids=["poisson", "slow poisson", "lognormal", "book", "clusters"],
)
def test_a_stream_that_is_well_is_never_thin(gaps: Callable[[random.Random], Iterator[float]]) -> None:
    """From the first slot on, over a day; and the ratio is about 1 on average."""
    for seed in range(2):
        ratios = Stream(silence=300.0).feed(first(24, counts(gaps(random.Random(seed)))))
        known = [ratio for ratio in ratios if not math.isnan(ratio)]
        assert len(known) > 0.7 * len(ratios)
        assert min(known) > THIN
        assert 0.85 < sum(known) / len(known) < 1.15


@pytest.mark.parametrize(("rate", "within"), [(20.0, 20.0), (1.0, 100.0), (0.05, 2000.0)])
def test_a_feed_at_2_percent_is_found_by_the_time_100_messages_would_have_come(rate: float, within: float) -> None:
    """Or within 20 s where that is more: the slower the feed, the longer it takes to be sure."""
    for seed in range(3):
        rng = random.Random(seed)
        stream = Stream()
        stream.feed(first(6, counts(poisson(rng, rate))))
        assert stream.seconds_until_thin(counts(poisson(rng, 0.02 * rate))) <= within


def test_a_bursty_feed_takes_as_many_more_messages_as_its_counts_vary_more() -> None:
    """Clusters of ten are as good as a tenth of the messages."""
    found = {}
    for size in (0.01, 10.0):
        rng = random.Random(1)
        stream = Stream()
        stream.feed(first(6, counts(clusters(rng, 1.0, size))))
        found[size] = stream.seconds_until_thin(counts(clusters(rng, 0.02, size)))
    assert 4 < found[10.0] / found[0.01] < 40


def test_a_feed_that_recovers_is_usual_again_in_a_window() -> None:
    """And what it was while thin has not become the usual."""
    stream = Stream()
    stream.feed([ONE_A_SECOND] * 3600)
    thin = stream.feed([1, *[0] * 24] * 72)
    assert thin[-1] < 0.05
    assert 0.7 < stream.feed([ONE_A_SECOND] * 60)[-1] < 1.3


def test_a_thin_feed_stays_thin_for_half_a_day() -> None:
    """Two percent is a fault for longer than anybody sleeps, and looks like one all the while."""
    rng = random.Random(1)
    stream = Stream()
    stream.feed(first(6, counts(poisson(rng, 1.0))))
    ratios = stream.feed(first(12, counts(poisson(rng, 0.02))))
    assert max(ratios[100:]) < 0.3
    assert max(ratios[100:1800]) < 0.15


def test_the_usual_rate_is_told_in_messages_a_second_and_outlives_a_collapse() -> None:
    """NaN until learnt; half an hour at a tenth of it teaches nothing yet."""
    stream = Stream()
    assert math.isnan(stream.rate.usual)
    stream.feed([20] * 600)
    assert stream.rate.usual == pytest.approx(10.0)
    stream.feed([2] * 900)
    assert stream.rate.ratio < THIN
    assert stream.rate.usual == pytest.approx(10.0, rel=0.15)


def test_the_usual_rate_is_that_of_this_time_of_day() -> None:
    """The ratio is over the rate of the nights before, and so is what stands beside it."""
    stream = Stream()
    day, night = [20] * 21_600, [2] * 21_600
    stream.feed(day + night + day + night)
    assert stream.rate.usual == pytest.approx(1.0, rel=0.1)
    assert stream.rate.ratio == pytest.approx(1.0, rel=0.1)


def test_a_slower_feed_is_accepted_in_the_end() -> None:
    """A tenth, if it lasts, is thin for hours and the usual a day later."""
    rng = random.Random(1)
    stream = Stream()
    stream.feed(first(6, counts(poisson(rng, 1.0))))
    slower = stream.feed(first(24, counts(poisson(rng, 0.1))))
    thin = [ratio < THIN for ratio in slower]
    assert sum(thin[100:5400]) > 0.9 * 5300
    assert not any(thin[-1800:])


def test_a_burst_does_not_make_the_calm_after_it_thin() -> None:
    """A hundred times the usual for ten minutes: news, not a new usual."""
    rng = random.Random(1)
    stream = Stream()
    stream.feed(first(6, counts(poisson(rng, 1.0))))
    assert max(stream.feed(first(1 / 6, counts(poisson(rng, 100.0))))) > 10.0
    assert min(stream.feed(first(3, counts(poisson(rng, 1.0))))) > 0.3


def daily(day: int, seed: int) -> list[int]:
    """Twelve hours at one a second, twelve at one in ten seconds."""
    rng = random.Random(1000 * day + seed)
    return first(12, counts(poisson(rng, 1.0))) + first(12, counts(poisson(rng, 0.1)))


def test_the_second_night_is_expected_and_a_collapse_by_day_is_not_excused_by_it() -> None:
    """A tenth is thin on the first evening, the usual on the second, and thin again at noon."""
    stream = Stream()
    assert min(stream.feed(daily(0, 1))[400:]) < THIN
    assert min(stream.feed(daily(1, 1))) > THIN
    stream.feed(first(6, counts(poisson(random.Random(5), 1.0))))
    assert stream.seconds_until_thin(counts(poisson(random.Random(6), 0.02))) < 120.0


def test_a_few_messages_less_by_chance_are_no_schedule() -> None:
    """A slow feed's half hours differ; the usual rate is not taken for lower than it is."""
    rng = random.Random(1)
    stream = Stream()
    stream.feed(first(48, counts(poisson(rng, 0.01))))
    third_day = [ratio for ratio in stream.feed(first(24, counts(poisson(rng, 0.01)))) if not math.isnan(ratio)]
    assert 0.9 < sum(third_day) / len(third_day) < 1.1


def test_a_silence_that_missed_nothing_says_nothing_about_the_rate() -> None:
    """A pausing market is not thin: the ratio goes back to what it was, and on from there."""
    stream = Stream()
    stream.feed([ONE_A_SECOND] * 3600)
    assert stream.slot(0) < 1.0
    stream.feed([0] * 10)
    stream.rate.excuse()
    assert stream.rate.ratio == pytest.approx(1.0)
    stream.rate.excuse()
    assert stream.slot(ONE_A_SECOND) == pytest.approx(1.0, abs=0.01)


def test_no_single_silence_is_thin() -> None:
    """However long: freshness calls it stale, and the first message after it finds the rate as usual."""
    stream = Stream()
    stream.feed([ONE_A_SECOND] * 3600)
    assert min(stream.feed([0] * 3600)) > THIN
    assert min(stream.feed([ONE_A_SECOND] * 300)) > THIN


def test_one_permitted_gap_is_not_thin() -> None:
    """The window knows what silence freshness allows."""
    stream = Stream(silence=300.0)
    stream.feed([ONE_A_SECOND] * 3600)
    assert stream.rate.window_seconds >= 540.0
    assert min(stream.feed([0] * 150)) > 0.25


def test_a_collapse_does_not_excuse_itself() -> None:
    """The threshold of freshness rises with a thinned feed's gaps, which must not make the window longer."""
    stream = Stream()
    stream.feed([20] * 3600)
    window = stream.rate.window_seconds
    stream.feed([0] * 5)
    assert stream.rate.ratio < 0.5
    stream.silence = 600.0
    stream.feed([0, 1] * 10)
    assert stream.rate.ratio < THIN
    assert stream.rate.window_seconds == window


class TestSaving:
    def test_a_restart_does_not_start_from_nothing(self) -> None:
        """What is usual survives the way through JSON, and a collapse is found at once."""
        before, after = Stream(), Stream()
        assert before.rate.snapshot() is None
        before.feed(first(6, counts(poisson(random.Random(1), 1.0))))
        saved = json.dumps(before.rate.snapshot())
        after.rate.restore(json.loads(saved))
        assert after.slot(ONE_A_SECOND) == pytest.approx(1.0, abs=0.2)
        assert after.rate.window_seconds == before.rate.window_seconds
        assert after.seconds_until_thin(iter([1, *[0] * 24] * 100)) < 80.0

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda s: s.clear(),
            lambda s: s.update(usual=0.0),
            lambda s: s.update(usual=math.nan),
            lambda s: s.update(more=1),
            lambda s: s["fano"].pop(),
            lambda s: s["fano"].append(1.0),
            lambda s: s["daily"].update(seconds=[-1.0] * 48),
            lambda s: s["daily"]["messages"].pop(),
            lambda s: s["daily"].pop("today_seconds"),
        ],
    )
    def test_a_spoilt_snapshot_is_refused_and_changes_nothing(self, spoil: Callable[[dict[str, object]], None]) -> None:
        """A file that somebody edited costs what was saved, never the monitor."""
        stream = Stream()
        stream.feed([ONE_A_SECOND] * 400)
        saved = json.loads(json.dumps(stream.rate.snapshot()))
        before = stream.rate.snapshot()
        spoil(saved)
        with pytest.raises(ValueError, match="rate"):
            stream.rate.restore(saved)
        assert stream.rate.snapshot() == before


SLOTS = st.tuples(st.integers(0, 10_000), st.floats(0.001, 10.0), st.floats(0.0, 1e6), st.booleans())


@given(st.lists(SLOTS, max_size=300), st.floats(0.0, 2e9), st.booleans())
def test_whatever_comes_the_ratio_is_a_number_that_makes_sense(
    slots: list[tuple[int, float, float, bool]], wall: float, learnt: bool
) -> None:
    """No sequence of slots raises, and the ratio is never negative or infinite, also after a restart."""
    rate = Rate()
    for _ in range(400 if learnt else 0):
        rate.observe(3, 2.0, 5.0, wall)
    for messages, seconds, silence, excused in slots:
        wall += seconds
        rate.observe(messages, seconds, silence, wall)
        if excused:
            rate.excuse()
        assert math.isnan(rate.ratio) or 0.0 <= rate.ratio < math.inf
    saved = rate.snapshot()
    if saved is not None:
        Rate().restore(json.loads(json.dumps(saved)))
