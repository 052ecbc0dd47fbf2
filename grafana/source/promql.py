"""PromQL, put together from a metric's name, the scope of the dashboard's variables and a few functions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from grafana.source.rules import variables

INTERVAL: Final = "$__interval"
RATE_INTERVAL: Final = "$__rate_interval"
RANGE: Final = "$__range"


class Scope(StrEnum):
    """Which variables of the dashboard narrow a metric down; each goes as deep as the metric's labels allow."""

    MONITOR = 'job=~"$job",instance=~"$instance"'
    TARGET = f'{MONITOR},target=~"$target"'
    CONNECTION = f'{TARGET},connection=~"$connection"'
    TOPIC = f'{CONNECTION},topic=~"$topic"'


ONE_CONNECTION: Final = ("target", "connection")
ONE_TOPIC: Final = ("target", "connection", "topic")


def of(name: str, scope: Scope, *matchers: str) -> str:
    """The metric within a scope, narrowed further by matchers such as `reason="dns"`."""
    return f"{name}{{{','.join((scope, *matchers))}}}"


def by(aggregation: str, labels: Iterable[str], expression: str) -> str:
    """`max by (a, b) (expression)`; without labels, over everything."""
    clause = ", ".join(labels)
    return f"{aggregation} by ({clause}) ({expression})" if clause else f"{aggregation}({expression})"


def rate(selector: str) -> str:
    """How much a second."""
    return f"rate({selector}[{RATE_INTERVAL}])"


def increase(selector: str, over: str = RATE_INTERVAL) -> str:
    """How much in one step of a graph, or over the whole range shown."""
    return f"increase({selector}[{over}])"


def quantile(share: float, labels: Iterable[str], histogram: str, scope: Scope, *matchers: str) -> str:
    """A quantile of what a histogram observed lately."""
    buckets = by("sum", (*labels, "le"), rate(of(f"{histogram}_bucket", scope, *matchers)))
    return f"histogram_quantile({share:g}, {buckets})"


def mean(labels: Iterable[str], histogram: str, scope: Scope, *matchers: str) -> str:
    """The mean of what a histogram observed lately; nothing where it observed nothing."""
    names = tuple(labels)
    total, count = (by("sum", names, rate(of(histogram + part, scope, *matchers))) for part in ("_sum", "_count"))
    return f"{total} / ({count} > 0)"


def mean_so_far(labels: Iterable[str], histogram: str, scope: Scope) -> str:
    """The mean of all that a histogram has observed since the monitor started; for what happens seldom."""
    names = tuple(labels)
    total, count = (by("sum", names, of(histogram + part, scope)) for part in ("_sum", "_count"))
    return f"{total} / ({count} > 0)"


def buckets(histogram: str, scope: Scope, *matchers: str) -> str:
    """How many observations fell into each bucket in one step; what a heatmap draws."""
    return by("sum", ("le",), increase(of(f"{histogram}_bucket", scope, *matchers)))


def state_number(labels: Iterable[str], state_set: str, scope: Scope, states: Iterable[str]) -> str:
    """The place of the present state in `states`, counted from 1; the last one where several monitors disagree."""
    members = (of(state_set, scope, f'{state_set}="{state}"') for state in states)
    return by("max", labels, " or ".join(f"{place} * {member}" for place, member in enumerate(members, 1)))


def threshold(name: str, unit: str) -> str:
    """The limit that the alerts go by, from the rules' own series, or as shipped where the rules are not installed."""
    return _or_as_shipped(f"alpmon:{name}:threshold_{unit}", f"{name}_{unit}")


def objective() -> str:
    """The share of feed-time that should be good."""
    return _or_as_shipped("alpmon:slo:objective_ratio", "slo_objective")


def _or_as_shipped(series: str, variable: str) -> str:
    return f"max({series}) or vector({variables()[variable]})"


def loop_late() -> str:
    """The share of the time lately for which a monitor's event loop was late."""
    return rate(of("alpmon_event_loop_lag_seconds_sum", Scope.MONITOR))


def bad_time() -> str:
    """The share of each topic's time lately that went bad, as all monitors agree and as the rules count it.

    Bad is stale, silent or without a session. What had not delivered before counts as good, and a monitor that is
    refused the topic, or too slow to judge it, is not asked.
    """
    stale = rate(of("alpmon_topic_stale_seconds_total", Scope.TOPIC))
    last = of("alpmon_topic_last_message_timestamp_seconds", Scope.TOPIC)
    delivers = by("max", ONE_TOPIC, f"min_over_time({last}[{RATE_INTERVAL}])") + " > bool 0"
    down = f"1 - avg_over_time({of('alpmon_connection_up', Scope.CONNECTION)}[{RATE_INTERVAL}])"
    refused = of("alpmon_topic_state", Scope.TOPIC, 'alpmon_topic_state="rejected"')
    shares = (
        f"{stale} * on ({', '.join(ONE_TOPIC)}) group_left () ({delivers})"
        f" + on (job, instance, {', '.join(ONE_CONNECTION)}) group_left () ({down})"
        f" unless on (job, instance, {', '.join(ONE_TOPIC)}) {refused} == 1"
        f" unless on (job, instance) {loop_late()} > scalar({threshold('monitor_slow', 'ratio')})"
    )
    return f"clamp_max({by('min', ONE_TOPIC, shares)}, 1)"


def over_range(function: str, expression: str) -> str:
    """`avg_over_time` and the like of an expression, over the whole range shown."""
    return f"{function}(({expression})[{RANGE}:{INTERVAL}])"
