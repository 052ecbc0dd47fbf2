"""The lines of a recording: JSON objects, told apart by `event`.

`now` is the monotonic and `wall` the wall clock of the moment; floats are written so that they are read back exactly.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from alpmon.core.stand import Compared, Stand


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """One line; `line` is `TARGET/CONNECTION`."""

    now: float
    wall: float
    line: str = ""
    again: bool = False


class Header(Entry, frozen=True, kw_only=True, tag="header"):
    """The first line of each part; `run` is the same in all parts of one run. `config` is YAML, without secrets."""

    format: int
    alpmon: str
    run: float
    part: int
    config: str


class Held(Entry, frozen=True, kw_only=True, tag="held"):
    """A connection is held from here on, with these topics; `account` where it carries the private channels.

    Where a part repeats it, `down_since` tells since when the connection was down when it was last; monotonic.
    """

    topics: tuple[str, ...]
    account: bool = False
    down_since: float | None = None


class Released(Entry, frozen=True, kw_only=True, tag="released"):
    """A reload took the connection out of the configuration; what its session still does is told of line `after`."""

    after: str


class Reloaded(Entry, frozen=True, kw_only=True, tag="reloaded"):
    """Another configuration is in force from here on, for every connection; YAML, without secrets."""

    config: str


class Open(Entry, frozen=True, kw_only=True, tag="open"):
    """The upgrade is done; `topics` are what the session is to carry."""

    topics: tuple[str, ...] = ()


class Text(Entry, frozen=True, kw_only=True, tag="text"):
    """A text frame; `base64` where it is no UTF-8. A private one is left with its type and its stamp."""

    data: str = ""
    base64: bytes = b""
    size: int

    @property
    def payload(self) -> bytes:
        """The frame's bytes."""
        return self.base64 or self.data.encode()


class Binary(Entry, frozen=True, kw_only=True, tag="binary"):
    """A binary frame of so many bytes."""

    size: int


class Ping(Entry, frozen=True, kw_only=True, tag="ping"):
    """A WebSocket ping, answered at the monotonic time `answered`."""

    answered: float


class Pong(Entry, frozen=True, kw_only=True, tag="pong"):
    """A WebSocket pong."""

    payload: bytes


class Tick(Entry, frozen=True, kw_only=True, tag="tick"):
    """A deadline of ours was looked at."""


class Asked(Entry, frozen=True, kw_only=True, tag="asked"):
    """The session was asked for something from our side: `add` and `remove` topics, `reauthenticate`."""

    what: str
    topics: tuple[str, ...] = ()


class Closing(Entry, frozen=True, kw_only=True, tag="closing"):
    """The closing handshake began: what comes may still be understood, and nothing is sent."""


class Lost(Entry, frozen=True, kw_only=True, tag="lost"):
    """The socket is gone."""


class Failed(Entry, frozen=True, kw_only=True, tag="failed"):
    """An attempt ended before the welcome."""

    reason: str
    detail: str


class Disconnected(Entry, frozen=True, kw_only=True, tag="disconnected"):
    """A session ended; `close_reason` is the peer's own words, `error` what our side says of it."""

    initiator: str
    code: str
    reason: str
    close_reason: str
    error: str = ""


class Learnt(Entry, frozen=True, kw_only=True, tag="learnt"):
    """What a topic was given of what it had learnt before, or had learnt when a part began."""

    topic: str
    cadence: dict[str, Any] | None = None
    rate: dict[str, Any] | None = None


class TopicStood(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One topic of a `stood`; `compared` where it has siblings."""

    topic: str
    stand: Stand
    compared: Compared | None = None
    last_message_wall: float = 0.0


class Stood(Entry, frozen=True, kw_only=True, tag="stood"):
    """Where the topics of a connection stood when a part began, those that have a state."""

    topics: tuple[TopicStood, ...]


class Evidence(Entry, frozen=True, kw_only=True, tag="evidence"):
    """What REST says of a topic's silence: nothing missed, something missed, or null for no knowledge."""

    topic: str
    nothing_missed: bool | None


class Counted(Entry, frozen=True, kw_only=True, tag="counted"):
    """The rates of the connection's topics were read."""


class Judged(Entry, frozen=True, kw_only=True, tag="judged"):
    """Parallel connections were compared, all that there are."""


AnyEntry: TypeAlias = (
    Header
    | Held
    | Released
    | Reloaded
    | Open
    | Text
    | Binary
    | Ping
    | Pong
    | Tick
    | Asked
    | Closing
    | Lost
    | Failed
    | Disconnected
    | Learnt
    | Stood
    | Evidence
    | Counted
    | Judged
)


class Foreign(Struct, frozen=True, kw_only=True):
    """A line of a kind that only a newer version knows."""

    event: str
    now: float
    wall: float
