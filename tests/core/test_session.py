"""Lives of a connection, told as lines: what happened, and what the session made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.events import Dialect, Ping, Private, Unknown, Welcome
from alpmon.core.keepalive import NEVER, SendPing
from alpmon.core.outputs import (
    AnswerPing,
    Authenticated,
    DialectSeen,
    Drop,
    Moved,
    Output,
    Refused,
    RoundTrip,
    SendAuth,
    Welcomed,
)
from alpmon.core.protocol import decode
from alpmon.core.session import Session, Settings
from alpmon.core.states import State
from alpmon.core.subscriptions import Acknowledged, Failed, Overflow, Rejected, Request
from alpmon.core.topics import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = Settings(
    welcome_timeout=10.0, ack_timeout=5.0, silence=None, rtt_interval=0.0, ack_probe_interval=0.0, max_frame_bytes=800
)
WELCOME = '["welcome",1790139140,20000,30000,"c1"]'


def line(output: Output) -> str:
    """One output as a line."""
    match output:
        case Moved(before, after):
            return f"{before} -> {after}"
        case Request(op, frame, _):
            return f"{op}: {frame.decode()}"
        case Acknowledged(op, topics, seconds):
            return f"{op} acknowledged after {seconds:g} s: {' '.join(topics)}"
        case Failed(op, reason, topics):
            return f"{op} failed, {reason}: {' '.join(topics)}"
        case Rejected(topics, reason):
            return f"rejected, {reason}: {' '.join(topics)}"
        case Overflow(topics, limit):
            return f"limit {limit}, over it: {' '.join(topics)}"
        case Welcomed(welcome):
            return f"welcomed as {welcome.client_id}"
        case DialectSeen(dialect):
            return f"speaks {dialect}"
        case Refused(_, reason):
            return f"refused: {reason}"
        case RoundTrip(seconds):
            return f"round trip {seconds:g} s"
        case Drop(cause):
            return f"drop: {cause}"
        case Authenticated(accepted):
            return f"token {'accepted' if accepted else 'refused'}"
        case AnswerPing() | SendAuth() | SendPing():
            return type(output).__name__
    raise AssertionError(output)


class Told:
    """A session, driven by frames as text."""

    def __init__(
        self, topics: Sequence[str] = ("trade.*",), settings: Settings = SETTINGS, *, auth: bool = False
    ) -> None:
        self.session = Session(settings, topics, authenticate=auth)
        self.session.opened(0.0)

    def hears(self, frame: str, now: float) -> list[str]:
        return [line(o) for o in self.session.received(decode(frame.encode()), now)]

    def at(self, now: float) -> list[str]:
        return [line(o) for o in self.session.tick(now)]


def live(topics: Sequence[str] = ("trade.*",), settings: Settings = SETTINGS) -> Told:
    """A session that is live at 1 s."""
    told = Told(topics, settings)
    told.hears(WELCOME, 0.0)
    listed = ",".join(f'"{topic}"' for topic in topics)
    told.hears(f'["subscribe",1790139140,{listed}]', 1.0)
    assert told.session.state is State.LIVE
    return told


def test_from_the_welcome_to_live() -> None:
    """The subscription goes out with the welcome, and its acknowledgement is timed."""
    told = Told(["trade.*", "ticker.*"])
    assert told.hears(WELCOME, 0.5) == [
        "welcomed as c1",
        "welcoming -> subscribing",
        'subscribe: ["subscribe","trade.*","ticker.*"]',
    ]
    assert told.hears('["subscribe",1790139140,"trade.*","ticker.*"]', 0.75) == [
        "speaks observed",
        "subscribe acknowledged after 0.25 s: trade.* ticker.*",
        "subscribing -> live",
    ]


def test_no_welcome_in_time() -> None:
    """A server that upgrades and then says nothing."""
    told = Told()
    assert told.session.deadline() == 10.0
    assert told.at(9.9) == []
    assert told.at(10.0) == ["drop: welcome_timeout"]


def test_a_text_ping_is_answered_and_nothing_else_ever_sends_a_pong() -> None:
    """An unprompted `2` kills a connection of the observed dialect."""
    told = live()
    assert told.hears("1", 2.0) == ["AnswerPing", "speaks documented"]
    assert told.hears("1", 3.0) == ["AnswerPing"]
    for event in (Private(Channel.WALLET, 1.0), Unknown(), Welcome(1.0, 20.0, 30.0, "c2")):
        assert told.session.received(event, 4.0) == []
    assert [line(o) for o in told.session.pinged()] == []


def test_a_protocol_ping_shows_the_observed_dialect() -> None:
    """Stamps with a fraction had looked documented; the first trait stands unless a text ping comes."""
    told = Told()
    told.hears(WELCOME, 0.0)
    assert [line(o) for o in told.session.pinged()] == ["speaks observed"]
    assert told.session.dialect is Dialect.OBSERVED


def test_a_peer_without_any_frame_is_dropped_for_silence() -> None:
    """After the advertised interval and timeout, counted from the last frame."""
    told = live()
    told.session.keepalive.last_frame = 1.0
    assert told.at(50.9) == []
    assert told.at(51.0) == ["drop: silence"]


def test_an_unanswered_ping_of_ours_is_a_ping_timeout() -> None:
    """The peer still talks, but no longer listens."""
    told = live(settings=Settings(10.0, 5.0, None, 20.0, 0.0, 800))
    assert told.at(1.0) == ["SendPing"]
    told.session.keepalive.last_frame = 30.0
    assert told.at(31.0) == ["drop: ping_timeout"]


@pytest.mark.parametrize("due_by", ["welcome", "own ping", "silence"])
def test_a_peer_that_was_given_up_is_waited_for_no_more(due_by: str) -> None:
    """Until the socket is gone nothing is due: a deadline that stays in the past would never let the driver sleep."""
    told = Told() if due_by == "welcome" else live(settings=Settings(10.0, 5.0, None, 20.0, 0.0, 800))
    if due_by == "own ping":
        told.at(1.0)
        told.session.keepalive.last_frame = 60.0
    assert len(told.at(100.0)) == 1
    assert told.session.deadline() == NEVER
    assert told.at(101.0) == []


def test_a_welcome_after_its_deadline_begins_no_session() -> None:
    """The connection is already being closed for want of it."""
    told = Told()
    told.at(10.0)
    assert told.hears(WELCOME, 10.1) == []
    assert told.session.state is State.WELCOMING
    assert [line(o) for o in told.session.ended(10.2)] == ["welcoming -> backoff"]


def test_a_closing_connection_still_hears_and_asks_for_nothing() -> None:
    """What is in flight may be answered yet; the request behind it would never reach the server."""
    told = Told(["trade.*", "ticker.*"], replace(SETTINGS, max_frame_bytes=32, ack_probe_interval=1.0))
    told.hears(WELCOME, 0.0)
    told.session.closing()
    assert told.hears('["subscribe",1790139140,"trade.*"]', 0.5)[1:] == ["subscribe acknowledged after 0.5 s: trade.*"]
    assert told.at(60.0) == []
    assert told.session.add(["rates.*"], 60.5) == []
    assert [line(o) for o in told.session.ended(61.0)] == ["subscribing -> backoff"]
    told.session.retry()
    told.session.opened(62.0)
    assert told.session.deadline() == 72.0, "the next session is waited for as ever"


def test_a_closing_connection_is_given_no_token() -> None:
    """It would be taken for one that nobody refused."""
    told = Told(auth=True)
    told.hears(WELCOME, 0.0)
    told.session.closing()
    assert told.hears('["subscribe",1790139140,"trade.*"]', 0.5)[-1] == "subscribing -> live"
    assert renews(told, 0.6) == []


def test_a_pong_is_a_round_trip() -> None:
    """Measured from the hand-over of the ping to the arrival of its answer."""
    told = live(settings=Settings(10.0, 5.0, None, 20.0, 0.0, 800))
    ping = told.session.tick(1.0)[0]
    assert isinstance(ping, SendPing)
    assert [line(o) for o in told.session.ponged(ping.payload, 1.25)] == ["round trip 0.25 s"]


def test_the_probe_subscribes_again_to_a_topic_that_is_served() -> None:
    """The server acknowledges again, harmlessly: the acknowledgement time stays measured."""
    told = live(settings=Settings(10.0, 5.0, None, 0.0, 15.0, 800))
    assert told.session.deadline() == 15.0
    assert told.at(15.0) == ['probe: ["subscribe","trade.*"]']
    assert told.hears('["subscribe",1790139155,"trade.*"]', 15.5) == ["probe acknowledged after 0.5 s: trade.*"]
    assert told.session.state is State.LIVE


def test_a_probe_may_be_aimed_and_goes_back_to_its_interval() -> None:
    """The one that is due next, before or after its time."""
    told = live(settings=Settings(10.0, 5.0, None, 0.0, 15.0, 800))
    told.session.aim_probe(lambda due: due + 0.25)
    assert told.session.deadline() == 15.25
    assert told.at(15.0) == []
    assert told.at(15.25) == ['probe: ["subscribe","trade.*"]']
    told.hears('["subscribe",1790139155,"trade.*"]', 15.5)
    assert told.session.deadline() == 30.25


def test_frequent_probes_keep_to_their_interval() -> None:
    """Half a second would be much of it."""
    told = live(settings=Settings(10.0, 5.0, None, 0.0, 1.5, 800))
    told.session.aim_probe(lambda due: due + 0.25)
    assert told.session.deadline() == 1.5


def test_a_probe_may_be_hastened() -> None:
    """It goes out with the next tick."""
    told = live(settings=Settings(10.0, 5.0, None, 0.0, 15.0, 800))
    told.session.hasten_probe(3.0)
    assert told.session.deadline() == 3.0
    assert told.at(3.0) == ['probe: ["subscribe","trade.*"]']


def test_probes_that_are_off_are_neither_aimed_nor_hastened() -> None:
    """Off is off."""
    told = live()
    told.session.aim_probe(lambda _: 2.0)
    told.session.hasten_probe(3.0)
    assert told.at(4.0) == []


def holds_by(told: Told, now: float, **limits: float) -> None:
    told.session.hold_by(replace(SETTINGS, **limits), now)


def test_other_limits_are_in_force_on_a_session_that_lives() -> None:
    """What is waited for already is waited for by them."""
    told = live()
    holds_by(told, 2.0, ack_probe_interval=15.0, ack_timeout=1.0)
    assert told.session.deadline() == 17.0
    assert told.at(17.0) == ['probe: ["subscribe","trade.*"]']
    assert told.session.deadline() == 18.0
    holds_by(told, 17.5, ack_probe_interval=0.0, ack_timeout=3.0)
    assert told.at(18.0) == []
    assert told.at(20.0) == ["probe failed, timeout: trade.*"]
    told.session.keepalive.last_frame = 90.0
    assert told.session.deadline() == 140.0, "only silence is left to be due"


def test_the_same_limits_again_change_nothing() -> None:
    """Or frequent reloads would put the next probe off for ever."""
    told = live(settings=replace(SETTINGS, ack_probe_interval=15.0))
    holds_by(told, 10.0, ack_probe_interval=15.0)
    assert told.session.deadline() == 15.0


def test_a_longer_frame_limit_counts_for_the_next_request() -> None:
    """A queue that was packed before is sent as it is."""
    told = live(settings=replace(SETTINGS, max_frame_bytes=32))
    holds_by(told, 2.0, max_frame_bytes=800)
    assert [line(o) for o in told.session.add(["ticker.*", "rates.*"], 3.0)][-1] == (
        'subscribe: ["subscribe","ticker.*","rates.*"]'
    )


def test_another_deadline_for_the_welcome_counts_from_the_upgrade() -> None:
    """As the first one did."""
    told = Told()
    holds_by(told, 3.0, welcome_timeout=4.0)
    assert told.session.deadline() == 4.0
    assert told.at(4.0) == ["drop: welcome_timeout"]


def test_another_deadline_for_the_token_counts_from_its_presentation() -> None:
    """An acknowledgement and the token have one limit."""
    told = Told(auth=True)
    told.hears(WELCOME, 0.0)
    told.hears('["subscribe",1790139140,"trade.*"]', 1.0)
    holds_by(told, 2.0, ack_timeout=10.0)
    assert told.at(6.0) == []
    assert told.at(11.0) == ["token accepted"]


def test_one_bad_topic_costs_its_neighbours_nothing() -> None:
    """The server refuses the whole frame; the culprit is dropped and the rest asked for again."""
    told = Told(["trade.*", "diff.NOPE_USDT"])
    told.hears(WELCOME, 0.0)
    assert told.hears('["error",1790139264,"Invalid topic: diff.NOPE_USDT","subscribe"]', 1.0) == [
        "refused: invalid_topic",
        "speaks observed",
        "subscribe failed, error: trade.* diff.NOPE_USDT",
        "rejected, invalid_topic: diff.NOPE_USDT",
        'subscribe: ["subscribe","trade.*"]',
    ]
    assert told.hears('["subscribe",1790139265,"trade.*"]', 2.0)[-1] == "subscribing -> live"


def test_the_token_goes_last_and_an_error_then_means_the_token() -> None:
    """No request is in flight, so even an error without a name can only be its refusal."""
    told = Told(auth=True)
    told.hears(WELCOME, 0.0)
    assert told.hears('["subscribe",1790139140,"trade.*"]', 1.0)[-2:] == ["subscribing -> live", "SendAuth"]
    assert told.hears('["error",1790139141,"no"]', 1.5) == ["refused: unauthorized", "token refused"]
    assert told.at(7.0) == []


@pytest.mark.parametrize("answer", ["private frame", "no error in time"])
def test_a_token_is_taken_when_a_private_frame_or_no_error_comes(answer: str) -> None:
    """What the server says to a good token is not published."""
    told = Told(auth=True)
    told.hears(WELCOME, 0.0)
    told.hears('["subscribe",1790139140,"trade.*"]', 1.0)
    heard = (
        told.hears('["w",1790139141,"USDT","SPOT","","5.0","1.0"]', 2.0) if answer == "private frame" else told.at(6.0)
    )
    assert heard == ["token accepted"]


def authenticated(probe_interval: float = 0.0) -> Told:
    """A session that is live at 1 s, its token taken at 6 s, and whose peer may be silent."""
    told = Told(auth=True, settings=replace(SETTINGS, silence=1e6, ack_probe_interval=probe_interval))
    told.hears(WELCOME, 0.0)
    told.hears('["subscribe",1790139140,"trade.*"]', 1.0)
    assert told.at(6.0) == ["token accepted"]
    return told


def renews(told: Told, now: float) -> list[str]:
    return [line(o) for o in told.session.reauthenticate(now)]


def test_a_renewed_token_is_presented_on_the_live_session() -> None:
    """Private frames that the last one opened say nothing of it; its refusal is told apart from everything else."""
    told = authenticated()
    assert renews(told, 100.0) == ["SendAuth"]
    assert told.hears('["w",1790139141,"USDT","SPOT","","5.0","1.0"]', 100.5) == []
    assert told.hears('["error",1790139141,"no"]', 101.0) == ["refused: unauthorized", "token refused"]
    assert told.session.state is State.LIVE
    assert renews(told, 200.0) == ["SendAuth"]
    assert told.at(205.0) == ["token accepted"]


def test_a_renewed_token_waits_until_nothing_else_awaits_an_answer() -> None:
    """Else an error could not be told whose it is; and no probe goes out while it is awaited."""
    told = authenticated(probe_interval=60.0)
    assert told.at(60.0) == ['probe: ["subscribe","trade.*"]']
    assert renews(told, 60.1) == []
    assert told.hears('["subscribe",1790139140,"trade.*"]', 60.3)[1:] == ["SendAuth"]
    assert renews(told, 61.0) == [], "the one before is not answered yet"
    assert told.at(65.3) == ["token accepted", "SendAuth"]
    assert told.at(70.3) == ["token accepted"]
    assert told.at(119.0) == []


def test_a_token_that_is_renewed_before_the_session_is_up_is_presented_once() -> None:
    """With the session's own authentication."""
    told = Told(auth=True)
    assert renews(told, 0.0) == []
    told.hears(WELCOME, 0.0)
    assert renews(told, 0.5) == []
    assert told.hears('["subscribe",1790139140,"trade.*"]', 1.0)[-1] == "SendAuth"
    assert told.at(6.0) == ["token accepted"]


