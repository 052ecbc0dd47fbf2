"""The status page: plain HTML made from the status, no script. Everything shown is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from typing import Final

from alpmon.core.freshness import TopicState
from alpmon.telemetry.status import ConnectionStatus, EndStatus, Status, TargetStatus, TopicStatus

_REFRESH_SECONDS: Final = 5
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_NOTHING: Final = "-"

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --dim: #6b7280; --good: #15803d; --bad: #b91c1c; --odd: #a16207; }
@media (prefers-color-scheme: dark) { :root { --dim: #9ca3af; --good: #4ade80; --bad: #f87171; --odd: #facc15; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 0; } h3 { font-size: 1rem; margin: 1.5rem 0 0; }
p { margin: .2rem 0; } .dim { color: var(--dim); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .6rem; text-align: left; white-space: nowrap; }
th { color: var(--dim); font-weight: 500; } .number { text-align: right; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .odd { color: var(--odd); }
"""

_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing may be loaded or run; the one style sheet is known by its hash."""

_COLOUR: Final = {
    TopicState.LIVE: "good",
    TopicState.QUIET: "good",
    TopicState.PENDING: "odd",
    TopicState.DOWN: "bad",
    TopicState.REJECTED: "bad",
    TopicState.SILENT: "bad",
    TopicState.STALE: "bad",
}
_COLUMNS: Final = (
    ("Topic", ""),
    ("State", ""),
    ("For", "number"),
    ("Age", "number"),
    ("Stale after", "number"),
    ("Stale so far", "number"),
    ("Messages", "number"),
    ("Last message (UTC)", "number"),
)


def page(status: Status) -> str:
    """The whole page."""
    connections = [connection for target in status.targets for connection in target.connections]
    up = sum(connection.up for connection in connections)
    trouble = sum(connection.topics_in_trouble for connection in connections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">
<title>alpmon: {up} of {len(connections)} up, {trouble} topics in trouble</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>alpmon {escape(status.version)}</h1>
<p>{_coloured(f"{up} of {len(connections)} connections up", "good" if up == len(connections) else "bad")},
{_coloured(f"{trouble} topics in trouble", "bad" if trouble else "good")}</p>
<p class="dim">{_moment(status.timestamp_seconds)} UTC, running for {duration(status.uptime_seconds)},
event loop late by {duration(status.worst_recent_event_loop_lag_seconds)} at most, shard {status.shard_index} of
{status.shard_count}</p>
<p><a href="/metrics">metrics</a> <a href="/api/v1/status">status as JSON</a> <a href="/config">configuration</a></p>
{_joined(_target(target) for target in status.targets)}
</body>
</html>
"""


def duration(seconds: float | None) -> str:
    """A duration with its unit, in two units at most: `3.2 ms`, `4.5 s`, `2 min 5 s`, `3 h 0 min`, `4 d 7 h`."""
    if seconds is None:
        return _NOTHING
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def _target(target: TargetStatus) -> str:
    expiry = target.certificate_expires_in_seconds
    facts = [escape(target.url)]
    if expiry is not None:
        facts.append(f"certificate expires in {duration(expiry)}" if expiry > 0 else "certificate expired")
    if target.symbols_dropped:
        facts.append(f"{target.symbols_dropped} symbols counted as other")
    connections = _joined(_connection(connection) for connection in target.connections)
    return f'<h2>{escape(target.target)}</h2>\n<p class="dim">{", ".join(facts)}</p>\n{connections}'


def _connection(connection: ConnectionStatus) -> str:
    return f"""<h3>{escape(connection.connection)}
{_coloured(connection.state, "good" if connection.up else "bad")}
<span class="dim">for {duration(connection.state_seconds)}</span></h3>
{_joined(f'<p class="dim">{line}</p>' for line in _about(connection))}
<div class="scroll"><table>
<tr>{"".join(f'<th class="{kind}">{title}</th>' for title, kind in _COLUMNS)}</tr>
{_joined(_topic(topic) for topic in connection.topics)}
</table></div>"""


def _about(connection: ConnectionStatus) -> Iterable[str]:
    if connection.client_id is not None:
        yield (
            f"client id {escape(connection.client_id)}, {escape(connection.dialect or 'unknown')} dialect, "
            f"up for {duration(connection.session_seconds)}, "
            f"pings every {duration(connection.advertised_ping_interval_seconds)} with a timeout of "
            f"{duration(connection.advertised_ping_timeout_seconds)}, "
            f"last frame {duration(connection.last_frame_ago_seconds)} ago"
        )
    yield f"{connection.frames} frames, {connection.attempts} attempts, {connection.worker_restarts} worker restarts"
    if connection.last_end is not None:
        yield _end(connection.last_end)
    if connection.last_failure is not None:
        yield f"last failure: {escape(connection.last_failure)}"
    if connection.retry_in_seconds is not None:
        yield f"next attempt in {duration(connection.retry_in_seconds)}"


def _end(end: EndStatus) -> str:
    words = f', saying "{escape(end.close_reason)}"' if end.close_reason else ""
    return (
        f"last session ended {duration(end.ago_seconds)} ago by the {escape(end.initiator)}: "
        f"{escape(end.reason)}, code {escape(end.code)}{words}"
    )


def _topic(topic: TopicStatus) -> str:
    state = _NOTHING if topic.state is None else _coloured(topic.state, _COLOUR[topic.state])
    figures = (
        duration(topic.state_seconds),
        duration(topic.age_seconds),
        duration(topic.stale_after_seconds),
        duration(topic.stale_seconds),
        f"{topic.messages:,}",
        _moment(topic.last_message_timestamp_seconds),
    )
    cells = "".join(f'<td class="number">{figure}</td>' for figure in figures)
    return f"<tr><td>{escape(topic.topic)}</td><td>{state}</td>{cells}</tr>"


def _coloured(text: str, colour: str) -> str:
    return f'<span class="{colour}">{escape(text)}</span>'


def _moment(timestamp_seconds: float | None) -> str:
    if timestamp_seconds is None:
        return _NOTHING
    return datetime.fromtimestamp(timestamp_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _joined(parts: Iterable[str]) -> str:
    return "\n".join(parts)
