"""Topic states, ages and the exact account of stale time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.freshness import Mode, Rule, Source, TopicFreshness, TopicState, combine

FIXED = Rule(mode=Mode.FIXED, after=5.0, silent_after=12.0)
ADAPTIVE = Rule(mode=Mode.ADAPTIVE, floor=2.0, ceiling=600.0, silent_after=120.0)


def subscribed(rule: Rule = FIXED, at: float = 100.0) -> TopicFreshness:
    topic = TopicFreshness(rule)
    topic.up(at)
    topic.asked(at)
    topic.acknowledged(at)
    return topic


class TestStates:
    def test_a_new_topic_is_down(self) -> None:
        """Before the first welcome nothing can be said, and nothing is counted."""
        topic = TopicFreshness(FIXED)
        assert topic.state(1e6) is TopicState.DOWN
        assert (topic.stale_seconds(1e6), topic.episodes(1e6), topic.age(1e6)) == (0.0, 0, 0.0)

    def test_welcomed_and_asked_is_pending(self) -> None:
        """From the welcome to the acknowledgement, however long, a topic is pending and has no age."""
        topic = TopicFreshness(FIXED)
        topic.up(10.0)
        topic.asked(11.0)
        assert topic.state(500.0) is TopicState.PENDING
        assert topic.since(500.0) == 10.0
        assert topic.age(500.0) == 0.0

    def test_refused_is_rejected_until_asked_again(self) -> None:
        """An error rejects a topic; the next request makes it pending again."""
        topic = TopicFreshness(FIXED)
        topic.up(10.0)
        topic.rejected(11.0)
        assert topic.state(400.0) is TopicState.REJECTED
        topic.asked(401.0)
        assert topic.state(402.0) is TopicState.PENDING
        assert topic.stale_seconds(402.0) == 0.0

    def test_live_until_the_threshold_then_stale(self) -> None:
        """A message keeps a topic live for less than the threshold."""
        topic = subscribed()
        topic.message(101.0)
        assert topic.state(105.9) is TopicState.LIVE
        assert topic.state(106.0) is TopicState.STALE
        assert topic.since(110.0) == 106.0
        assert topic.age(110.0) == 9.0

    def test_acknowledged_without_data_goes_stale_then_silent(self) -> None:
        """Both belong to one episode; the age counts from the ack."""
        topic = subscribed()
        assert topic.state(104.9) is TopicState.LIVE
        assert topic.state(105.0) is TopicState.STALE
        assert topic.state(112.0) is TopicState.SILENT
        assert topic.since(200.0) == 112.0
        assert topic.episodes(200.0) == 1
        assert topic.stale_seconds(200.0) == 95.0

    def test_unlearnt_topic_is_live_until_silent(self) -> None:
        """With the ceiling in force an acknowledged topic is live until `silent_after`."""
        topic = subscribed(ADAPTIVE)
        assert topic.stale_after() == ADAPTIVE.ceiling
        assert topic.state(219.9) is TopicState.LIVE
        assert topic.state(220.0) is TopicState.SILENT

    def test_a_message_ends_the_silence_for_this_session(self) -> None:
        """Once something came the topic may turn stale but not silent."""
        topic = subscribed()
        topic.message(150.0)
        assert topic.state(150.0) is TopicState.LIVE
        assert topic.since(151.0) == 150.0
        assert topic.state(1e4) is TopicState.STALE

    def test_whether_anything_came_is_told_for_this_session(self) -> None:
        """An acknowledgement is no message, and what an earlier session delivered is not this one's."""
        topic = subscribed()
        assert not topic.delivered
        topic.message(101.0)
        assert topic.delivered
        topic.down(102.0)
        topic.up(103.0)
        topic.acknowledged(104.0)
        assert not topic.delivered

    def test_down_hides_every_verdict_and_stops_the_account(self) -> None:
        """Nobody is stale while the connection is down."""
        topic = subscribed()
        topic.down(110.0)
        assert topic.state(1000.0) is TopicState.DOWN
        assert topic.stale_seconds(1000.0) == 5.0
        assert topic.age(1000.0) == 0.0

    def test_down_again_is_down_since_the_first_time(self) -> None:
        """An attempt that fails ends no session: nobody was there to be lost."""
        topic = subscribed()
        topic.down(110.0)
        topic.down(120.0)
        assert topic.since(1000.0) == 110.0
        assert topic.stale_seconds(1000.0) == 5.0


