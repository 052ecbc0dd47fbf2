"""How long a silence is normal for one topic, learnt from its own gaps.

The threshold lies where the *tail* of the gap distribution allows one false alarm a month: far beyond what was seen,
so the tail must be extrapolated. Let a share ``exp(-t)`` of all gaps be longer than ``Q(t)``. For a Weibull tail ``Q``
is a power of ``t``; the exponent ``theta`` is 1 for Poisson arrivals, near 0 for a metronome and above 1 for bursts,
and for lognormal gaps it changes slowly enough. From the ``k`` longest of ``n`` gaps (Gardes and Girard, "Estimating
extreme quantiles of Weibull tail-distributions", Communications in Statistics 34, 2005), with ``t_i = ln(n / i)``::

    theta = sum(ln x_i - ln x_k) / sum(ln t_i - ln t_k)
    Q(t)  = x_k * (t / t_k) ** theta                           standard error of theta: theta / sqrt(k)

It works on logarithms, so that an outage learnt as a gap moves it little, and a tail narrower than a bin does not
break it. `tests/benchmarks/cadence.py` measures it and holds the reasons for the constants.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

_SECONDS_PER_DAY: Final = 86_400.0
_HALF_LIFE_SECONDS: Final = 18 * 3600.0
"""Last night must be remembered this evening: the day and the night of a feed may differ tenfold."""
_ENOUGH_GAPS: Final = 8
_BATCH: Final = 64
_MATURE_SECONDS: Final = 3600.0
"""A memory younger than this has not seen the feed's pauses: what surprises it is learnt, not taken for a change."""
_ONE_BURST: Final = 0.02
"""Messages closer than this share of the floor are one: else a hundred at once would make the pauses look rare."""

_SHORTEST_SECONDS: Final = 1e-3
_LONGEST_SECONDS: Final = _SECONDS_PER_DAY
_BINS_PER_E: Final = 50.0
"""Bins 2 % wide."""
_BIN_OF_ONE_SECOND: Final = -_BINS_PER_E * math.log(_SHORTEST_SECONDS)
_BINS: Final = 1 + int(_BINS_PER_E * math.log(_LONGEST_SECONDS / _SHORTEST_SECONDS))
_LOG_CENTRES: Final = tuple((b + 0.5 - _BIN_OF_ONE_SECOND) / _BINS_PER_E for b in range(_BINS))

_TAIL: Final = 0.4
_LEAST_TAIL: Final = 2.0
_SMALL_TAIL: Final = 32.0
"""k = 0.4 sqrt(n), and a tenth of the first few hundred: fewer are noisy, more reach into the body of the gaps."""
_PRIOR: Final = 1.0
"""What the assumption of Poisson arrivals is worth against the tail seen, in the unit of both sums."""
_DOUBT: Final = 1.5
"""How many standard errors theta is taken above its estimate: a page at night costs more than a second."""
_MARGIN: Final = 1.1
_REBASE_AT: Final = 2.0**20
_NEGLIGIBLE: Final = 1e-3


_Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e12)]


class _SavedTail(msgspec.Struct, forbid_unknown_fields=True):
    """A tail in a state file: pairs of gap (seconds) and weight, so that bins may change between versions."""

    seconds: _Amount
    gaps: list[tuple[_Amount, Annotated[float, msgspec.Meta(gt=0.0, le=1e12)]]]


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    known: _SavedTail
    fresh: _SavedTail | None
    held_seconds: _Amount


