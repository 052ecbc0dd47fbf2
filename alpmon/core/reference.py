"""What REST says of a silent topic: whether the stream has missed something.

REST and the stream are brought to the same facts. One that REST shows and the stream has not told is news; where the
stream told nothing in this session, what REST showed first since its last message stands in, and the first trade of a
pair that had none among those is news. News may be in flight, so only news that REST still shows some seconds later,
with no message in between, means that the stream has missed it.

`orderbook` equals the last `market_depth` frame level for level.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

from alpmon.core.facts import Fact, Facts, Quote, Sides
from alpmon.core.rest import Question
from alpmon.core.topics import split_topic

IN_FLIGHT_SECONDS: Final = 2.0
"""News that REST has shown for less may still be on its way; when to look again."""
EXPIRES_ROUNDS: Final = 3.0
"""A verdict that no read has confirmed for so many rounds is none any more."""
BOOK_LEVELS: Final = 20
"""Levels a side in a `market_depth` frame, where the book has so many: the field survey of 2026-09-22."""
_NO_TRADE: Final = -1


class Verdict(StrEnum):
    """What one read of REST says of the stream."""

    NEWS = "news"
    AGREES = "agrees"
    UNKNOWN = "unknown"


def compare(shown: Facts, told: Facts) -> Verdict:
    """What REST shows against what the stream told; facts that the stream told nothing of say nothing."""
    verdicts = {_compared(fact, told[key]) for key, fact in shown.items() if key in told}
    if Verdict.NEWS in verdicts:
        return Verdict.NEWS
    return Verdict.AGREES if Verdict.AGREES in verdicts else Verdict.UNKNOWN


def _compared(shown: Fact, told: Fact) -> Verdict:
    match shown, told:
        case int(), int():
            return _ordered(shown, told)
        case Quote(), Quote() if shown[1:] != told[1:]:
            time = math.floor(shown.time) if told.time.is_integer() else shown.time
            return _ordered(time, told.time) if time != told.time else Verdict.UNKNOWN
        case Sides(), Sides():
            return Verdict.AGREES if _same_sides(shown, told) else Verdict.NEWS
    return Verdict.AGREES


def _ordered(shown: float, told: float) -> Verdict:
    """REST may be behind, from a cache: then it cannot vouch for the stream."""
    if shown == told:
        return Verdict.AGREES
    return Verdict.NEWS if shown > told else Verdict.UNKNOWN


def _same_sides(shown: Sides, told: Sides) -> bool:
    """Level for level. REST may show more than fits into the stream's frame, but not more than a thin book has."""
    return all(
        (rest[: len(stream)] if len(stream) >= BOOK_LEVELS else rest) == stream
        for rest, stream in zip(shown, told, strict=True)
    )


class Watch:
    """One topic on one connection, as the reference sees it. `now` is monotonic seconds throughout.

    Args:
        topic: as subscribed.
        asked: what to ask REST about it.
        interval: seconds between two reads while nothing is in doubt.

    Attributes:
        due: when to ask next.
        unheard: a silence that is not judged, because it began before anybody listened to what the stream told.
    """

    __slots__ = (
        "_baseline",
        "_interval",
        "_news_since",
        "_read_at",
        "_silence",
        "_symbol",
        "_verdict",
        "due",
        "question",
        "unheard",
    )

    _baseline: dict[str, Fact]
    _verdict: bool | None
    _news_since: float
    _read_at: float
    due: float

    def __init__(self, topic: str, asked: Question, interval: float) -> None:
        self.question = asked
        self._symbol = split_topic(topic)[1]
        self.unheard: object = None
        self._interval = interval
        self._silence: object = None
        self._forget()

    def ask_every(self, interval: float) -> None:
        """Another number of seconds between two reads; one that is due earlier by the old number stays so."""
        self.due += min(0.0, interval - self._interval)
        self._interval = interval

    def attend(self, silence: object) -> None:
        """Be about this silence, which equals no other of the topic's; what was known of another is void."""
        if silence != self._silence:
            self._silence = silence
            self._forget()

    def answered(self, shown: Facts, told: Facts, now: float) -> bool | None:
        """Judge an answer by what the stream told in this session.

        Returns:
            Whether nothing was missed in this silence; None where that is not known.
        """
        shown = {pair: fact for pair, fact in shown.items() if self._symbol in ("*", pair)}
        first = self._read_at == -math.inf
        if not first:
            for pair in (pair for pair, fact in shown.items() if isinstance(fact, int)):
                self._baseline.setdefault(pair, _NO_TRADE)
        verdict = compare(shown, {**self._baseline, **told})
        self._baseline = {**shown, **self._baseline}
        self._read_at = now
        in_doubt = self._doubts(now) if verdict is Verdict.NEWS else self._settles(verdict) and first
        self.due = now + (min(self._interval, IN_FLIGHT_SECONDS) if in_doubt else self._interval)
        return self._verdict

    def failed(self, now: float) -> None:
        """REST did not answer: nothing is known that was not known before."""
        self.due = now + self._interval

    def expires(self, now: float, round_seconds: float) -> bool:
        """Whether the last verdict ends just now, for no read has confirmed it in time; true once.

        Args:
            now: monotonic seconds.
            round_seconds: how long it takes to ask about everything that is silent; never below the interval.
        """
        if self._verdict is None or now - self._read_at <= EXPIRES_ROUNDS * max(self._interval, round_seconds):
            return False
        self._verdict, self._news_since = None, math.inf
        return True

    def divergence(self, now: float) -> float:
        """Seconds for which REST has shown news that the stream has not; 0 while it agrees, or may be in flight."""
        return max(0.0, now - self._news_since) if self._verdict is False else 0.0

    def _doubts(self, now: float) -> bool:
        """News: whether to look again soon, since it may be in flight."""
        self._news_since = min(self._news_since, now)
        if now - self._news_since < IN_FLIGHT_SECONDS:
            return True
        self._verdict = False
        return False

    def _settles(self, verdict: Verdict) -> bool:
        """No news: whether that leaves the silence without a verdict."""
        self._news_since = math.inf
        self._verdict = True if verdict is Verdict.AGREES else None
        return self._verdict is None

    def _forget(self) -> None:
        self._baseline = {}
        self._verdict = None
        self._news_since, self._read_at, self.due = math.inf, -math.inf, -math.inf
