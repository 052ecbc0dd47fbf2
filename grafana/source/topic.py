"""Topic: what a feed says, how often it usually says it, and how late."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source.colours import CHANNELS, ORANGE, PALETTE, TOPIC_STATES
from grafana.source.frame import Section, dashboard
from grafana.source.links import Uid, from_series
from grafana.source.overview import SILENT_FOR
from grafana.source.panels import HALF, WHOLE, AnyPanel, Query, Shown, Style, histogram, numbered, series, timeline
from grafana.source.promql import (
    ONE_CONNECTION,
    ONE_TOPIC,
    RANGE,
    Scope,
    buckets,
    by,
    increase,
    of,
    quantile,
    rate,
    state_number,
    threshold,
)
from grafana.source.tables import Column, rows

_SCOPE: Final = Scope.TOPIC
_NAME: Final = "{{topic}} ({{target}} {{connection}})"
_BY_CHANNEL: Final = {rf"^{channel}\b": colour for channel, colour in CHANNELS.items()}
_ANOMALIES: Final = (
    "timestamp_regression",
    "trade_id_repeat",
    "trade_id_regression",
    "crossed_book",
    "unsorted_book",
    "empty_side",
    "bad_number",
)


def topic() -> Dashboard:
    """The dashboard of one topic, or of some."""
    return dashboard(
        Uid.TOPIC,
        "Topic",
        "One feed: the verdict on it, its rate against the learnt one, its silences against its threshold, its lag.",
        "now-1h",
        [
            Section("Verdict", [_verdict(), _silence(), _threshold(), _bad(), _divergence()]),
            Section("Rate", [_rates(), _ratio(), _gaps(), _bytes(), _symbols()]),
            Section("Truth", [_lag(), _lag_histogram(), _clock(), _negative(), _anomalies(), _missed()]),
        ],
    )


def _verdict() -> AnyPanel:
    shown = Shown("State", "The verdict on each topic, and when it changed.", "none", span=WHOLE, empty="no topic")
    state = state_number(ONE_TOPIC, "alpmon_topic_state", _SCOPE, TOPIC_STATES)
    link = from_series("Its connection", Uid.CONNECTION, ONE_CONNECTION)
    return timeline(shown, Query(state, _NAME), values=numbered(TOPIC_STATES), links=[link])


def _silence() -> AnyPanel:
    shown = Shown(
        "Silence",
        "Since the last message, or since the acknowledgement if none came after it.",
        "s",
        empty="no topic",
    )
    longest = Query(by("max", (), of("alpmon_topic_stale_after_seconds", _SCOPE)), "longest threshold", limit=True)
    return series(shown, Query(by("max", ONE_TOPIC, SILENT_FOR), _NAME), longest, style=Style(_BY_CHANNEL))


def _threshold() -> AnyPanel:
    shown = Shown(
        "Silence over threshold",
        "The silence as a share of what is normal for this topic: at 100 % it is past its own threshold.",
        "percentunit",
        empty="no topic",
    )
    share = f"({SILENT_FOR}) / {of('alpmon_topic_stale_after_seconds', _SCOPE)}"
    limit = Query("vector(1)", "threshold", limit=True)
    return series(shown, Query(by("max", ONE_TOPIC, share), _NAME), limit, style=Style(_BY_CHANNEL))


def _bad() -> AnyPanel:
    shown = Shown(
        "Bad time",
        "The share of time in which the topic was stale or silent; 100 % is all of it.",
        "percentunit",
        empty="no topic",
    )
    share = by("max", ONE_TOPIC, rate(of("alpmon_topic_stale_seconds_total", _SCOPE)))
    return series(shown, Query(share, _NAME), style=Style(_BY_CHANNEL))


def _divergence() -> AnyPanel:
    shown = Shown(
        "REST has news that the stream has not",
        "For how long the exchange's own REST answers have shown something newer than the stream; 0 means"
        " that they agree.",
        "s",
        empty="no REST reference",
    )
    behind = by("max", ONE_TOPIC, of("alpmon_topic_reference_divergence_seconds", _SCOPE))
    diverged = Query(threshold("reference_divergence", "seconds"), "alerted at", limit=True)
    return series(shown, Query(behind, _NAME), diverged, style=Style(_BY_CHANNEL))


def _rates() -> AnyPanel:
    shown = Shown(
        "Rate against the learnt rate",
        "Data frames a second; dashed is what the topic usually has at this time of day. It appears once it is learnt,"
        " and does not follow a collapse for hours.",
        "mps",
        span=WHOLE,
        empty="no topic",
    )
    present = by("max", ONE_TOPIC, rate(of("alpmon_messages_total", _SCOPE)))
    usual = by("max", ONE_TOPIC, of("alpmon_topic_usual_rate", _SCOPE))
    queries = Query(present, _NAME), Query(usual, f"{_NAME}, usual", usual=True)
    return series(shown, *queries, style=Style(_BY_CHANNEL))


def _ratio() -> AnyPanel:
    shown = Shown(
        "Rate over the learnt rate",
        "1 is usual. A feed can be alive and thin: at a small ratio most messages are missing, and no timestamp"
        " shows it.",
        "percentunit",
        empty="not learnt yet",
    )
    ratio = by("min", ONE_TOPIC, of("alpmon_topic_rate_ratio", _SCOPE))
    thin = Query(threshold("feed_thin", "ratio"), "alerted at", limit=True)
    return series(shown, Query(ratio, _NAME), thin, style=Style(_BY_CHANNEL))


def _gaps() -> AnyPanel:
    shown = Shown("Gaps", "Times between two messages, all chosen topics together.", "s", empty="no message")
    return histogram(shown, buckets("alpmon_topic_interarrival_seconds", _SCOPE))


def _bytes() -> AnyPanel:
    shown = Shown("Bytes", "Size of the data frames, a second.", "Bps", empty="no topic")
    size = by("max", ONE_TOPIC, rate(of("alpmon_message_bytes_total", _SCOPE)))
    return series(shown, Query(size, _NAME), style=Style(_BY_CHANNEL))


def _symbols() -> AnyPanel:
    labels = ("target", "channel", "symbol")
    shown = Shown(
        "Symbols inside wildcards",
        "The hundred symbols that have been silent for longest, and how much they said in the range shown. Many are"
        " quiet and healthy; there is no verdict on single symbols.",
        "none",
        empty="no wildcard",
    )
    last = of("alpmon_symbol_last_message_timestamp_seconds", Scope.CONNECTION)
    longest = f"topk(100, {by('min', labels, f'time() - ({last} > 0)')})"
    said = by("max", labels, increase(of("alpmon_symbol_messages_total", Scope.CONNECTION), RANGE))
    columns = [Column("silent for", longest, "s"), Column("messages", f"{said} and {longest}")]
    return rows(shown, labels, columns, worst="silent for")


def _lag() -> AnyPanel:
    shown = Shown(
        "Lag",
        "Arrival minus the server's stamp, corrected by the clocks' offset: a feed can be punctual in its rhythm and"
        " seconds behind in what it says.",
        "s",
        empty="no stamp yet",
    )
    lag = quantile(0.99, ("target", "channel"), "alpmon_feed_lag_seconds", Scope.CONNECTION)
    colours = {rf"^{channel} ": colour for channel, colour in CHANNELS.items()}
    late = Query(threshold("feed_lag", "seconds"), "alerted at", limit=True)
    return series(shown, Query(lag, "{{channel}} ({{target}}), 99 %", exemplars=True), late, style=Style(colours))


def _lag_histogram() -> AnyPanel:
    shown = Shown("Lag, spread", "How the lags are spread, all channels together.", "s", empty="no stamp yet")
    return histogram(shown, buckets("alpmon_feed_lag_seconds", Scope.CONNECTION))


def _clock() -> AnyPanel:
    shown = Shown(
        "Server's clock minus ours",
        "The estimate of each monitor, with the interval that surely holds the truth: monitors' own clocks differ, too."
        " Lag is only as good as this.",
        "s",
        empty="not known yet",
    )
    offset = of("alpmon_clock_offset_seconds", Scope.TARGET)
    error = of("alpmon_clock_offset_error_seconds", Scope.TARGET)
    one, name, surely = ("instance", "target"), "{{target}} ({{instance}})", threshold("clock_offset", "seconds")
    return series(
        shown,
        Query(by("max", one, offset), name),
        Query(by("max", one, f"{offset} + {error}"), f"{name} at most"),
        Query(by("min", one, f"{offset} - {error}"), f"{name} at least"),
        Query(surely, "alerted above", limit=True),
        Query(f"-({surely})", "alerted below", limit=True),
        style=Style({"at (most|least)$": ORANGE}, minimum=None),
    )


def _negative() -> AnyPanel:
    shown = Shown(
        "Messages from the future",
        "Lags that came out below 0 and count as 0: the clocks' offset is not known well enough, or a clock was set.",
        empty="none",
    )
    negative = by("sum", ("target", "channel"), increase(of("alpmon_negative_lag_total", Scope.CONNECTION)))
    colours = {rf"^{channel} ": colour for channel, colour in CHANNELS.items()}
    return series(shown, Query(negative, "{{channel}} ({{target}})"), style=Style(colours, bars=True))


def _anomalies() -> AnyPanel:
    shown = Shown(
        "Anomalies",
        "Frames that are well formed and cannot be right: time going back, repeated trades, crossed books.",
        span=HALF,
        empty="none",
    )
    labels = ("channel", "kind")
    anomalies = by("sum", labels, increase(of("alpmon_feed_anomalies_total", Scope.CONNECTION)))
    colours = {f"{kind}$": colour for kind, colour in zip(_ANOMALIES, PALETTE, strict=False)}
    return series(shown, Query(f"{anomalies} > 0", "{{channel}} {{kind}}"), style=Style(colours, bars=True))


def _missed() -> AnyPanel:
    shown = Shown(
        "Missed messages",
        "With redundant connections: what a sibling received and this connection never did.",
        empty="no redundancy",
    )
    missed = by("max", ONE_TOPIC, increase(of("alpmon_missed_messages_total", _SCOPE)))
    return series(shown, Query(missed, _NAME), style=Style(_BY_CHANNEL, bars=True))
