"""What has been seen: plain slotted objects, bumped in place by the workers and read when somebody asks.

One writer, the event loop's thread; readers may be another thread. A reader copies a container before it walks it
(`list(d.values())` is one step under the interpreter's lock) and may see the counters of one message half applied:
each figure is right, and two figures may be one message apart.

Times named `..._wall` are seconds since the epoch, 0.0 for never; all others are monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from alpmon.core.clock import Clock
from alpmon.core.events import Dialect
from alpmon.core.topics import Channel
from alpmon.telemetry.alerts import Lapse
from alpmon.telemetry.histogram import (
    CONNECT_BUCKETS,
    INTERARRIVAL_BUCKETS,
    LAG_BUCKETS,
    SESSION_BUCKETS,
    SPACING_BUCKETS,
    Histogram,
    latency,
)
from alpmon.telemetry.labels import Phase, PingKind
from alpmon.telemetry.meter import RateMeter
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
    token_accepted: bool | None = None
    """None while no token was answered, and on a connection that carries no private channels."""
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
    lapses: list[Lapse] = field(default_factory=list)
    """What was too much lately, by `telemetry.lately`; replaced, never changed."""
    recorder: Recorder = field(default_factory=Recorder)
    retry_at_wall: float = 0.0
    # the protocol
    pings: Counter[str] = field(default_factory=Counter)
    ping_interval: dict[str, Histogram] = field(
        default_factory=lambda: {k: Histogram(SPACING_BUCKETS) for k in PingKind}
    )
    pong_latency: dict[str, Histogram] = field(default_factory=lambda: {k: latency() for k in PingKind})
    rtt: Histogram = field(default_factory=latency)
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
