"""Whether a topic's message rate has collapsed: alive but thin, which no timestamp shows.

Counts of messages in slots of a few seconds go in; the ratio of the present rate to the usual one comes out. Both are
exponential averages. The usual one forgets in tens of minutes, so that it follows a day's ups and downs, and hardly
learns from a rate that is suspect, so that a thin feed is not soon the usual. What is low at this time of every day is
usual too.

The present rate is kept over windows of many lengths, and the ratio is read from the shortest in which chance cannot
explain a collapse. That takes `F` times as many messages as of a Poisson feed, where `F` (the Fano factor, variance
over mean of a count) is learnt for each length from the differences between neighbouring windows, as in Allan's
variance: a slow drift is no noise. A window is also nearly twice as long as the silence that freshness allows, since
a single long gap is its business. `tests/benchmarks/rates.py` measures all this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final, TypeAlias

import msgspec

SLOT_SECONDS: Final = 2.0
"""How often counts are best taken."""

_SHORTEST_WINDOW_SECONDS: Final = 10.0
_WINDOWS_SECONDS: Final = tuple(_SHORTEST_WINDOW_SECONDS * 2.0**n for n in range(13))
"""Up to six hours, for a topic that speaks every few minutes. The last serves the one before it only."""
_CHOICES: Final = len(_WINDOWS_SECONDS) - 1
_FALL_BACK: Final = 8
"""The window to learn from where none is good enough to judge by."""
_ENOUGH_MESSAGES: Final = 25.0
"""Times `F`: of 25 expected a fifth comes by chance once in 370 000 windows, 107 days at one a second."""
_LEAST_MESSAGES: Final = 50.0
"""So many expected in any case, so that two messages close together do not make a thin feed look better."""
_SILENCES: Final = 1.8
"""A window is at least so many times the threshold of freshness: one permitted gap leaves a third of the ratio."""

_SILENCE_WINDOWS: Final = 0.6
"""One silence counts for no more of a window, which leaves 0.3 of the ratio: it is for freshness to judge."""
_SILENCE_RISE_SECONDS: Final = 600.0
"""A threshold that rises is followed slowly: the gaps of a feed that is collapsing raise it too."""

_WARM_UP_SECONDS: Final = 600.0
_WARM_UP_MESSAGES: Final = 40
_USUAL_SECONDS: Final = 1200.0
_USUAL_WINDOWS: Final = 4.0
_USUAL_WINDOWS_AT_MOST_SECONDS: Final = 10_800.0
_USUAL_MESSAGES: Final = 100.0
"""The usual rate is an average over the longest of these, so that its own noise is small beside that of the present."""
_FASTEST_RISE: Final = 2.0
"""A burst counts as at most twice the usual rate: else the calm after it would look like a collapse."""
_IN_DOUBT: Final = 0.5
"""Below half of the usual rate a window's noise is hardly learnt and the choice stands: no collapse excuses itself."""
_SUSPECT: Final = 0.25
_SUSPECT_SLOWNESS: Final = 36.0
"""Below a quarter of the usual rate learning is so many times slower: a tenfold slowdown is accepted in half a day."""

_NOISE_SECONDS: Final = 8 * 3600.0
_NOISE_WINDOWS: Final = 16.0
_FANO_AT_FIRST: Final = 3.0
_BAND_TO_FANO: Final = 15.0
"""Makes `F` of Poisson arrivals 1, from the mean square of the falls from one window to the next, in messages."""

_BINS: Final = 48
_BIN_SECONDS: Final = 86_400.0 / _BINS
_BIN_HALF_LIFE_SECONDS: Final = 2 * _BIN_SECONDS
"""Two days, of which each bin sees its half hours only."""
_LEAST_SHARE: Final = 0.01
"""The time of day explains a hundredth of the usual rate, never none."""


_Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
_PerBin: TypeAlias = Annotated[list[_Amount], msgspec.Meta(min_length=_BINS, max_length=_BINS)]
_PerWindow: TypeAlias = Annotated[list[_Amount], msgspec.Meta(min_length=_CHOICES, max_length=_CHOICES)]


class _SavedDaily(msgspec.Struct, forbid_unknown_fields=True):
    messages: _PerBin
    seconds: _PerBin
    today_messages: _PerBin
    today_seconds: _PerBin


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    usual: Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
    age: _Amount
    fano: _PerWindow
    daily: _SavedDaily


