"""The status page."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from alpmon.telemetry.state import ConnectionRecord, SessionEnd, TopicRecord
from alpmon.telemetry.status import status
from alpmon.web.page import CONTENT_SECURITY_POLICY, duration, page
from tests.telemetry.records import RULE, STARTED_WALL, bring_up, connection, fresh_monitor

NOW = 1000.0
HOSTILE = "<script>alert('\"&')</script>"


class Outline(HTMLParser):
    """Which elements a page holds, which it leaves open, and its text."""

    EMPTY = ("meta", "link", "br", "img", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(*records: ConnectionRecord, url: str = "wss://exchange.test/ws") -> str:
    return page(status(fresh_monitor(*records, url=url), NOW, STARTED_WALL + 60.0))


def _hostile() -> ConnectionRecord:
    record = connection(topics=(HOSTILE,))
    bring_up(record, NOW)
    record.client_id = HOSTILE
    record.last_failure = HOSTILE
    record.last_end = SessionEnd(STARTED_WALL, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    return record


def test_every_element_that_is_opened_is_closed() -> None:
    """In the right order, which `Outline` checks on the way."""
    record = connection()
    bring_up(record, NOW)
    outline = Outline(_page(record, _hostile()))
    assert outline.open == []
    assert outline.tags.count("table") == outline.tags.count("h3") >= 1


def test_nothing_from_outside_becomes_markup() -> None:
    """Client ids, close reasons, failures, topics and URLs are shown as the text that they are."""
    outline = Outline(_page(_hostile(), url=f"wss://exchange.test/{HOSTILE}"))
    assert "script" not in outline.tags
    assert outline.text.count(HOSTILE) == 8


def test_it_leads_to_the_other_paths() -> None:
    """The metrics, the JSON and the configuration; and nowhere outside."""
    assert Outline(_page()).links == ["/metrics", "/api/v1/status", "/config"]


def test_the_style_sheet_is_the_one_that_the_policy_lets_through() -> None:
    """A browser computes this hash; were it another, the page would be bare."""
    style = re.search(r"<style>(.*?)</style>", _page(), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert "style=" not in _page()


def test_the_title_tells_the_whole() -> None:
    """So that a tab in the background says whether to look."""
    up, down = connection("0-0"), connection("1-0")
    bring_up(up, NOW)
    assert "<title>alpmon: 1 of 2 up, 0 topics in trouble</title>" in _page(up, down)


def test_a_topic_shows_its_state_and_counts() -> None:
    """A private one shows counts only."""
    record = connection(topics=("trade.*",))
    bring_up(record, NOW)
    record.topics["trade.*"].messages = 1234567
    record.topics["wallet"] = TopicRecord("wallet", None, messages=3)
    text = Outline(_page(record)).text
    assert "trade.*live" in text
    assert "1,234,567" in text
    assert f"{RULE.after:.1f} s" in text
    assert "wallet-----3-" in text


def test_the_end_of_the_last_session_is_told() -> None:
    """Who ended it, why, with which code and which words."""
    record = connection()
    record.last_end = SessionEnd(STARTED_WALL, "server", "1012", "close_frame", "service restart")
    told = 'last session ended 1 min 0 s ago by the server: close_frame, code 1012, saying "service restart"'
    assert told in Outline(_page(record)).text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.0, "0.0 ms"),
        (0.0032, "3.2 ms"),
        (4.52, "4.5 s"),
        (59.99, "60.0 s"),
        (60.0, "1 min 0 s"),
        (125.9, "2 min 5 s"),
        (3600.0, "1 h 0 min"),
        (86399.0, "23 h 59 min"),
        (90000.0, "1 d 1 h"),
    ],
)
def test_durations_carry_their_unit(seconds: float | None, shown: str) -> None:
    """Two units at most, and a dash for what never was."""
    assert duration(seconds) == shown
