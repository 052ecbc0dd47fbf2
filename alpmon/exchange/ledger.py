"""What the server did, kept exactly, so that a client's own account can be held against it.

Times named `at` are monotonic seconds, those named `wall` seconds since the epoch. Bytes are payload bytes, without
frame headers. A frame counts once it is handed to the transport.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from alpmon.core.events import Dialect

_KEPT: Final = 10_000
"""Connections and attempts remembered: enough for any test, and a bound for a server left running."""


@dataclass(slots=True)
class Count:
    """Frames and their payload bytes."""

    frames: int = 0
    bytes: int = 0

    def add(self, frames: int, payload_bytes: int) -> None:
        """Count frames that were sent."""
        self.frames += frames
        self.bytes += payload_bytes


@dataclass(slots=True, frozen=True)
class RequestEntry:
    """One request frame received; `operation` is empty for a frame that is none."""

    at: float
    operation: str
    topics: tuple[str, ...]
    bytes: int


@dataclass(slots=True, frozen=True)
class ReplyEntry:
    """One acknowledgement or error sent; `message` is empty for an acknowledgement."""

    at: float
    operation: str | None
    topics: tuple[str, ...] = ()
    message: str = ""


@dataclass(slots=True)
class PingEntry:
    """One ping sent, and when it was answered."""

    kind: str
    at: float
    wall: float
    answered_at: float | None = None


@dataclass(slots=True, frozen=True)
class CloseEntry:
    """How a connection ended: `initiator` is server, client or network; 1006 where no close frame was sent."""

    at: float
    initiator: str
    code: int
    reason: str


@dataclass(slots=True)
class ConnectionEntry:
    """One connection from its upgrade to its end."""

    number: int
    client_id: str
    dialect: Dialect
    path: str
    opened_at: float = field(default_factory=time.monotonic)
    opened_wall: float = field(default_factory=time.time)
    welcome: tuple[Any, ...] = ()
    authenticated: bool = False
    frames: Counter[str] = field(default_factory=Counter)
    """Text and binary frames sent, by kind: welcome ack error ping data raw."""
    topics: dict[str, Count] = field(default_factory=dict)
    """Data frames sent, by the exact topic if subscribed, else its wildcard."""
    requests: list[RequestEntry] = field(default_factory=list)
    replies: list[ReplyEntry] = field(default_factory=list)
    pings: list[PingEntry] = field(default_factory=list)
    text_pongs: int = 0
    protocol_pongs: int = 0
    client_pings: int = 0
    """WebSocket pings received; each is answered unless a fault holds the connection."""
    close: CloseEntry | None = None

    @property
    def data(self) -> Count:
        """All data frames."""
        counts = list(self.topics.values())
        return Count(sum(c.frames for c in counts), sum(c.bytes for c in counts))

    @property
    def acks(self) -> list[ReplyEntry]:
        """The acknowledgements sent."""
        return [reply for reply in self.replies if not reply.message]

    @property
    def errors(self) -> list[ReplyEntry]:
        """The error frames sent."""
        return [reply for reply in self.replies if reply.message]

    def count_data(self, topic: str, frames: int, payload_bytes: int) -> None:
        """Count data frames that were sent."""
        self.frames["data"] += frames
        self.topics.setdefault(topic, Count()).add(frames, payload_bytes)


@dataclass(slots=True, frozen=True)
class AttemptEntry:
    """One upgrade asked for: `status` is 101, the refusal's status, or 0 when it is left without an answer."""

    number: int
    at: float
    wall: float
    status: int


@dataclass(slots=True, frozen=True)
class RestEntry:
    """One REST request and the status it was answered with; `pair` is empty where none was named."""

    at: float
    method: str
    endpoint: str
    pair: str
    status: int


@dataclass(slots=True)
class Ledger:
    """Everything the server did since its start, oldest first."""

    started_wall: float = field(default_factory=time.time)
    attempts: list[AttemptEntry] = field(default_factory=list)
    connections: list[ConnectionEntry] = field(default_factory=list)
    rest: list[RestEntry] = field(default_factory=list)
    tokens_issued: int = 0

    def open(self, entry: ConnectionEntry) -> None:
        """Remember a connection."""
        self.connections.append(entry)
        del self.connections[:-_KEPT]

    def attempt(self, number: int, status: int) -> None:
        """Remember an upgrade request and what became of it."""
        self.attempts.append(AttemptEntry(number, time.monotonic(), time.time(), status))
        del self.attempts[:-_KEPT]

    def answered(self, entry: RestEntry) -> None:
        """Remember a REST request."""
        self.rest.append(entry)
        del self.rest[:-_KEPT]

    def topics(self) -> dict[str, Count]:
        """Data frames by topic, over all connections."""
        total: dict[str, Count] = {}
        for entry in self.connections:
            for topic, count in entry.topics.items():
                total.setdefault(topic, Count()).add(count.frames, count.bytes)
        return total

    def json(self) -> bytes:
        """The whole ledger, for `GET /control/ledger`."""
        return msgspec.json.encode(self)
