"""What a replay says would have been alerted: each alert on both sides of its `for`, and when it would have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alpmon.config import show
from alpmon.core.rates import Rate
from alpmon.replay.alarms import Alarms, Subject
from alpmon.telemetry.alerts import ALERTS, FLAPPING, STALE
from alpmon.telemetry.entries import (
    AnyEntry,
    Asked,
    Counted,
    Disconnected,
    Failed,
    Held,
    Learnt,
    Lost,
    Open,
    Released,
    Reloaded,
    Text,
)
from alpmon.telemetry.tape import Tape
from tests.integration.harness import TARGET, target
from tests.integration.recording import configured, retold

if TYPE_CHECKING:
    from pathlib import Path

LINE = f"{TARGET}/0-0"
TOPIC = "trade.*"
FIXED = {"default": {"mode": "fixed", "after": "15s", "silent_after": "1m"}}


class Story:
    """A recording on clocks of its own: the monotonic one begins at 0 with the first minute of 1970."""

    def __init__(self, path: Path, *topics: str, freshness: dict[str, Any] | None = None) -> None:
        self.path = path
        self._topics = topics or (TOPIC,)
        config = configured(target("ws://127.0.0.1:1/ws", list(self._topics), freshness=freshness or FIXED))
        self.config = show(config)
        self._tape = Tape(path, self.config, "0", 0.0, 0.0)
        self._trades = 0

    def put(self, kind: Any, now: float, **more: Any) -> None:
        """A line of the connection."""
        entry: AnyEntry = kind(now=now, wall=now, **{"line": LINE, **more})
        self._tape.write(entry)

    def said(self, now: float, *frames: str) -> None:
        """Frames of the exchange."""
        for frame in frames:
            self.put(Text, now, data=frame, size=len(frame))

    def traded(self, now: float) -> None:
        """One trade."""
        self._trades += 1
        self.said(now, f'["t",1,{self._trades},"BTC_USDT","1","1","buy"]')

    def up(self, now: float) -> None:
        """A session, with everything acknowledged."""
        acknowledged = ",".join(f'"{topic}"' for topic in self._topics)
        self.put(Open, now)
        self.said(now, '["welcome",1,20000,30000,"c"]', f'["subscribe",1,{acknowledged}]')

    def down(self, now: float, reason: str = "close_frame") -> None:
        """The session ends."""
        self.put(Lost, now)
        self.put(Disconnected, now, initiator="server", code="1012", reason=reason, close_reason="")

    def alerts(self, until: float) -> list[str]:
        """What fires and resolves, with seconds in place of moments; the same when it is told again."""
        self.put(Counted, until)
        self._tape.close()
        told, _ = retold(self.path)
        assert retold(self.path)[0] == told
        self.summary = told
        return self.alerts_of("Alpmon")

    def alerts_of(self, name: str) -> list[str]:
        """Of these what was told."""
        lines = self.summary.splitlines()
        return [_in_seconds(line) for line in lines if f" {name}" in line and line.startswith("1970")]


def _in_seconds(line: str) -> str:
    moment, _, words = line.partition(" ")
    assert moment.startswith("1970-01-01T")
    hours, minutes, seconds = moment.removeprefix("1970-01-01T").removesuffix("Z").split(":")
    return f"{int(hours) * 3600 + int(minutes) * 60 + float(seconds):g} {words.removeprefix(LINE + ' ')}"


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A connection that is up from the first second on."""
    story = Story(tmp_path / "x")
    story.put(Held, 0.0, topics=(TOPIC,))
    story.up(1.0)
    return story


def test_a_stale_feed_alerts_after_a_minute_and_for_two_more(story: Story) -> None:
    """From the threshold on, and not from when it was looked at."""
    story.traded(2.0)
    for now in (100.25, 110.0, 120.0, 130.0):
        story.traded(now)
    story.traded(140.0)
    for now in range(150, 300, 10):
        story.traded(float(now))
    assert story.alerts(300.0) == [
        "77 AlpmonFeedStale fires for trade.* (critical)",
        "220.25 AlpmonFeedStale resolves for trade.*, after 143.250 s",
    ]
    assert "\nwould have fired: AlpmonFeedStale: 1\n" in story.summary


def test_a_feed_that_is_stale_again_while_its_alert_lasts_is_one_alert(story: Story) -> None:
    """As `keep_firing_for` has it; what fires at the end is said to."""
    story.traded(2.0)
    story.traded(100.25)
    assert story.alerts(300.0) == ["77 AlpmonFeedStale fires for trade.* (critical)"]
    assert "\nfires still: AlpmonFeedStale, test/0-0 trade.*\n" in story.summary


