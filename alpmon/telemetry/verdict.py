"""The whole state as one sentence: is anything bad, what, since when, and whose fault is it.

`troubles` has the rules for each connection. Two are about the whole: where the monitor's own event loop is late for
more than a quarter of the time, nothing else can be trusted, and that comes first; and where several targets are all
lost on the way at once, this machine's own network is the first place to look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from alpmon.telemetry import alerts
from alpmon.telemetry.troubles import Cause, Fault, Kind, Level, Trouble, troubles

if TYPE_CHECKING:
    from alpmon.telemetry.targetstatus import TargetStatus

_NAMES_SHOWN: Final = 3
_LEVELS: Final = tuple(Level)
_KINDS: Final = tuple(Kind)

ALERTS: Final = {
    Kind.MONITOR_SLOW: "AlpmonMonitorSlow",
    Kind.DOWN: "AlpmonConnectionDown",
    Kind.DEAF: "AlpmonPingOverdue",
    Kind.STALE: "AlpmonFeedStale",
    Kind.SILENT: "AlpmonFeedSilent",
    Kind.REJECTED: "AlpmonSubscribeRejected",
    Kind.CLOSED: "AlpmonPrivateChannelsClosed",
    Kind.CERTIFICATE: "AlpmonCertificateExpiring",
    Kind.THIN: "AlpmonFeedThin",
    Kind.DIVERGED: "AlpmonFeedDivergedFromReference",
    Kind.LAGGING: alerts.LAGGING.name,
    Kind.MISSED: alerts.MISSED_MESSAGES.name,
    Kind.ANOMALIES: alerts.ANOMALIES.name,
    Kind.MALFORMED: alerts.MALFORMED_FRAMES.name,
    Kind.ERRORS: alerts.ERROR_FRAMES.name,
    Kind.FLAPPING: alerts.FLAPPING.name,
    Kind.FAILING: alerts.RECONNECT_FAILING.name,
    Kind.ACK_SLOW: alerts.ACK_SLOW.name,
    Kind.PONG_SLOW: alerts.PONG_SLOW.name,
    Kind.CLOCK: "AlpmonClockOffset",
    Kind.RELOAD: "AlpmonConfigReloadFailed",
}
_WORDS: Final = {
    Kind.DOWN: ("is down", "are down"),
    Kind.DEAF: ("has gone quiet altogether", "have gone quiet altogether"),
    Kind.STALE: ("is stale", "are stale"),
    Kind.SILENT: ("has never delivered", "have never delivered"),
    Kind.REJECTED: ("was rejected", "were rejected"),
    Kind.THIN: ("is thin", "are thin"),
    Kind.DIVERGED: ("has fallen behind REST", "have fallen behind REST"),
    Kind.LAGGING: ("brings old messages", "bring old messages"),
    Kind.MISSED: ("has missed messages", "have missed messages"),
    Kind.ANOMALIES: ("contradicts itself", "contradict themselves"),
    Kind.MALFORMED: ("sends what cannot be read", "send what cannot be read"),
    Kind.ERRORS: ("reports errors", "report errors"),
    Kind.FLAPPING: ("keeps being lost", "keep being lost"),
    Kind.FAILING: ("was hard to reach", "were hard to reach"),
    Kind.ACK_SLOW: ("acknowledges late", "acknowledge late"),
    Kind.PONG_SLOW: ("gets its pongs late", "get their pongs late"),
    Kind.CONNECTING: ("is being connected", "are being connected"),
}
_OF_A_TARGET: Final = {
    Kind.CERTIFICATE: "The certificate of {} is about to end",
    Kind.CLOCK: "The clock of {} and ours differ",
}
_SLOW: Final = Cause(
    Kind.MONITOR_SLOW,
    Level.BAD,
    Fault.MONITOR,
    "its own event loop is late for more than a quarter of the time, so all else may be its own doing",
)
_OLD_CONFIGURATION: Final = Cause(
    Kind.RELOAD, Level.WARNING, Fault.CONFIGURATION, "its file has mistakes, and the one before it is still in force"
)
_OWN: Final = {
    Kind.MONITOR_SLOW: "This monitor is too slow to judge anybody",
    Kind.RELOAD: "This monitor refused its new configuration",
}


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, wherever in a target it is for the same reason.

    `alert` is the alert that fires for it, under whose name the runbook says what to do.
    """

    kind: Kind
    level: Level
    fault: Fault
    sentence: str
    because: str
    since_timestamp_seconds: float | None
    target: str | None
    connections: list[str]
    topics: int
    alert: str | None


class Verdict(Struct, frozen=True, kw_only=True):
    """The weightiest finding as a headline, and all findings, the weightiest first."""

    level: Level
    fault: Fault
    sentence: str
    because: str
    since_timestamp_seconds: float | None
    findings: list[Finding]


