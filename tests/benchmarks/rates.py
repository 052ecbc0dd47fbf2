"""How the rate ratio does: false collapses on streams that are well, and how soon a thinned one is found.

    python -m tests.benchmarks.rates [--days 20] [--seed 1] [STREAM ...]

Time is simulated; the streams are those of `cadence.py` and two of the simulated exchange's books. A false collapse is
a dip of the ratio below 0.2, over once it is above 0.3; learning is included. Then, in ten trials each, all but 2 % of
the messages are withheld, after some time of learning and at any time of day. Exits with 1 when a goal is missed: at
most one false collapse per 30 topic-days, or one in all, on each stream that does not change suddenly, and every
thinned stream that is not too slow found within 4 windows of that moment.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from alpmon.core.cadence import Cadence
from alpmon.core.rates import SLOT_SECONDS, Rate
from tests.benchmarks.cadence import DAY, STREAMS, Stream, lognormal

COLLAPSED, RECOVERED = 0.2, 0.3
KEPT = 0.02
TRIALS = 10
MOST_WINDOWS = 4.0
SLOW_WINDOW_SECONDS = 5_000.0
"""A stream with a window longer than this needs days to learn."""
FLOOR_SECONDS, CEILING_SECONDS = 5.0, 600.0
SUDDEN = ("day/night switch", "tenfold slowdown")
"""They do collapse, once."""
TOO_SLOW = ("quiet book, 240 s",)
"""Two percent of it is a message in three hours: every silence is past any threshold, and that is how it is found."""

BOOKS = (
    Stream("active book, 5.5 s", lambda rng, _: lognormal(rng, 1.4, 5.5)),
    Stream("quiet book, 240 s", lambda rng, _: (80.0 + gap for gap in lognormal(rng, 1.4, 160.0))),
)


@dataclass
class Slot:
    """What was seen at a slot's end."""

    at: float
    ratio: float
    window_seconds: float


def watch(gaps: Iterator[float], keep: Callable[[float], bool]) -> Iterator[Slot]:
    """Feed a stream, as far as `keep(moment)` lets it through, to a fresh rate and its cadence, for ever."""
    rate, cadence = Rate(), Cadence(FLOOR_SECONDS, CEILING_SECONDS)
    now = last = 0.0
    end, count = SLOT_SECONDS, 0
    for gap in gaps:
        now += gap
        while now >= end:
            rate.observe(count, SLOT_SECONDS, cadence.stale_after(), end)
            yield Slot(end, rate.ratio, rate.window_seconds)
            end, count = end + SLOT_SECONDS, 0
        if keep(now):
            cadence.observe(now - last)
            last, count = now, count + 1


@dataclass
class Health:
    """What was seen of a stream that is well."""

    days: float
    collapses: int = 0
    lowest: float = math.inf
    unknown_slots: int = 0
    slots: int = 0
    window_seconds: float = math.nan
    slot_microseconds: float = 0.0

    @property
    def unknown(self) -> float:
        """The share of the time without a ratio."""
        return self.unknown_slots / self.slots


def health(stream: Stream, days: float, seed: int) -> Health:
    """Watch a whole stream for false collapses."""
    result, windows, below = Health(days), [], False
    start = time.process_time()
    for slot in watch(stream.gaps(random.Random(f"{stream.name} {seed}"), days), lambda _: True):
        result.slots += 1
        if math.isnan(slot.ratio):
            result.unknown_slots += 1
            continue
        windows.append(slot.window_seconds)
        result.lowest = min(result.lowest, slot.ratio)
        result.collapses += slot.ratio < COLLAPSED and not below
        below = slot.ratio < (RECOVERED if below else COLLAPSED)
        if slot.at > days * DAY:
            break
    result.slot_microseconds = (time.process_time() - start) / result.slots * 1e6
    result.window_seconds = statistics.median(windows)
    return result


def delay(stream: Stream, seed: int, learning_days: float) -> tuple[float, float]:
    """Seconds from the moment when a stream is thinned until it shows, and in windows of that moment."""
    rng = random.Random(f"thin {stream.name} {seed}")
    onset = learning_days * DAY + rng.uniform(0.0, DAY)
    window = math.nan
    for slot in watch(stream.gaps(rng, 1e9), lambda now: now < onset or rng.random() < KEPT):
        if slot.at < onset:
            window = slot.window_seconds
        elif slot.ratio < COLLAPSED:
            return slot.at - onset, (slot.at - onset) / window
        elif slot.at > onset + DAY:
            break
    return math.inf, math.inf


@dataclass
class Result:
    """What was measured of one stream: well, and thinned in each trial (seconds and windows until it is found)."""

    stream: Stream
    well: Health
    delays: list[tuple[float, float]]

    def cells(self) -> list[str]:
        """The line of the table."""
        well, seconds = self.well, sorted(seconds for seconds, _ in self.delays)
        found = [_shown(statistics.median(seconds)), _shown(seconds[-1])]
        health = [str(well.collapses), f"{well.lowest:.2f}", f"{well.unknown:.1%}", f"{well.window_seconds:.0f}"]
        return [self.stream.name, f"{well.days:.0f}", *health, *found]

    def missed(self) -> list[str]:
        """The goals that were missed."""
        name, windows = self.stream.name, max(windows for _, windows in self.delays)
        missed = []
        if name not in SUDDEN and self.well.collapses > max(1, self.well.days / 30):
            missed.append(f"{name}: {self.well.collapses} false collapses")
        if windows > MOST_WINDOWS and name not in TOO_SLOW:
            missed.append(f"{name}: a thinned stream took {windows:.1f} windows to be found")
        return missed


def run(stream: Stream, days: float, seed: int) -> Result:
    """Watch one stream that is well, and then thin it again and again."""
    well = health(stream, days * stream.share, seed)
    learning_days = 3.0 if well.window_seconds > SLOW_WINDOW_SECONDS else 0.5
    return Result(stream, well, [delay(stream, seed + trial, learning_days) for trial in range(TRIALS)])


def _shown(seconds: float) -> str:
    return "not in a day" if math.isinf(seconds) else f"{seconds:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("streams", nargs="*", help="parts of the names of the streams to run; all when none is given")
    options = parser.parse_args()
    chosen = [s for s in (*STREAMS, *BOOKS) if not options.streams or any(part in s.name for part in options.streams)]
    print(
        "| stream | days | false collapses | lowest ratio | unknown | window, s | thinned: found after, s | at most |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    missed = []
    for stream in chosen:
        result = run(stream, options.days, options.seed)
        print(f"| {' | '.join(result.cells())} |", flush=True)
        missed += result.missed()
    print(*(f"MISSED {goal}" for goal in missed), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
