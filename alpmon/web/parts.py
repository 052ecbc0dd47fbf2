"""The repeated parts of the status page. Their markup is here and nowhere else.

Each part is drawn filled, and once blank as a `<template>` that the script copies. `data-f` names what the script
fills; what only the script can draw (timelines, sparklines, rates) waits as an empty field. Everything is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import urlencode

from alpmon.telemetry.targetstatus import ConnectionStatus, EndStatus, State, TargetStatus, TopicStatus
from alpmon.telemetry.troubles import Fault, Kind, Level
from alpmon.telemetry.verdict import Finding
from alpmon.web.words import NOTHING, clock, count, duration

ROWS: Final = 25
"""Topics of one connection that are shown before somebody asks for more."""

FAULTS: Final = {
    Fault.NOBODY: "",
    Fault.MONITOR: "This monitor",
    Fault.NETWORK: "The network",
    Fault.EXCHANGE: "The exchange",
    Fault.CONFIGURATION: "The configuration",
    Fault.UNCLEAR: "Unclear",
}
_COLUMNS: Final = (
    "Topic",
    "State",
    "Age, of normal",
    "Rate, of usual",
    "Last 15 minutes",
    "Messages",
    "Time stale",
    "Last message",
)
"""The style sheet knows them by their place."""

_ACKNOWLEDGED: Final = ("live", "quiet", "stale")


def templates() -> str:
    """One blank of each part, for the script."""
    blanks = {
        "finding": finding(_BLANK_FINDING, "", 0.0),
        "target": target(_BLANK_TARGET, ""),
        "connection": connection(_BLANK_CONNECTION, []),
        "topic": topic(_BLANK_TOPIC, 0.0),
    }
    return "\n".join(f'<template id="{name}-template">{markup}</template>' for name, markup in blanks.items())


def finding(found: Finding, runbook_url: str, now: float) -> str:
    """One thing that is wrong, as it stands at `now`, with the way to the runbook."""
    return (
        f'<li class="finding {found.level}"><p><a class="what" data-f="sentence"{href(where(found))}>'
        f"{escape(found.sentence)}</a> "
        f"{_field('since', since(found.since_timestamp_seconds, now), 'dim')}</p>"
        f"<p>{_field('because', because(found.fault, found.because))} "
        f'<a class="runbook" data-f="runbook"{href(runbook(found.alert, runbook_url))}>{found.alert or ""}</a></p></li>'
    )


def because(fault: Fault, words: str) -> str:
    """Whose fault, and why we think so, as one sentence."""
    return ": ".join(filter(None, (FAULTS[fault], words)))


def since(timestamp_seconds: float | None, now: float) -> str:
    """Since when; nothing where that is not known."""
    return "" if timestamp_seconds is None else f"since {clock(timestamp_seconds, now)} UTC"


def lasting(timestamp_seconds: float | None, now: float) -> str:
    """Since when, and for how long."""
    begun = since(timestamp_seconds, now)
    return "" if timestamp_seconds is None else f"{begun}, for {duration(max(0.0, now - timestamp_seconds))}"


def where(found: Finding) -> str:
    """The deep link to what it is about; nothing where that is the monitor itself."""
    if found.target is None:
        return ""
    parts = {"target": found.target}
    if len(found.connections) == 1:
        parts["connection"] = found.connections[0]
    return f"#{urlencode(parts)}"


def runbook(alert: str | None, runbook_url: str) -> str:
    """The address of the section that says what to do; nothing where no alert is about it."""
    return f"{runbook_url}#{alert.lower()}" if alert else ""


def href(address: str) -> str:
    """As an attribute, if there is one."""
    return f' href="{escape(address)}"' if address else ""


def target(shown: TargetStatus, connections: str) -> str:
    """One target around its connections."""
    return (
        f'<section class="target"><h2>{_field("target", shown.target)}</h2> '
        f'<p class="dim">{_field("about", about_target(shown))}</p>'
        f'<div class="connections" data-f="connections">{connections}</div></section>'
    )


def about_target(shown: TargetStatus) -> str:
    """Where it is, and what else there is to say."""
    expiry = shown.certificate_expires_in_seconds
    facts = [shown.url]
    if expiry is not None:
        facts.append(f"certificate ends in {duration(expiry)}" if expiry > 0 else "certificate has ended")
    if shown.symbols_dropped:
        facts.append(f"{count(shown.symbols_dropped, 'symbol')} counted as other")
    return ", ".join(facts)


def connection(shown: ConnectionStatus, rows: Iterable[str]) -> str:
    """One connection: its state, how it fared, its session, its topics."""
    heads = "".join(f'<th role="columnheader" scope="col">{title}</th>' for title in _COLUMNS)
    return f"""<details class="connection" open data-level="{level_of(shown)}">