class Own(NamedTuple):
    """What the monitor knows of itself.

    Attributes:
        started: when it did, wall clock, seconds.
        late_share: for how much of the latest seconds its event loop was late.
        reload_refused: it runs on a configuration that its file no longer holds.
    """

    started: float
    late_share: float = 0.0
    reload_refused: bool = False


def judge(targets: Sequence[TargetStatus], own: Own, timestamp: float) -> Verdict:
    """Put the state of `targets` at `timestamp`, wall clock seconds, into one sentence."""
    findings = [_finding(None, [Trouble(cause, None)]) for cause in _own_causes(own)]
    for target in targets:
        findings += _findings(target, timestamp, own.started)
    findings.sort(key=_weight)
    return _headline(findings, targets) if findings else _all_well(targets)


def _own_causes(own: Own) -> Iterator[Cause]:
    if own.late_share > alerts.MAX_LATE_SHARE:
        yield _SLOW
    if own.reload_refused:
        yield _OLD_CONFIGURATION


def _weight(finding: Finding) -> tuple[int, int, float]:
    return _LEVELS.index(finding.level), _KINDS.index(finding.kind), finding.since_timestamp_seconds or 0.0


def _headline(findings: list[Finding], targets: Sequence[TargetStatus]) -> Verdict:
    first, more = findings[0], sum(finding.level is not Level.WAITING for finding in findings[1:])
    return Verdict(
        level=first.level,
        fault=first.fault,
        sentence=first.sentence + (f", and {_count(more, 'more trouble')}" if more else ""),
        because=_common_cause(findings, targets) or first.because,
        since_timestamp_seconds=first.since_timestamp_seconds,
        findings=findings,
    )


def _common_cause(findings: list[Finding], targets: Sequence[TargetStatus]) -> str:
    lost = {finding.target for finding in findings if finding.kind is Kind.DOWN and finding.fault is Fault.NETWORK}
    up = any(connection.up for target in targets for connection in target.connections)
    return "no target can be reached, so begin with this machine's own" if len(lost) > 1 and not up else ""


def _all_well(targets: Sequence[TargetStatus]) -> Verdict:
    connections = [connection for target in targets for connection in target.connections]
    topics = sum(len(connection.topics) for connection in connections)
    well = f"All is well: {_count(topics, 'topic')} on {_count(len(connections), 'connection')}"
    return Verdict(
        level=Level.GOOD if connections else Level.WAITING,
        fault=Fault.NOBODY,
        sentence=well if connections else "This monitor holds no connection",
        because="",
        since_timestamp_seconds=None,
        findings=[],
    )


def _findings(target: TargetStatus, timestamp: float, started: float) -> Iterator[Finding]:
    by_cause = attrgetter("cause")
    found = sorted(troubles(target, timestamp, started), key=by_cause)
    for _, alike in groupby(found, by_cause):
        yield _finding(target, list(alike))


def _finding(target: TargetStatus | None, alike: list[Trouble]) -> Finding:
    cause, connections = alike[0].cause, _distinct(trouble.connection for trouble in alike)
    topics = _distinct(trouble.topic for trouble in alike)
    return Finding(
        kind=cause.kind,
        level=cause.level,
        fault=cause.fault,
        sentence=_sentence(cause.kind, target, connections, topics),
        because=cause.because,
        since_timestamp_seconds=min((each.since for each in alike if each.since is not None), default=None),
        target=target.target if target else None,
        connections=connections,
        topics=len(topics),
        alert=ALERTS.get(cause.kind),
    )


def _sentence(kind: Kind, target: TargetStatus | None, connections: list[str], topics: list[str]) -> str:
    if target is None:
        return _OWN[kind]
    if kind is Kind.CLOSED:
        return f"The private channels are closed on {_where(target, connections)}"
    if kind in _OF_A_TARGET:
        return _OF_A_TARGET[kind].format(target.target)
    where = _where(target, connections)
    one, many = _WORDS[kind]
    if topics:
        return f"{_named(topics)} {one if len(topics) == 1 else many} on {where}"
    return f"{where} {one if len(connections) == 1 else many}"


def _where(target: TargetStatus, connections: list[str]) -> str:
    if len(connections) == 1:
        return f"{target.target} {connections[0]}"
    return f"{len(connections)} of {len(target.connections)} connections of {target.target}"


def _named(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    if len(names) <= _NAMES_SHOWN:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{', '.join(names[: _NAMES_SHOWN - 1])} and {len(names) - _NAMES_SHOWN + 1} more topics"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _distinct(names: Iterable[str]) -> list[str]:
    """In their order, without the empty ones."""
    return list(dict.fromkeys(filter(None, names)))
