"""The last fifteen minutes in rings of a fixed size: what the status page draws its timelines and sparklines from.

Samples are taken every five seconds in the event loop. A connection takes about 5 kB and a topic about 1 kB, whatever
happens: 1 000 topics on 50 connections are 1.2 MB. Rings go with their connection or topic when the configuration
drops it.
"""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections.abc import Iterable, Mapping, MutableSequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from alpmon.core.freshness import TROUBLE
from alpmon.core.states import State

if TYPE_CHECKING:
    from alpmon.telemetry.histogram import Histogram
    from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord

N = TypeVar("N", int, float)
R = TypeVar("R", bytearray, "array[int]", "array[float]")

STEP_SECONDS: Final = 5.0
SAMPLES: Final = 180
_MICROSECONDS: Final = 6
"""Digits of a latency that are worth telling."""


class Mark(StrEnum):
    """How a connection fared in one step; one letter each, as a timeline is a string of them."""

    UP = "u"
    TROUBLE = "t"
    """Up, with a topic stale, silent or rejected."""
    SETTLING = "s"
    """Up, and not everything is acknowledged."""
    ENDED = "e"
    """Up again after a session ended within the step."""
    DOWN = "d"


class ConnectionHistory(msgspec.Struct, frozen=True, kw_only=True):
    """One connection's samples, the oldest first; a latency is the mean over its step, null where none was measured.

    Shorter than asked for where the connection or topic is younger.
    """

    marks: str
    round_trip_seconds: array[float]
    acknowledgement_seconds: array[float]
    pong_seconds: array[float]
    messages: dict[str, array[int]]
    """By topic: how many came in each step."""


class HistoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was sampled after the sample that was asked about; by target, then by connection."""

    sample: int
    """Number of the newest sample; 0 before the first."""
    timestamp_seconds: float
    """When it was taken."""
    step_seconds: float
    capacity: int
    targets: dict[str, dict[str, ConnectionHistory]]


class History:
    """The rings. Write and read them in the event loop's thread; what is read may be encoded in another."""

    def __init__(self) -> None:
        self._sample = 0
        self._wall = 0.0
        self._connections: dict[tuple[str, str], _ConnectionRings] = {}

    def sample(self, targets: Iterable[TargetRecord], now: float, wall: float) -> None:
        """Take one sample of everything at monotonic `now`."""
        records = {(target.name, label): record for target in targets for label, record in target.connections.items()}
        self._connections = {key: self._connections.get(key) or _ConnectionRings() for key in records}
        for key, record in records.items():
            self._connections[key].sample(record, now)
        self._sample, self._wall = self._sample + 1, wall

    def after(self, sample: int) -> HistoryStatus:
        """What came after that sample, at most what is kept; a number that was never given out means all."""
        count = self._sample - sample
        if not 0 <= count <= SAMPLES:
            count = SAMPLES
        targets: dict[str, dict[str, ConnectionHistory]] = {}
        for (target, label), rings in self._connections.items():
            targets.setdefault(target, {})[label] = rings.last(count)
        return HistoryStatus(
            sample=self._sample,
            timestamp_seconds=self._wall,
            step_seconds=STEP_SECONDS,
            capacity=SAMPLES,
            targets=targets,
        )


def encode(history: HistoryStatus) -> bytes:
    """As JSON."""
    return msgspec.json.encode(history, enc_hook=_plain)


async def keep(history: History, targets: Mapping[str, TargetRecord]) -> None:
    """Sample the targets, as they come and go, until cancelled."""
    while True:
        await asyncio.sleep(STEP_SECONDS)
        history.sample(targets.values(), time.monotonic(), time.time())


class _ConnectionRings:
    def __init__(self) -> None:
        self._marks = bytearray()
        self._ended = 0
        self._latencies = [_Mean(), _Mean(), _Mean()]
        self._topics: dict[str, _Count] = {}

    def sample(self, record: ConnectionRecord, now: float) -> None:
        ended = sum(record.disconnects.values())
        _push(self._marks, ord(_mark(record, now, ended > self._ended)))
        self._ended = ended
        measured = ([record.rtt], record.ack.values(), record.pong_latency.values())
        for mean, histograms in zip(self._latencies, measured, strict=True):
            mean.sample(histograms)
        self._topics = {name: self._topics.get(name) or _Count() for name in record.topics}
        for name, topic in record.topics.items():
            self._topics[name].sample(topic.messages)

    def last(self, count: int) -> ConnectionHistory:
        round_trip, acknowledgement, pong = (_last(mean.ring, count) for mean in self._latencies)
        return ConnectionHistory(
            marks=_last(self._marks, count).decode(),
            round_trip_seconds=round_trip,
            acknowledgement_seconds=acknowledgement,
            pong_seconds=pong,
            messages={name: _last(topic.ring, count) for name, topic in self._topics.items()},
        )


class _Mean:
    """The mean of what some histograms observed in each step."""

    __slots__ = ("_count", "_sum", "ring")

    def __init__(self) -> None:
        self.ring = array("d")
        self._count, self._sum = 0, 0.0

    def sample(self, histograms: Iterable[Histogram]) -> None:
        count, total = 0, 0.0
        for histogram in histograms:
            count += histogram.count
            total += histogram.sum
        observed = count - self._count
        _push(self.ring, round((total - self._sum) / observed, _MICROSECONDS) if observed else math.nan)
        self._count, self._sum = count, total


class _Count:
    """How far a counter went in each step."""

    __slots__ = ("_before", "ring")

    def __init__(self) -> None:
        self.ring = array("I")
        self._before = 0

    def sample(self, count: int) -> None:
        _push(self.ring, max(0, count - self._before))
        self._before = count


def _mark(record: ConnectionRecord, now: float, ended: bool) -> Mark:
    if not record.up:
        return Mark.DOWN
    if ended:
        return Mark.ENDED
    if any(_in_trouble(topic, now) for topic in record.topics.values()):
        return Mark.TROUBLE
    return Mark.UP if record.state is State.LIVE else Mark.SETTLING


def _in_trouble(topic: TopicRecord, now: float) -> bool:
    return topic.freshness is not None and topic.freshness.state(now) in TROUBLE


def _push(ring: MutableSequence[N], value: N) -> None:
    ring.append(value)
    if len(ring) > SAMPLES:
        del ring[0]


def _last(ring: R, count: int) -> R:
    return ring[-count:] if count else ring[:0]


def _plain(ring: object) -> object:
    if isinstance(ring, array):
        return ring.tolist()
    raise TypeError(type(ring).__name__)