<summary data-f="head" data-state="{shown.state}"><h3>{_field("connection", shown.connection)}</h3>
{_field("state", shown.state)} {_field("for", f"for {duration(shown.state_seconds)}")}
{_field("trouble", trouble(shown), "trouble")}</summary><div class="inside">
<figure class="timeline"><div data-f="timeline"></div>
<figcaption aria-hidden="true"><span>15 min ago</span><span data-f="fared"></span><span>now</span></figcaption></figure>
<div class="session"><dl>{"".join(_facts(shown))}</dl><div class="latencies">{_LATENCIES}</div></div>
<table role="table"><caption class="hidden">Topics of connection {_field("caption", shown.connection)}</caption>
<thead role="rowgroup"><tr role="row">{heads}</tr></thead>
<tbody role="rowgroup" data-f="topics">{"".join(rows)}</tbody></table>
<p class="more"><button type="button" data-f="more" hidden></button></p></div></details>"""


def level_of(shown: ConnectionStatus) -> Level:
    """How a connection's card is coloured."""
    if not shown.up or shown.topics_in_trouble:
        return Level.BAD
    return Level.GOOD if shown.state is State.LIVE else Level.WAITING


def trouble(shown: ConnectionStatus) -> str:
    """How many of its topics call for somebody."""
    topics = count(len(shown.topics), "topic")
    if not shown.up:
        return f"{topics} down"
    return f"{shown.topics_in_trouble:,} of {topics} in trouble" if shown.topics_in_trouble else topics


def _facts(shown: ConnectionStatus) -> Iterable[str]:
    yield _fact("Session", "session", session(shown), "mono")
    yield _fact("Up for", "up", duration(shown.session_seconds))
    yield _fact("Dialect", "dialect", shown.dialect or NOTHING)
    yield _fact("Pings advertised", "pings", pings(shown))
    yield _fact("Last frame", "frame", ago(shown.last_frame_ago_seconds))
    yield _fact("Attempts", "attempts", attempts(shown))
    yield _fact("Last disconnect", "end", ended(shown.last_end))
    yield _fact("Last failure", "failure", failed(shown))


def session(shown: ConnectionStatus) -> str:
    """Who the exchange knows us as."""
    return shown.client_id or NOTHING


def pings(shown: ConnectionStatus) -> str:
    """What the welcome promised."""
    if shown.advertised_ping_interval_seconds is None:
        return NOTHING
    interval, timeout = shown.advertised_ping_interval_seconds, shown.advertised_ping_timeout_seconds
    return f"every {duration(interval)}, timeout {duration(timeout)}"


def ago(seconds: float | None) -> str:
    """How long since."""
    return NOTHING if seconds is None else f"{duration(seconds)} ago"


def attempts(shown: ConnectionStatus) -> str:
    """How often it was tried, when next, and whether a bug of ours was in the way."""
    parts = [f"{shown.attempts:,}"]
    if shown.retry_in_seconds is not None:
        parts.append(f"next in {duration(shown.retry_in_seconds)}")
    if shown.worker_restarts:
        parts.append(count(shown.worker_restarts, "worker restart"))
    return ", ".join(parts)


def ended(end: EndStatus | None) -> str:
    """Who ended the last session, how, with which words, or of which error."""
    if end is None:
        return "none"
    said = f", saying “{end.close_reason}”" if end.close_reason else ""
    error = f" ({end.error})" if end.error else ""
    return f"{duration(end.ago_seconds)} ago by the {end.initiator}: {end.reason}, code {end.code}{said}{error}"


def failed(shown: ConnectionStatus) -> str:
    """Why the last attempt failed that did."""
    if shown.last_failure is None:
        return "none"
    return f"{ago(shown.last_failure_ago_seconds)}: {shown.last_failure}"


def _fact(title: str, name: str, value: str, kind: str = "") -> str:
    dressed = f' class="{kind}"' if kind else ""
    return f'<div><dt>{title}</dt><dd{dressed} data-f="{name}">{escape(value)}</dd></div>'


