"""What the log says, and what it never says."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from alpmon import logs
from alpmon.logs import Bounded
from alpmon.masking import MASK, Masker

SECRET = "hunter2'\"\nhunter2"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs, "_masker", Masker())
    root = logging.getLogger()
    names = ["", "aiohttp.access", "asyncio", "websockets"]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = root.handlers[:]
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("info", "auto", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def last(stream: io.StringIO) -> dict[str, Any]:
    return lines(stream)[-1]


def test_an_event_is_one_line_of_json(stream: io.StringIO) -> None:
    """Time in UTC, level, logger and event first, then what was said."""
    structlog.get_logger("alpmon.probe").info("connected", target="alp", seconds=0.5, topics=("a", "b"), code=None)
    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "logger", "event", "target", "seconds", "topics", "code"]
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == timedelta(0)
    assert line == {
        "level": "info",
        "logger": "alpmon.probe",
        "event": "connected",
        "target": "alp",
        "seconds": 0.5,
        "topics": ["a", "b"],
        "code": None,
    }


def test_what_is_bound_is_on_every_line(stream: io.StringIO) -> None:
    """A worker says its target once."""
    log = structlog.get_logger("alpmon.probe").bind(target="alp")
    log.warning("first")
    log.error("second")
    assert [(line["level"], line["target"]) for line in lines(stream)] == [("warning", "alp"), ("error", "alp")]


def test_the_level_holds_for_everybody(stream: io.StringIO) -> None:
    """Ours and the standard library's."""
    structlog.get_logger("alpmon").debug("quiet")
    logging.getLogger("somebody").debug("quiet")
    assert stream.getvalue() == ""


def test_other_peoples_lines_look_like_ours(stream: io.StringIO) -> None:
    """The standard library's loggers take the same way, their extras and arguments included."""
    logging.getLogger("aiohttp.server").error("failed %s of %d", "one", 2, extra={"path": "/x"})
    line = last(stream)
    assert (line["level"], line["logger"], line["event"]) == ("error", "aiohttp.server", "failed one of 2")
    assert line["path"] == "/x"


@pytest.mark.parametrize("name", ["websockets.client", "aiohttp.access", "asyncio"])
def test_chatty_libraries_are_heard_from_warnings_on(name: str) -> None:
    """At debug they would write out every frame, authentication included."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    log = logging.getLogger(name)
    log.info("chatter")
    log.warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]
    assert not log.isEnabledFor(logging.DEBUG)


def fail_with(text: str) -> None:
    raise ValueError(text)


def test_an_exception_is_one_line_with_its_traceback(stream: io.StringIO) -> None:
    """From our loggers and from others."""
    try:
        fail_with("no good")
    except ValueError:
        structlog.get_logger("alpmon").exception("worker died", target="alp")
        logging.getLogger("other").exception("as well")
    ours, theirs = lines(stream)
    for line in (ours, theirs):
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith("ValueError: no good")
        assert "in fail_with\n" in line["exception"]
        assert "exc_info" not in line


def test_a_terminal_gets_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` asks the stream; no JSON for a person."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    logs.configure("info", "auto", stream)
    structlog.get_logger("alpmon").info("connected", target="alp")
    assert "connected" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    assert "\x1b[" in stream.getvalue()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colours_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Words all the same."""
    monkeypatch.setenv(name, value)
    stream = Terminal()
    logs.configure("info", "auto", stream)
    structlog.get_logger("alpmon").info("connected", target="alp")
    assert "target=alp" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_console_without_a_terminal_has_no_colours() -> None:
    """Into a file go plain words."""
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    structlog.get_logger("alpmon").info("connected", target="alp")
    assert "target=alp" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_json_on_a_terminal_if_so_configured() -> None:
    """The word is stronger than the stream."""
    stream = Terminal()
    logs.configure("info", "json", stream)
    structlog.get_logger("alpmon").info("connected")
    assert last(stream)["event"] == "connected"


def test_configuring_again_replaces_only_our_own() -> None:
    """A reload leaves one line an event, and other people's handlers in place."""
    theirs = logging.NullHandler()
    logging.getLogger().addHandler(theirs)
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", "json", first)
    logs.configure("warning", "json", second)
    log = structlog.get_logger("alpmon")
    log.info("quiet")
    log.warning("once")
    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["once"]
    assert theirs in logging.getLogger().handlers