def test_a_feed_that_comes_back_within_a_minute_alerts_nobody(story: Story) -> None:
    """And the summary says so."""
    for now in range(2, 400, 70):
        story.traded(float(now))
    assert story.alerts(370.0) == []
    assert "\nwould have fired: nothing\n" in story.summary


def test_silence_from_the_beginning_is_a_page_only_where_it_was_not_always_so(story: Story) -> None:
    """A topic that never delivered has five minutes, and office hours; one that did has two."""
    assert story.alerts(500.0) == ["361 AlpmonFeedSilent fires for trade.* (warning)"]


def test_a_topic_that_delivered_in_an_earlier_session_has_two_minutes(story: Story) -> None:
    """From when it was called silent, a minute after the acknowledgement; stale it was for less than that."""
    story.traded(2.0)
    story.down(5.0)
    story.up(10.0)
    story.traded(400.0)
    assert story.alerts(410.0) == ["190 AlpmonFeedSilent fires for trade.* (critical)"]


def test_silence_is_no_page_before_the_topic_would_have_delivered(tmp_path: Path) -> None:
    """The threshold is ten minutes, whatever `silent_after` says."""
    patient = {"default": {"mode": "fixed", "after": "10m", "silent_after": "1m"}}
    story = Story(tmp_path / "x", freshness=patient)
    story.put(Held, 0.0, topics=(TOPIC,))
    story.up(1.0)
    story.traded(2.0)
    story.down(5.0)
    story.up(10.0)
    assert story.alerts(800.0) == ["730 AlpmonFeedSilent fires for trade.* (critical)"]


def test_a_connection_that_is_down_alerts_after_a_minute(tmp_path: Path) -> None:
    """From the start, and after each session; a short way down is none."""
    story = Story(tmp_path / "x", freshness={"default": {"mode": "fixed", "after": "1h", "silent_after": "1h"}})
    story.put(Held, 0.5, topics=(TOPIC,))
    for now in (1.0, 50.0):
        story.put(Failed, now, reason="dns", detail="no")
    story.up(70.0)
    story.down(135.0)
    story.up(194.0)
    story.down(200.0)
    story.up(400.0)
    assert story.alerts(500.0) == [
        "60.5 AlpmonConnectionDown fires (critical)",
        "130 AlpmonConnectionDown resolves, after 69.500 s",
        "260 AlpmonConnectionDown fires (critical)",
        "460 AlpmonConnectionDown resolves, after 200.000 s",
    ]


def test_sessions_that_end_again_and_again_are_counted_over_a_quarter_of_an_hour(tmp_path: Path) -> None:
    """The fourth begins it, and it ends when the first is too long ago; our own ends are none."""
    story = Story(tmp_path / "x", freshness={"default": {"mode": "fixed", "after": "1h", "silent_after": "1h"}})
    story.put(Held, 0.0, topics=(TOPIC,))
    for number in range(4):
        story.up(100.0 * number)
        story.down(100.0 * number + 50.0, "shutdown")
    for number in range(4):
        story.up(1000.0 + 100.0 * number)
        story.down(1050.0 + 100.0 * number)
    story.up(1400.0)
    story.alerts(3000.0)
    assert story.alerts_of("AlpmonConnectionFlapping") == [
        "1410 AlpmonConnectionFlapping fires (warning)",
        "2850 AlpmonConnectionFlapping resolves, after 1440.000 s",
    ]


def test_attempts_that_fail_are_counted_by_their_reason(tmp_path: Path) -> None:
    """More than three within ten minutes, for one reason."""
    story = Story(tmp_path / "x")
    story.put(Held, 0.0, topics=(TOPIC,))
    for number in range(4):
        story.put(Failed, 10.0 + number, reason="dns", detail="no")
        if number < 3:
            story.put(Failed, 10.5 + number, reason="tls", detail="no")
    story.alerts(2000.0)
    assert story.alerts_of("AlpmonReconnectFailing") == [
        "73 AlpmonReconnectFailing fires for dns (warning)",
        "910 AlpmonReconnectFailing resolves for dns, after 837.000 s",
    ]


