"""The one table of metric families: name, type, labels, help, and where each figure is read.

Scrapes, the documentation and the tests all go by this table. The names, labels and meanings are the public face:
adding is fine, renaming or removing needs a major version.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Final

from alpmon import __version__
from alpmon.core.events import ErrorReason, Flaw, FrameKind
from alpmon.core.freshness import TopicFreshness
from alpmon.core.subscriptions import RequestOp
from alpmon.masking import mask_urls
from alpmon.telemetry import readers
from alpmon.telemetry.family import Family, Kind
from alpmon.telemetry.labels import FailureReason, Phase, PingKind, WebRefusal
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.readers import (
    Row,
    Seen,
    SeenClock,
    by,
    by_counter,
    channels,
    freshness,
    public_topics,
    single,
    topics,
)
from alpmon.telemetry.state import TargetRecord


def _monitor(kind: Kind, name: str, text: str, get: Callable[[Monitor], readers.Figure]) -> Family[Monitor]:
    return Family(name, kind, (), text, lambda monitor: (((), get(monitor)),))


def _connection(
    kind: Kind, name: str, text: str, read: readers.Reader, labels: tuple[str, ...] = (), *, exemplars: bool = False
) -> Family[Seen]:
    return Family(name, kind, ("target", "connection", *labels), text, read, exemplars)


def _topic(kind: Kind, name: str, text: str, read: readers.Reader, labels: tuple[str, ...] = ()) -> Family[Seen]:
    return _connection(kind, name, text, read, ("topic", *labels))


def _build(_: Monitor) -> Iterable[Row]:
    return [((__version__, platform.python_version(), version("websockets")), 1.0)]


OF_MONITOR: Final[tuple[Family[Monitor], ...]] = (
    Family(
        "alpmon_build_info",
        Kind.GAUGE,
        ("version", "python_version", "websockets_version"),
        "A metric with a constant '1' value labeled by the versions that alpmon runs with.",
        _build,
    ),
    _monitor(
        Kind.GAUGE,
        "alpmon_config_last_reload_successful",
        "Whether the last configuration reload attempt was successful.",
        lambda monitor: monitor.reload_successful,
    ),
    _monitor(
        Kind.GAUGE,
        "alpmon_config_last_reload_success_timestamp_seconds",
        "Timestamp of the last successful configuration reload.",
        lambda monitor: monitor.reload_success_wall,
    ),
    _monitor(
        Kind.HISTOGRAM,
        "alpmon_event_loop_lag_seconds",
        "How late the event loop's own timer runs: whether a delay is the monitor's or the exchange's.",
        lambda monitor: monitor.loop_lag,
    ),
    _monitor(
        Kind.COUNTER,
        "alpmon_web_login_failures_total",
        "Total number of HTTP requests with a wrong user or password.",
        lambda monitor: monitor.login_failures,
    ),
    Family(
        "alpmon_web_requests_refused_total",
        Kind.COUNTER,
        ("reason",),
        "Total number of HTTP requests answered with 429.",
        lambda monitor: [((reason,), monitor.web_refusals[reason]) for reason in WebRefusal],
    ),
    _monitor(Kind.GAUGE, "alpmon_shard_index", "Index of this shard.", lambda monitor: monitor.shard_index),
    _monitor(Kind.GAUGE, "alpmon_shard_count", "Number of shards.", lambda monitor: monitor.shard_count),
    _monitor(
        Kind.GAUGE,
        "alpmon_shard_replicas",
        "Number of monitors that are meant to hold each shard.",
        lambda monitor: monitor.shard_replicas,
    ),
)

OF_TARGET: Final[tuple[Family[TargetRecord], ...]] = (
    Family(
        "alpmon_target_info",
        Kind.INFO,
        ("target", "url"),
        "Information about a configured target.",
        lambda target: [((mask_urls(target.url),), 1.0)],
    ),
    Family(
        "alpmon_symbols_dropped_total",
        Kind.COUNTER,
        ("target",),
        "Total number of distinct symbols beyond max_symbols, which are counted as 'other'.",
        lambda target: [((), target.symbols_dropped_total)],
    ),
    Family(
        "alpmon_reference_checks_total",
        Kind.COUNTER,
        ("target",),
        "Total number of REST reads about topics past their threshold.",
        lambda target: [((), target.reference_checks)],
    ),
    Family(
        "alpmon_reference_failures_total",
        Kind.COUNTER,
        ("target",),
        "Total number of REST reads that gave no answer.",
        lambda target: [((), target.reference_failures)],
    ),
)

OF_CLOCK: Final[tuple[Family[SeenClock], ...]] = (
    Family(
        "alpmon_clock_offset_seconds",
        Kind.GAUGE,
        ("target",),
        "Server clock minus the monitor's, NaN until an acknowledgement has bounded it.",
        lambda seen: [((), seen.clock.reading(seen.now, seen.wall).offset_seconds)],
    ),
    Family(
        "alpmon_clock_offset_error_seconds",
        Kind.GAUGE,
        ("target",),
        "Half-width of the interval around alpmon_clock_offset_seconds that surely holds the truth, NaN until known.",
        lambda seen: [((), seen.clock.reading(seen.now, seen.wall).error_seconds)],
    ),
)

_LIFE: Final[tuple[Family[Seen], ...]] = (
    _connection(
        Kind.GAUGE,
        "alpmon_connection_up",
        "Whether the connection is up, from the welcome until the close.",
        single(lambda record: record.up),
    ),
    _connection(
        Kind.STATESET,
        "alpmon_connection_state",
        "The state the connection is in.",
        readers.connection_states,
        ("alpmon_connection_state",),
    ),
    _connection(
        Kind.INFO,
        "alpmon_session_info",
        "Information about the present session; absent while the connection is down.",
        readers.session,
        ("client_id", "dialect"),
    ),
    _connection(
        Kind.GAUGE,
        "alpmon_connection_established_timestamp_seconds",
        "Timestamp of the present session's welcome, 0 while the connection is down.",
        single(lambda record: record.established_wall),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_connection_attempts_total",
        "Total number of connection attempts.",
        single(lambda record: record.attempts),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_connection_failures_total",
        "Total number of connection attempts that never reached the welcome.",
        by_counter(FailureReason, lambda record: record.failures),
        ("reason",),
    ),
    _connection(
        Kind.HISTOGRAM,
        "alpmon_connect_duration_seconds",
        "Duration of each phase of connecting.",
        by(Phase, lambda record, phase: record.connect[phase]),
        ("phase",),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_disconnects_total",
        "Total number of sessions that ended after the welcome.",
        readers.disconnects,
        ("initiator", "code", "reason"),
    ),
    _connection(
        Kind.HISTOGRAM,
        "alpmon_session_duration_seconds",
        "Duration of ended sessions, from the welcome to the close.",
        single(lambda record: record.session_duration),
    ),
    _connection(
        Kind.GAUGE,
        "alpmon_tls_certificate_not_after_timestamp_seconds",
        "Earliest expiry of the certificate chain seen, 0 before one was seen.",
        lambda seen: (((), seen.record.certificate_not_after_wall),),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_worker_restarts_total",
        "Total number of times the connection's worker was restarted after a bug in alpmon.",
        single(lambda record: record.worker_restarts),
    ),
)

_PROTOCOL: Final[tuple[Family[Seen], ...]] = (
    _connection(
        Kind.GAUGE,
        "alpmon_advertised_ping_interval_seconds",
        "Ping interval advertised in the present session's welcome, 0 while the connection is down.",
        single(lambda record: record.advertised_interval_seconds),
    ),
    _connection(
        Kind.GAUGE,
        "alpmon_advertised_ping_timeout_seconds",
        "Ping timeout advertised in the present session's welcome, 0 while the connection is down.",
        single(lambda record: record.advertised_timeout_seconds),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_pings_total",
        "Total number of pings received.",
        by_counter(PingKind, lambda record: record.pings),
        ("kind",),
    ),
    _connection(
        Kind.HISTOGRAM,
        "alpmon_ping_interval_seconds",
        "Time between two pings received in one session.",
        by(PingKind, lambda record, kind: record.ping_interval[kind]),
        ("kind",),
    ),
    _connection(
        Kind.GAUGE,
        "alpmon_last_ping_timestamp_seconds",
        "Timestamp of the last ping received in the present session, 0 if none.",
        single(lambda record: record.last_ping_wall),
    ),
    _connection(
        Kind.GAUGE,
        "alpmon_last_frame_timestamp_seconds",
        "Timestamp of the last frame received in the present session, 0 if none.",
        single(lambda record: record.last_frame_wall),
    ),
    _connection(
        Kind.HISTOGRAM,
        "alpmon_pong_latency_seconds",
        "Time from a ping's arrival until its answer was handed to the socket.",
        by(PingKind, lambda record, kind: record.pong_latency[kind]),
        ("kind",),
        exemplars=True,
    ),
    _connection(
        Kind.HISTOGRAM,
        "alpmon_rtt_seconds",
        "Round-trip time of the monitor's own WebSocket pings.",
        single(lambda record: record.rtt),
        exemplars=True,
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_subscribe_requests_total",
        "Total number of request frames sent.",
        by_counter(RequestOp, lambda record: record.requests),
        ("op",),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_subscribe_failures_total",
        "Total number of request frames that were not acknowledged.",
        readers.request_failures,
        ("op", "reason"),
    ),
    _connection(
        Kind.HISTOGRAM,
        "alpmon_subscribe_ack_seconds",
        "Time from handing a request to the socket until its acknowledgement.",
        by(RequestOp, readers.ack_seconds),
        ("op",),
        exemplars=True,
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_error_frames_total",
        "Total number of error frames received.",
        by_counter(ErrorReason, lambda record: record.error_frames),
        ("reason",),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_frames_total",
        "Total number of frames received.",
        by(FrameKind, readers.frames),
        ("kind",),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_malformed_frames_total",
        "Total number of frames received that could not be read.",
        by_counter(Flaw, lambda record: record.malformed),
        ("reason",),
    ),
)

_FEED: Final[tuple[Family[Seen], ...]] = (
    _topic(Kind.COUNTER, "alpmon_messages_total", "Total number of data frames.", topics(lambda topic: topic.messages)),
    _topic(
        Kind.COUNTER,
        "alpmon_message_bytes_total",
        "Total size of data frames in bytes.",
        topics(lambda topic: topic.bytes),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_unrouted_messages_total",
        "Total number of data frames that no subscribed topic explains.",
        single(lambda record: record.unrouted),
    ),
    _topic(
        Kind.GAUGE,
        "alpmon_topic_subscribed_timestamp_seconds",
        "Timestamp of the acknowledgement in the present session, 0 before it.",
        public_topics(lambda topic: topic.subscribed_wall),
    ),
    _topic(
        Kind.GAUGE,
        "alpmon_topic_last_message_timestamp_seconds",
        "Timestamp of the last message, 0 if none ever came.",
        topics(lambda topic: topic.last_message_wall),
    ),
    _topic(
        Kind.GAUGE,
        "alpmon_topic_stale_after_seconds",
        "Silence after which the topic counts as stale, as now in force.",
        freshness(lambda topic, _: topic.stale_after()),
    ),
    _topic(
        Kind.STATESET,
        "alpmon_topic_state",
        "The state the topic is in.",
        readers.topic_states,
        ("alpmon_topic_state",),
    ),
    _topic(Kind.GAUGE, "alpmon_topic_stale", "Whether the topic is stale or silent.", freshness(readers.is_stale)),
    _topic(
        Kind.COUNTER,
        "alpmon_topic_stale_seconds_total",
        "Total time spent stale or silent in seconds.",
        freshness(TopicFreshness.stale_seconds),
    ),
    _topic(
        Kind.COUNTER,
        "alpmon_topic_stale_episodes_total",
        "Total number of times the topic became stale or silent.",
        freshness(TopicFreshness.episodes),
    ),
    _topic(
        Kind.GAUGE,
        "alpmon_topic_rate_ratio",
        "Present message rate over the learnt one: 1 is usual, NaN until learnt.",
        public_topics(lambda topic: topic.meter.rate.ratio),
    ),
    _topic(
        Kind.GAUGE,
        "alpmon_topic_usual_rate",
        "Learnt message rate in messages per second, as is usual at this time of day; NaN until learnt.",
        public_topics(lambda topic: topic.meter.rate.usual),
    ),
    _topic(
        Kind.HISTOGRAM,
        "alpmon_topic_interarrival_seconds",
        "Time between two messages of the topic in one session.",
        public_topics(lambda topic: topic.interarrival),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_symbol_messages_total",
        "Total number of messages of one symbol inside wildcard topics, a ticker frame counted once a row.",
        readers.symbol_messages,
        ("channel", "symbol"),
    ),
    _connection(
        Kind.GAUGE,
        "alpmon_symbol_last_message_timestamp_seconds",
        "Timestamp of the last message of one symbol inside wildcard topics.",
        readers.symbol_last_message,
        ("channel", "symbol"),
    ),
)

_TRUTH: Final[tuple[Family[Seen], ...]] = (
    _connection(
        Kind.HISTOGRAM,
        "alpmon_feed_lag_seconds",
        "Arrival minus the server's stamp, corrected by the clock offset, never below 0; nothing while the offset is"
        " unknown. A stamp in whole seconds was cut, which adds up to 1 s.",
        channels(lambda channel: channel.lag),
        ("channel",),
        exemplars=True,
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_negative_lag_total",
        "Total number of lags that came out below 0: the server's clock had not reached the message's stamp.",
        channels(lambda channel: channel.negative_lags),
        ("channel",),
    ),
    _connection(
        Kind.COUNTER,
        "alpmon_feed_anomalies_total",
        "Total number of messages that were well formed and wrong, each kind at most once a message.",
        readers.anomalies,
        ("channel", "kind"),
    ),
)

_SIBLINGS: Final[tuple[Family[Seen], ...]] = (
    _topic(
        Kind.COUNTER,
        "alpmon_missed_messages_total",
        "Total number of messages seen on a sibling connection and never on this one; only with redundancy.",
        readers.missed,
    ),
    _connection(
        Kind.HISTOGRAM,
        "alpmon_delivery_delay_seconds",
        "Time behind the first sibling connection to deliver the same message; only with redundancy.",
        readers.delivery_delay,
    ),
)

_REFERENCE: Final[tuple[Family[Seen], ...]] = (
    _topic(
        Kind.GAUGE,
        "alpmon_topic_reference_divergence_seconds",
        "How long REST has shown news that the stream has not, 0 while they agree; only with a reference.",
        readers.divergence,
    ),
)

OF_CONNECTION: Final[tuple[Family[Seen], ...]] = (*_LIFE, *_PROTOCOL, *_FEED, *_TRUTH, *_SIBLINGS, *_REFERENCE)

FAMILIES: Final[tuple[Family[Monitor] | Family[TargetRecord] | Family[SeenClock] | Family[Seen], ...]] = (
    *OF_MONITOR,
    *OF_TARGET,
    *OF_CLOCK,
    *OF_CONNECTION,
)
"""Every family of alpmon's own, in the order of a scrape."""
