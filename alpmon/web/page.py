"""The status page: whole without a script, from the status of one moment; with the script it lives on from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from alpmon.telemetry.status import Status
from alpmon.telemetry.targetstatus import TargetStatus
from alpmon.telemetry.troubles import Level
from alpmon.telemetry.verdict import Verdict
from alpmon.web import parts
from alpmon.web.assets import ASSETS
from alpmon.web.runbook import RUNBOOK
from alpmon.web.words import NOTHING, count, duration, latency, moment

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Nothing but our own files may be loaded or run, and no text may become markup."""

_REFRESH_SECONDS: Final = 5
_FINDINGS_DRAWN: Final = 12
_CONNECTIONS_DRAWN: Final = 6
_ROWS_DRAWN: Final = 24
"""The first sight, the worst first; the script shows the rest. It keeps a page of any monitor under 60 kB."""

_STATES: Final = ("stale", "silent", "rejected", "down", "pending", "quiet", "live")


def page(status: Status, runbook_url: str = RUNBOOK) -> str:
    """The whole page.

    Args:
        status: what is to be seen.
        runbook_url: where docs/alerts.md can be read.
    """
    verdict = status.verdict
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<noscript><meta http-equiv="refresh" content="{_REFRESH_SECONDS}"></noscript>
<title>{escape(verdict.sentence)} · alpmon</title>
<link rel="icon" id="icon" href="{ASSETS[f"{verdict.level}.svg"].path}" type="image/svg+xml">
<link rel="stylesheet" href="{ASSETS["page.css"].path}">
<script type="module" src="{ASSETS["page.js"].path}"></script>
</head>
<body data-runbook="{escape(runbook_url)}" data-version="{escape(status.version)}" {_icons()}>
<a class="skip" href="#targets">Skip to the connections</a>
<header class="top">
<p class="name"><b>alpmon</b> <span class="dim">{escape(status.version)}</span></p>
<p id="link" data-link="loading"><span id="link-text">as of {moment(status.timestamp_seconds)} UTC</span></p>
<nav aria-label="Other views"><a href="{escape(runbook_url)}">Runbook</a>
<a href="metrics">Metrics</a> <a href="api/v1/status">JSON</a> <a href="config">Configuration</a></nav>
</header>
<p id="lost" role="alert" hidden></p>
<p id="announcement" role="status" class="hidden"></p>
<main>
{_verdict(status, runbook_url)}
<dl class="figures" aria-label="In figures">{"".join(_figures(status))}</dl>
{_findings(verdict, runbook_url, status.timestamp_seconds)}
{_tools(status.targets)}
<p id="empty" class="empty"{"" if _is_empty(status) else " hidden"}>{_EMPTY}</p>
<div id="targets" tabindex="-1">{"".join(_targets(status.targets, status.timestamp_seconds))}</div>
<p class="more"><button type="button" id="more-connections" hidden></button></p>
</main>
<footer class="dim">All times are UTC. Timelines and sparklines cover 15 minutes, in steps of 5 seconds.</footer>
{parts.templates()}
</body>
</html>
"""


_EMPTY: Final = "This monitor holds no connection: with more shards than connections, some have nothing to do."


def _icons() -> str:
    return " ".join(f'data-icon-{level}="{ASSETS[f"{level}.svg"].path}"' for level in Level)


def _is_empty(status: Status) -> bool:
    return not any(target.connections for target in status.targets)


def _verdict(status: Status, runbook_url: str) -> str:
    verdict = status.verdict
    first = verdict.findings[0] if verdict.findings else None
    place = parts.where(first) if first else ""
    alert = first.alert if first else None
    return f"""<section id="verdict" class="{verdict.level}" aria-label="Verdict">
<h1 id="sentence">{escape(verdict.sentence)}</h1>
<p id="because">{escape(parts.because(verdict.fault, verdict.because))}</p>
<p class="dim links"><span id="since">{parts.lasting(verdict.since_timestamp_seconds, status.timestamp_seconds)}</span>
<a id="place"{parts.href(place)}>{"Show it" if place else ""}</a>
<a id="runbook"{parts.href(parts.runbook(alert, runbook_url))}>{alert or ""}</a></p>
</section>"""


def _figures(status: Status) -> Iterator[str]:
    connections = [connection for target in status.targets for connection in target.connections]
    topics = sum(len(connection.topics) for connection in connections)
    trouble = sum(connection.topics_in_trouble for connection in connections)
    up = sum(connection.up for connection in connections)
    yield _figure("up", f"{up:,} of {len(connections):,}", "connections up")
    yield _figure("trouble", f"{trouble:,} of {topics:,}", "topics in trouble or down")
    yield _figure("rate", NOTHING, "messages/s, last minute")
    yield _figure("lag", latency(status.worst_recent_event_loop_lag_seconds), "our own delay")
    yield _figure("uptime", duration(status.uptime_seconds), "running")
    if status.shard_count > 1:
        yield _figure("shard", f"{status.shard_index} of {status.shard_count}", "shard")


def _figure(name: str, value: str, words: str) -> str:
    return f'<div><dt>{words}</dt><dd id="figure-{name}">{value}</dd></div>'


def _findings(verdict: Verdict, runbook_url: str, now: float) -> str:
    drawn = "".join(parts.finding(found, runbook_url, now) for found in verdict.findings[:_FINDINGS_DRAWN])
    hidden = "" if len(verdict.findings) > 1 else " hidden"  # a single one is the headline
    return f'<section id="findings"{hidden}><h2>What is wrong</h2><ul id="finding-list">{drawn}</ul></section>'


def _tools(targets: Iterable[TargetStatus]) -> str:
    names = "".join(f"<option>{escape(target.target)}</option>" for target in targets)
    states = "".join(f"<option>{state}</option>" for state in _STATES)
    return f"""<form id="tools" role="search" hidden>
<label>Filter <input type="search" id="filter" placeholder="topic, connection, client id" autocomplete="off"></label>
<label>State <select id="state"><option value="">all</option>
<option value="trouble">in trouble or down</option>{states}</select></label>
<label>Target <select id="target"><option value="">all</option>{names}</select></label>
<output id="matches"></output>
<button type="button" id="clear" hidden>Clear</button>
</form>"""


def _targets(targets: Iterable[TargetStatus], now: float) -> Iterator[str]:
    cards = rows = 0
    for target in targets:
        drawn = []
        for connection in target.connections[: _CONNECTIONS_DRAWN - cards]:
            topics = connection.topics[: min(parts.ROWS, _ROWS_DRAWN - rows)]
            rows += len(topics)
            drawn.append(parts.connection(connection, [parts.topic(topic, now) for topic in topics]))
        cards += len(drawn)
        left = len(target.connections) - len(drawn)
        more = f'<p class="dim">{count(left, "more connection")}</p>' if left else ""
        if target.connections:
            yield parts.target(target, "".join(drawn) + more)
