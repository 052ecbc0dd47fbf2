"""One connection's life, told as events in and outputs out.

What state it is in, `core/states` tells. `Session` adds what happens inside one session: the welcome and its deadline,
subscribing, the token, the pings. It opens no socket and asks no clock: the driver reports what happened and does what
the returned outputs say, in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from alpmon.core.events import Ack, Dialect, Error, ErrorReason, Ping, Private, Welcome
from alpmon.core.keepalive import NEVER, GiveUp, Keepalive
from alpmon.core.outputs import (
    AnswerPing,
    Authenticated,
    DialectSeen,
    Drop,
    DropCause,
    Moved,
    Output,
    Refused,
    RoundTrip,
    SendAuth,
    Welcomed,
)
from alpmon.core.states import Move, State, fire
from alpmon.core.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alpmon.core.numeric import Event

_AIMED_FROM_SECONDS: Final = 2.0
"""Probes closer together than this keep to their interval: half a second would be too much of it."""


@dataclass(slots=True, frozen=True)
class Settings:
    """What one connection is held by; durations in seconds."""

    welcome_timeout: float
    ack_timeout: float
    silence: float | None
    rtt_interval: float
    ack_probe_interval: float
    max_frame_bytes: int


class Session:
    """One connection, over all its sessions. Times are monotonic seconds.

    The driver calls `opened`, then `received`, `pinged`, `ponged` and `tick` as things happen, and `ended`
    when the socket is gone; after that it may `retry`. `delivered` is set by the driver at the first data frame.
    """

    def __init__(self, settings: Settings, topics: Sequence[str], *, authenticate: bool = False) -> None:
        self._settings = settings
        self._authenticate = authenticate
        self.topics = tuple(topics)
        self.state = State.CONNECTING
        self._reset()

    def _reset(self) -> None:
        settings = self._settings
        self.keepalive = Keepalive(settings.rtt_interval, settings.silence)
        self.subscriptions = Subscriptions(self.topics, settings.max_frame_bytes, settings.ack_timeout)
        self.welcome: Welcome | None = None
        self.welcomed_at = NEVER
        self.dialect = Dialect.UNKNOWN
        self.acknowledged = False
        self.delivered = False
        self._welcome_due = NEVER
        self._auth_due = NEVER
        self._auth_sent = False
        self._auth_renewed = False
        self._probe_due = NEVER
        self._closing = False

    # What happens to the connection

    def opened(self, now: float) -> list[Output]:
        """The upgrade is done; the welcome is awaited."""
        self._welcome_due = now + self._settings.welcome_timeout
        return self._move(Move.OPEN)

    def received(self, event: Event, now: float) -> list[Output]:
        """A text frame that is not public data."""
        match event:
            case Ping():
                return [AnswerPing(), *self._saw(Dialect.DOCUMENTED)]
            case Welcome():
                return self._on_welcome(event, now)
            case Ack():
                return self._on_ack(event, now)
            case Error():
                return self._on_error(event, now)
            case Private() if self._auth_due < NEVER and not self._auth_renewed:
                return self._auth_answered(now, accepted=True)
        return []

    def pinged(self) -> list[Output]:
        """A WebSocket ping came (and was answered by the library)."""
        return self._saw(Dialect.OBSERVED)

    def ponged(self, payload: bytes, now: float) -> list[Output]:
        """A WebSocket pong came."""
        seconds = self.keepalive.ponged(payload, now)
        return [] if seconds is None else [RoundTrip(seconds)]

    def closing(self) -> None:
        """The connection is being closed, whoever wants it: frames may still come, and nothing is sent or due."""
        self._closing = True
        self.subscriptions.closing()

    def tick(self, now: float) -> list[Output]:
        """Whatever is due by now; call it again at `deadline()`."""
        if self._closing:
            return []
        if self.state is State.WELCOMING:
            return self._give_up(DropCause.WELCOME_TIMEOUT) if now >= self._welcome_due else []
        if not self.up:
            return []
        due = self.keepalive.tick(now)
        if isinstance(due, GiveUp):
            return self._give_up(DropCause(due.cause))
        outputs: list[Output] = [] if due is None else [due]
        if now >= self._auth_due:
            outputs += self._auth_answered(now, accepted=True)
        outputs += self._settled(self.subscriptions.tick(now), now)
        if now >= self._probe_due and self._auth_due == NEVER:
            self._schedule_probe(now)
            outputs += self.subscriptions.probe(now)
        return outputs

    def deadline(self) -> float:
        """When `tick` is next due, if nothing happens before; infinite where nothing is."""
        if self._closing:
            return NEVER
        if self.state is State.WELCOMING:
            return self._welcome_due
        if not self.up:
            return NEVER
        answer_due = self.subscriptions.deadline()
        return min(
            self.keepalive.deadline(),
            self._auth_due,
            self._probe_due if self._auth_due == NEVER else NEVER,
            NEVER if answer_due is None else answer_due,
        )

    def aim_probe(self, aim: Callable[[float], float]) -> None:
        """Let the next probe go where its answer tells most: `aim` moves its time by half a second at most."""
        if self._probe_due < NEVER and self._settings.ack_probe_interval >= _AIMED_FROM_SECONDS:
            self._probe_due = aim(self._probe_due)

    def hasten_probe(self, now: float) -> None:
        """Probe at once: an acknowledgement is wanted. Nothing where probing is off."""
        if self._probe_due < NEVER:
            self._probe_due = min(self._probe_due, now)

    def add(self, topics: Sequence[str], now: float) -> list[Output]:
        """Subscribe to more topics, on the live session if there is one and in every later one."""
        self.topics += tuple(topics)
        if not self.up:
            self._reset_subscriptions()
            return []
        moved = self._move(Move.ASK) if self.state is State.LIVE else []
        return moved + self._settled(self.subscriptions.add(topics, now), now)

    def remove(self, topics: Sequence[str], now: float) -> list[Output]:
        """Unsubscribe from topics, on the live session if there is one and in every later one."""
        self.topics = tuple(topic for topic in self.topics if topic not in topics)
        if not self.up:
            self._reset_subscriptions()
            return []
        return self._settled(self.subscriptions.remove(topics, now), now)

    def forget(self, topics: Sequence[str]) -> None:
        """Do not ask for these topics in later sessions; another connection carries them now."""
        self.topics = tuple(topic for topic in self.topics if topic not in topics)

    def hold_by(self, settings: Settings, now: float) -> None:
        """Other limits are in force from here on, for what is waited for already as well; then look at `deadline()`."""
        before, self._settings = self._settings, settings
        self._welcome_due += settings.welcome_timeout - before.welcome_timeout
        self._auth_due += settings.ack_timeout - before.ack_timeout
        self.keepalive.hold_by(settings.rtt_interval, settings.silence, now)
        self.subscriptions.hold_by(settings.max_frame_bytes, settings.ack_timeout)
        if self.up and settings.ack_probe_interval != before.ack_probe_interval:
            self._schedule_probe(now)

    def reauthenticate(self, now: float) -> list[Output]:
        """There is a new token: present it as soon as nothing else awaits an answer."""
        self._auth_renewed = self._auth_sent
        self._auth_sent = False
        return self._settled([], now) if self.up else []

    def ended(self, now: float) -> list[Output]:
        """The socket is gone, or was never had."""
        lost = self.subscriptions.drop(now) if self.up else []
        return [*lost, *self._move(Move.END)]

    def retry(self) -> list[Output]:
        """The wait is over: connect again, with nothing left of the last session."""
        moved = self._move(Move.RETRY)
        self._reset()
        return moved

    def stop(self, now: float) -> list[Output]:
        """For good, from any state."""
        lost = self.subscriptions.drop(now) if self.up else []
        return [*lost, *self._move(Move.STOP)]

    @property
    def up(self) -> bool:
        """From the welcome until the end."""
        return self.state in (State.SUBSCRIBING, State.LIVE)

    # What each thing means

    def _move(self, move: Move) -> list[Output]:
        before, self.state = self.state, fire(self.state, move)
        return [Moved(before, self.state)]

    def _schedule_probe(self, now: float) -> None:
        interval = self._settings.ack_probe_interval
        self._probe_due = now + interval if interval > 0 else NEVER

    def _reset_subscriptions(self) -> None:
        self.subscriptions = Subscriptions(self.topics, self._settings.max_frame_bytes, self._settings.ack_timeout)

    def _on_welcome(self, welcome: Welcome, now: float) -> list[Output]:
        if self.state is not State.WELCOMING or self._closing:
            return []  # A second welcome changes nothing: the session is what the first one said. Nor does a late one.
        self.welcome, self.welcomed_at = welcome, now
        self.keepalive.welcomed(welcome.ping_interval_seconds, welcome.ping_timeout_seconds, now)
        self._schedule_probe(now)
        outputs: list[Output] = [Welcomed(welcome), *self._move(Move.WELCOME)]
        return outputs + self._settled(self.subscriptions.start(now), now)

    def _on_ack(self, ack: Ack, now: float) -> list[Output]:
        if not self.up:
            return []
        self.acknowledged = True
        saw = self._saw(Dialect.OBSERVED if ack.whole_seconds else Dialect.DOCUMENTED)
        return saw + self._settled(self.subscriptions.acknowledged(ack, now), now)

    def _on_error(self, error: Error, now: float) -> list[Output]:
        """Whose the error is: the token's while its answer is awaited, else the request's in flight."""
        if not self.up:
            return [Refused(error, error.reason)]
        if self._auth_due < NEVER:
            return [Refused(error, ErrorReason.UNAUTHORIZED), *self._auth_answered(now, accepted=False)]
        saw = self._saw(Dialect.OBSERVED) if error.operation is not None else []
        return [Refused(error, error.reason), *saw, *self._settled(self.subscriptions.refused(error, now), now)]

    def _settled(self, outputs: Sequence[Output], now: float) -> list[Output]:
        """Add the move to live, and the token, once every topic has its answer.

        The token goes last: then no request is in flight, and an error without a name can only mean the token.
        """
        if not self.subscriptions.settled:
            return list(outputs)
        live = [*outputs, *(self._move(Move.SETTLE) if self.state is State.SUBSCRIBING else [])]
        if not self._authenticate or self._auth_sent or self._auth_due < NEVER or self._closing:
            return live
        self._auth_sent = True
        self._auth_due = now + self._settings.ack_timeout
        return [*live, SendAuth()]

    def _auth_answered(self, now: float, *, accepted: bool) -> list[Output]:
        """The next token may have come while the last one's answer was awaited."""
        self._auth_due = NEVER
        return [Authenticated(accepted), *self._settled([], now)]

    def _saw(self, dialect: Dialect) -> list[Output]:
        """The first trait decides, but for the text ping: only the documented dialect has it at all."""
        if self.dialect is dialect or (self.dialect is not Dialect.UNKNOWN and dialect is not Dialect.DOCUMENTED):
            return []
        self.dialect = dialect
        return [DialectSeen(dialect)]

    def _give_up(self, cause: DropCause) -> list[Output]:
        self.closing()
        return [Drop(cause)]
