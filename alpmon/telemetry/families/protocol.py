"""What the protocol shows: pings, requests, and the kinds of frames."""

from __future__ import annotations

from typing import Final

from alpmon.core.events import ErrorReason, Flaw, FrameKind
from alpmon.core.subscriptions import RequestOp
from alpmon.telemetry import readers
from alpmon.telemetry.family import Family, Kind, of_connection
from alpmon.telemetry.labels import PingKind
from alpmon.telemetry.readers import Seen, by, by_counter, single

OF_PROTOCOL: Final[tuple[Family[Seen], ...]] = (
    of_connection(
        Kind.GAUGE,
        "alpmon_advertised_ping_interval_seconds",
        "Ping interval advertised in the present session's welcome, 0 while the connection is down.",
        single(lambda record: record.advertised_interval_seconds),
    ),
    of_connection(
        Kind.GAUGE,
        "alpmon_advertised_ping_timeout_seconds",
        "Ping timeout advertised in the present session's welcome, 0 while the connection is down.",
        single(lambda record: record.advertised_timeout_seconds),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_pings_total",
        "Total number of pings received.",
        by_counter(PingKind, lambda record: record.pings),
        ("kind",),
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_ping_interval_seconds",
        "Time between two pings received in one session.",
        by(PingKind, lambda record, kind: record.ping_interval[kind]),
        ("kind",),
    ),
    of_connection(
        Kind.GAUGE,
        "alpmon_last_ping_timestamp_seconds",
        "Timestamp of the last ping received in the present session, 0 if none.",
        single(lambda record: record.last_ping_wall),
    ),
    of_connection(
        Kind.GAUGE,
        "alpmon_last_frame_timestamp_seconds",
        "Timestamp of the last frame received in the present session, 0 if none.",
        single(lambda record: record.last_frame_wall),
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_pong_latency_seconds",
        "Time from a ping's arrival until its answer was handed to the socket.",
        by(PingKind, lambda record, kind: record.pong_latency[kind]),
        ("kind",),
        exemplars=True,
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_rtt_seconds",
        "Round-trip time of the monitor's own WebSocket pings.",
        single(lambda record: record.rtt),
        exemplars=True,
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_subscribe_requests_total",
        "Total number of request frames sent.",
        by_counter(RequestOp, lambda record: record.requests),
        ("op",),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_subscribe_failures_total",
        "Total number of request frames that were not acknowledged.",
        readers.request_failures,
        ("op", "reason"),
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_subscribe_ack_seconds",
        "Time from handing a request to the socket until its acknowledgement.",
        by(RequestOp, readers.ack_seconds),
        ("op",),
        exemplars=True,
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_error_frames_total",
        "Total number of error frames received.",
        by_counter(ErrorReason, lambda record: record.error_frames),
        ("reason",),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_frames_total",
        "Total number of frames received.",
        by(FrameKind, readers.frames),
        ("kind",),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_malformed_frames_total",
        "Total number of frames received that could not be read.",
        by_counter(Flaw, lambda record: record.malformed),
        ("reason",),
    ),
)
