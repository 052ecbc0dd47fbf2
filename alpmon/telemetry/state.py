"""What has been seen: plain slotted objects, bumped in place by the workers and read when somebody asks.

One writer, the event loop's thread; readers may be another thread. A reader copies a container before it walks it
(`list(d.values())` is one step under the interpreter's lock) and may see the counters of one message half applied:
each figure is right, and two figures may be one message apart.

Times named `..._wall` are seconds since the epoch, 0.0 for never; all others are monotonic seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from alpmon.core.clock import Clock
from alpmon.core.events import Dialect
from alpmon.core.topics import Channel
from alpmon.telemetry.history import History
from alpmon.telemetry.rates import RateMeter
from alpmon.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alpmon.core.freshness import TopicFreshness
    from alpmon.core.latest import Latest
    from alpmon.core.reference import Watch
    from alpmon.core.sightings import Standing
    from alpmon.core.states import State
    from alpmon.telemetry.tape import Tape

OTHER_SYMBOL: Final = "other"
MAX_DROPPED_REMEMBERED: Final = 10_000
"""How many symbols beyond the cap are told apart; a peer that invents more is not worth the memory."""


class PingKind(StrEnum):
    """How the server asks whether we live: the documented text frame, or the WebSocket protocol's own."""

    TEXT = "text"
    PROTOCOL = "protocol"


class Phase(StrEnum):
    """A step of getting connected; the `phase` label."""

    RESOLVE = "resolve"
    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    WELCOME = "welcome"


class FailureReason(StrEnum):
    """Why an attempt never reached the welcome."""

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS = "tls"
    HTTP_STATUS = "http_status"
    HANDSHAKE = "handshake"
    WELCOME_TIMEOUT = "welcome_timeout"
    AUTH = "auth"
    OTHER = "other"


class WebRefusal(StrEnum):
    """Why an HTTP request to the monitor was turned away with 429."""

    LOGINS = "logins"
    RATE = "rate_limit"


class Initiator(StrEnum):
    """Who ended a session."""

    SERVER = "server"
    CLIENT = "client"
    NETWORK = "network"


@dataclass(slots=True, frozen=True)
class Exemplar:
    """The session behind one observation: who to ask the exchange about."""

    client_id: str
    value: float
    wall: float


class Histogram:
    """Counts a bucket, not cumulated; `bounds` are inclusive upper limits, ascending, without +Inf."""

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float) -> None:
        """Count one value, in the histogram's unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_for(self, value: float, client_id: str, wall: float) -> None:
        """Count one value and remember the session as its bucket's exemplar."""
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.sum += value
        self.exemplars[bucket] = Exemplar(client_id, value, wall)

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


CONNECT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LATENCY_BUCKETS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
SPACING_BUCKETS: Final = (
    1.0,
    5.0,
    10.0,
    15.0,
    18.0,
    19.0,
    20.0,
    21.0,
    22.0,
    25.0,
    30.0,
    40.0,
    50.0,
    65.0,
    100.0,
)
INTERARRIVAL_BUCKETS: Final = (
    0.01,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)
SESSION_BUCKETS: Final = (
    1.0,
    10.0,
    60.0,
    300.0,
    900.0,
    3600.0,
    14400.0,
    43200.0,
    86400.0,
    259200.0,
    604800.0,
)
LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0)


@dataclass(slots=True)
class SymbolRecord:
    """One pair inside a wildcard."""

    messages: int = 0
    last_message_wall: float = 0.0


@dataclass(slots=True)
class TopicRecord:
    """One topic on one connection.

    `freshness` is None for a private channel: accounts may be silent for ever. `standing` is its account against the
    sibling connections, None without any; `watch` is REST's word on it, None where REST is not asked about it.
    """

    topic: str
    freshness: TopicFreshness | None
    messages: int = 0
    bytes: int = 0
    last_message_wall: float = 0.0
    subscribed_wall: float = 0.0
    interarrival: Histogram = field(default_factory=lambda: Histogram(INTERARRIVAL_BUCKETS))
    standing: Standing | None = None
    watch: Watch | None = None
    meter: RateMeter = field(default_factory=RateMeter)


@dataclass(slots=True, frozen=True)
class SessionEnd:
    """How the last session ended; `close_reason` is the peer's own words, `error` what our side says of it."""

    wall: float
    initiator: str
    code: str
    reason: str
    close_reason: str
    error: str = ""


@dataclass(slots=True)
class ChannelRecord:
    """What the messages of one channel tell of the feed itself."""

    lag: Histogram = field(default_factory=lambda: Histogram(LAG_BUCKETS))
    exemplar_due: list[float] = field(default_factory=lambda: [0.0] * (len(LAG_BUCKETS) + 1))
    """When each bucket of the lag names its session anew, monotonic."""
    negative_lags: int = 0
    anomalies: Counter[str] = field(default_factory=Counter)


def _latency() -> Histogram:
    return Histogram(LATENCY_BUCKETS)