def test_a_session_that_ends_fails_what_was_in_flight() -> None:
    """And the next one begins with nothing of it."""
    told = Told()
    told.hears(WELCOME, 0.0)
    assert [line(o) for o in told.session.ended(1.0)] == [
        "subscribe failed, disconnected: trade.*",
        "subscribing -> backoff",
    ]
    assert [line(o) for o in told.session.retry()] == ["backoff -> connecting"]
    assert told.session.welcome is None
    assert told.session.deadline() == NEVER


def test_overflowed_topics_are_not_asked_for_again() -> None:
    """Another connection carries them."""
    told = live(["trade.*", "ticker.*"])
    told.session.forget(["ticker.*"])
    told.session.ended(2.0)
    told.session.retry()
    told.session.opened(3.0)
    assert told.hears(WELCOME, 3.0)[-1] == 'subscribe: ["subscribe","trade.*"]'


def test_topics_added_and_removed_on_a_live_session() -> None:
    """The connection stays; only the difference is sent."""
    told = live()
    assert [line(o) for o in told.session.add(["ticker.*"], 2.0)] == [
        "live -> subscribing",
        'subscribe: ["subscribe","ticker.*"]',
    ]
    told.hears('["subscribe",1790139142,"ticker.*"]', 2.5)
    assert told.session.state is State.LIVE
    assert [line(o) for o in told.session.remove(["trade.*"], 3.0)] == ['unsubscribe: ["unsubscribe","trade.*"]']
    assert told.session.topics == ("ticker.*",)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [WELCOME, "1", "2", "[]", '["error",1,"x"]', '["subscribe",1,"trade.*"]', '["subscribe",1.5]']
            ),
            st.just("tick"),
            st.just("end"),
        ),
        max_size=60,
    )
)
def test_no_story_that_a_peer_can_tell_breaks_the_session(story: list[str]) -> None:
    """Frames in any order, deadlines in between; a pong answers each ping and nothing else."""
    session, now = Session(SETTINGS, ["trade.*", "ticker.*"]), 0.0
    session.opened(now)
    for what in story:
        now += 1.0
        if what == "end":
            session.ended(now)
            session.retry()
            session.opened(now)
            continue
        outputs = session.tick(now) if what == "tick" else session.received(decode(what.encode()), now)
        pongs = sum(isinstance(output, AnswerPing) for output in outputs)
        assert pongs == (decode(what.encode()) == Ping() if what != "tick" else 0)
    assert session.state in (State.WELCOMING, State.SUBSCRIBING, State.LIVE)
