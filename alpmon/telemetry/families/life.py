"""A connection's life: getting there, being there, and how it ended."""

from __future__ import annotations

from typing import Final

from alpmon.telemetry import readers
from alpmon.telemetry.family import Family, Kind, of_connection
from alpmon.telemetry.labels import FailureReason, Phase
from alpmon.telemetry.readers import Seen, by, by_counter, single

OF_LIFE: Final[tuple[Family[Seen], ...]] = (
    of_connection(
        Kind.GAUGE,
        "alpmon_connection_up",
        "Whether the connection is up, from the welcome until the close.",
        single(lambda record: record.up),
    ),
    of_connection(
        Kind.STATESET,
        "alpmon_connection_state",
        "The state the connection is in.",
        readers.connection_states,
        ("alpmon_connection_state",),
    ),
    of_connection(
        Kind.INFO,
        "alpmon_session_info",
        "Information about the present session; absent while the connection is down.",
        readers.session,
        ("client_id", "dialect"),
    ),
    of_connection(
        Kind.GAUGE,
        "alpmon_connection_established_timestamp_seconds",
        "Timestamp of the present session's welcome, 0 while the connection is down.",
        single(lambda record: record.established_wall),
    ),
    of_connection(
        Kind.GAUGE,
        "alpmon_private_channels_open",
        "Whether the exchange has taken the present session's token; absent where no private channels are asked for.",
        readers.private_channels_open,
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_connection_attempts_total",
        "Total number of connection attempts.",
        single(lambda record: record.attempts),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_connection_failures_total",
        "Total number of connection attempts that never reached the welcome.",
        by_counter(FailureReason, lambda record: record.failures),
        ("reason",),
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_connect_duration_seconds",
        "Duration of each phase of connecting.",
        by(Phase, lambda record, phase: record.connect[phase]),
        ("phase",),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_disconnects_total",
        "Total number of sessions that ended after the welcome.",
        readers.disconnects,
        ("initiator", "code", "reason"),
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_session_duration_seconds",
        "Duration of ended sessions, from the welcome to the close.",
        single(lambda record: record.session_duration),
    ),
    of_connection(
        Kind.GAUGE,
        "alpmon_tls_certificate_not_after_timestamp_seconds",
        "Earliest expiry of the certificate chain seen, 0 before one was seen.",
        lambda seen: (((), seen.record.certificate_not_after_wall),),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_worker_restarts_total",
        "Total number of times the connection's worker was restarted after a bug in alpmon.",
        single(lambda record: record.worker_restarts),
    ),
)