@dataclass(slots=True)
class ConnectionRecord:
    """One connection, for as long as the configuration holds it: counters live over its sessions."""

    label: str
    state: State
    state_since_wall: float = 0.0
    topics: dict[str, TopicRecord] = field(default_factory=dict)
    symbols: dict[tuple[Channel, str], SymbolRecord] = field(default_factory=dict)
    channels: dict[Channel, ChannelRecord] = field(default_factory=lambda: {c: ChannelRecord() for c in Channel})
    # the present session; reset when it ends
    client_id: str = ""
    dialect: Dialect = Dialect.UNKNOWN
    established_wall: float = 0.0
    advertised_interval_seconds: float = 0.0
    advertised_timeout_seconds: float = 0.0
    certificate_not_after_wall: float = 0.0
    """Of the last session, kept after its end."""
    last_ping_wall: float = 0.0
    last_frame_wall: float = 0.0
    # getting there and leaving
    attempts: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    connect: dict[str, Histogram] = field(default_factory=lambda: {p: Histogram(CONNECT_BUCKETS) for p in Phase})
    disconnects: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    session_duration: Histogram = field(default_factory=lambda: Histogram(SESSION_BUCKETS))
    last_failure: str = ""
    last_failure_wall: float = 0.0
    last_end: SessionEnd | None = None
    recorder: Recorder = field(default_factory=Recorder)
    retry_at_wall: float = 0.0
    # the protocol
    pings: Counter[str] = field(default_factory=Counter)
    ping_interval: dict[str, Histogram] = field(
        default_factory=lambda: {k: Histogram(SPACING_BUCKETS) for k in PingKind}
    )
    pong_latency: dict[str, Histogram] = field(default_factory=lambda: {k: _latency() for k in PingKind})
    rtt: Histogram = field(default_factory=_latency)
    requests: Counter[str] = field(default_factory=Counter)
    request_failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    ack: dict[str, Histogram] = field(default_factory=dict)
    error_frames: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    data_frames: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    unrouted: int = 0
    worker_restarts: int = 0
    delivery_delay: Histogram | None = None
    """Behind the first sibling to deliver the same message; None without siblings."""
    latest: Latest | None = None
    """The present session's latest messages, to be held against REST; None where REST is not asked."""

    @property
    def up(self) -> bool:
        """From the welcome until the close."""
        return self.established_wall > 0.0

    def drop_topics(self, names: Iterable[str]) -> None:
        """These topics are carried no more; with a wildcard go the pairs that it told apart."""
        for name in names:
            del self.topics[name]
        for channel, symbol in [key for key in self.symbols if f"{key[0]}.*" not in self.topics]:
            del self.symbols[channel, symbol]


@dataclass(slots=True)
class TargetRecord:
    """One configured target."""

    name: str
    url: str
    connections: dict[str, ConnectionRecord] = field(default_factory=dict)
    max_symbols: int = 500
    symbols: set[str] = field(default_factory=set)
    """The pairs that have series of their own, at most `max_symbols`."""
    symbols_dropped: set[str] = field(default_factory=set)
    """The pairs that came after and are counted as `other` now, as far as they are told apart."""
    symbols_dropped_total: int = 0
    """How many became that; one that does so twice, because topics changed in between, counts twice."""
    clock: Clock = field(default_factory=Clock)
    """The server's, as all connections together tell it."""
    reference_checks: int = 0
    reference_failures: int = 0
    reference_away: dict[str, float] = field(default_factory=dict)
    """By REST base: until when it is left alone, because it failed or asked for it; over reloads as well."""
    tape: Tape | None = None
    """Where everything received is written, if somebody records."""

    def drop_symbol(self, symbol: str) -> None:
        """Count a pair as `other`."""
        if symbol not in self.symbols_dropped and len(self.symbols_dropped) < MAX_DROPPED_REMEMBERED:
            self.symbols_dropped.add(symbol)
            self.symbols_dropped_total += 1

    def release_symbols(self) -> None:
        """Topics or connections went: leave to others the room of the pairs that nobody tells apart any more."""
        used = {symbol for record in self.connections.values() for _, symbol in record.symbols}
        self.symbols &= used
        if OTHER_SYMBOL not in used:
            self.symbols_dropped.clear()


@dataclass(slots=True)
class Monitor:
    """Everything that has been seen; the root that `/metrics` and the status page read."""

    started_wall: float
    targets: dict[str, TargetRecord] = field(default_factory=dict)
    loop_lag: Histogram = field(default_factory=_latency)
    recent_lag: deque[float] = field(default_factory=lambda: deque(maxlen=60))
    last_tick: float = 0.0
    reload_successful: bool = True
    reload_success_wall: float = 0.0
    shard_index: int = 0
    shard_count: int = 1
    shard_replicas: int = 1
    first_attempts_made: bool = False
    login_failures: int = 0
    web_refusals: Counter[str] = field(default_factory=Counter)
    history: History = field(default_factory=History)
    tape: Tape | None = None
