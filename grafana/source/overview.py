"""Overview: is any feed bad now, since when, and whose fault is it."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source.colours import BAD, CONNECTION_STATES, DOUBTFUL, GOOD, TOPIC_STATES
from grafana.source.frame import Section, dashboard
from grafana.source.links import Uid, from_series
from grafana.source.panels import (
    NO_FLOOR,
    THIRD,
    WHOLE,
    AnyPanel,
    Query,
    Shown,
    Style,
    number,
    numbered,
    series,
    timeline,
)
from grafana.source.promql import (
    ONE_CONNECTION,
    ONE_TOPIC,
    RANGE,
    Scope,
    bad_time,
    by,
    increase,
    loop_late,
    objective,
    of,
    over_range,
    rate,
    state_number,
    threshold,
)
from grafana.source.tables import Column, Link, rows

_STALE: Final = of("alpmon_topic_stale", Scope.TOPIC)
_STALE_SECONDS: Final = of("alpmon_topic_stale_seconds_total", Scope.TOPIC)
_CANNOT_TELL: Final = of("alpmon_topic_state", Scope.TOPIC, 'alpmon_topic_state=~"down|pending"')
_LAST: Final = of("alpmon_topic_last_message_timestamp_seconds", Scope.TOPIC)
_SUBSCRIBED: Final = of("alpmon_topic_subscribed_timestamp_seconds", Scope.TOPIC)
SPOKE_AT: Final = f"({_LAST} > {_SUBSCRIBED} or ({_SUBSCRIBED} > 0))"
SILENT_FOR: Final = f"timestamp({_LAST}) - {SPOKE_AT}"
"""Since the last message, or since the acknowledgement if none came after it."""

_TOLD: Final = f"{_STALE} unless on (job, instance, target, connection, topic) ({_CANNOT_TELL} == 1)"
_BAD: Final = f"on (target, connection, topic) ({by('min', ONE_TOPIC, _TOLD)} == 1)"
"""Which feeds are bad as all monitors agree that can tell."""
_BAD_COUNT: Final = f"sum({by('min', ONE_TOPIC, _TOLD)} or 0 * {by('max', ONE_TOPIC, _STALE)})"
_DISPUTED: Final = (
    f"sum({by('max', ONE_TOPIC, _TOLD)} - {by('min', ONE_TOPIC, _TOLD)} or 0 * {by('max', ONE_TOPIC, _STALE)})"
)

_SPAN: Final = 4
_HEIGHT: Final = 6
_LOST: Final = 'reason=~"dns|unreachable|timeout"'
_REFUSED: Final = 'reason=~"refused|tls|http_status|handshake|welcome_timeout"'


def overview() -> Dashboard:
    """The dashboard to look at first."""
    return dashboard(
        Uid.OVERVIEW,
        "Overview",
        "Is any feed bad now, since when, and is it us, the network or the exchange?",
        "now-3h",
        [
            Section("Now", [_bad_feeds(), _down(), _longest(), _blame(), _bad_now(), _alerts()]),
            Section("How much", [_good_share(), _budget(), _disagreement()]),
            Section("Which", [_topics(), _connections()]),
            Section("When", [_targets(), _states(), _bad_share(), _messages()]),
        ],
    )


def _bad_feeds() -> AnyPanel:
    shown = Shown(
        "Bad feeds",
        "Topics that are stale (quiet for longer than is normal for them, and nothing vouches for the silence) or"
        " silent (acknowledged, never delivered). Of several monitors all that can tell must say so.",
        span=_SPAN,
        height=_HEIGHT,
        empty="no monitor",
    )
    return number(shown, _BAD_COUNT, {1: BAD})


def _down() -> AnyPanel:
    shown = Shown(
        "Connections down",
        "Connections without a welcomed session. Their topics are down, not stale.",
        span=_SPAN,
        height=_HEIGHT,
        empty="no monitor",
    )
    return number(
        shown, f"sum(1 - {by('max', ONE_CONNECTION, of('alpmon_connection_up', Scope.CONNECTION))})", {1: BAD}
    )


def _longest() -> AnyPanel:
    shown = Shown(
        "Longest silence of a bad feed",
        "How long the worst of the bad feeds has said nothing.",
        "s",
        span=_SPAN,
        height=_HEIGHT,
        empty="none is bad",
    )
    return number(shown, f"max({SILENT_FOR} and {_BAD})", {0: BAD})


def _good_share() -> AnyPanel:
    shown = Shown(
        "Good feed-seconds",
        "The share of all feed-seconds that were watched in the range shown in which the feed had a session and was"
        " neither stale nor silent. It comes from counters, so it misses nothing between two scrapes. A quiet topic"
        " counts as good, and so does the silence of one that has never delivered.",
        "percentunit",
        span=THIRD,
        height=5,
        empty="no monitor",
    )
    return number(shown, f"1 - {over_range('avg_over_time', f'avg({bad_time()})')}")


def _budget() -> AnyPanel:
    shown = Shown(
        "Error budget left",
        "How much of the bad feed-seconds that the objective allows in the range shown is still unspent; below 0 it is"
        " overspent. As for the alerts, time that nobody watched counts as good.",
        "percentunit",
        span=THIRD,
        height=5,
        empty="no monitor",
    )
    bad, steps = over_range("sum_over_time", f"avg({bad_time()})"), over_range("count_over_time", "vector(1)")
    spent = f"{bad} / scalar({steps}) / (1 - ({objective()}))"
    return number(shown, f"1 - {spent}", {NO_FLOOR: BAD, 0: DOUBTFUL, 0.25: GOOD})


def _disagreement() -> AnyPanel:
    shown = Shown(
        "Monitors disagree on",
        "Feeds that one monitor calls bad and another, which can tell, does not: the trouble is on one monitor's way"
        " to the exchange.",
        span=THIRD,
        height=5,
        empty="no monitor",
    )
    return number(shown, _DISPUTED, {1: DOUBTFUL})


def _blame() -> AnyPanel:
    shown = Shown(
        "Whose fault",
        "Us: the monitor's own event loop runs late, so believe nothing else on this page. Network: names, routes or"
        " connections are lost, or monitors disagree about a feed. Exchange: it refuses or closes connections, or all"
        " monitors agree that a feed is bad on a connection that is up.",
        "none",
        height=_HEIGHT,
        empty="no monitor",
    )
    failures = of("alpmon_connection_failures_total", Scope.CONNECTION, _LOST)
    refusals = of("alpmon_connection_failures_total", Scope.CONNECTION, _REFUSED)
    lost = of("alpmon_disconnects_total", Scope.CONNECTION, 'reason=~"connection_lost|silence|ping_timeout"')
    closed = of("alpmon_disconnects_total", Scope.CONNECTION, 'initiator="server"')
    return timeline(
        shown,
        Query(f"max({loop_late()}) > bool scalar({threshold('monitor_slow', 'ratio')})", "us"),
        Query(f"sum({increase(failures)}) + sum({increase(lost)}) + {_DISPUTED} > bool 0", "network"),
        Query(f"sum({increase(refusals)}) + sum({increase(closed)}) + {_BAD_COUNT} > bool 0", "exchange"),
        values={0: ("clear", GOOD), 1: ("trouble", BAD)},
    )


def _bad_now() -> AnyPanel:
    shown = Shown(
        "Bad now",
        "The bad feeds by name, and since when: the last message, or the acknowledgement if none came after it. A click"
        " on a topic leads to it.",
        "none",
        empty="none is bad",
    )
    state = state_number(ONE_TOPIC, "alpmon_topic_state", Scope.TOPIC, TOPIC_STATES)
    since = by("max", ONE_TOPIC, SPOKE_AT)
    columns = [
        Column("state", f"{state} and {_BAD}", "none", numbered(TOPIC_STATES)),
        Column("since", f"{since} * 1000 and {_BAD}", "dateTimeFromNow"),
        Column("silent for", f"{by('min', ONE_TOPIC, SILENT_FOR)} and {_BAD}", "s"),
    ]
    links = [
        Link("topic", "This topic", Uid.TOPIC, ONE_TOPIC),
        Link("connection", "Its connection", Uid.CONNECTION, ONE_CONNECTION),
    ]
    return rows(shown, ONE_TOPIC, columns, links, worst="silent for")


def _alerts() -> AnyPanel:
    labels = ("alertstate", "severity", "alertname", *ONE_TOPIC)
    shown = Shown(
        "Alerts",
        "The shipped alerts that are pending or firing, and since when their condition holds. It needs the rules file"
        " of this project in Prometheus.",
        "none",
        empty="no alert",
    )
    ours = '{alertname=~"Alpmon.+"}'
    since = by("max", labels, f"ALERTS{ours} * ignoring (alertstate) group_left () ALERTS_FOR_STATE{ours}")
    link = Link("target", "Connections of this target", Uid.CONNECTION, ("target",))
    return rows(shown, labels, [Column("since", f"{since} * 1000", "dateTimeFromNow")], [link])


def _topics() -> AnyPanel:
    shown = Shown(
        "Worst topics",
        "The hundred topics with the most bad seconds in the range shown; a click on a topic leads to it.",
        "none",
        span=WHOLE,
        height=10,
        empty="no topic",
    )
    bad_seconds = by("max", ONE_TOPIC, increase(_STALE_SECONDS, RANGE))
    among_worst = f"and topk(100, {bad_seconds})"
    state = state_number(ONE_TOPIC, "alpmon_topic_state", Scope.TOPIC, TOPIC_STATES)
    threshold = by("max", ONE_TOPIC, of("alpmon_topic_stale_after_seconds", Scope.TOPIC))
    episodes = increase(of("alpmon_topic_stale_episodes_total", Scope.TOPIC), RANGE)
    columns = [
        Column("state", f"{state} {among_worst}", "none", numbered(TOPIC_STATES)),
        Column("bad seconds", f"topk(100, {bad_seconds})", "s"),
        Column("episodes", f"{by('max', ONE_TOPIC, episodes)} {among_worst}"),
        Column("silent for", f"{by('max', ONE_TOPIC, SILENT_FOR)} {among_worst}", "s"),
        Column("stale after", f"{threshold} {among_worst}", "s"),
    ]
    links = [
        Link("topic", "This topic", Uid.TOPIC, ONE_TOPIC),
        Link("connection", "Its connection", Uid.CONNECTION, ONE_CONNECTION),
    ]
    return rows(shown, ONE_TOPIC, columns, links, worst="bad seconds")


def _connections() -> AnyPanel:
    shown = Shown(
        "Connections",
        "Every connection: its state, since when it is up, and how often it broke or failed to come up in the range"
        " shown. A click on it leads to its page.",
        "none",
        span=WHOLE,
        empty="no connection",
    )
    since = of("alpmon_connection_established_timestamp_seconds", Scope.CONNECTION)
    ends = increase(of("alpmon_disconnects_total", Scope.CONNECTION), RANGE)
    failures = increase(of("alpmon_connection_failures_total", Scope.CONNECTION), RANGE)
    columns = [
        Column(
            "state",
            state_number(ONE_CONNECTION, "alpmon_connection_state", Scope.CONNECTION, CONNECTION_STATES),
            "none",
            numbered(CONNECTION_STATES),
        ),
        Column("up since", f"{by('max', ONE_CONNECTION, since)} * 1000 > 0", "dateTimeFromNow"),
        Column("disconnects", by("sum", ONE_CONNECTION, ends)),
        Column("failed attempts", by("sum", ONE_CONNECTION, failures)),
    ]
    link = Link("connection", "This connection", Uid.CONNECTION, ONE_CONNECTION)
    return rows(shown, ONE_CONNECTION, columns, [link], worst="disconnects")


def _targets() -> AnyPanel:
    shown = Shown(
        "Worst state of each connection's feeds",
        "For every connection the worst state that one of its topics is in.",
        "none",
        span=WHOLE,
        empty="no monitor",
    )
    worst = state_number(ONE_CONNECTION, "alpmon_topic_state", Scope.TOPIC, TOPIC_STATES)
    link = from_series("This connection", Uid.CONNECTION, ONE_CONNECTION)
    return timeline(shown, Query(worst, "{{target}} {{connection}}"), values=numbered(TOPIC_STATES), links=[link])


def _states() -> AnyPanel:
    shown = Shown("Feeds by state", "How many topics are in which state.", empty="no monitor")
    query = by("sum", ("alpmon_topic_state",), of("alpmon_topic_state", Scope.TOPIC))
    colours = {f"^{state}$": colour for state, colour in TOPIC_STATES.items()}
    return series(shown, Query(query, "{{alpmon_topic_state}}"), style=Style(colours, stacked=True))


def _bad_share() -> AnyPanel:
    shown = Shown(
        "Bad share of feed-time",
        "How much of the feeds' time went bad lately, against what the objective allows in the long run. The silence of"
        " a feed that has never delivered is not bad.",
        "percentunit",
        empty="no monitor",
    )
    share = by("avg", ("target",), bad_time())
    return series(shown, Query(share, "{{target}}"), Query(f"1 - ({objective()})", "allowed", limit=True))


def _messages() -> AnyPanel:
    shown = Shown(
        "Messages",
        "Data frames a second. Of several monitors and of redundant connections each counts its own.",
        "mps",
        span=WHOLE,
        empty="no monitor",
    )
    return series(shown, Query(by("sum", ("target",), rate(of("alpmon_messages_total", Scope.TOPIC))), "{{target}}"))
