"""What is wrong on each connection, and whose fault that is.

The rules:

- A connection is down: `_FAILED` says it by the newest failed attempt, or `_ENDED` by the end of the last session,
  whichever came later. Down without either, it is being made, and that is nobody's fault.
- A connection is up, and nothing has come for one and a half times the ping interval that the server itself
  advertised: the network's fault, and so is every topic that is late on it.
- A topic is stale, or silent from the start, on a connection where other frames come: the exchange's fault. Where none
  has come since, that is unclear until the next ping comes, or is overdue.
- A topic is rejected: the configuration's fault, until its name and the limits have been looked at.
- The token was refused: the configuration's fault.
- A topic sends less than a tenth of what it usually does: the exchange's fault.
- REST has had news of a topic for a minute that the feed does not bring: the exchange's fault.
- What passes and comes back is told for as long as its alert looks back, by `telemetry.lately`; `_LATELY` says whose
  fault each is.
- The certificate ends within two weeks: the exchange's fault. Its clock and ours differ: nobody can say from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from alpmon.core.freshness import TopicState
from alpmon.core.states import State
from alpmon.telemetry import alerts
from alpmon.telemetry.alerts import Lapse

if TYPE_CHECKING:
    from alpmon.telemetry.targetstatus import ConnectionStatus, EndStatus, TargetStatus, TopicStatus

DEAF_INTERVALS: Final = 1.5
"""As in the alert AlpmonPingOverdue."""
ALIVE_SECONDS: Final = 5.0
"""A frame as new as this shows that a connection is alive, as does one that came after its topic was late."""
THIN_RATIO: Final = 0.1
"""As in the alert AlpmonFeedThin."""
CERTIFICATE_WARNING_SECONDS: Final = 14 * 86400.0
CERTIFICATE_BAD_SECONDS: Final = 2 * 86400.0
"""As in the alerts AlpmonCertificateExpiring."""


class Level(StrEnum):
    """How bad, the worst first."""

    BAD = "bad"
    WARNING = "warning"
    WAITING = "waiting"
    GOOD = "good"


class Fault(StrEnum):
    """Whose."""

    NOBODY = "nobody"
    MONITOR = "monitor"
    NETWORK = "network"
    EXCHANGE = "exchange"
    CONFIGURATION = "configuration"
    UNCLEAR = "unclear"


class Kind(StrEnum):
    """What can be wrong, the weightiest first."""

    MONITOR_SLOW = "monitor_slow"
    DOWN = "down"
    DEAF = "deaf"
    STALE = "stale"
    SILENT = "silent"
    CLOSED = "closed"
    DIVERGED = "diverged"
    LAGGING = "lagging"
    REJECTED = "rejected"
    CERTIFICATE = "certificate"
    THIN = "thin"
    MISSED = "missed"
    ANOMALIES = "anomalies"
    MALFORMED = "malformed"
    ERRORS = "errors"
    FLAPPING = "flapping"
    FAILING = "failing"
    ACK_SLOW = "ack_slow"
    PONG_SLOW = "pong_slow"
    CLOCK = "clock"
    RELOAD = "reload"
    CONNECTING = "connecting"


class Cause(NamedTuple):
    """What is wrong, how bad that is, whose fault, and why we think so; equal causes are told as one."""

    kind: Kind
    level: Level
    fault: Fault
    because: str


class Trouble(NamedTuple):
    """A cause, where it was met, and since when by the wall clock."""

    cause: Cause
    since: float | None
    connection: str = ""
    topic: str = ""


_FAILED: Final = {
    "dns": (Fault.NETWORK, "its name cannot be resolved"),
    "unreachable": (Fault.NETWORK, "there is no way to its address"),
    "timeout": (Fault.NETWORK, "it cannot be reached in time"),
    "refused": (Fault.EXCHANGE, "its machine answers and refuses the connection"),
    "tls": (Fault.EXCHANGE, "its TLS does not hold"),
    "http_status": (Fault.EXCHANGE, "it refuses the upgrade"),
    "handshake": (Fault.EXCHANGE, "it breaks off the handshake"),
    "welcome_timeout": (Fault.EXCHANGE, "it upgrades and never says welcome"),
    "auth": (Fault.CONFIGURATION, "no token can be had"),
}
"""By the reason of a failed attempt."""
_ENDED: Final = {
    "connection_lost": (Fault.NETWORK, "the connection was cut without a close frame"),
    "silence": (Fault.NETWORK, "the peer went dead: nothing came any more, not even a ping"),
    "ping_timeout": (Fault.NETWORK, "the peer went dead: it did not answer our ping"),
    "protocol_error": (Fault.EXCHANGE, "it broke the WebSocket protocol"),
    "too_big": (Fault.EXCHANGE, "it sent a message beyond all bounds"),
}
"""By the reason of a session's end, but for a close frame: that is its sender's."""
_LATE: Final = {
    TopicState.STALE: (Kind.STALE, "the connection is alive, and this feed is not"),
    TopicState.SILENT: (Kind.SILENT, "it acknowledged the subscription and sends nothing"),
}
_UNPROVEN: Final = "nothing else comes on this connection either, so it may be dead itself: its next ping will tell"
_REJECTED: Final = Cause(
    Kind.REJECTED, Level.BAD, Fault.CONFIGURATION, "the exchange does not know the name, has no room, or never answered"
)
_THIN: Final = Cause(Kind.THIN, Level.WARNING, Fault.EXCHANGE, "it sends less than a tenth of what it usually does")
_CLOSED: Final = Cause(Kind.CLOSED, Level.BAD, Fault.CONFIGURATION, "the exchange refused the token")
_DIVERGED: Final = Cause(
    Kind.DIVERGED, Level.BAD, Fault.EXCHANGE, "for more than a minute REST has had news that the feed does not bring"
)
_CLOCK: Final = Cause(
    Kind.CLOCK, Level.WARNING, Fault.UNCLEAR, "by more than a second for sure: begin with this machine's own"
)
_LATE_MESSAGES: Final = f"{{what}} messages came over {alerts.LAGGING.slower_than:g} s after their stamps"
_LATE_ACKS: Final = f"most requests waited for over {alerts.ACK_SLOW.slower_than:g} s"
_LATE_PONGS: Final = f"we took over {alerts.PONG_SLOW.slower_than:g} s to answer its pings"
_LATELY: Final = {
    alerts.LAGGING.name: (Kind.LAGGING, Level.BAD, Fault.EXCHANGE, _LATE_MESSAGES),
    alerts.MISSED_MESSAGES.name: (Kind.MISSED, Level.WARNING, Fault.EXCHANGE, "another connection of ours got them"),
    alerts.ANOMALIES.name: (Kind.ANOMALIES, Level.WARNING, Fault.EXCHANGE, "{what}"),
    alerts.MALFORMED_FRAMES.name: (Kind.MALFORMED, Level.WARNING, Fault.EXCHANGE, "frames of no known kind"),
    alerts.ERROR_FRAMES.name: (Kind.ERRORS, Level.WARNING, Fault.UNCLEAR, "{what}"),
    alerts.ACK_SLOW.name: (Kind.ACK_SLOW, Level.WARNING, Fault.EXCHANGE, _LATE_ACKS),
    alerts.PONG_SLOW.name: (Kind.PONG_SLOW, Level.WARNING, Fault.MONITOR, _LATE_PONGS),
}
"""By the alert whose condition holds, with what it counts."""
_BY_THE_WAY: Final = (alerts.LAGGING.name, alerts.ACK_SLOW.name)
"""Where round trips say whether it is the network."""
_SLOW_WAY: Final = 0.5
_CONNECTING: Final = Cause(Kind.CONNECTING, Level.WAITING, Fault.NOBODY, "")


def troubles(target: TargetStatus, timestamp: float, started: float) -> Iterator[Trouble]:
    """Everything that is wrong with one target.

    Args:
        target: as it stands at `timestamp`, wall clock seconds.
        timestamp: see there.
        started: when the monitor did; what never was up has been down since then.
    """
    delivered = _delivered(target)
    for connection in target.connections:
        if connection.up:
            yield from _while_up(connection, delivered, timestamp)
        else:
            yield Trouble(_why_down(connection), _down_since(connection, started), connection.connection)
        yield from _lately(connection)
    yield from _certificate(target)
    yield from _clock(target)


def _why_down(connection: ConnectionStatus) -> Cause:
    end, failed_ago = connection.last_end, connection.last_failure_ago_seconds
    if connection.last_failure and failed_ago is not None and (end is None or failed_ago <= end.ago_seconds):
        reason, _, detail = connection.last_failure.partition(": ")
        fault, words = _FAILED.get(reason, (Fault.UNCLEAR, "the attempt failed"))
        return Cause(Kind.DOWN, Level.BAD, fault, f"{words} ({detail})")
    if end is None or connection.state is State.STOPPED:
        return _CONNECTING
    return _why_ended(end)


def _why_ended(end: EndStatus) -> Cause:
    if end.initiator == "server":
        said = f", saying “{end.close_reason}”" if end.close_reason else ""
        return Cause(Kind.DOWN, Level.BAD, Fault.EXCHANGE, f"it closed the session with code {end.code}{said}")
    if end.reason not in _ENDED:
        return _CONNECTING  # we ended it ourselves, to begin anew
    return Cause(Kind.DOWN, Level.BAD, *_ENDED[end.reason])


def _down_since(connection: ConnectionStatus, started: float) -> float:
    return started if connection.last_end is None else connection.last_end.timestamp_seconds


def _delivered(target: TargetStatus) -> frozenset[str]:
    """The topics that some connection gets."""
    topics = (topic for connection in target.connections for topic in connection.topics)
    return frozenset(topic.topic for topic in topics if topic.state is TopicState.LIVE)


def _while_up(connection: ConnectionStatus, delivered: Set[str], timestamp: float) -> Iterator[Trouble]:
    deaf = _is_deaf(connection)
    if deaf:
        words = "nothing has come for longer than the ping interval that the server advertised"
        silent = connection.last_frame_ago_seconds or 0.0
        yield Trouble(Cause(Kind.DEAF, Level.BAD, Fault.NETWORK, words), timestamp - silent, connection.connection)
    if connection.token_accepted is False:
        yield Trouble(_CLOSED, None, connection.connection)
    for topic in connection.topics:
        cause = _why_late(topic, connection, delivered, deaf=deaf)
        if cause is not None:
            since = None if topic.state_seconds is None else timestamp - topic.state_seconds
            yield Trouble(cause, since, connection.connection, topic.topic)
        behind = topic.reference_divergence_seconds or 0.0
        if behind > alerts.DIVERGENCE_SECONDS and topic.last_message_timestamp_seconds is not None:
            yield Trouble(_DIVERGED, timestamp - behind, connection.connection, topic.topic)


def _why_late(topic: TopicStatus, connection: ConnectionStatus, delivered: Set[str], *, deaf: bool) -> Cause | None:
    if topic.state is TopicState.REJECTED:
        return _REJECTED
    if topic.state is TopicState.STALE or topic.state is TopicState.SILENT:
        kind, words = _LATE[topic.state]
        if deaf:
            return Cause(kind, Level.BAD, Fault.NETWORK, "nothing at all comes on this connection")
        if not _is_alive(connection, topic):
            return Cause(kind, Level.BAD, Fault.UNCLEAR, _UNPROVEN)
        elsewhere = topic.topic in delivered
        return Cause(kind, Level.BAD, Fault.EXCHANGE, "another connection of ours gets it" if elsewhere else words)
    thin = topic.state is TopicState.LIVE and topic.rate_ratio is not None and topic.rate_ratio < THIN_RATIO
    return _THIN if thin else None


def _is_deaf(connection: ConnectionStatus) -> bool:
    interval = connection.advertised_ping_interval_seconds
    silent = connection.last_frame_ago_seconds
    return interval is not None and silent is not None and silent > DEAF_INTERVALS * interval


def _is_alive(connection: ConnectionStatus, topic: TopicStatus) -> bool:
    silent = connection.last_frame_ago_seconds
    return silent is None or silent < max(ALIVE_SECONDS, topic.state_seconds or 0.0)


def _lately(connection: ConnectionStatus) -> Iterator[Trouble]:
    """What has come and gone; an error is not told twice, where a topic or the token is refused by it still."""
    rejected = any(topic.state is TopicState.REJECTED for topic in connection.topics)
    refused = rejected or connection.token_accepted is False
    for lapse in connection.lapses:
        if lapse.alert == alerts.ERROR_FRAMES.name and refused:
            continue
        topic = lapse.what if lapse.alert == alerts.MISSED_MESSAGES.name else ""
        yield Trouble(_why_lately(connection, lapse), lapse.since_timestamp_seconds, connection.connection, topic)


def _why_lately(connection: ConnectionStatus, lapse: Lapse) -> Cause:
    when = f"in the last {lapse.window_seconds / 60:.0f} min"
    if lapse.alert == alerts.FLAPPING.name:
        last = _CONNECTING if connection.last_end is None else _why_ended(connection.last_end)
        return Cause(Kind.FLAPPING, Level.WARNING, last.fault, f"several times {when}; the newest: {last.because}")
    if lapse.alert == alerts.RECONNECT_FAILING.name:
        fault, words = _FAILED.get(lapse.what, (Fault.UNCLEAR, "attempts failed"))
        return Cause(Kind.FAILING, Level.WARNING, fault, f"{words}, {when}")
    kind, level, fault, words = _LATELY[lapse.alert]
    words = f"{words.format(what=lapse.what)}, {when}"
    if lapse.alert not in _BY_THE_WAY:
        return Cause(kind, level, fault, words)
    if lapse.slow_round_trips is None:
        return Cause(kind, level, Fault.UNCLEAR, words)
    if lapse.slow_round_trips > _SLOW_WAY:
        return Cause(kind, level, Fault.NETWORK, f"{words}, and so did round trips")
    return Cause(kind, level, fault, f"{words}, while round trips were quick")


def _clock(target: TargetStatus) -> Iterator[Trouble]:
    offset, error = target.clock_offset_seconds, target.clock_offset_error_seconds
    if offset is not None and error is not None and abs(offset) - error > alerts.CLOCK_OFFSET_SECONDS:
        yield Trouble(_CLOCK, None)


def _certificate(target: TargetStatus) -> Iterator[Trouble]:
    left = target.certificate_expires_in_seconds
    if left is not None and left < CERTIFICATE_WARNING_SECONDS:
        level = Level.BAD if left < CERTIFICATE_BAD_SECONDS else Level.WARNING
        words = "it ends within two weeks" if left > 0 else "it has expired"
        yield Trouble(Cause(Kind.CERTIFICATE, level, Fault.EXCHANGE, words), None)