class _Daily:
    """The rate at each half hour of the day, from the days before.

    What is counted today is kept apart until half a day later, so that a collapse cannot explain itself.
    """

    __slots__ = ("messages", "seconds", "today_messages", "today_seconds")

    def __init__(self) -> None:
        self.messages, self.seconds = [0.0] * _BINS, [0.0] * _BINS
        self.today_messages, self.today_seconds = [0.0] * _BINS, [0.0] * _BINS

    def count(self, messages: float, seconds: float, wall: float) -> None:
        """Count what came around `wall`."""
        place = _bin_of(wall)
        self.today_messages[place] += messages
        self.today_seconds[place] += seconds
        opposite = (place + _BINS // 2) % _BINS
        if self.today_seconds[opposite] > 0.0:
            self._close(opposite)

    def _close(self, place: int) -> None:
        kept = 2.0 ** (-self.today_seconds[place] / _BIN_HALF_LIFE_SECONDS)
        self.messages[place] = self.messages[place] * kept + self.today_messages[place]
        self.seconds[place] = self.seconds[place] * kept + self.today_seconds[place]
        self.today_messages[place] = self.today_seconds[place] = 0.0

    def lowest_around(self, wall: float) -> float:
        """The lowest rate of this half hour and its neighbours: no schedule is kept to the minute. inf if unknown."""
        place = _bin_of(wall)
        near = (place - 1, place, (place + 1) % _BINS)
        return min((self._at_most(n) for n in near if self.seconds[n] > 0.0), default=math.inf)

    def _at_most(self, place: int) -> float:
        """A standard error above what was seen: a few messages less by chance are no schedule."""
        messages = self.messages[place]
        return (messages + math.sqrt(messages) + 1.0) / self.seconds[place]

    def save(self) -> _SavedDaily:
        """What `load` takes; a copy."""
        all_bins = (self.messages, self.seconds, self.today_messages, self.today_seconds)
        return _SavedDaily(*(bins.copy() for bins in all_bins))

    @classmethod
    def load(cls, saved: _SavedDaily) -> _Daily:
        """One that remembers what the saved one did."""
        daily = cls()
        daily.messages, daily.seconds = saved.messages, saved.seconds
        daily.today_messages, daily.today_seconds = saved.today_messages, saved.today_seconds
        return daily


class Rate:
    """The present message rate of one topic over its usual one; told only of time during which the topic was up."""

    __slots__ = (
        "_age",
        "_before_silence",
        "_daily",
        "_expected",
        "_fano",
        "_present",
        "_ratio",
        "_silence",
        "_silence_seconds",
        "_usual",
        "_warm_up_messages",
        "_window",
    )

    def __init__(self) -> None:
        self._age = 0.0
        self._warm_up_messages = 0
        self._usual = 0.0
        self._expected = math.nan
        self._present = [1.0] * len(_WINDOWS_SECONDS)
        self._before_silence: list[float] | None = None
        self._fano = [_FANO_AT_FIRST] * _CHOICES
        self._daily = _Daily()
        self._silence = 0.0
        self._silence_seconds = math.inf
        self._window: int | None = None
        self._ratio = math.nan

    @property
    def ratio(self) -> float:
        """1 is usual; NaN until learnt, and while the topic is too irregular for any window to tell."""
        return self._ratio

    @property
    def usual(self) -> float:
        """Messages a second that are usual at this time of day, which the ratio is over; NaN until learnt."""
        return self._expected

    @property
    def window_seconds(self) -> float:
        """How far back the ratio looks, about as long as it takes to see a collapse; NaN if unknown."""
        return math.nan if self._window is None else _WINDOWS_SECONDS[self._window]

    def observe(self, messages: int, seconds: float, silence_seconds: float, wall: float) -> None:
        """Take the count of one slot, best of `SLOT_SECONDS`.

        Args:
            messages: how many came.
            seconds: how long the slot was, the topic being up for all of it.
            silence_seconds: the silence after which freshness calls the topic stale.
            wall: unix seconds at the slot's end; only the time of day counts.
        """
        self._age += seconds
        self._follow(silence_seconds, seconds)
        if not self._usual:
            self._warm_up(messages)
            return
        self._note_silence(0.0 if messages else seconds)
        if self._silence > _SILENCE_WINDOWS * self.window_seconds:
            return
        suspect = self._ratio < _SUSPECT
        expected_rate = self._expected = self._expected_rate(wall)
        self._move(messages / (expected_rate * seconds), expected_rate, seconds)
        if self._window is None or self._present[self._window] > _IN_DOUBT:
            self._window = self._choose(expected_rate, _SILENCES * self._silence_seconds)
        self._ratio = self._shown()
        weight = 1.0 / _SUSPECT_SLOWNESS if suspect else 1.0
        self._daily.count(weight * messages, weight * seconds, wall)
        self._learn(expected_rate, seconds)

    def excuse(self) -> None:
        """Nothing was missed in the silence that is running: it says nothing about the rate."""
        if self._before_silence is not None:
            self._present, self._before_silence = self._before_silence, None
            self._silence = 0.0
            self._ratio = self._shown()

    def snapshot(self) -> dict[str, object] | None:
        """What was learnt, in types that JSON has, for `restore`; None before there is anything."""
        if not self._usual:
            return None
        saved: dict[str, object] = msgspec.to_builtins(
            _Saved(self._usual, self._age, self._fano.copy(), self._daily.save())
        )
        return saved

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Put what was learnt before in the place of what is known; the present rate counts as usual until it shows.

        Raises:
            ValueError: the snapshot is not one; nothing has changed then.
        """
        try:
            saved = msgspec.convert(snapshot, _Saved)
        except msgspec.ValidationError as error:
            raise ValueError(f"not what a rate has saved: {error}") from error
        self._usual, self._age, self._fano = saved.usual, saved.age, saved.fano
        self._daily = _Daily.load(saved.daily)
        self._present, self._before_silence = [1.0] * len(_WINDOWS_SECONDS), None
        self._window, self._ratio, self._expected = None, math.nan, math.nan

    def _follow(self, silence_seconds: float, seconds: float) -> None:
        rise = silence_seconds - self._silence_seconds
        self._silence_seconds = silence_seconds
        if rise > 0.0:
            self._silence_seconds -= rise * math.exp(-seconds / _SILENCE_RISE_SECONDS)

    def _note_silence(self, seconds: float) -> None:
        if not seconds:
            self._silence, self._before_silence = 0.0, None
            return
        if self._before_silence is None:
            self._before_silence = self._present.copy()
        self._silence += seconds

    def _shown(self) -> float:
        """The chosen window's ratio; in a collapse the lowest of the longer ones too, which chance moves less."""
        if self._window is None:
            return math.nan
        ratio = self._present[self._window]
        if ratio > _IN_DOUBT:
            return ratio
        return min(self._present[self._window :])

    def _warm_up(self, messages: int) -> None:
        self._warm_up_messages += messages
        if self._age >= _WARM_UP_SECONDS and self._warm_up_messages >= _WARM_UP_MESSAGES:
            self._usual = self._warm_up_messages / self._age

    def _expected_rate(self, wall: float) -> float:
        usual = self._usual
        return min(usual, max(self._daily.lowest_around(wall), usual * _LEAST_SHARE))

    def _move(self, ratio: float, expected_rate: float, seconds: float) -> None:
        """Let every window take the slot, and learn from each fall from one to the next longer how noisy it is."""
        present, fano = self._present, self._fano
        memory = min(_NOISE_SECONDS, self._age)
        in_doubt = self._ratio < _IN_DOUBT
        before = 1.0
        for n, kept in enumerate(_kept(round(seconds, 2))):
            now = present[n] = present[n] * kept + ratio * (1.0 - kept)
            capped = min(now, 1.0)
            if n:
                window = _WINDOWS_SECONDS[n - 1]
                fall = capped - before if capped > before else 0.0
                noise = fall * fall * _BAND_TO_FANO * window * expected_rate
                slowness = _SUSPECT_SLOWNESS if in_doubt or before < _IN_DOUBT else 1.0
                fano[n - 1] += seconds / (slowness * max(memory, window * _NOISE_WINDOWS)) * (noise - fano[n - 1])
            before = capped

    def _choose(self, expected_rate: float, at_least_seconds: float) -> int | None:
        """The shortest window that is long enough by all accounts."""
        for n, fano in enumerate(self._fano):
            window = _WINDOWS_SECONDS[n]
            enough = max(_LEAST_MESSAGES, _ENOUGH_MESSAGES * fano)
            if window >= at_least_seconds and window * expected_rate >= enough:
                return n
        return None

    def _learn(self, expected_rate: float, seconds: float) -> None:
        """Move the usual rate towards the present one."""
        memory = max(min(_USUAL_SECONDS, self._age), _USUAL_MESSAGES / self._usual)
        present = self._present[_FALL_BACK]
        if self._window is not None:
            present = self._ratio
            memory = max(memory, min(_USUAL_WINDOWS * self.window_seconds, _USUAL_WINDOWS_AT_MOST_SECONDS))
        if present < _SUSPECT:
            memory *= _SUSPECT_SLOWNESS
        share = min(present * expected_rate / self._usual, _FASTEST_RISE)
        self._usual *= math.exp(seconds / memory * (share - 1.0))


def _bin_of(wall: float) -> int:
    return int(wall // _BIN_SECONDS) % _BINS


@lru_cache(maxsize=256)
def _kept(seconds: float) -> tuple[float, ...]:
    """What a slot leaves of each window's average; an average of time constant T is as noisy as a window of 2 T."""
    return tuple(math.exp(-2.0 * seconds / window) for window in _WINDOWS_SECONDS)
