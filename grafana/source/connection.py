"""Connection: how it is held, how fast it answers, and how it ended."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from alpmon.telemetry.labels import FailureReason, Phase
from grafana.source.colours import (
    BAD,
    BLUE,
    CONNECTION_STATES,
    GOOD,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
)
from grafana.source.frame import Section, dashboard
from grafana.source.links import Uid
from grafana.source.panels import (
    THIRD,
    WHOLE,
    AnyPanel,
    Query,
    Shown,
    Style,
    bars,
    histogram,
    numbered,
    series,
    timeline,
)
from grafana.source.promql import (
    ONE_CONNECTION,
    RANGE,
    Scope,
    buckets,
    by,
    increase,
    mean,
    mean_so_far,
    of,
    quantile,
    rate,
    state_number,
    threshold,
)
from grafana.source.tables import Column, rows

_SCOPE: Final = Scope.CONNECTION
_NAME: Final = "{{target}} {{connection}}"
_PHASES: Final = dict(zip((f"^{phase}$" for phase in Phase), (GREY, SKY, BLUE, GREEN, ORANGE), strict=True))
_FAILURES: Final = dict(zip((f"^{reason}$" for reason in FailureReason), (*PALETTE, SKY, GREY), strict=True))
_KINDS: Final = {"text": ORANGE, "protocol": BLUE}
_OPEN: Final[dict[float, tuple[str, str]]] = {0: ("closed", BAD), 1: ("open", GOOD)}
_INITIATORS: Final = {"^server ": VERMILLION, "^network ": YELLOW, "^client ": BLUE}


def connection() -> Dashboard:
    """The dashboard of one connection, or of some."""
    return dashboard(
        Uid.CONNECTION,
        "Connection",
        "One connection's life: its states, how it was made, its pings, its answers, and how its sessions ended.",
        "now-1h",
        [
            Section("Life", [_states(), _sessions(), _causes(), _disconnects(), _failures(), _lengths()]),
            Section("Connecting", [_phases_so_far(), _phases(), _certificates()]),
            Section("Pings", [_spacing(), _since_ping(), _spacing_histogram(), _pong(), _pong_histogram(), _rtt()]),
            Section("Requests", [_ack(), _ack_histogram(), _refused(), _frames(), _unreadable(), _behind()]),
        ],
    )


def _states() -> AnyPanel:
    shown = Shown("State", "What each connection was doing, and when.", "none", span=WHOLE, empty="no connection")
    state = state_number(ONE_CONNECTION, "alpmon_connection_state", _SCOPE, CONNECTION_STATES)
    return timeline(shown, Query(state, _NAME), values=numbered(CONNECTION_STATES))


def _sessions() -> AnyPanel:
    labels = (*ONE_CONNECTION, "dialect", "client_id")
    shown = Shown(
        "Sessions",
        "The sessions that are up. The exchange can look a session up by its client id.",
        "none",
        empty="no session is up",
    )
    since = of("alpmon_connection_established_timestamp_seconds", _SCOPE)
    interval = of("alpmon_advertised_ping_interval_seconds", _SCOPE)
    private = of("alpmon_private_channels_open", _SCOPE)
    session = of("alpmon_session_info", _SCOPE)
    joined = f"* on (job, instance, target, connection) group_right () {session}"
    columns = [
        Column("up since", f"{by('max', labels, f'{since} {joined}')} * 1000", "dateTimeFromNow"),
        Column("advertised ping interval", by("max", labels, f"{interval} {joined}"), "s"),
        Column("private channels", by("max", labels, f"{private} {joined}"), "none", _OPEN),
    ]
    return rows(shown, labels, columns)


def _causes() -> AnyPanel:
    labels = ("initiator", "code", "reason")
    shown = Shown(
        "Disconnects by cause",
        "How sessions ended in the range shown: who ended them, with which close code, and why.",
        empty="no disconnect",
    )
    ends = by("sum", labels, increase(of("alpmon_disconnects_total", _SCOPE), RANGE))
    return rows(shown, labels, [Column("disconnects", f"{ends} > 0")], worst="disconnects")


def _disconnects() -> AnyPanel:
    shown = Shown(
        "Disconnects",
        "When sessions ended, by who ended them and why.",
        span=THIRD,
        empty="no disconnect",
    )
    ends = by("sum", ("initiator", "reason", "code"), increase(of("alpmon_disconnects_total", _SCOPE)))
    return series(shown, Query(f"{ends} > 0", "{{initiator}} {{reason}} {{code}}"), style=Style(_INITIATORS, bars=True))


def _failures() -> AnyPanel:
    shown = Shown(
        "Failed attempts",
        "Attempts that never reached the welcome, by reason.",
        span=THIRD,
        empty="no failed attempt",
    )
    failures = by("sum", ("reason",), increase(of("alpmon_connection_failures_total", _SCOPE)))
    return series(shown, Query(f"{failures} > 0", "{{reason}}"), style=Style(_FAILURES, bars=True))


def _lengths() -> AnyPanel:
    shown = Shown(
        "Session lengths",
        "How long ended sessions had lived, as the monitor has seen since it started: a bar for each length up to so"
        " many seconds.",
        span=THIRD,
        empty="no session has ended",
    )
    ended = by("sum", ("le",), of("alpmon_session_duration_seconds_bucket", _SCOPE))
    return bars(shown, Query(ended, "{{le}}"), buckets=True)


def _phases_so_far() -> AnyPanel:
    shown = Shown(
        "Phases of connecting, on average",
        "How long each step to a session took, on average since the monitor started. Its sum is the time to connect.",
        "s",
        span=THIRD,
        empty="not connected yet",
    )
    return bars(shown, Query(mean_so_far(("phase",), "alpmon_connect_duration_seconds", _SCOPE), "{{phase}}"))


def _phases() -> AnyPanel:
    shown = Shown(
        "Phases of connecting",
        "How long each step took whenever a connection was made; nothing while nobody connected.",
        "s",
        span=THIRD,
        empty="nobody connected",
    )
    query = mean(("phase",), "alpmon_connect_duration_seconds", _SCOPE)
    return series(shown, Query(query, "{{phase}}"), style=Style(_PHASES, bars=True))


def _certificates() -> AnyPanel:
    shown = Shown(
        "Certificates run out in",
        "How long the earliest certificate of the chain that the server showed is still valid; below 0 it has expired.",
        "s",
        span=THIRD,
        empty="no TLS",
    )
    end = by("min", ("target",), of("alpmon_tls_certificate_not_after_timestamp_seconds", _SCOPE) + " > 0")
    days = {
        "warned at": threshold("certificate_warning", "days"),
        "paged at": threshold("certificate_critical", "days"),
    }
    limits = [Query(f"86400 * ({value})", name, limit=True) for name, value in days.items()]
    return series(shown, Query(f"{end} - time()", "{{target}}"), *limits, style=Style(minimum=None))


def _advertised() -> str:
    return by("max", ("target",), of("alpmon_advertised_ping_interval_seconds", _SCOPE))


def _patience() -> str:
    return f"{_advertised()} + {by('max', ('target',), of('alpmon_advertised_ping_timeout_seconds', _SCOPE))}"


def _spacing() -> AnyPanel:
    shown = Shown(
        "Ping spacing",
        "Time between two pings of the server, on average, against the interval that it advertised in its welcome.",
        "s",
        empty="no ping",
    )
    spacing = mean((*ONE_CONNECTION, "kind"), "alpmon_ping_interval_seconds", _SCOPE)
    advertised = Query(_advertised(), "{{target}}: advertised interval", limit=True)
    return series(shown, Query(spacing, f"{_NAME} {{{{kind}}}}"), advertised, style=Style(_KINDS))


def _since_ping() -> AnyPanel:
    shown = Shown(
        "Since the last ping",
        "How long ago the server last pinged. Past the advertised interval and timeout together, with no other frame,"
        " the peer counts as dead.",
        "s",
        empty="no ping",
    )
    since = by("max", ONE_CONNECTION, f"time() - ({of('alpmon_last_ping_timestamp_seconds', _SCOPE)} > 0)")
    return series(
        shown, Query(since, _NAME), Query(_patience(), "{{target}}: advertised interval and timeout", limit=True)
    )


def _spacing_histogram() -> AnyPanel:
    shown = Shown("Ping spacing, spread", "How the times between two pings are spread.", "s", empty="no ping")
    return histogram(shown, buckets("alpmon_ping_interval_seconds", _SCOPE))


def _pong() -> AnyPanel:
    shown = Shown(
        "Pong latency",
        "From a ping's arrival until its answer was handed to the socket: our own part, which should be under a"
        " millisecond or two.",
        "s",
        empty="no ping",
    )
    slow = Query(threshold("pong_slow", "seconds"), "alerted at", limit=True)
    return series(shown, *_quantiles("alpmon_pong_latency_seconds"), slow, style=_QUANTILES)


def _pong_histogram() -> AnyPanel:
    shown = Shown(
        "Pong latency, spread",
        "How the latencies are spread; the marks are exemplars with the session's client id.",
        "s",
        empty="no ping",
    )
    return histogram(shown, buckets("alpmon_pong_latency_seconds", _SCOPE))


def _rtt() -> AnyPanel:
    shown = Shown("Round trip", "Our own WebSocket pings to their pongs: the network and the peer.", "s", empty="off")
    return series(shown, *_quantiles("alpmon_rtt_seconds"), style=_QUANTILES)


def _ack() -> AnyPanel:
    shown = Shown(
        "Acknowledgement time",
        "From handing a request to the socket until the server acknowledged it, probes included.",
        "s",
        empty="no request",
    )
    slow = Query(threshold("ack_slow", "seconds"), "alerted at", limit=True)
    return series(shown, *_quantiles("alpmon_subscribe_ack_seconds"), slow, style=_QUANTILES)


def _ack_histogram() -> AnyPanel:
    shown = Shown(
        "Acknowledgement time, spread",
        "How the times are spread; the marks are exemplars with the session's client id.",
        "s",
        empty="no request",
    )
    return histogram(shown, buckets("alpmon_subscribe_ack_seconds", _SCOPE))


_QUANTILES: Final = Style({"^half": SKY, "^99 %": BLUE, "^mean": GREY})


def _quantiles(name: str) -> list[Query]:
    return [
        Query(quantile(0.99, (), name, _SCOPE), "99 % are faster", exemplars=True),
        Query(quantile(0.5, (), name, _SCOPE), "half are faster"),
        Query(mean((), name, _SCOPE), "mean"),
    ]


def _refused() -> AnyPanel:
    shown = Shown(
        "Requests that failed",
        "Requests without an acknowledgement, and error frames: topics that the server refuses, and why.",
        empty="none failed",
    )
    failures = by("sum", ("op", "reason"), increase(of("alpmon_subscribe_failures_total", _SCOPE)))
    errors = by("sum", ("reason",), increase(of("alpmon_error_frames_total", _SCOPE)))
    style = Style({"^error frame": VERMILLION, "^probe": SKY, "^subscribe": ORANGE, "^unsubscribe": PURPLE}, bars=True)
    requests = Query(f"{failures} > 0", "{{op}}: {{reason}}")
    return series(shown, requests, Query(f"{errors} > 0", "error frame: {{reason}}"), style=style)


def _frames() -> AnyPanel:
    shown = Shown("Frames", "Everything received, by kind.", "ops", empty="no connection")
    kinds = ("data", "ping", "ack", "welcome", "error", "unknown", "malformed")
    colours = (BLUE, SKY, GREEN, GREY, ORANGE, PURPLE, VERMILLION)
    style = Style({f"^{kind}$": colour for kind, colour in zip(kinds, colours, strict=True)}, stacked=True)
    return series(shown, Query(by("sum", ("kind",), rate(of("alpmon_frames_total", _SCOPE))), "{{kind}}"), style=style)


def _unreadable() -> AnyPanel:
    shown = Shown(
        "Unreadable frames",
        "Frames that no edition of the documents allows, by what is wrong with them. They never end a session.",
        empty="none",
    )
    frames = by("sum", ("reason",), increase(of("alpmon_malformed_frames_total", _SCOPE)))
    reasons = ("binary", "invalid_utf8", "invalid_json", "not_array", "bad_shape")
    colours = {f"^{reason}$": colour for reason, colour in zip(reasons, PALETTE, strict=False)}
    return series(shown, Query(f"{frames} > 0", "{{reason}}"), style=Style(colours, bars=True))


def _behind() -> AnyPanel:
    shown = Shown(
        "Behind the fastest sibling",
        "With redundant connections: how much later than the first of them this one delivers the same message.",
        "s",
        empty="no redundancy",
    )
    delay = quantile(0.99, ONE_CONNECTION, "alpmon_delivery_delay_seconds", _SCOPE)
    return series(shown, Query(delay, f"{_NAME}, 99 %"))