def test_what_is_wrong_in_frames_is_counted(story: Story) -> None:
    """One error frame, six that cannot be read, six trades whose time goes back."""
    story.said(10.0, '["error",1,"too many requests","x"]', *["nonsense"] * 6)
    for number in range(7):
        story.said(20.0 + number, f'["t",{100 - number},{number + 1},"BTC_USDT","1","1","buy"]')
    story.alerts(200.0)
    assert story.alerts_of("AlpmonErrorFrames") == ["70 AlpmonErrorFrames fires for other (warning)"]
    assert story.alerts_of("AlpmonMalformedFrames") == ["70 AlpmonMalformedFrames fires (warning)"]
    assert story.alerts_of("AlpmonFeedAnomalies") == [
        "86 AlpmonFeedAnomalies fires for trade timestamp_regression (warning)"
    ]


def test_a_topic_that_was_refused_alerts_until_it_is_taken_out(tmp_path: Path) -> None:
    """With a reload: then there is nothing more to be seen of it."""
    story = Story(tmp_path / "x", "trade.NOPE_USDT")
    story.put(Held, 0.0, topics=("trade.NOPE_USDT",))
    story.put(Open, 1.0)
    story.said(1.0, '["welcome",1,20000,30000,"c"]', '["error",1,"Invalid topic: trade.NOPE_USDT","subscribe"]')
    story.put(Asked, 200.0, what="remove", topics=("trade.NOPE_USDT",))
    story.alerts(400.0)
    assert story.alerts_of("AlpmonSubscribeRejected") == [
        "121 AlpmonSubscribeRejected fires for trade.NOPE_USDT (warning)",
        "320 AlpmonSubscribeRejected resolves for trade.NOPE_USDT, after 199.000 s",
    ]


def test_a_connection_that_is_no_longer_held_alerts_nobody(story: Story) -> None:
    """What alerted for it ends, and what still comes of it begins nothing."""
    story.traded(2.0)
    story.put(Released, 100.0, after=f"{LINE}~1")
    story.put(Reloaded, 100.0, line="", config=story.config)
    story.down(101.0)
    assert story.alerts(400.0) == [
        "77 AlpmonFeedStale fires for trade.* (critical)",
        "220 AlpmonFeedStale resolves for trade.*, after 143.000 s",
    ]


def test_a_thin_feed_alerts_after_five_minutes(story: Story) -> None:
    """Of less than a tenth of what it had learnt; and while it is stale that is another alert's."""
    usual = Rate()
    for slot in range(400):
        usual.observe(100, 2.0, 5.0, slot * 2.0)
    story.put(Learnt, 1.0, topic=TOPIC, rate=usual.snapshot())
    story.put(Held, 1.0, topics=(TOPIC,))
    story.up(1.0)
    for second in range(2, 1200, 2):
        for _ in range(100 if second < 100 or second > 800 else 1):
            story.traded(float(second))
        story.put(Counted, second + 1.0)
    fires, resolves = story.alerts(1201.0)
    assert fires.endswith(" AlpmonFeedThin fires for trade.* (critical)")
    assert 400 < float(fires.split()[0]) < 460
    assert 1100 < float(resolves.split()[0]) < 1160
    assert "AlpmonFeedThin resolves" in resolves


def test_every_alert_that_is_known_fires_and_resolves_in_time() -> None:
    """Whatever its numbers are: not a moment before, and the later of two windows counts."""
    told: list[tuple[float, str]] = []
    alarms = Alarms(lambda _, at, words: told.append((at, words.split()[1].rstrip(","))))
    for alert in ALERTS:
        told.clear()
        subject = Subject("a/0-0", alert.severity)
        alarms.begin(alert, subject, 10.0)
        alarms.until(10.0 + alert.hold - 0.001)
        assert told == []
        alarms.until(10.0 + alert.hold)
        alarms.end(alert, subject, 20.0 + alert.hold)
        alarms.until(20.0 + alert.hold + alert.keep)
        assert told == [(10.0 + alert.hold, "fires"), (20.0 + alert.hold + alert.keep, "resolves")]


def test_an_alert_that_was_missed_by_every_look_is_told_all_the_same() -> None:
    """Nobody looked for an hour."""
    told: list[tuple[float, str]] = []
    alarms = Alarms(lambda _, at, words: told.append((at, words.split()[1].rstrip(","))))
    alarms.begin(STALE, Subject("a/0-0", TOPIC), 0.0)
    alarms.end(STALE, Subject("a/0-0", TOPIC), 61.0)
    alarms.count(FLAPPING, Subject("a/0-0"), 100, 10.0)
    alarms.until(3600.0)
    assert sorted(told) == [(60.0, "fires"), (70.0, "fires"), (181.0, "resolves"), (1810.0, "resolves")]
    assert list(alarms.firing()) == []
