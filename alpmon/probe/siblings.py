"""The parallel connections of one topic group, each compared with the others; only where redundancy is above 1."""

from __future__ import annotations

import asyncio
import time
from heapq import nlargest
from typing import TYPE_CHECKING, Final, TypeAlias

from alpmon.core.events import Book, Diff, Private, Rates, Tickers, Trade
from alpmon.core.freshness import Source, TopicState
from alpmon.core.numeric import NumericBook, NumericTickers, NumericTrade
from alpmon.core.siblings import Siblings, identity
from alpmon.core.sightings import NEVER, Timing
from alpmon.core.topics import Channel
from alpmon.telemetry.entries import Judged
from alpmon.telemetry.histogram import LAG_BUCKETS, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from alpmon.core.stand import Compared
    from alpmon.telemetry.state import ConnectionRecord, TopicRecord
    from alpmon.telemetry.tape import Tape

JUDGE_SECONDS: Final = 1.0
"""How often misses are judged and silences vouched for; a threshold below it may see stale what is only quiet."""

Public: TypeAlias = Trade | NumericTrade | Tickers | NumericTickers | Book | NumericBook | Diff | Rates

_CHANNEL: Final[Mapping[type, Channel]] = {
    Trade: Channel.TRADE,
    NumericTrade: Channel.TRADE,
    Tickers: Channel.TICKER,
    NumericTickers: Channel.TICKER,
    Book: Channel.MARKET_DEPTH,
    NumericBook: Channel.MARKET_DEPTH,
    Diff: Channel.DIFF,
    Rates: Channel.RATES,
}
_WILDCARD: Final[Mapping[Channel, str]] = {channel: f"{channel}.*" for channel in _CHANNEL.values()}


class Sibling:
    """One connection of a group, told everything that it delivers and that becomes of its topics."""

    def __init__(self, siblings: Siblings, number: int, record: ConnectionRecord) -> None:
        self._siblings = siblings
        self._number = number
        self._record = record
        self._delay = record.delivery_delay = record.delivery_delay or Histogram(LAG_BUCKETS)
        for topic in record.topics.values():
            self.joined(topic)

    def joined(self, topic: TopicRecord) -> None:
        """A topic was added to the connection; private ones are compared with nothing."""
        if topic.freshness is not None:
            missed = 0 if topic.standing is None else topic.standing.missed
            topic.standing = self._siblings.standing(self._number, topic.topic)
            topic.standing.missed += missed

    def saw(self, event: Public | Private, payload: bytes | bytearray | memoryview, now: float) -> None:
        """A data frame arrived; private ones are sent to one connection only and compared with nothing."""
        if isinstance(event, Private):
            return
        message = identity(event, payload)
        for topic in self._topics_of(event):
            delay = self._siblings.saw(self._number, topic, message, now)
            if delay is not None:
                self._delay.observe(delay)

    def subscribed(self, topics: Iterable[str], now: float) -> None:
        """The server acknowledged topics."""
        self._siblings.subscribed(self._number, topics, now)

    def take_up(self, topic: str, told: Compared, now: float) -> None:
        """The record begins in the midst of a session that carries the topic."""
        self._siblings.take_up(self._number, topic, told, now)

    def left(self, topics: Iterable[str], now: float) -> None:
        """Topics were moved to another connection."""
        self._siblings.left(self._number, topics, now)

    def lost(self, now: float) -> None:
        """The session ended."""
        self.left([name for name, topic in self._record.topics.items() if topic.standing is not None], now)

    def judge(self, now: float) -> None:
        """Tell every topic what the siblings know of its present silence, by what else lives on the connection."""
        lively = {name: _lively(topic, now) for name, topic in self._record.topics.items()}
        latest, before = nlargest(2, (*lively.values(), NEVER, NEVER))
        for name, topic in self._record.topics.items():
            if topic.freshness is not None:
                verdict = self._siblings.nothing_missed(
                    self._number,
                    name,
                    now,
                    stale_after=topic.freshness.stale_after(),
                    lives_at=before if lively[name] == latest else latest,
                )
                topic.freshness.evidence(now, verdict, Source.SIBLINGS)

    def _topics_of(self, event: Public) -> Iterable[str]:
        """The subscribed topics that a frame belongs to; a group never holds a wildcard and its members."""
        topics, channel = self._record.topics, _CHANNEL[type(event)]
        wildcard = _WILDCARD[channel]
        if wildcard in topics:
            return (wildcard,)
        symbols = (
            {row.symbol for row in event.rows}
            if isinstance(event, Tickers | NumericTickers | Rates)
            else (event.symbol,)
        )
        return [topic for symbol in symbols if (topic := f"{channel}.{symbol}") in topics]


def _lively(topic: TopicRecord, now: float) -> float:
    """When a topic delivered last in this session, if it is live."""
    live = topic.freshness is not None and topic.freshness.state(now) is TopicState.LIVE
    return topic.standing.delivered if live and topic.standing is not None else NEVER


def alone(record: ConnectionRecord, now: float) -> None:
    """A connection has no siblings any more, and nothing that they alone can tell."""
    record.delivery_delay = None
    for topic in record.topics.values():
        if topic.standing is not None and topic.freshness is not None:
            topic.freshness.evidence(now, None, Source.SIBLINGS)
        topic.standing = None


class Group:
    """The connections that carry one topic group.

    Args:
        redundancy: how many there are.
        timing: how long a message is waited for.
    """

    def __init__(self, redundancy: int, timing: Timing | None = None) -> None:
        self._siblings = Siblings(redundancy, timing or Timing())
        self._members: list[Sibling] = []

    def join(self, number: int, record: ConnectionRecord) -> Sibling:
        """A connection, numbered from 0, with all its topics; its record gets what siblings alone can tell."""
        sibling = Sibling(self._siblings, number, record)
        self._members.append(sibling)
        return sibling

    def judge(self, now: float) -> None:
        """Count what was missed by now, and vouch for silences."""
        self._siblings.settle(now)
        for sibling in self._members:
            sibling.judge(now)


async def judge_all(groups: Callable[[], Sequence[Group]], tape: Tape | None = None) -> None:
    """Judge every group that there is, again and again; never ends of itself."""
    while True:
        await asyncio.sleep(JUDGE_SECONDS)
        now, judged = time.monotonic(), groups()
        if tape is not None and judged:
            tape.write(Judged(now=now, wall=time.time()))
        for group in judged:
            group.judge(now)
