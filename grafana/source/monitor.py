"""Monitor: alpmon itself, because a slow monitor sees slow feeds everywhere."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source.colours import BAD, BLUE, DOUBTFUL, GOOD, SKY
from grafana.source.frame import Section, dashboard
from grafana.source.links import Uid
from grafana.source.panels import NO_FLOOR, QUARTER, THIRD, AnyPanel, Query, Shown, Style, histogram, number, series
from grafana.source.promql import RANGE, Scope, buckets, by, increase, loop_late, of, quantile, rate, threshold
from grafana.source.tables import Column, rows

_SCOPE: Final = Scope.MONITOR
_INSTANCE: Final = ("instance",)
_NAME: Final = "{{instance}}"
_OUR_SCRAPES: Final = f"and on (job, instance) {of('alpmon_build_info', _SCOPE)}"


def monitor() -> Dashboard:
    """The dashboard of the monitor itself."""
    return dashboard(
        Uid.MONITOR,
        "Monitor",
        "alpmon itself: whether it is fast enough to be believed, what it costs, and what it was told.",
        "now-1h",
        [
            Section("Is it us", [_late(), _reload(), _restarts(), _answering(), *_lags()]),
            Section("What it costs", [_cpu(), _memory(), _files(), _collections(), _scrape(), _series()]),
            Section("What it does", [_builds(), _targets(), _reference(), _dropped()]),
        ],
    )


_LATE: Final = loop_late()
_LATE_LIMIT: Final = threshold("monitor_slow", "ratio")


def _late() -> AnyPanel:
    shown = Shown(
        "Event loop late, of what is tolerated",
        "How much of the time the slowest monitor's own event loop is late, as a share of the alert's threshold. At"
        " 100 % it is the monitor that is slow, and its other figures are not to be believed.",
        "percentunit",
        span=QUARTER,
        height=5,
        empty="no monitor",
    )
    return number(shown, f"max({_LATE}) / scalar({_LATE_LIMIT})", {0.5: DOUBTFUL, 1: BAD})


def _reload() -> AnyPanel:
    shown = Shown(
        "Monitors with a failed reload",
        "Monitors whose last reload found a mistake in the configuration: they still run on the one before.",
        span=QUARTER,
        height=5,
        empty="no monitor",
    )
    return number(shown, f"sum(1 - {of('alpmon_config_last_reload_successful', _SCOPE)})", {1: BAD})


def _restarts() -> AnyPanel:
    shown = Shown(
        "Workers restarted",
        "Workers that died of a bug of ours in the range shown and were started again. Please report them.",
        span=QUARTER,
        height=5,
        empty="no monitor",
    )
    restarts = by("sum", (), increase(of("alpmon_worker_restarts_total", Scope.CONNECTION), RANGE))
    return number(shown, restarts, {1: BAD})


def _answering() -> AnyPanel:
    shown = Shown(
        "Monitors that answer",
        "Monitors that Prometheus could scrape just now.",
        span=QUARTER,
        height=5,
        empty="none",
    )
    return number(shown, f"sum({of('up', _SCOPE)} {_OUR_SCRAPES})", {NO_FLOOR: BAD, 1: GOOD})


def _lags() -> list[AnyPanel]:
    return [_late_share(), _lag(), _lag_histogram()]


def _late_share() -> AnyPanel:
    shown = Shown(
        "Event loop late",
        "How much of the time the event loop is late; past the dashed line the monitor is not to be believed.",
        "percentunit",
        span=THIRD,
        empty="no monitor",
    )
    limit = Query(_LATE_LIMIT, "alerted at", limit=True)
    return series(shown, Query(by("max", _INSTANCE, _LATE), _NAME), limit)


def _lag() -> AnyPanel:
    shown = Shown("Event loop lag", "How late the event loop's own timer runs.", "s", span=THIRD, empty="no monitor")
    slow = quantile(0.99, _INSTANCE, "alpmon_event_loop_lag_seconds", _SCOPE)
    half = quantile(0.5, _INSTANCE, "alpmon_event_loop_lag_seconds", _SCOPE)
    style = Style({"99 %$": BLUE, "half$": SKY})
    return series(shown, Query(slow, f"{_NAME}, 99 %"), Query(half, f"{_NAME}, half"), style=style)


def _lag_histogram() -> AnyPanel:
    shown = Shown("Event loop lag, spread", "How the lags are spread over time.", "s", span=THIRD, empty="no monitor")
    return histogram(shown, buckets("alpmon_event_loop_lag_seconds", _SCOPE))


def _cpu() -> AnyPanel:
    shown = Shown("CPU", "Processor time: 100 % is one whole core.", "percentunit", empty="no monitor")
    return series(shown, Query(by("sum", _INSTANCE, rate(of("process_cpu_seconds_total", _SCOPE))), _NAME))


def _memory() -> AnyPanel:
    shown = Shown("Memory", "Resident memory of the process.", "bytes", empty="no monitor")
    return series(shown, Query(by("max", _INSTANCE, of("process_resident_memory_bytes", _SCOPE)), _NAME))


def _files() -> AnyPanel:
    shown = Shown(
        "Open files",
        "Sockets and files that the process holds open, as a share of what it may.",
        "percentunit",
        empty="no monitor",
    )
    share = f"{of('process_open_fds', _SCOPE)} / {of('process_max_fds', _SCOPE)}"
    return series(shown, Query(by("max", _INSTANCE, share), _NAME))


def _collections() -> AnyPanel:
    shown = Shown(
        "Garbage collections",
        "The interpreter's collections a second, by generation. One of the oldest generation stalls a large monitor.",
        "ops",
        empty="no monitor",
    )
    collections = by("sum", ("generation",), rate(of("python_gc_collections_total", _SCOPE)))
    return series(shown, Query(collections, "generation {{generation}}"))


def _scrape() -> AnyPanel:
    shown = Shown("Scrape time", "How long Prometheus took to read a monitor's metrics.", "s", empty="no monitor")
    return series(shown, Query(by("max", _INSTANCE, f"{of('scrape_duration_seconds', _SCOPE)} {_OUR_SCRAPES}"), _NAME))


def _series() -> AnyPanel:
    shown = Shown("Series", "How many series a scrape of a monitor brings.", empty="no monitor")
    samples = f"{of('scrape_samples_scraped', _SCOPE)} {_OUR_SCRAPES}"
    return series(shown, Query(by("max", _INSTANCE, samples), _NAME))


def _builds() -> AnyPanel:
    labels = ("instance", "version", "python_version", "websockets_version")
    shown = Shown("Versions", "What each monitor runs, and since when.", "none", empty="no monitor")
    joined = f"* on (job, instance) group_right () {of('alpmon_build_info', _SCOPE)}"
    started = by("max", labels, f"{of('process_start_time_seconds', _SCOPE)} {joined}")
    reloaded = of("alpmon_config_last_reload_success_timestamp_seconds", _SCOPE)
    columns = [
        Column("started", f"{started} * 1000", "dateTimeFromNow"),
        Column("configured", f"{by('max', labels, f'{reloaded} {joined}')} * 1000", "dateTimeFromNow"),
        Column("shard", by("max", labels, f"{of('alpmon_shard_index', _SCOPE)} {joined}")),
        Column("of shards", by("max", labels, f"{of('alpmon_shard_count', _SCOPE)} {joined}")),
    ]
    return rows(shown, labels, columns)


def _targets() -> AnyPanel:
    labels = ("instance", "target", "url")
    shown = Shown(
        "Targets", "What each monitor was told to watch, and over how many connections.", "none", empty="none"
    )
    connections = by("count", ("job", "instance", "target"), of("alpmon_connection_up", Scope.CONNECTION))
    joined = f"* on (job, instance, target) group_right () {of('alpmon_target_info', Scope.TARGET)}"
    return rows(shown, labels, [Column("connections", by("max", labels, f"{connections} {joined}"))])


def _reference() -> AnyPanel:
    shown = Shown(
        "REST reference",
        "Reads of the exchange's REST interface about topics past their threshold, and those that failed.",
        "ops",
        empty="no REST reference",
    )
    checks = by("sum", ("target",), rate(of("alpmon_reference_checks_total", Scope.TARGET)))
    failures = by("sum", ("target",), rate(of("alpmon_reference_failures_total", Scope.TARGET)))
    style = Style({"failed$": BAD})
    return series(shown, Query(checks, "{{target}}"), Query(failures, "{{target}} failed"), style=style)


def _dropped() -> AnyPanel:
    shown = Shown(
        "Symbols beyond the limit",
        "Distinct symbols that have no series of their own because limits.max_symbols was reached; they count as"
        " other.",
        empty="no monitor",
    )
    dropped = by("max", ("target",), increase(of("alpmon_symbols_dropped_total", Scope.TARGET)))
    return series(shown, Query(dropped, "{{target}}"), style=Style(bars=True))
