"""`docs/metrics.md`, made from the table of families: `python -m alpmon.telemetry.docs > docs/metrics.md`."""

from __future__ import annotations

import sys

from alpmon.core.events import Dialect, ErrorReason, Flaw, FrameKind
from alpmon.core.freshness import TopicState
from alpmon.core.sanity import Anomaly
from alpmon.core.states import State
from alpmon.core.subscriptions import RequestFailure, RequestOp
from alpmon.core.topics import PUBLIC_CHANNELS, Channel
from alpmon.telemetry.families import FAMILIES
from alpmon.telemetry.labels import FailureReason, Phase, PingKind, WebRefusal
from alpmon.telemetry.readers import EXPECTED_ENDS

_HEAD = """# Metrics

<!-- Generated from alpmon/telemetry/families/ by `make docs`; a test fails when the two differ. -->

Served at `/metrics`, in OpenMetrics where the scraper asks for it. Every child that the configuration determines
exists from the first scrape, at 0; a target of which this shard holds no connection has none. Counters never go back
while the process lives. A timestamp of 0 means never.

`target` is the configured name, `connection` the topic group and the replica (`0-0`), `topic` as subscribed. A state
set has one series a state, 1 for the present one, and its own name as the label that holds the state.

| name | type | labels | meaning |
|---|---|---|---|
"""

_TAIL = """
`process_*` and `python_*` are prometheus_client's own.

`symbol` is a pair as the exchange writes it. The pairs after the first `limits.max_symbols` of a target share the
symbol `other`.

`alpmon_feed_lag_seconds` is as good as `alpmon_clock_offset_error_seconds` says, and where the server writes whole
seconds a stamp is up to 1 s older than the message: its lag is an upper bound, at least 0 and on average half a second
too long. Both need acknowledgements (`ack_probe_interval`). Several servers behind one name should share one time.

`alpmon_feed_anomalies_total` judges each pair of each channel within one session, so neither redundant connections nor
reconnects repeat anything; pairs beyond `max_symbols` are not followed from message to message.

| `kind` | a message counts when |
|---|---|
| `timestamp_regression` | its stamp is before that of the message before |
| `trade_id_repeat` | its id is one of the pair's last hundred |
| `trade_id_regression` | its id is below that of the trade before, and no repeat |
| `crossed_book` | the best bid is at or above the best ask |
| `unsorted_book` | a side's prices do not run from best to worst |
| `empty_side` | there are no bids, or no asks |
| `bad_number` | a decimal is not a finite number |

## Label values

| label | of | values |
|---|---|---|
"""


def metrics_page() -> str:
    """The whole page."""
    rows = (
        f"| `{family.name}` | {family.kind} | {_code(family.labels)} | {family.help}"
        f"{' With exemplars (`client_id`).' if family.exemplars else ''} |\n"
        for family in FAMILIES
    )
    values = (f"| `{label}` | {_code(of)} | {_code(members)} |\n" for label, of, members in _label_values())
    return f"{_HEAD}{''.join(rows)}{_TAIL}{''.join(values)}"


def _label_values() -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    disconnects = ("alpmon_disconnects_total",)
    initiators, _, reasons = (tuple(dict.fromkeys(values)) for values in zip(*EXPECTED_ENDS, strict=True))
    pings = ("alpmon_pings_total", "alpmon_ping_interval_seconds", "alpmon_pong_latency_seconds")
    requests = ("alpmon_subscribe_requests_total", "alpmon_subscribe_failures_total", "alpmon_subscribe_ack_seconds")
    symbols = ("alpmon_symbol_messages_total", "alpmon_symbol_last_message_timestamp_seconds")
    feed = ("alpmon_feed_lag_seconds", "alpmon_negative_lag_total", "alpmon_feed_anomalies_total")
    return (
        ("alpmon_connection_state", ("alpmon_connection_state",), tuple(State)),
        ("alpmon_topic_state", ("alpmon_topic_state",), tuple(TopicState)),
        ("dialect", ("alpmon_session_info",), tuple(Dialect)),
        ("reason", ("alpmon_connection_failures_total",), tuple(FailureReason)),
        ("reason", ("alpmon_web_requests_refused_total",), tuple(WebRefusal)),
        ("phase", ("alpmon_connect_duration_seconds",), tuple(Phase)),
        ("initiator", disconnects, initiators),
        ("code", disconnects, ("1000", "...", "1015", "other")),
        ("reason", disconnects, reasons),
        ("kind", pings, tuple(PingKind)),
        ("op", requests, tuple(RequestOp)),
        ("reason", ("alpmon_subscribe_failures_total",), tuple(RequestFailure)),
        ("reason", ("alpmon_error_frames_total",), tuple(ErrorReason)),
        ("kind", ("alpmon_frames_total",), tuple(FrameKind)),
        ("reason", ("alpmon_malformed_frames_total",), tuple(Flaw)),
        ("channel", symbols, PUBLIC_CHANNELS),
        ("channel", feed, tuple(Channel)),
        ("kind", ("alpmon_feed_anomalies_total",), tuple(Anomaly)),
    )


def _code(words: tuple[str, ...]) -> str:
    return " ".join(word if word == "..." else f"`{word}`" for word in words)


if __name__ == "__main__":
    sys.stdout.write(metrics_page())
