"""How the families read the state: from one connection's record to rows of label values and figures.

A scrape reads in a thread of its own while the event loop writes, so every container is copied in one step before it
is walked. A `Counter` looked up at a member it does not hold says 0 and does not grow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import product
from typing import Final, NamedTuple, TypeAlias

from alpmon.core.clock import Clock
from alpmon.core.events import FrameKind
from alpmon.core.freshness import TopicFreshness, TopicState
from alpmon.core.sanity import POSSIBLE
from alpmon.core.states import State
from alpmon.core.subscriptions import RequestFailure, RequestOp
from alpmon.core.topics import PRIVATE_CHANNELS, Channel
from alpmon.telemetry.histogram import LATENCY_BUCKETS, Histogram
from alpmon.telemetry.labels import OWN_ENDS, Initiator
from alpmon.telemetry.state import ChannelRecord, ConnectionRecord, TargetRecord, TopicRecord


class Seen(NamedTuple):
    """What a family of connections reads: one connection, at one monotonic moment."""

    target: TargetRecord
    record: ConnectionRecord
    now: float


class SeenClock(NamedTuple):
    """What a family of clocks reads: one target's, as both clocks of ours stand."""

    clock: Clock
    now: float
    wall: float


Labels: TypeAlias = tuple[str, ...]
Row: TypeAlias = tuple[Labels, float | Histogram]
Reader: TypeAlias = Callable[[Seen], Iterable[Row]]
Figure: TypeAlias = float | Histogram

REGISTERED_CODES: Final = frozenset(str(code) for code in range(1000, 1016))
"""The close codes of RFC 6455 and its registry; a server may send any of 3000 to 4999, which count as `other`."""

_BY_SERVER: Final = ("1000", "1001", "1005", "1008", "1009", "1011", "1012", "1013")
EXPECTED_ENDS: Final[tuple[tuple[str, str, str], ...]] = (
    *((Initiator.SERVER, code, "close_frame") for code in (*_BY_SERVER, "other")),
    (Initiator.NETWORK, "1006", "connection_lost"),
    (Initiator.CLIENT, "1006", "connection_lost"),
    (Initiator.CLIENT, "1006", "silence"),
    *((Initiator.CLIENT, code, "ping_timeout") for code in ("1006", "1011")),
    (Initiator.CLIENT, "1006", "protocol_error"),
    (Initiator.CLIENT, "1006", "too_big"),
    *((Initiator.CLIENT, code, reason) for reason in OWN_ENDS for code in ("1001", "1006")),
)
"""The ways a session can be expected to end, shown as 0 from the first scrape.

The full product of initiators, codes and reasons is 408 series a connection, nearly all of them impossible: only the
network loses a connection, only we find silence. A combination that is not foreseen here appears when it happens.
"""


def single(get: Callable[[ConnectionRecord], Figure]) -> Reader:
    """One figure a connection."""
    return lambda seen: (((), get(seen.record)),)


def by(members: type[StrEnum], get: Callable[[ConnectionRecord, str], Figure]) -> Reader:
    """One figure for every member of an enumeration."""
    return lambda seen: [((member,), get(seen.record, member)) for member in members]


def by_counter(members: type[StrEnum], get: Callable[[ConnectionRecord], Counter[str]]) -> Reader:
    """One count for every member of an enumeration."""
    return by(members, lambda record, member: get(record)[member])


def topics(get: Callable[[TopicRecord], Figure]) -> Reader:
    """One figure a topic, the private channels included."""
    return lambda seen: [((topic.topic,), get(topic)) for topic in _topics(seen)]


def public_topics(get: Callable[[TopicRecord], Figure]) -> Reader:
    """One figure a topic that freshness is judged of."""
    return lambda seen: [((topic.topic,), get(topic)) for topic in _topics(seen) if topic.freshness is not None]


def freshness(get: Callable[[TopicFreshness, float], float]) -> Reader:
    """One figure a judged topic, as of now."""
    return lambda seen: [
        ((topic.topic,), get(topic.freshness, seen.now)) for topic in _topics(seen) if topic.freshness is not None
    ]


def _topics(seen: Seen) -> Sequence[TopicRecord]:
    return list(seen.record.topics.values())