class TestOnlyOwnDataRefreshes:
    def test_a_probe_acknowledged_again_does_not_refresh(self) -> None:
        """The ack probe asks for a topic that is already served."""
        topic = subscribed()
        topic.message(101.0)
        for now in (103.0, 105.0, 108.0):
            topic.asked(now)
            topic.acknowledged(now)
        assert topic.state(108.0) is TopicState.STALE
        assert topic.age(108.0) == 7.0

    def test_a_failed_probe_does_not_reject_a_served_topic(self) -> None:
        """What is delivered is subscribed."""
        topic = subscribed()
        topic.message(101.0)
        topic.rejected(102.0)
        assert topic.state(103.0) is TopicState.LIVE

    def test_data_before_the_ack_counts_and_the_ack_adds_nothing(self) -> None:
        """The age starts at the message; the late ack does not move it."""
        topic = TopicFreshness(FIXED)
        topic.up(10.0)
        assert topic.message(20.0) == -1.0
        topic.acknowledged(24.0)
        assert topic.state(24.9) is TopicState.LIVE
        assert topic.state(25.0) is TopicState.STALE

    def test_data_after_a_rejection_proves_the_subscription(self) -> None:
        """An ack that never came does not outweigh the data that did."""
        topic = TopicFreshness(FIXED)
        topic.up(10.0)
        topic.rejected(15.0)
        topic.message(20.0)
        assert topic.state(21.0) is TopicState.LIVE
        assert topic.since(21.0) == 20.0

    def test_frames_after_the_close_are_nobodys(self) -> None:
        """Data, acks and errors handed in while down change nothing."""
        topic = subscribed()
        topic.down(101.0)
        topic.acknowledged(102.0)
        topic.rejected(102.0)
        assert topic.message(103.0) == -1.0
        assert topic.state(104.0) is TopicState.DOWN


class TestGaps:
    def test_gaps_are_within_one_session(self) -> None:
        """The first message of a session has no gap, so time while down is never learnt."""
        topic = subscribed()
        assert [topic.message(t) for t in (101.0, 101.5, 103.0)] == [-1.0, 0.5, 1.5]
        topic.down(104.0)
        topic.up(1000.0)
        topic.acknowledged(1001.0)
        assert topic.message(1002.0) == -1.0
        assert topic.message(1002.25) == 0.25

    def test_what_was_learnt_survives_a_reconnect(self) -> None:
        """A learnt threshold is in force from the next acknowledgement on."""
        topic = subscribed(ADAPTIVE)
        for step in range(200):
            topic.message(101.0 + step)
        learnt = topic.stale_after()
        assert learnt < 20.0
        topic.down(400.0)
        topic.up(4000.0)
        topic.acknowledged(4000.0)
        assert topic.stale_after() == learnt
        assert topic.state(4000.0 + learnt - 0.01) is TopicState.LIVE
        assert topic.state(4000.0 + learnt) is TopicState.STALE