class _Tail:
    """Gaps in log-spaced bins; their weight halves every half-life of the topic's own time.

    New gaps weigh more instead of old ones less: `_unit` is the weight of one gap of now, and all is relative to it.
    """

    __slots__ = ("_bins", "_gaps", "_seconds", "_top", "_unit")

    def __init__(self) -> None:
        self._bins = array("d", bytes(8 * _BINS))
        self._gaps = self._seconds = 0.0
        self._top = 0
        self._unit = 1.0

    @property
    def gaps(self) -> float:
        """How many gaps are remembered, by weight."""
        return self._gaps / self._unit

    @property
    def seconds(self) -> float:
        """The time they fill, by weight; never above the half-life over ln 2."""
        return self._seconds / self._unit

    @property
    def learnt(self) -> bool:
        """Enough to say anything; half a gap is allowed for what eight have lost by age."""
        return self.gaps > _ENOUGH_GAPS - 0.5

    def fold(self, gaps: Sequence[float]) -> None:
        """Remember gaps, seconds, all as of now."""
        elapsed = math.fsum(min(gap, _LONGEST_SECONDS) for gap in gaps)
        self._unit *= 2.0 ** (elapsed / _HALF_LIFE_SECONDS)
        self._add(((gap, self._unit) for gap in gaps), elapsed * self._unit)
        if self._unit > _REBASE_AT:
            self._rebase()

    def _add(self, weighted_gaps: Iterable[tuple[float, float]], seconds: float) -> None:
        bins, top, total, log = self._bins, self._top, self._gaps, math.log
        for gap, weight in weighted_gaps:
            place = int(log(gap) * _BINS_PER_E + _BIN_OF_ONE_SECOND) if gap > _SHORTEST_SECONDS else 0
            if place > top:
                place = top = min(place, _BINS - 1)
            bins[place] += weight
            total += weight
        self._top, self._gaps = top, total
        self._seconds += seconds

    def _rebase(self) -> None:
        weights = (weight / self._unit for weight in self._bins)
        self._bins = array("d", (weight if weight > _NEGLIGIBLE else 0.0 for weight in weights))
        self._gaps, self._seconds = math.fsum(self._bins), self.seconds
        self._unit = 1.0
        self._top = max((b for b, weight in enumerate(self._bins) if weight), default=0)

    def threshold(self, alarms_per_second: float) -> float:
        """The silence, seconds, that gaps like these exceed so often; at least what was seen eight times."""
        n = self.gaps
        k = max(_LEAST_TAIL, min(n / 10, _SMALL_TAIL), _TAIL * math.sqrt(n))
        log_t_k = math.log(math.log(n / k))
        log_x_often, log_x_k, sum_log_x, sum_log_t = self._walk(n, k)
        theta = (sum_log_x - k * log_x_k + _PRIOR) / (sum_log_t - k * log_t_k + _PRIOR)
        gaps_per_alarm = n / (alarms_per_second * max(self.seconds, _SHORTEST_SECONDS))
        reach = math.log(math.log(max(gaps_per_alarm, n / k))) - log_t_k
        return _MARGIN * math.exp(max(log_x_often, log_x_k + theta * (1.0 + _DOUBT / math.sqrt(k)) * reach))

    def _walk(self, n: float, k: float) -> tuple[float, float, float, float]:
        """From the longest gap down to the k-th: ln x_8 (or ln x_k), ln x_k, the sums of ln x_i and ln t_i."""
        rank = sum_log_x = sum_log_t = 0.0
        place = often = self._top + 1
        while k - rank > _NEGLIGIBLE and place > 0:
            place -= 1
            weight = min(self._bins[place] / self._unit, k - rank)
            if rank < _ENOUGH_GAPS:
                often = place
            if weight > 0.0:
                sum_log_x += weight * _LOG_CENTRES[place]
                sum_log_t += weight * math.log(math.log(n / (rank + weight / 2)))
                rank += weight
        return _LOG_CENTRES[often], _LOG_CENTRES[place], sum_log_x, sum_log_t

    def save(self) -> _SavedTail:
        """What `load` takes."""
        pairs = [(math.exp(_LOG_CENTRES[b]), w / self._unit) for b, w in enumerate(self._bins) if w]
        return _SavedTail(self.seconds, [(gap, weight) for gap, weight in pairs if weight > _NEGLIGIBLE])

    @classmethod
    def load(cls, saved: _SavedTail) -> _Tail:
        """A tail that remembers what the saved one did."""
        tail = cls()
        tail._add(saved.gaps, saved.seconds)
        return tail


