"""The state as JSON and page see it."""

from __future__ import annotations

import msgspec
import pytest

from alpmon.core.events import FrameKind
from alpmon.core.freshness import TopicState
from alpmon.telemetry.state import SessionEnd, TopicRecord
from alpmon.telemetry.status import status
from alpmon.telemetry.targetstatus import ConnectionStatus, TopicStatus
from tests.telemetry.records import STARTED_WALL, bring_up, connection, fresh_monitor

NOW = 1000.0
WALL = STARTED_WALL + 100.0


def test_what_never_happened_is_null() -> None:
    """A fresh connection has no session, no end, no failure and no ages; zero would be a lie."""
    [shown] = status(fresh_monitor(), NOW, WALL).targets[0].connections
    never = {
        shown.client_id,
        shown.dialect,
        shown.session_seconds,
        shown.advertised_ping_interval_seconds,
        shown.last_frame_ago_seconds,
        shown.last_ping_ago_seconds,
        shown.last_failure,
        shown.last_end,
        shown.retry_in_seconds,
    }
    assert never == {None}
    assert {topic.age_seconds for topic in shown.topics} == {None}


def test_a_live_session_tells_who_it_is_and_how_old() -> None:
    """Durations count from the wall clock of the events to the wall clock of the question."""
    record = connection()
    bring_up(record, NOW, STARTED_WALL)
    record.advertised_interval_seconds, record.last_frame_wall = 20.0, WALL - 2.5
    record.data_frames = 4
    record.frames[FrameKind.ACK] += 1
    [shown] = status(fresh_monitor(record), NOW, WALL).targets[0].connections
    assert (shown.client_id, shown.dialect, shown.up) == ("client-1", "observed", True)
    assert (shown.session_seconds, shown.last_frame_ago_seconds) == (100.0, 2.5)
    assert (shown.advertised_ping_interval_seconds, shown.frames) == (20.0, 5)


def test_the_last_end_is_told_with_its_cause() -> None:
    """Who, how, why, when, and the peer's own words."""
    record = connection()
    record.last_end = SessionEnd(WALL - 30.0, "server", "1012", "close_frame", "service restart")
    record.retry_at_wall = WALL + 4.0
    [shown] = status(fresh_monitor(record), NOW, WALL).targets[0].connections
    assert shown.last_end is not None
    assert (shown.last_end.initiator, shown.last_end.code, shown.last_end.reason) == ("server", "1012", "close_frame")
    assert (shown.last_end.close_reason, shown.last_end.ago_seconds) == ("service restart", 30.0)
    assert shown.retry_in_seconds == 4.0


def test_topics_are_judged_at_the_moment_of_the_question() -> None:
    """The stale one first, with its age and the threshold that it passed."""
    record = connection(topics=("trade.*", "ticker.*"))
    bring_up(record, NOW)
    for at, name in ((NOW, "ticker.*"), (NOW + 10.0, "trade.*")):
        freshness = record.topics[name].freshness
        assert freshness is not None
        freshness.message(at)
    [shown] = status(fresh_monitor(record), NOW + 12.0, WALL).targets[0].connections
    assert [(topic.topic, topic.state) for topic in shown.topics] == [
        ("ticker.*", TopicState.STALE),
        ("trade.*", TopicState.LIVE),
    ]
    stale = shown.topics[0]
    assert (stale.age_seconds, stale.state_seconds, stale.stale_after_seconds) == (12.0, 2.0, 10.0)
    assert (stale.stale_seconds, stale.stale_episodes) == (2.0, 1)
    assert shown.topics_in_trouble == 1


def test_a_private_channel_has_counts_and_no_state() -> None:
    """It comes last: nothing can be wrong with it."""
    record = connection()
    record.topics = {"wallet": TopicRecord("wallet", None, messages=2), **record.topics}
    [shown] = status(fresh_monitor(record), NOW, WALL).targets[0].connections
    wallet = shown.topics[-1]
    assert (wallet.topic, wallet.messages, wallet.state, wallet.stale_after_seconds) == ("wallet", 2, None, None)


def test_a_connection_that_is_down_counts_all_its_topics_as_trouble() -> None:
    """Nobody sees them, so no figure may say that none is in trouble; a private one is not judged here either."""
    record = connection(topics=("trade.*", "ticker.*"))
    record.topics["wallet"] = TopicRecord("wallet", None)
    [shown] = status(fresh_monitor(record), NOW, WALL).targets[0].connections
    assert (shown.up, shown.topics_in_trouble) == (False, 2)


def test_the_worst_connection_comes_first() -> None:
    """Down before up, then the one with more topics in trouble."""
    fine, troubled, down = connection("0-0"), connection("1-0"), connection("2-0")
    for record in (fine, troubled):
        bring_up(record, NOW)
    for topic in fine.topics.values():
        assert topic.freshness is not None
        topic.freshness.message(NOW + 35.0)
    shown = status(fresh_monitor(fine, troubled, down), NOW + 40.0, WALL).targets[0].connections
    assert [each.connection for each in shown] == ["2-0", "1-0", "0-0"]


def test_a_clock_set_back_makes_no_negative_durations() -> None:
    """The wall clock may jump; an age below zero would only confuse."""
    record = connection()
    bring_up(record, NOW, WALL)
    record.retry_at_wall = WALL - 60.0
    [shown] = status(fresh_monitor(record), NOW, WALL - 30.0).targets[0].connections
    assert (shown.session_seconds, shown.retry_in_seconds) == (0.0, 0.0)


def test_passwords_are_left_out() -> None:
    """Neither the URL nor a failure that quotes one shows them."""
    record = connection()
    record.last_failure = "refused: proxy http://me:hunter2@proxy.test"
    text = msgspec.json.encode(status(fresh_monitor(record, url="wss://me:hunter2@exchange.test/ws"), NOW, WALL))
    assert b"hunter2" not in text
    assert b"exchange.test" in text


@pytest.mark.parametrize("shape", [ConnectionStatus, TopicStatus])
def test_durations_say_their_unit(shape: type[msgspec.Struct]) -> None:
    """Every float but a ratio is seconds, and its key says so."""
    for field in msgspec.structs.fields(shape):
        if "float" in str(field.type) and not field.name.endswith("_ratio"):
            assert field.name.endswith("_seconds"), field.name