def channels(get: Callable[[ChannelRecord], Figure]) -> Reader:
    """One figure for every channel that a topic of the connection is of."""
    return lambda seen: [((channel,), get(seen.record.channels[channel])) for channel in _channels(seen)]


def anomalies(seen: Seen) -> Iterable[Row]:
    """A row for all that can be wrong on the connection's channels."""
    counted = seen.record.channels
    return [((held, kind), counted[held].anomalies[kind]) for held in _channels(seen) for kind in POSSIBLE[held]]


def _channels(seen: Seen) -> Iterable[Channel]:
    return dict.fromkeys(Channel(topic.topic.partition(".")[0]) for topic in _topics(seen))


def is_stale(topic: TopicFreshness, now: float) -> bool:
    """Whether a topic's state is one that `alpmon_topic_stale` shows as 1."""
    return topic.state(now) in (TopicState.STALE, TopicState.SILENT)


def topic_states(seen: Seen) -> Iterable[Row]:
    """A row for every state of every judged topic: 1 for the one it is in."""
    for topic in _topics(seen):
        if topic.freshness is not None:
            present = topic.freshness.state(seen.now)
            yield from (((topic.topic, state), float(state is present)) for state in TopicState)


def connection_states(seen: Seen) -> Iterable[Row]:
    """A row for every state: 1 for the one the connection is in."""
    present = seen.record.state
    return [((state,), float(state is present)) for state in State]


def session(seen: Seen) -> Iterable[Row]:
    """The session that is up, if one is."""
    record = seen.record
    began = record.established_wall
    labels = record.client_id, record.dialect
    # Written first, and cleared last, is the name: where the time stands on both sides of it, it is that session's.
    return [(labels, 1.0)] if 0.0 < began == record.established_wall else []


def private_channels_open(seen: Seen) -> Iterable[Row]:
    """A row where the connection carries them."""
    carried = any(channel in seen.record.topics for channel in PRIVATE_CHANNELS)
    return [((), seen.record.token_accepted is True)] if carried else []


def disconnects(seen: Seen) -> Iterable[Row]:
    """How sessions ended: all that is foreseen, and all that happened; unregistered codes together."""
    counts = dict.fromkeys(EXPECTED_ENDS, 0)
    for (initiator, code, reason), count in list(seen.record.disconnects.items()):
        labels = initiator, code if code in REGISTERED_CODES else "other", reason
        counts[labels] = counts.get(labels, 0) + count
    return list(counts.items())


def request_failures(seen: Seen) -> Iterable[Row]:
    """A row for every operation and reason."""
    counts = seen.record.request_failures
    return [(labels, counts[labels]) for labels in product(RequestOp, RequestFailure)]


_NO_ACK_YET: Final = Histogram(LATENCY_BUCKETS)


def ack_seconds(record: ConnectionRecord, op: str) -> Histogram:
    """How long the acknowledgements of one operation took; empty before the first."""
    return record.ack.get(op, _NO_ACK_YET)


def frames(record: ConnectionRecord, kind: str) -> int:
    """Frames of one kind; data frames have a counter of their own on their way in."""
    return record.frames[kind] + (record.data_frames if kind == FrameKind.DATA else 0)


def symbol_messages(seen: Seen) -> Iterable[Row]:
    """Messages of every pair seen inside a wildcard."""
    return [(labels, symbol.messages) for labels, symbol in list(seen.record.symbols.items())]


def symbol_last_message(seen: Seen) -> Iterable[Row]:
    """The last message of every pair seen inside a wildcard."""
    return [(labels, symbol.last_message_wall) for labels, symbol in list(seen.record.symbols.items())]


def missed(seen: Seen) -> Iterable[Row]:
    """What siblings delivered and this connection never did; no rows without siblings."""
    return [((topic.topic,), topic.standing.missed) for topic in _topics(seen) if topic.standing is not None]


def divergence(seen: Seen) -> Iterable[Row]:
    """How long REST has shown news that the stream has not; no rows where REST is not asked."""
    return [((topic.topic,), topic.watch.divergence(seen.now)) for topic in _topics(seen) if topic.watch is not None]


def delivery_delay(seen: Seen) -> Iterable[Row]:
    """How late behind the first sibling; no row without siblings."""
    delay = seen.record.delivery_delay
    return [] if delay is None else [((), delay)]