class TestEvidence:
    def test_nothing_missed_makes_a_stale_topic_quiet(self) -> None:
        """The account stops where the evidence came."""
        topic = subscribed()
        topic.message(101.0)
        topic.evidence(108.0, True)
        assert topic.state(120.0) is TopicState.QUIET
        assert topic.since(120.0) == 108.0
        assert (topic.stale_seconds(120.0), topic.episodes(120.0)) == (2.0, 1)

    def test_evidence_ahead_of_the_threshold_spares_the_episode(self) -> None:
        """A sibling that is silent too is known before the threshold passes."""
        topic = subscribed()
        topic.message(101.0)
        topic.evidence(103.0, True)
        assert topic.state(105.0) is TopicState.LIVE
        assert topic.state(106.0) is TopicState.QUIET
        assert topic.episodes(500.0) == 0

    @pytest.mark.parametrize("word", [False, None])
    def test_evidence_withdrawn_is_a_new_episode(self, word: bool | None) -> None:
        """From quiet to stale when a sibling shows news, or when nobody can vouch any more."""
        topic = subscribed()
        topic.message(101.0)
        topic.evidence(108.0, True)
        topic.evidence(120.0, word)
        assert topic.state(121.0) is TopicState.STALE
        assert topic.since(121.0) == 120.0
        assert (topic.stale_seconds(121.0), topic.episodes(121.0)) == (3.0, 2)

    def test_a_source_that_knows_of_something_missed_outweighs_one_that_does_not(self) -> None:
        """Whoever spoke first; and what a source says replaces what it said before."""
        topic = subscribed()
        topic.message(101.0)
        topic.evidence(107.0, True, Source.SIBLINGS)
        topic.evidence(108.0, False, Source.REFERENCE)
        assert topic.state(109.0) is TopicState.STALE
        topic.evidence(110.0, True, Source.SIBLINGS)
        assert topic.state(110.0) is TopicState.STALE
        topic.evidence(111.0, None, Source.REFERENCE)
        assert topic.state(111.0) is TopicState.QUIET
        topic.evidence(112.0, None, Source.SIBLINGS)
        assert topic.state(112.0) is TopicState.STALE

    def test_what_a_source_said_of_an_earlier_silence_counts_for_nothing(self) -> None:
        """Something missed then does not outweigh nothing missed now."""
        topic = subscribed()
        topic.message(101.0)
        topic.evidence(107.0, False, Source.SIBLINGS)
        topic.message(110.0)
        topic.evidence(116.0, True, Source.REFERENCE)
        assert topic.state(117.0) is TopicState.QUIET

    @pytest.mark.parametrize(
        ("verdicts", "together"),
        [((), None), ((None, None), None), ((None, True), True), ((True, True), True), ((True, None, False), False)],
    )
    def test_verdicts_combine(self, verdicts: tuple[bool | None, ...], together: bool | None) -> None:
        """Missed wins, nothing missed follows, and no knowledge adds nothing."""
        assert combine(verdicts) is together

    def test_evidence_is_about_one_silence(self) -> None:
        """The next message forgets it."""
        topic = subscribed()
        topic.message(101.0)
        topic.evidence(108.0, True)
        topic.message(110.0)
        assert topic.state(115.0) is TopicState.STALE

    def test_evidence_does_not_excuse_a_topic_that_never_spoke(self) -> None:
        """Acknowledged and silent stays silent: the contract knows no quiet without data in the session."""
        topic = subscribed()
        topic.evidence(101.0, True)
        assert topic.state(111.0) is TopicState.QUIET
        assert topic.state(112.0) is TopicState.SILENT
        topic.evidence(120.0, None)
        topic.evidence(121.0, True)
        assert (topic.stale_seconds(122.0), topic.episodes(122.0)) == (10.0, 1)


