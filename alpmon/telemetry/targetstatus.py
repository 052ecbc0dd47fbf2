"""One target as a person asks for it: its connections and their topics, what is up, what is not, since when.

Durations are in `..._seconds`, times in `..._timestamp_seconds` since the epoch; what never happened is null.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from alpmon.core.freshness import TROUBLE, TopicFreshness, TopicState
from alpmon.core.states import State
from alpmon.masking import mask_urls
from alpmon.telemetry.alerts import Lapse
from alpmon.telemetry.state import ConnectionRecord, SessionEnd, TargetRecord, TopicRecord

__all__ = ["ConnectionStatus", "EndStatus", "State", "TargetStatus", "TopicStatus", "target_status"]

_WORST_FIRST: Final = {
    state: rank
    for rank, state in enumerate(
        (
            TopicState.STALE,
            TopicState.SILENT,
            TopicState.REJECTED,
            TopicState.DOWN,
            TopicState.PENDING,
            TopicState.QUIET,
            TopicState.LIVE,
            None,
        )
    )
}
_IN_TROUBLE: Final = TROUBLE | {TopicState.DOWN}
"""Nobody sees what a connection that is down would carry."""


class TopicStatus(Struct, frozen=True, kw_only=True):
    """One topic on one connection; a private channel is counted, and never judged.

    `delivered` is about this session.
    """

    topic: str
    messages: int
    bytes: int
    last_message_timestamp_seconds: float | None
    state: TopicState | None = None
    state_seconds: float | None = None
    age_seconds: float | None = None
    stale_after_seconds: float | None = None
    stale_seconds: float | None = None
    stale_episodes: int | None = None
    rate_ratio: float | None = None
    delivered: bool | None = None
    reference_divergence_seconds: float | None = None


class EndStatus(Struct, frozen=True, kw_only=True):
    """How the last session ended; `close_reason` is the peer's own words, `error` the network's or the library's."""

    timestamp_seconds: float
    ago_seconds: float
    initiator: str
    code: str
    reason: str
    close_reason: str
    error: str = ""


class ConnectionStatus(Struct, frozen=True, kw_only=True):
    """One connection and its topics, the worst first; those of one that is down are all in trouble."""

    connection: str
    state: State
    state_seconds: float | None
    up: bool
    client_id: str | None
    dialect: str | None
    session_seconds: float | None
    token_accepted: bool | None
    advertised_ping_interval_seconds: float | None
    advertised_ping_timeout_seconds: float | None
    last_frame_ago_seconds: float | None
    last_ping_ago_seconds: float | None
    frames: int
    attempts: int
    worker_restarts: int
    last_failure: str | None
    last_failure_ago_seconds: float | None
    last_end: EndStatus | None
    retry_in_seconds: float | None
    topics_in_trouble: int
    lapses: list[Lapse]
    topics: list[TopicStatus]


class TargetStatus(Struct, frozen=True, kw_only=True):
    """One target and its connections, the worst first."""

    target: str
    url: str
    certificate_expires_in_seconds: float | None
    clock_offset_seconds: float | None
    clock_offset_error_seconds: float | None
    symbols_dropped: int
    connections: list[ConnectionStatus]


def target_status(target: TargetRecord, now: float, wall: float) -> TargetStatus:
    """Tell a target's state at monotonic `now`, wall clock `wall`; safe in a thread while the event loop writes."""
    records = list(target.connections.values())
    connections = [_connection(record, now, wall) for record in records]
    expiry = min(
        (record.certificate_not_after_wall for record in records if record.certificate_not_after_wall), default=0
    )
    clock = target.clock.reading(now, wall)
    return TargetStatus(
        target=target.name,
        url=mask_urls(target.url),
        certificate_expires_in_seconds=expiry - wall if expiry else None,
        clock_offset_seconds=_known(clock.offset_seconds),
        clock_offset_error_seconds=_known(clock.error_seconds),
        symbols_dropped=len(target.symbols_dropped),
        connections=sorted(connections, key=_connection_rank),
    )


def _connection_rank(connection: ConnectionStatus) -> tuple[bool, int]:
    return connection.up, -connection.topics_in_trouble


def _connection(record: ConnectionRecord, now: float, wall: float) -> ConnectionStatus:
    topics = [_topic(topic, now) for topic in list(record.topics.values())]
    return ConnectionStatus(
        connection=record.label,
        state=record.state,
        state_seconds=_ago(record.state_since_wall, wall),
        up=record.up,
        client_id=record.client_id or None,
        dialect=record.dialect if record.up else None,
        token_accepted=record.token_accepted,
        session_seconds=_ago(record.established_wall, wall),
        advertised_ping_interval_seconds=record.advertised_interval_seconds or None,
        advertised_ping_timeout_seconds=record.advertised_timeout_seconds or None,
        last_frame_ago_seconds=_ago(record.last_frame_wall, wall),
        last_ping_ago_seconds=_ago(record.last_ping_wall, wall),
        frames=record.data_frames + sum(list(record.frames.values())),
        attempts=record.attempts,
        worker_restarts=record.worker_restarts,
        last_failure=mask_urls(record.last_failure) or None,
        last_failure_ago_seconds=_ago(record.last_failure_wall, wall),
        last_end=_end(record.last_end, wall),
        retry_in_seconds=max(0.0, record.retry_at_wall - wall) if record.retry_at_wall else None,
        topics_in_trouble=sum(topic.state in _IN_TROUBLE for topic in topics),
        lapses=record.lapses,
        topics=sorted(topics, key=lambda topic: _WORST_FIRST[topic.state]),
    )


def _end(end: SessionEnd | None, wall: float) -> EndStatus | None:
    if end is None:
        return None
    return EndStatus(
        timestamp_seconds=end.wall,
        ago_seconds=max(0.0, wall - end.wall),
        initiator=end.initiator,
        code=end.code,
        reason=end.reason,
        close_reason=end.close_reason,
        error=end.error,
    )


def _topic(topic: TopicRecord, now: float) -> TopicStatus:
    counted = TopicStatus(
        topic=topic.topic,
        messages=topic.messages,
        bytes=topic.bytes,
        last_message_timestamp_seconds=topic.last_message_wall or None,
    )
    judged = topic.freshness
    if judged is None:
        return counted
    return replace(
        counted,
        state=judged.state(now),
        state_seconds=max(0.0, now - judged.since(now)),
        age_seconds=_age(judged, now),
        stale_after_seconds=judged.stale_after(),
        stale_seconds=judged.stale_seconds(now),
        stale_episodes=judged.episodes(now),
        rate_ratio=_known(topic.meter.rate.ratio),
        delivered=judged.delivered,
        reference_divergence_seconds=None if topic.watch is None else topic.watch.divergence(now),
    )


def _age(judged: TopicFreshness, now: float) -> float | None:
    """The age, where there is one: it starts at the acknowledgement."""
    waiting = (TopicState.DOWN, TopicState.PENDING, TopicState.REJECTED)
    return None if judged.state(now) in waiting else max(0.0, judged.age(now))


def _known(figure: float) -> float | None:
    return None if math.isnan(figure) else figure


def _ago(wall_then: float, wall: float) -> float | None:
    """Seconds since a moment; None if it never was, 0 where the clock was set back."""
    return max(0.0, wall - wall_then) if wall_then else None