class Cadence:
    """The threshold of one topic, bounded by `floor` and `ceiling`, both in seconds.

    A gap beyond the threshold is either an outage or the start of slower times. So the verdict so far is held and a
    fresh memory opened beside the long one; what that says rules where it is more, until it is a half-life old. A feed
    that slows down for good costs one episode, and one that had an outage still knows its nights.
    """

    __slots__ = (
        "_buffer",
        "_burst",
        "_carry",
        "_ceiling",
        "_floor",
        "_fresh",
        "_held",
        "_known",
        "_limit",
        "_rate",
        "threshold",
    )

    def __init__(self, floor: float, ceiling: float, false_alarms_per_day: float = 1 / 30) -> None:
        self._floor, self._ceiling = floor, ceiling
        self._rate = false_alarms_per_day / _SECONDS_PER_DAY
        self._known = _Tail()
        self._fresh: _Tail | None = None
        self._held = 0.0
        self._burst = floor * _ONE_BURST
        self._carry = 0.0
        self._buffer: list[float] = []
        self._limit = _ENOUGH_GAPS
        self.threshold = ceiling

    def observe(self, gap: float) -> None:
        """Learn from the seconds between two messages of one session. Cheap: most calls only keep the gap."""
        gap += self._carry
        if gap < self._burst:
            self._carry = gap
            return
        self._carry = 0.0
        buffer = self._buffer
        buffer.append(gap)
        if len(buffer) >= self._limit or gap >= self.threshold:
            self._fold()

    def stale_after(self) -> float:
        """Seconds of silence that are no longer normal; the ceiling until eight gaps are known."""
        return self.threshold

    @property
    def knows_gaps(self) -> bool:
        """Whether there ever were any, also before a restart that was survived by what was learnt."""
        return bool(self._buffer) or self._known.gaps > 0.0

    def snapshot(self) -> dict[str, object]:
        """What was learnt, in types that JSON has; for `restore`."""
        self._fold()
        fresh = None if self._fresh is None else self._fresh.save()
        saved: dict[str, object] = msgspec.to_builtins(_Saved(self._known.save(), fresh, self._held))
        return saved

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Put what was learnt before in the place of what is known.

        Raises:
            ValueError: the snapshot is not one; nothing has changed then.
        """
        try:
            saved = msgspec.convert(snapshot, _Saved)
        except msgspec.ValidationError as error:
            raise ValueError(f"not what a cadence has saved: {error}") from error
        self._known = _Tail.load(saved.known)
        self._fresh = None if saved.fresh is None else _Tail.load(saved.fresh)
        self._held = saved.held_seconds
        self._buffer.clear()
        self._decide()

    def _fold(self) -> None:
        gaps = self._buffer
        if not gaps:
            return
        self._known.fold(gaps)
        if self._fresh is not None:
            self._fresh.fold(gaps)
        if gaps[-1] >= self.threshold:
            self._suspect_a_change()
        elif self._fresh is not None and self._fresh.seconds > _HALF_LIFE_SECONDS:
            self._fresh, self._held = None, 0.0
        gaps.clear()
        self._decide()

    def _suspect_a_change(self) -> None:
        memory = self._ruling
        if memory.learnt and memory.seconds > _MATURE_SECONDS and self.threshold < self._ceiling:
            held = max(self.threshold, self._known.threshold(self._rate))
            self._fresh, self._held = _Tail(), min(held, _LONGEST_SECONDS)

    @property
    def _ruling(self) -> _Tail:
        return self._known if self._fresh is None else self._fresh

    def _decide(self) -> None:
        memory = self._ruling
        self._limit = max(_ENOUGH_GAPS, min(int(memory.gaps / 4), _BATCH))
        normal = max(self._held, memory.threshold(self._rate)) if memory.learnt else self._ceiling
        self.threshold = min(max(self._floor, normal), self._ceiling)
