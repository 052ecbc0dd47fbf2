"""The table of families against the public face, and against what a scrape really shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from prometheus_client import Metric

from alpmon.telemetry.docs import metrics_page
from alpmon.telemetry.families import FAMILIES
from alpmon.telemetry.monitor import Monitor
from tests.telemetry.records import Clock, Scraper, bring_up, connection, fresh_monitor
from tests.tools import require_tool

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"

TC = ("target", "connection")
TOPIC = (*TC, "topic")
SYMBOL = (*TC, "channel", "symbol")
CONTRACT = {
    "alpmon_build_info": ("gauge", ("version", "python_version", "websockets_version")),
    "alpmon_config_last_reload_successful": ("gauge", ()),
    "alpmon_config_last_reload_success_timestamp_seconds": ("gauge", ()),
    "alpmon_event_loop_lag_seconds": ("histogram", ()),
    "alpmon_target_info": ("info", ("target", "url")),
    "alpmon_connection_up": ("gauge", TC),
    "alpmon_connection_state": ("stateset", (*TC, "alpmon_connection_state")),
    "alpmon_session_info": ("info", (*TC, "client_id", "dialect")),
    "alpmon_connection_established_timestamp_seconds": ("gauge", TC),
    "alpmon_connection_attempts_total": ("counter", TC),
    "alpmon_connection_failures_total": ("counter", (*TC, "reason")),
    "alpmon_connect_duration_seconds": ("histogram", (*TC, "phase")),
    "alpmon_disconnects_total": ("counter", (*TC, "initiator", "code", "reason")),
    "alpmon_session_duration_seconds": ("histogram", TC),
    "alpmon_tls_certificate_not_after_timestamp_seconds": ("gauge", TC),
    "alpmon_advertised_ping_interval_seconds": ("gauge", TC),
    "alpmon_advertised_ping_timeout_seconds": ("gauge", TC),
    "alpmon_pings_total": ("counter", (*TC, "kind")),
    "alpmon_ping_interval_seconds": ("histogram", (*TC, "kind")),
    "alpmon_last_ping_timestamp_seconds": ("gauge", TC),
    "alpmon_last_frame_timestamp_seconds": ("gauge", TC),
    "alpmon_pong_latency_seconds": ("histogram", (*TC, "kind")),
    "alpmon_rtt_seconds": ("histogram", TC),
    "alpmon_subscribe_requests_total": ("counter", (*TC, "op")),
    "alpmon_subscribe_failures_total": ("counter", (*TC, "op", "reason")),
    "alpmon_subscribe_ack_seconds": ("histogram", (*TC, "op")),
    "alpmon_error_frames_total": ("counter", (*TC, "reason")),
    "alpmon_frames_total": ("counter", (*TC, "kind")),
    "alpmon_malformed_frames_total": ("counter", (*TC, "reason")),
    "alpmon_messages_total": ("counter", TOPIC),
    "alpmon_message_bytes_total": ("counter", TOPIC),
    "alpmon_topic_subscribed_timestamp_seconds": ("gauge", TOPIC),
    "alpmon_topic_last_message_timestamp_seconds": ("gauge", TOPIC),
    "alpmon_topic_stale_after_seconds": ("gauge", TOPIC),
    "alpmon_topic_state": ("stateset", (*TOPIC, "alpmon_topic_state")),
    "alpmon_topic_stale": ("gauge", TOPIC),
    "alpmon_topic_stale_seconds_total": ("counter", TOPIC),
    "alpmon_topic_stale_episodes_total": ("counter", TOPIC),
    "alpmon_topic_rate_ratio": ("gauge", TOPIC),
    "alpmon_topic_interarrival_seconds": ("histogram", TOPIC),
    "alpmon_symbol_messages_total": ("counter", SYMBOL),
    "alpmon_symbol_last_message_timestamp_seconds": ("gauge", SYMBOL),
    "alpmon_missed_messages_total": ("counter", TOPIC),
    "alpmon_topic_reference_divergence_seconds": ("gauge", TOPIC),
    "alpmon_feed_lag_seconds": ("histogram", (*TC, "channel")),
    "alpmon_negative_lag_total": ("counter", (*TC, "channel")),
    "alpmon_feed_anomalies_total": ("counter", (*TC, "channel", "kind")),
    "alpmon_clock_offset_seconds": ("gauge", ("target",)),
    "alpmon_clock_offset_error_seconds": ("gauge", ("target",)),
    "alpmon_reference_checks_total": ("counter", ("target",)),
    "alpmon_reference_failures_total": ("counter", ("target",)),
    "alpmon_delivery_delay_seconds": ("histogram", TC),
    "alpmon_worker_restarts_total": ("counter", TC),
    "alpmon_shard_index": ("gauge", ()),
    "alpmon_shard_count": ("gauge", ()),
    "alpmon_web_login_failures_total": ("counter", ()),
    "alpmon_symbols_dropped_total": ("counter", ("target",)),
}
ADDED = {
    "alpmon_private_channels_open": ("gauge", TC),
    "alpmon_unrouted_messages_total": ("counter", TC),
    "alpmon_shard_replicas": ("gauge", ()),
    "alpmon_topic_usual_rate": ("gauge", TOPIC),
    "alpmon_web_requests_refused_total": ("counter", ("reason",)),
}
APPEAR_LATER = {
    "alpmon_session_info",
    "alpmon_symbol_messages_total",
    "alpmon_symbol_last_message_timestamp_seconds",
    "alpmon_private_channels_open",
}
"""Only a session, the symbols that it brings and an account can make these children."""


def test_the_table_says_what_the_contract_says() -> None:
    """Names, types and labels are the public face, to the letter; what was added is known by name."""
    assert {family.name: (family.kind.value, family.labels) for family in FAMILIES} == CONTRACT | ADDED


def test_every_family_is_declared_in_the_first_scrape_with_its_type_and_help() -> None:
    """HELP and TYPE are there before there is anything to show."""
    shown = Scraper(fresh_monitor()).families()
    for family in FAMILIES:
        assert shown[family.stem].type == family.kind
        assert shown[family.stem].documentation == family.help


def test_every_child_that_the_configuration_determines_exists_from_the_first_scrape() -> None:
    """One target with one connection and two topics already has all its series, with exactly the labels said."""
    shown = Scraper(fresh_monitor()).families()
    for family in FAMILIES:
        labels = {tuple(sorted(set(sample.labels) - {"le"})) for sample in shown[family.stem].samples}
        assert labels == (set() if family.name in APPEAR_LATER else {tuple(sorted(family.labels))}), family.name


def test_each_topic_has_its_own_children() -> None:
    """Two topics, two children of every topic family; a state set has one for each state."""
    shown = Scraper(fresh_monitor()).families()
    for family in FAMILIES:
        if "topic" in family.labels:
            assert {s.labels["topic"] for s in shown[family.stem].samples} == {"trade.*", "ticker.*"}, family.name


def test_counters_start_at_zero() -> None:
    """Nothing has happened yet, so no rate() misses the first event."""
    for name, family in Scraper(fresh_monitor()).families().items():
        if name.startswith("alpmon_") and family.type in ("counter", "histogram"):
            assert {sample.value for sample in family.samples} <= {0.0}, name


def test_a_connection_that_leaves_the_configuration_leaves_the_scrape() -> None:
    """No series stays behind for what is no longer held."""
    monitor = fresh_monitor(connection("0-0"), connection("1-0"))
    scraper = Scraper(monitor)
    assert any(sample.labels.get("connection") == "1-0" for sample in scraper.samples())
    del monitor.targets["alp"].connections["1-0"]
    assert not any(sample.labels.get("connection") == "1-0" for sample in scraper.samples())


def test_there_are_no_created_series() -> None:
    """They double the series and say nothing that a scrape needs."""
    scraper = Scraper(_busy_monitor())
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        assert "_created" not in scraper.text(accept)


def test_units_are_declared_and_are_base_units() -> None:
    """OpenMetrics learns the unit that the name says; the strict parser holds both equal."""
    units = {family.unit for family in Scraper(fresh_monitor()).families().values()}
    assert units == {"", "seconds", "bytes"}


def test_promtool_finds_nothing_but_the_one_name_that_is_fixed() -> None:
    """`alpmon_shard_count` is a public name; the linter dislikes `_count` on a gauge."""
    check = subprocess.run(
        [require_tool("promtool"), "check", "metrics"],
        input=Scraper(_busy_monitor()).text(),
        capture_output=True,
        text=True,
        check=False,
    )
    findings = (check.stdout + check.stderr).splitlines()
    assert findings == ['alpmon_shard_count non-histogram and non-summary metrics should not have "_count" suffix']


def test_the_process_and_the_interpreter_are_measured_too() -> None:
    """prometheus_client's own collectors are on the same registry."""
    shown: dict[str, Metric] = Scraper(fresh_monitor()).families()
    assert {"process_cpu_seconds", "python", "python_gc_collections"} <= {
        family.removesuffix("_info") for family in shown
    }


def test_the_documentation_is_the_table() -> None:
    """docs/metrics.md is generated; `make docs` writes it anew."""
    assert DOCS.read_text() == metrics_page()


def _busy_monitor() -> Monitor:
    record = connection()
    bring_up(record, Clock().now)
    record.disconnects["server", "4001", "close_frame"] += 1
    record.rtt.observe_for(0.1, "client-1", 1_790_000_000.0)
    return fresh_monitor(record)