@pytest.mark.parametrize("rendering", ["json", "console"])
def test_a_known_secret_is_nowhere(rendering: str) -> None:
    """Not in the event, nested values, keys, objects, bytes, other loggers' lines or tracebacks."""
    stream = io.StringIO()
    logs.configure("info", rendering, stream)
    logs._masker.add(SECRET)
    log = structlog.get_logger("alpmon")
    log.info(f"event {SECRET}", text=SECRET, nested={"a": [{"b": (SECRET,)}], SECRET: 1}, error=ValueError(SECRET))
    log.info("more", raw=SECRET.encode(), many={SECRET}, url=f"wss://h/?q={SECRET}")
    logging.getLogger("other").warning("theirs %s", SECRET, extra={"data": [SECRET]})
    try:
        fail_with(SECRET)
    except ValueError:
        log.exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count(MASK) >= 10


def test_mask_is_what_others_register_secrets_with() -> None:
    """The public way leads to the masker that the log asks."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logs.mask("registered-secret")
    structlog.get_logger("alpmon").info("got registered-secret")
    assert last(stream)["event"] == f"got {MASK}"


def test_telling_keys_and_urls_need_no_registration(stream: io.StringIO) -> None:
    """A number that holds a secret goes too; a missing token may be told."""
    logs.mask("123456")
    structlog.get_logger("alpmon").info(
        "asked", token="abc", headers={"Authorization": "Bearer x", "X-SIGN": "y"}, url="wss://me:pw@h/", n=1234567
    )
    line = last(stream)
    assert line["token"] == line["headers"]["Authorization"] == line["headers"]["X-SIGN"] == line["n"] == MASK
    assert line["url"] == "wss://me:***@h/"
    structlog.get_logger("alpmon").info("asked", token=None, token_file="/run/token")
    assert (last(stream)["token"], last(stream)["token_file"]) == (None, "/run/token")


def test_what_a_peer_sent_does_not_steer_the_terminal() -> None:
    """Control characters are written out."""
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    structlog.get_logger("alpmon").info("closed", reason="bye\x1b]0;owned\x07\r")
    assert not {"\x1b", "\x07", "\r"} & set(stream.getvalue())
    assert "\\x1b]0;owned" in stream.getvalue()


def test_values_that_json_has_no_word_for(stream: io.StringIO) -> None:
    """Every line can be parsed: not-a-number, loops and depth, lone surrogates."""
    loop: list[object] = []
    loop.append(loop)
    structlog.get_logger("alpmon").info("odd", nan=float("nan"), loop=loop, text="\ud800", kind=ValueError)
    line = last(stream)
    assert (line["nan"], line["text"]) == ("nan", "\\ud800")
    assert line["kind"] == "<class 'ValueError'>"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_any_value_makes_one_line(value: object) -> None:
    """Nothing that is logged raises or breaks the line."""
    event = logs.masked(None, "info", {"event": "e", "value": value})
    line = json.dumps(event, allow_nan=False)
    assert "\n" not in line


def test_repeats_are_counted_and_told() -> None:
    """One line an interval, with how many were left out since the last."""
    bounded = Bounded(interval=10.0)
    assert [bounded.allow("a", now) for now in (100.0, 101.0, 109.9, 110.0, 111.0, 121.0, 140.0)] == [
        (True, 0),
        (False, 1),
        (False, 2),
        (True, 2),
        (False, 1),
        (True, 1),
        (True, 0),
    ]


def test_keys_are_bounded_apart() -> None:
    """One noisy warning does not silence another."""
    bounded = Bounded(interval=10.0)
    assert [bounded.allow(key, 0.0) for key in ("a", "b", "a")] == [(True, 0), (True, 0), (False, 1)]


def test_beyond_the_limit_keys_share_a_turn() -> None:
    """Five thousand new keys at once are a few lines, and memory stays bounded."""
    bounded = Bounded(interval=10.0, max_keys=4)
    allowed = [bounded.allow(key, 0.0)[0] for key in range(5_000)]
    assert sum(allowed) == 5
    assert bounded.allow("new", 10.0) == (True, 0)
    assert len(bounded._last) <= 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=60))
def test_every_repeat_is_either_logged_or_counted(steps: list[tuple[str, float]]) -> None:
    """Lines and counts together are the calls; lines of one key are never closer than the interval."""
    bounded = Bounded(interval=7.0)
    now, told, pending, last_line = 0.0, 0, {}, {}
    for key, step in steps:
        now += step
        allowed, suppressed = bounded.allow(key, now)
        pending[key] = 0 if allowed else suppressed
        if allowed:
            assert now - last_line.get(key, -7.0) >= 7.0
            last_line[key] = now
            told += 1 + suppressed
    assert told + sum(pending.values()) == len(steps)
