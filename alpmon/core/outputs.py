"""What a session tells its driver: what to do, and what it found out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from alpmon.core.events import Dialect, Error, ErrorReason, Welcome
from alpmon.core.keepalive import Lateness, SendPing
from alpmon.core.states import State
from alpmon.core.subscriptions import Output as SubscriptionOutput


@dataclass(slots=True, frozen=True)
class Moved:
    """The connection is in another state."""

    before: State
    after: State


@dataclass(slots=True, frozen=True)
class Welcomed:
    """The session began."""

    welcome: Welcome


@dataclass(slots=True, frozen=True)
class AnswerPing:
    """Send the text pong, now; nothing else may ever send one."""


@dataclass(slots=True, frozen=True)
class SendAuth:
    """Send the auth frame with the token, which the core never sees."""


@dataclass(slots=True, frozen=True)
class Authenticated:
    """The token was answered: refused, or taken (no error in time, or a private frame)."""

    accepted: bool


@dataclass(slots=True, frozen=True)
class Refused:
    """An error frame came; `reason` is what it turned out to complain of."""

    error: Error
    reason: ErrorReason


@dataclass(slots=True, frozen=True)
class RoundTrip:
    """Our own ping was answered after so many seconds."""

    seconds: float


@dataclass(slots=True, frozen=True)
class DialectSeen:
    """The peer behaves like this dialect."""

    dialect: Dialect


class DropCause(StrEnum):
    """Why we end a connection ourselves."""

    WELCOME_TIMEOUT = "welcome_timeout"
    SILENCE = Lateness.SILENCE
    PING_TIMEOUT = Lateness.PING_TIMEOUT


@dataclass(slots=True, frozen=True)
class Drop:
    """Drop the connection: its peer is late."""

    cause: DropCause


Output: TypeAlias = (
    Moved
    | Welcomed
    | AnswerPing
    | SendAuth
    | SendPing
    | Authenticated
    | Refused
    | RoundTrip
    | DialectSeen
    | Drop
    | SubscriptionOutput
)