def _latency(title: str, name: str) -> str:
    return (
        f'<figure><figcaption>{title} <b data-f="{name}">{NOTHING}</b></figcaption>'
        f'<div data-f="{name}-spark"></div></figure>'
    )


_LATENCIES: Final = "".join(
    (
        _latency("Round trip", "round_trip_seconds"),
        _latency("Acknowledgement", "acknowledgement_seconds"),
        _latency("Pong", "pong_seconds"),
    )
)


def topic(shown: TopicStatus, now: float) -> str:
    """One row, as it stands at `now`; a private channel has counts only.

    The roles outlive that a narrow screen draws it as no table.
    """
    state, filled = shown.state or "private", _filled(shown.age_seconds, shown.stale_after_seconds)
    waits = ' data-waits=""' if _waits(shown) else ""
    return (
        f'<tr role="row" data-state="{state}"{waits}>'
        f'<th role="rowheader" scope="row" data-f="topic">{escape(shown.topic)}</th>'
        f'<td role="cell">{_field("state", state)} {_field("for", _for(shown))}</td>'
        f'<td role="cell">{_field("age", duration(shown.age_seconds))} {_field("limit", _limit(shown))}'
        f'<svg class="bar" aria-hidden="true"><rect data-f="bar" width="{filled}%"/></svg></td>'
        f'<td role="cell">{_field("rate", NOTHING)} {_field("usual", _usual(shown))}</td>'
        f"{_cell('spark', '')}{_cell('messages', f'{shown.messages:,}')}{_cell('stale', duration(shown.stale_seconds))}"
        f"{_cell('last', clock(shown.last_message_timestamp_seconds, now))}</tr>"
    )


def _cell(name: str, text: str) -> str:
    return f'<td role="cell" data-f="{name}">{text}</td>'


def _for(shown: TopicStatus) -> str:
    yet = ", nothing yet" if _waits(shown) else ""
    return "" if shown.state_seconds is None else f"for {duration(shown.state_seconds)}{yet}"


def _waits(shown: TopicStatus) -> bool:
    """Acknowledged, and nothing came in this session: that it lives is not seen yet."""
    return shown.state in _ACKNOWLEDGED and not shown.delivered


def _limit(shown: TopicStatus) -> str:
    return "" if shown.stale_after_seconds is None else f"of {duration(shown.stale_after_seconds)}"


def _usual(shown: TopicStatus) -> str:
    return "" if shown.rate_ratio is None else f"{round(100 * shown.rate_ratio):,} %"


def _filled(age: float | None, limit: float | None) -> int:
    """How much of the bar, in percent."""
    return round(100 * min(1.0, age / limit)) if age is not None and limit else 0


def _field(name: str, text: str, kind: str = "") -> str:
    dressed = f' class="{kind}"' if kind else ""
    return f'<span{dressed} data-f="{name}">{escape(text)}</span>'


_BLANK_TOPIC: Final = TopicStatus(topic="", messages=0, bytes=0, last_message_timestamp_seconds=None)
_BLANK_FINDING: Final = Finding(
    kind=Kind.CONNECTING,
    level=Level.WAITING,
    fault=Fault.NOBODY,
    sentence="",
    because="",
    since_timestamp_seconds=None,
    target=None,
    connections=[],
    topics=0,
    alert=None,
)
_BLANK_TARGET: Final = TargetStatus(
    target="",
    url="",
    certificate_expires_in_seconds=None,
    clock_offset_seconds=None,
    clock_offset_error_seconds=None,
    symbols_dropped=0,
    connections=[],
)
_BLANK_CONNECTION: Final = ConnectionStatus(
    connection="",
    state=State.CONNECTING,
    state_seconds=None,
    up=False,
    client_id=None,
    dialect=None,
    session_seconds=None,
    token_accepted=None,
    advertised_ping_interval_seconds=None,
    advertised_ping_timeout_seconds=None,
    last_frame_ago_seconds=None,
    last_ping_ago_seconds=None,
    frames=0,
    attempts=0,
    worker_restarts=0,
    last_failure=None,
    last_failure_ago_seconds=None,
    last_end=None,
    retry_in_seconds=None,
    topics_in_trouble=0,
    lapses=[],
    topics=[],
)
