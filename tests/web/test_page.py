"""The status page as the server sends it, before any script has run."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser

import pytest

from alpmon.core.freshness import TopicFreshness
from alpmon.telemetry import verdict
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.state import ConnectionRecord, SessionEnd, TopicRecord
from alpmon.telemetry.status import status
from alpmon.web.assets import ASSETS
from alpmon.web.page import CONTENT_SECURITY_POLICY, page
from alpmon.web.runbook import RUNBOOK, runbook_page
from alpmon.web.words import clock, duration, latency, moment
from tests.telemetry.records import RULE, STARTED_WALL, bring_up, connection, fresh_monitor

NOW = 1000.0
DASH = "\N{EN DASH}"
HOSTILE = "<script>alert('\"&')</script>"


class Outline(HTMLParser):
    """Which elements a page holds, which it leaves open, and its text, without the templates."""

    EMPTY = ("meta", "link", "br", "img", "input", "rect")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "template" not in self.open:
            self.text += data


def _page(*records: ConnectionRecord, url: str = "wss://exchange.test/ws", runbook_url: str = RUNBOOK) -> str:
    return page(status(fresh_monitor(*records, url=url), NOW, STARTED_WALL + 60.0), runbook_url)


def _hostile() -> ConnectionRecord:
    record = connection(HOSTILE, topics=())
    record.topics[HOSTILE] = TopicRecord(HOSTILE, TopicFreshness(RULE, NOW))
    record.client_id = HOSTILE
    record.last_failure, record.last_failure_wall = f"dns: {HOSTILE}", STARTED_WALL + 1.0
    record.last_end = SessionEnd(STARTED_WALL, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    return record


def test_every_element_that_is_opened_is_closed() -> None:
    """In the right order, which `Outline` checks on the way; and no id is given twice."""
    record = connection()
    bring_up(record, NOW)
    outline = Outline(_page(record, _hostile()))
    assert outline.open == []
    assert outline.tags.count("table") == outline.tags.count("h3") == 3  # one of them the blank
    assert len(outline.ids) == len(set(outline.ids))


def test_nothing_from_outside_becomes_markup() -> None:
    """Client ids, close reasons, failures, topics, labels and URLs are shown as the text that they are."""
    outline = Outline(_page(_hostile(), url=f"wss://exchange.test/{HOSTILE}", runbook_url=f'https://x.test/"{HOSTILE}'))
    assert outline.tags.count("script") == 1  # our own
    # the headline and the finding, what it is because of in both, the URL, the label twice, the client id, the topic,
    # the failure, and five words of the end; and the title
    assert outline.text.count(HOSTILE) == 16


def test_no_style_and_no_script_stands_in_the_page() -> None:
    """The policy would refuse both, and all that it allows is our own files."""
    html = _page(_hostile())
    assert "style=" not in html
    assert "<style" not in html
    assert re.search(r"<script[^>]*>[^<]", html) is None
    assert re.search(r"\son[a-z]+=", html.replace(HOSTILE, "")) is None
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_it_leads_to_the_other_paths_and_nowhere_outside() -> None:
    """All relative, so that it works under any prefix of a proxy."""
    addresses = Outline(_page()).addresses
    assert {"metrics", "api/v1/status", "config"} <= set(addresses)
    assert {address for address in addresses if address.startswith(("/", "http", "data:", "//"))} == set()


def test_the_assets_are_asked_for_by_their_content() -> None:
    """Another content has another address."""
    addresses = Outline(_page()).addresses
    for name in ("page.css", "page.js", "waiting.svg"):
        assert ASSETS[name].path in addresses
    assert len({asset.path.partition("?v=")[2] for asset in ASSETS.values()}) == len(ASSETS)


def test_the_headline_and_the_title_say_the_verdict() -> None:
    """So that a tab in the background says whether to look."""
    record = connection()
    bring_up(record, NOW - 10.0)
    html = _page(record)
    sentence = "trade.* and ticker.* are stale on alp 0-0"
    assert f"<title>{sentence} · alpmon</title>" in html
    assert f'<section id="verdict" class="bad" aria-label="Verdict">\n<h1 id="sentence">{sentence}</h1>' in html
    assert "The exchange: the connection is alive, and this feed is not" in html


def test_a_finding_leads_to_its_connection_and_to_the_runbook() -> None:
    """The monitor's own, under whatever prefix of a proxy, unless the configuration names another."""
    record = connection()
    bring_up(record, NOW - 10.0)
    assert {"#target=alp&connection=0-0", "runbook#alpmonfeedstale"} <= set(Outline(_page(record)).addresses)
    shown = Outline(_page(record, runbook_url="https://wiki.test/alerts"))
    assert "https://wiki.test/alerts#alpmonfeedstale" in shown.addresses


