"""What the feed delivers, how late and how true."""

from __future__ import annotations

from typing import Final

from alpmon.core.freshness import TopicFreshness
from alpmon.telemetry import readers
from alpmon.telemetry.family import Family, Kind, of_connection, of_topic
from alpmon.telemetry.readers import Seen, channels, freshness, public_topics, single, topics

OF_FEED: Final[tuple[Family[Seen], ...]] = (
    of_topic(
        Kind.COUNTER,
        "alpmon_messages_total",
        "Total number of data frames.",
        topics(lambda topic: topic.messages),
    ),
    of_topic(
        Kind.COUNTER,
        "alpmon_message_bytes_total",
        "Total size of data frames in bytes.",
        topics(lambda topic: topic.bytes),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_unrouted_messages_total",
        "Total number of data frames that no subscribed topic explains.",
        single(lambda record: record.unrouted),
    ),
    of_topic(
        Kind.GAUGE,
        "alpmon_topic_subscribed_timestamp_seconds",
        "Timestamp of the acknowledgement in the present session, 0 before it.",
        public_topics(lambda topic: topic.subscribed_wall),
    ),
    of_topic(
        Kind.GAUGE,
        "alpmon_topic_last_message_timestamp_seconds",
        "Timestamp of the last message, 0 if none ever came.",
        topics(lambda topic: topic.last_message_wall),
    ),
    of_topic(
        Kind.GAUGE,
        "alpmon_topic_stale_after_seconds",
        "Silence after which the topic counts as stale, as now in force.",
        freshness(lambda topic, _: topic.stale_after()),
    ),
    of_topic(
        Kind.STATESET,
        "alpmon_topic_state",
        "The state the topic is in.",
        readers.topic_states,
        ("alpmon_topic_state",),
    ),
    of_topic(Kind.GAUGE, "alpmon_topic_stale", "Whether the topic is stale or silent.", freshness(readers.is_stale)),
    of_topic(
        Kind.COUNTER,
        "alpmon_topic_stale_seconds_total",
        "Total time spent stale or silent in seconds.",
        freshness(TopicFreshness.stale_seconds),
    ),
    of_topic(
        Kind.COUNTER,
        "alpmon_topic_stale_episodes_total",
        "Total number of times the topic became stale or silent.",
        freshness(TopicFreshness.episodes),
    ),
    of_topic(
        Kind.GAUGE,
        "alpmon_topic_rate_ratio",
        "Present message rate over the learnt one: 1 is usual, NaN until learnt.",
        public_topics(lambda topic: topic.meter.rate.ratio),
    ),
    of_topic(
        Kind.GAUGE,
        "alpmon_topic_usual_rate",
        "Learnt message rate in messages per second, as is usual at this time of day; NaN until learnt.",
        public_topics(lambda topic: topic.meter.rate.usual),
    ),
    of_topic(
        Kind.HISTOGRAM,
        "alpmon_topic_interarrival_seconds",
        "Time between two messages of the topic in one session.",
        public_topics(lambda topic: topic.interarrival),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_symbol_messages_total",
        "Total number of messages of one symbol inside wildcard topics, a ticker frame counted once a row.",
        readers.symbol_messages,
        ("channel", "symbol"),
    ),
    of_connection(
        Kind.GAUGE,
        "alpmon_symbol_last_message_timestamp_seconds",
        "Timestamp of the last message of one symbol inside wildcard topics.",
        readers.symbol_last_message,
        ("channel", "symbol"),
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_feed_lag_seconds",
        "Arrival minus the server's stamp, corrected by the clock offset, never below 0; nothing while the offset is"
        " unknown. A stamp in whole seconds was cut, which adds up to 1 s.",
        channels(lambda channel: channel.lag),
        ("channel",),
        exemplars=True,
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_negative_lag_total",
        "Total number of lags that came out below 0: the server's clock had not reached the message's stamp.",
        channels(lambda channel: channel.negative_lags),
        ("channel",),
    ),
    of_connection(
        Kind.COUNTER,
        "alpmon_feed_anomalies_total",
        "Total number of messages that were well formed and wrong, each kind at most once a message.",
        readers.anomalies,
        ("channel", "kind"),
    ),
    of_topic(
        Kind.COUNTER,
        "alpmon_missed_messages_total",
        "Total number of messages seen on a sibling connection and never on this one; only with redundancy.",
        readers.missed,
    ),
    of_connection(
        Kind.HISTOGRAM,
        "alpmon_delivery_delay_seconds",
        "Time behind the first sibling connection to deliver the same message; only with redundancy.",
        readers.delivery_delay,
    ),
    of_topic(
        Kind.GAUGE,
        "alpmon_topic_reference_divergence_seconds",
        "How long REST has shown news that the stream has not, 0 while they agree; only with a reference.",
        readers.divergence,
    ),
)