@dataclass
class Model:
    """The rules told one tick at a time; a tick is one second, and every event falls on a tick."""

    rule: Rule
    connected: bool = False
    refused: bool = False
    proven: bool = False
    heard: bool = False
    excused: bool = False
    seed: int = 0
    stale_ticks: int = 0
    episodes: int = 0
    was_bad: bool = field(default=False)

    def state(self, now: int) -> TopicState:
        if not self.connected:
            return TopicState.DOWN
        if not self.proven:
            return TopicState.REJECTED if self.refused else TopicState.PENDING
        if not self.heard and now - self.seed >= self.rule.silent_after:
            return TopicState.SILENT
        if now - self.seed < self.rule.after:
            return TopicState.LIVE
        return TopicState.QUIET if self.excused else TopicState.STALE

    def look(self, now: int) -> None:
        """Note what the state is at this instant, before and after each event."""
        bad = self.state(now) in (TopicState.STALE, TopicState.SILENT)
        self.episodes += bad and not self.was_bad
        self.was_bad = bad

    def pass_a_tick(self, now: int) -> None:
        self.stale_ticks += self.state(now) in (TopicState.STALE, TopicState.SILENT)

    def fire(self, event: str, now: int) -> None:
        match event:
            case "up" | "down":
                self.connected = event == "up"
                self.refused = self.proven = self.heard = self.excused = False
            case _ if not self.connected:
                pass
            case "asked":
                self.refused = False
            case "rejected":
                self.refused = True
            case "acknowledged" if not self.proven:
                self.proven, self.seed, self.excused = True, now, False
            case "message":
                self.proven, self.heard, self.seed, self.excused = True, True, now, False
            case "vouched" if self.state(now) in (TopicState.LIVE, TopicState.STALE, TopicState.QUIET):
                self.excused = True
            case "doubted" | "unknown" if self.state(now) in (TopicState.LIVE, TopicState.QUIET):
                self.excused = False


def fire(topic: TopicFreshness, event: str, now: float) -> None:
    words = {"vouched": True, "doubted": False, "unknown": None}
    if event in words:
        topic.evidence(now, words[event])
    else:
        getattr(topic, event)(now)


EVENTS = ("up", "down", "asked", "rejected", "acknowledged", "message", "message", "vouched", "doubted", "unknown")
LIVES = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(EVENTS)), max_size=40)
RULES = st.builds(
    Rule,
    mode=st.just(Mode.FIXED),
    after=st.integers(1, 8).map(float),
    silent_after=st.integers(1, 12).map(float),
)


@given(RULES, LIVES)
def test_state_and_account_equal_a_simulation_in_small_steps(rule: Rule, life: list[tuple[int, str]]) -> None:
    """State, stale seconds and episodes agree with the rules told tick by tick, at every tick."""
    topic, model, now = TopicFreshness(rule), Model(rule), 0
    for wait, event in [(0, "up"), *life, (15, "down")]:
        for _ in range(wait):
            model.pass_a_tick(now)
            now += 1
            model.look(now)
            assert topic.state(now) is model.state(now)
            assert topic.stale_seconds(now) == model.stale_ticks
            assert topic.episodes(now) == model.episodes
        model.fire(event, now)
        fire(topic, event, now)
        model.look(now)
        assert topic.state(now) is model.state(now)
        assert topic.episodes(now) == model.episodes


@given(LIVES, st.sampled_from([FIXED, ADAPTIVE]))
def test_counters_never_go_back_and_since_is_in_the_past(life: list[tuple[int, str]], rule: Rule) -> None:
    """Whatever happens, the exported counters only grow, and no stale time is booked that did not pass."""
    topic, now, seconds, episodes = TopicFreshness(rule), 0.0, 0.0, 0
    for wait, event in life:
        now += wait * 7.3
        fire(topic, event, now)
        assert seconds <= topic.stale_seconds(now) <= now
        assert topic.episodes(now) >= episodes
        assert topic.since(now) <= now
        assert 0.0 <= topic.age(now) < math.inf
        seconds, episodes = topic.stale_seconds(now), topic.episodes(now)


@given(LIVES)
def test_nothing_but_its_own_data_makes_a_topic_younger(life: list[tuple[int, str]]) -> None:
    """Within a session the age falls only with a message."""
    topic, now = TopicFreshness(FIXED), 0.0
    for wait, event in life:
        now += wait
        before, acknowledged = topic.age(now), topic.state(now) not in ("down", "pending", "rejected")
        fire(topic, event, now)
        if acknowledged and event not in ("message", "up", "down"):
            assert topic.age(now) == before
