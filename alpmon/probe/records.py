"""A connection's record as it begins, as an account opens its private channels, and as a session's end leaves it."""

from __future__ import annotations

from alpmon.core.events import Dialect
from alpmon.core.states import State
from alpmon.core.subscriptions import RequestOp
from alpmon.core.topics import PRIVATE_CHANNELS
from alpmon.telemetry.histogram import LATENCY_BUCKETS, Histogram
from alpmon.telemetry.state import ConnectionRecord, TopicRecord


def new_record(label: str) -> ConnectionRecord:
    """The record of a connection that nobody has attempted yet, with every child that a scrape shall find."""
    record = ConnectionRecord(label, State.CONNECTING)
    record.ack = {op: Histogram(LATENCY_BUCKETS) for op in RequestOp}
    return record


def set_private(record: ConnectionRecord, *, carried: bool) -> None:
    """Make the record hold the private channels, or not; those that stay keep what was counted."""
    for channel in PRIVATE_CHANNELS:
        if carried:
            record.topics.setdefault(channel, TopicRecord(channel, None))
        else:
            record.topics.pop(channel, None)


def clear_session(record: ConnectionRecord, now: float) -> None:
    """Forget what was true of the session only; every topic is down from here."""
    record.established_wall = 0.0  # First: a scrape, in its own thread, shall not find a session without a name.
    record.client_id = ""
    record.dialect = Dialect.UNKNOWN
    record.advertised_interval_seconds = record.advertised_timeout_seconds = 0.0
    record.token_accepted = None
    record.last_ping_wall = record.last_frame_wall = 0.0
    if record.latest is not None:
        record.latest.clear()
    for topic in record.topics.values():
        topic.subscribed_wall = 0.0
        if topic.freshness is not None:
            topic.freshness.down(now)