def test_every_finding_has_its_section_in_the_runbook() -> None:
    """The anchor is the heading in small letters."""
    assert {alert.lower() for alert in verdict.ALERTS.values()} <= set(Outline(runbook_page()).ids)


def test_the_runbook_is_whole_and_leads_nowhere_outside() -> None:
    """It has to be of use where nothing but the monitor can be reached."""
    outline = Outline(runbook_page())
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    files = {ASSETS[name].path for name in ("page.css", "runbook.css", "waiting.svg")}
    inside = {f"#{each}" for each in outline.ids}
    assert set(outline.addresses) <= files | inside | {"./"}
    assert outline.tags.count("script") == 0
    for fences in ("```", "**", "]("):
        assert fences not in outline.text, "rendered, not quoted"


def test_a_topic_shows_its_state_and_counts() -> None:
    """A private one shows counts only."""
    record = connection(topics=("trade.*",))
    bring_up(record, NOW)
    record.topics["trade.*"].messages = 1234567
    record.topics["wallet"] = TopicRecord("wallet", None, messages=3)
    text = Outline(_page(record)).text
    assert "trade.*live for 0 s, nothing yet0 s of 10 s" in text
    assert "1,234,567" in text
    assert re.search(rf"walletprivate {DASH} {DASH} 3{DASH}{DASH}", text)


def test_the_end_of_the_last_session_is_told() -> None:
    """Who ended it, why, with which code and which words."""
    record = connection()
    record.last_end = SessionEnd(STARTED_WALL, "server", "1012", "close_frame", "service restart")
    told = "1 min ago by the server: close_frame, code 1012, saying “service restart”"
    assert told in Outline(_page(record)).text
    record.last_end = SessionEnd(STARTED_WALL, "network", "1006", "connection_lost", "", "[Errno 104] reset by peer")
    told = "1 min ago by the network: connection_lost, code 1006 ([Errno 104] reset by peer)"
    assert told in Outline(_page(record)).text


def test_a_monitor_without_connections_says_so() -> None:
    """As a shard that nothing fell to; no filter over nothing."""
    empty = Monitor(started_wall=STARTED_WALL)
    html = page(status(empty, NOW, STARTED_WALL))
    assert '<p id="empty" class="empty">' in html
    assert "This monitor holds no connection" in Outline(html).text


def test_a_page_of_a_thousand_topics_is_small() -> None:
    """The worst come first, the script brings the rest; and with its files it is 20 kB on the wire."""
    records = [connection(f"{n}-0", [f"market_depth.A{n}B{m}_USDT" for m in range(20)]) for n in range(50)]
    for record in records:
        bring_up(record, NOW - 10.0)
    html = _page(*records)
    assert "market_depth.A0B0_USDT" in html
    assert "44 more connections" in html
    assert len(html.encode()) < 60_000
    files = sum(len(ASSETS[name].gzipped) for name in ("page.css", "page.js", "bad.svg"))
    assert len(gzip.compress(html.encode(), 1)) + files < 20_000


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, DASH),
        (0.0, "0 s"),
        (0.38, "0.3 s"),
        (4.52, "4.5 s"),
        (9.99, "9.9 s"),
        (20.0, "20 s"),
        (59.99, "59 s"),
        (60.0, "1 min"),
        (61.0, "1 min 1 s"),
        (125.9, "2 min 5 s"),
        (3600.0, "1 h"),
        (86399.0, "23 h 59 min"),
        (86400.0, "1 d"),
        (90000.0, "1 d 1 h"),
    ],
)
def test_durations_carry_their_unit(seconds: float | None, shown: str) -> None:
    """Two units at most, never more than has passed, and a dash for what never was."""
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, DASH), (0.0, "0 s"), (4e-5, "40 µs"), (0.0032, "3.2 ms"), (1.25, "1.2 s")]
)
def test_latencies_are_in_milliseconds_below_a_second(seconds: float | None, shown: str) -> None:
    """Like any duration above, and never 0 where something was measured."""
    assert latency(seconds) == shown


def test_moments_are_utc() -> None:
    """With the day."""
    assert moment(0.0) == "1970-01-01 00:00:00"


@pytest.mark.parametrize(
    ("age", "shown"),
    [(0.0, "14:13:20"), (86399.0, "14:13:21"), (86400.0, "2026-09-20 14:13:20"), (864000.0, "2026-09-11 14:13:20")],
)
def test_a_time_of_day_carries_its_day_once_it_could_be_any(age: float, shown: str) -> None:
    """Less than a day back there is only one such time."""
    assert clock(STARTED_WALL - age, STARTED_WALL) == shown
