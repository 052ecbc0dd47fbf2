"""One session's subscriptions: every topic gets the answer that it earned, whatever its neighbours did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, log2

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.events import Ack, Error, ErrorReason, Operation
from alpmon.core.protocol import decode
from alpmon.core.subscriptions import (
    Acknowledged,
    Failed,
    Output,
    Overflow,
    Rejected,
    Request,
    RequestFailure,
    RequestOp,
    Subscriptions,
    TopicStatus,
)

WAITING, ACKNOWLEDGED, REJECTED, OVERFLOWED = TopicStatus
SUBSCRIBE, UNSUBSCRIBE, PROBE = RequestOp
A, B, C, D = "trade.A_X", "trade.B_X", "trade.C_X", "trade.D_X"


def subscriptions(*topics: str, max_frame_bytes: int = 800) -> Subscriptions:
    return Subscriptions(topics, max_frame_bytes, ack_timeout_seconds=5.0)


def asked(*topics: str, op: RequestOp = SUBSCRIBE) -> Request:
    return Request(op, msgspec.json.encode([op.operation, *topics]), topics)


def ack(*topics: str, operation: Operation = Operation.SUBSCRIBE) -> Ack:
    return Ack(operation, 1790139140.0, topics, whole_seconds=True)


def error(message: str, operation: str | None = "subscribe") -> Error:
    event = decode(msgspec.json.encode(["error", 1790139264, message, *([operation] if operation else [])]))
    assert isinstance(event, Error)
    return event


def unnamed() -> Error:
    return error("Topic does not exist", None)


def named(topic: str) -> Error:
    return error(f"Invalid topic: {topic}")


def too_many() -> Error:
    return error("Too many topics")


def settled_with(*topics: str) -> Subscriptions:
    """Subscriptions whose topics were all acknowledged at 0.5."""
    subs = subscriptions(*topics)
    subs.start(0.0)
    subs.acknowledged(ack(*topics), 0.5)
    assert subs.settled
    return subs


class TestAcknowledgements:
    def test_one_frame_acknowledged(self) -> None:
        """Asked at 1.0, acknowledged at 1.35: 0.35 seconds, and nothing is left to wait for."""
        subs = subscriptions(A, B)
        assert not subs.settled
        assert subs.start(1.0) == [asked(A, B)]
        assert subs.deadline() == 6.0
        assert subs.acknowledged(ack(A, B), 1.35) == [Acknowledged(SUBSCRIBE, (A, B), pytest.approx(0.35))]
        assert subs.settled
        assert subs.deadline() is None

    def test_next_frame_waits_for_the_answer_to_the_one_before(self) -> None:
        """One request in flight, so that an error can only mean that one; its clock starts when it is sent."""
        subs = subscriptions(A, B, C, max_frame_bytes=len('["unsubscribe","trade.A_X","trade.B_X"]'))
        assert subs.start(0.0) == [asked(A, B)]
        assert subs.acknowledged(ack(A, B), 2.0) == [Acknowledged(SUBSCRIBE, (A, B), 2.0), asked(C)]
        assert not subs.settled
        assert subs.acknowledged(ack(C), 2.5) == [Acknowledged(SUBSCRIBE, (C,), 0.5)]
        assert subs.settled

    def test_nothing_to_ask_is_settled_at_once(self) -> None:
        """A connection for private channels alone asks for no topic."""
        subs = subscriptions()
        assert subs.start(0.0) == []
        assert subs.settled

    @pytest.mark.parametrize("listed", [(A, A), (B, B), (B, A), (A, B, "trade.Z_X"), ()])
    def test_ack_that_answers_the_whole_request(self, listed: tuple[str, ...]) -> None:
        """The documented example repeats one topic; others list them in any order, more of them, or none."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        assert subs.acknowledged(ack(*listed), 1.0) == [Acknowledged(SUBSCRIBE, (A, B), 1.0)]
        assert subs.settled

    def test_acks_that_list_a_part_each(self) -> None:
        """Each marks its own; the request is over with the last, and the next one does not go out before."""
        subs = subscriptions(A, B, C)
        subs.start(0.0)
        assert subs.acknowledged(ack(B), 1.0) == [Acknowledged(SUBSCRIBE, (B,), 1.0)]
        assert subs.status == {A: WAITING, B: ACKNOWLEDGED, C: WAITING}
        assert not subs.settled
        assert subs.acknowledged(ack(C, A), 2.0) == [Acknowledged(SUBSCRIBE, (A, C), 2.0)]
        assert subs.settled

    @pytest.mark.parametrize(
        "stray", [ack(C), ack(C, D), ack(A, B, operation=Operation.UNSUBSCRIBE), ack(operation=Operation.UNSUBSCRIBE)]
    )
    def test_ack_of_something_else_is_ignored(self, stray: Ack) -> None:
        """It neither marks a topic nor ends the wait."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        assert subs.acknowledged(stray, 1.0) == []
        assert subs.deadline() == 5.0
        assert subs.status == {A: WAITING, B: WAITING}

    def test_ack_with_nothing_in_flight_is_ignored(self) -> None:
        """A doubled acknowledgement says nothing new."""
        subs = settled_with(A)
        assert subs.acknowledged(ack(A), 1.0) == []
        assert subs.settled


class TestErrors:
    def test_named_topic_is_dropped_and_the_rest_asked_again_at_once(self) -> None:
        """One request more, and only the culprit is rejected."""
        subs = subscriptions(A, B, C)
        subs.start(0.0)
        assert subs.refused(named(B), 0.5) == [
            Failed(SUBSCRIBE, RequestFailure.ERROR, (A, B, C), 0.5),
            Rejected((B,), ErrorReason.INVALID_TOPIC),
            asked(A, C),
        ]
        subs.acknowledged(ack(A, C), 1.0)
        assert subs.status == {A: ACKNOWLEDGED, B: REJECTED, C: ACKNOWLEDGED}
        assert subs.settled

    def test_unnamed_error_divides_until_the_culprit_is_alone(self) -> None:
        """Halves of halves; the good half is acknowledged on the way."""
        subs = subscriptions(A, B, C, D)
        subs.start(0.0)
        assert subs.refused(unnamed(), 1.0)[1:] == [asked(A, B)]
        assert subs.acknowledged(ack(A, B), 2.0)[1:] == [asked(C, D)]
        assert subs.refused(unnamed(), 3.0)[1:] == [asked(C)]
        assert subs.refused(unnamed(), 4.0)[1:] == [Rejected((C,), ErrorReason.INVALID_TOPIC), asked(D)]
        subs.acknowledged(ack(D), 5.0)
        assert subs.status == {A: ACKNOWLEDGED, B: ACKNOWLEDGED, C: REJECTED, D: ACKNOWLEDGED}
        assert subs.settled

    @pytest.mark.parametrize("message", ["Internal error", "Invalid topic: trade.OTHER_X", "Unauthorized"])
    def test_error_that_names_none_of_ours_divides_too(self, message: str) -> None:
        """Whatever the server complains of, one topic at most is to pay."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        assert subs.refused(error(message), 1.0)[1:] == [asked(A)]
        assert subs.status == {A: WAITING, B: WAITING}

    def test_error_about_another_operation_is_not_ours(self) -> None:
        """A refused token is the session's matter."""
        subs = subscriptions(A)
        subs.start(0.0)
        assert subs.refused(error("Unauthorized", "auth"), 1.0) == []
        assert subs.refused(error("Invalid topic: trade.A_X", "unsubscribe"), 1.0) == []
        assert subs.status == {A: WAITING}

    def test_error_with_nothing_in_flight_is_ignored(self) -> None:
        """Nothing was asked, so nothing can have been refused."""
        subs = settled_with(A)
        assert subs.refused(named(A), 1.0) == []
        assert subs.status == {A: ACKNOWLEDGED}

    def test_error_after_a_partial_ack_is_about_the_rest(self) -> None:
        """What was acknowledged stays so."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        subs.acknowledged(ack(A), 1.0)
        assert subs.refused(unnamed(), 2.0) == [
            Failed(SUBSCRIBE, RequestFailure.ERROR, (B,), 2.0),
            Rejected((B,), ErrorReason.INVALID_TOPIC),
        ]
        assert subs.status == {A: ACKNOWLEDGED, B: REJECTED}


class TestLimit:
    def test_single_topic_over_the_limit_teaches_it(self) -> None:
        """Two were taken and the third was not: two is the limit, and what still waits need not be asked."""
        subs = subscriptions(A, B, C, D)
        subs.start(0.0)
        subs.refused(too_many(), 1.0)
        assert subs.acknowledged(ack(A, B), 2.0)[1:] == [asked(C, D)]
        assert subs.refused(too_many(), 3.0)[1:] == [asked(C)]
        assert subs.refused(too_many(), 4.0)[1:] == [Overflow((C, D), 2)]
        assert subs.status == {A: ACKNOWLEDGED, B: ACKNOWLEDGED, C: OVERFLOWED, D: OVERFLOWED}
        assert subs.settled

    def test_a_topic_that_overflowed_may_come_back_when_there_is_room(self) -> None:
        """Others have left since: it is asked for like any other."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        subs.refused(too_many(), 1.0)
        subs.acknowledged(ack(A), 2.0)
        assert subs.refused(too_many(), 3.0)[1] == Overflow((B,), 1)
        subs.remove([A], 4.0)
        subs.acknowledged(ack(A, operation=Operation.UNSUBSCRIBE), 5.0)
        assert subs.add([B], 6.0) == [asked(B)]
        subs.acknowledged(ack(B), 7.0)
        assert subs.status == {B: ACKNOWLEDGED}

    def test_server_that_takes_no_topic_at_all_rejects(self) -> None:
        """A limit of none cannot be met by another connection."""
        subs = subscriptions(A)
        subs.start(0.0)
        assert subs.refused(too_many(), 1.0)[1:] == [Rejected((A,), ErrorReason.TOO_MANY_TOPICS)]
        assert subs.status == {A: REJECTED}


class TestTimeouts:
    def test_unanswered_frame_is_rejected_and_the_next_goes_on(self) -> None:
        """Not before the deadline; and it costs the other frames only the wait."""
        subs = subscriptions(A, B, max_frame_bytes=len('["unsubscribe","trade.A_X"]'))
        subs.start(0.0)
        assert subs.tick(4.999) == []
        assert subs.tick(5.0) == [
            Failed(SUBSCRIBE, RequestFailure.TIMEOUT, (A,), 5.0),
            Rejected((A,), RequestFailure.TIMEOUT),
            asked(B),
        ]
        assert subs.status == {A: REJECTED, B: WAITING}
        assert subs.deadline() == 10.0

    def test_late_ack_says_otherwise(self) -> None:
        """The topic was subscribed after all; the seconds are the true ones; the request in flight waits on."""
        subs = subscriptions(A, B, max_frame_bytes=len('["unsubscribe","trade.A_X"]'))
        subs.start(0.0)
        subs.tick(5.0)
        assert subs.acknowledged(ack(A), 7.0) == [Acknowledged(SUBSCRIBE, (A,), 7.0)]
        assert subs.status == {A: ACKNOWLEDGED, B: WAITING}
        assert subs.deadline() == 10.0
        assert subs.acknowledged(ack(A), 8.0) == []

    def test_late_named_error_is_not_held_against_the_request_in_flight(self) -> None:
        """It names a topic that was given up already."""
        subs = subscriptions(A, B, max_frame_bytes=len('["unsubscribe","trade.A_X"]'))
        subs.start(0.0)
        subs.tick(5.0)
        assert subs.refused(named(A), 6.0) == []
        assert subs.acknowledged(ack(B), 7.0) == [Acknowledged(SUBSCRIBE, (B,), 2.0)]

    def test_topic_rejected_by_an_error_is_not_revived_by_an_ack(self) -> None:
        """Only a missing answer can come late."""
        subs = subscriptions(A)
        subs.start(0.0)
        subs.refused(named(A), 1.0)
        assert subs.acknowledged(ack(A), 2.0) == []
        assert subs.status == {A: REJECTED}

    def test_end_of_the_session_ends_the_request(self) -> None:
        """Reported once; nothing more goes out."""
        subs = subscriptions(A, B, max_frame_bytes=len('["unsubscribe","trade.A_X"]'))
        subs.start(0.0)
        assert subs.drop(1.5) == [Failed(SUBSCRIBE, RequestFailure.DISCONNECTED, (A,), 1.5)]
        assert subs.drop(1.6) == []
        assert subs.deadline() is None


class TestProbes:
    def test_probes_take_each_acknowledged_topic_in_turn(self) -> None:
        """A probe is a subscribe on the wire and its acknowledgement changes no topic."""
        subs = settled_with(A, B)
        for n, topic in enumerate((A, B, A)):
            assert subs.probe(n * 60.0) == [asked(topic, op=PROBE)]
            assert subs.acknowledged(ack(topic), n * 60.0 + 0.25) == [Acknowledged(PROBE, (topic,), 0.25)]
        assert subs.status == {A: ACKNOWLEDGED, B: ACKNOWLEDGED}

    def test_no_probe_while_a_request_is_in_flight(self) -> None:
        """Nor while nothing is acknowledged."""
        subs = subscriptions(A)
        assert subs.probe(0.0) == []
        subs.start(0.0)
        assert subs.probe(1.0) == []

    @pytest.mark.parametrize(
        ("fail", "reason"),
        [
            (lambda subs: subs.tick(65.0), RequestFailure.TIMEOUT),
            (lambda subs: subs.refused(named(A), 65.0), RequestFailure.ERROR),
            (lambda subs: subs.drop(65.0), RequestFailure.DISCONNECTED),
        ],
    )
    def test_failed_probe_rejects_nothing(
        self, fail: Callable[[Subscriptions], list[Output]], reason: RequestFailure
    ) -> None:
        """The topic delivers as before, whatever the server makes of our question."""
        subs = settled_with(A)
        subs.probe(60.0)
        assert fail(subs) == [Failed(PROBE, reason, (A,), 5.0)]
        assert subs.status == {A: ACKNOWLEDGED}
        assert subs.settled


class TestReload:
    def test_added_topics_are_asked_and_known_ones_left_alone(self) -> None:
        """A reload repeats the whole list; only the news is asked, once."""
        subs = settled_with(A)
        assert subs.add([A, B, B], 1.0) == [asked(B)]
        assert not subs.settled
        subs.acknowledged(ack(B), 1.5)
        assert subs.status == {A: ACKNOWLEDGED, B: ACKNOWLEDGED}

    def test_removed_topic_is_unsubscribed_and_forgotten_at_once(self) -> None:
        """It has no status any more, and its acknowledgement is measured."""
        subs = settled_with(A, B)
        assert subs.remove([A, D], 1.0) == [asked(A, op=UNSUBSCRIBE)]
        assert subs.status == {B: ACKNOWLEDGED}
        assert subs.acknowledged(ack(A, operation=Operation.UNSUBSCRIBE), 1.5) == [Acknowledged(UNSUBSCRIBE, (A,), 0.5)]
        assert subs.settled

    @pytest.mark.parametrize(
        ("fail", "reason"),
        [
            (lambda subs: subs.tick(6.0), RequestFailure.TIMEOUT),
            (lambda subs: subs.refused(error("Invalid topic: trade.A_X", "unsubscribe"), 6.0), RequestFailure.ERROR),
        ],
    )
    def test_failed_unsubscribe_is_reported_and_not_repeated(
        self, fail: Callable[[Subscriptions], list[Output]], reason: RequestFailure
    ) -> None:
        """The others are untouched."""
        subs = settled_with(A, B)
        subs.remove([A], 1.0)
        assert fail(subs) == [Failed(UNSUBSCRIBE, reason, (A,), 5.0)]
        assert subs.status == {B: ACKNOWLEDGED}
        assert subs.settled

    def test_removed_before_it_was_sent_is_never_asked(self) -> None:
        """There is nothing to unsubscribe from."""
        subs = subscriptions(A, B, C, max_frame_bytes=len('["unsubscribe","trade.A_X","trade.B_X"]'))
        subs.start(0.0)
        assert subs.remove([C], 0.5) == []
        assert len(subs.acknowledged(ack(A, B), 1.0)) == 1
        assert subs.settled

    def test_removed_while_in_flight_is_unsubscribed_after_the_answer(self) -> None:
        """Its acknowledgement no longer counts for the topic, but the server must stop sending it."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        assert subs.remove([B], 0.5) == []
        assert subs.acknowledged(ack(A, B), 1.0) == [Acknowledged(SUBSCRIBE, (A,), 1.0), asked(B, op=UNSUBSCRIBE)]
        assert subs.status == {A: ACKNOWLEDGED}

    def test_refusal_of_a_frame_with_a_removed_topic_spares_the_other(self) -> None:
        """The removed one may have been the culprit, so the other is asked again rather than rejected."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        subs.remove([B], 0.5)
        assert subs.refused(unnamed(), 1.0)[1:] == [asked(A)]

    def test_named_culprit_that_was_removed_is_not_reported(self) -> None:
        """Nobody asks for it any more; the rest is asked again."""
        subs = subscriptions(A, B)
        subs.start(0.0)
        subs.remove([B], 0.5)
        assert subs.refused(named(B), 1.0)[1:] == [asked(A)]

    def test_removed_after_a_timeout_is_unsubscribed_and_stays_forgotten(self) -> None:
        """The server may have taken it; the late acknowledgement brings nothing back."""
        subs = subscriptions(A)
        subs.start(0.0)
        subs.tick(5.0)
        assert subs.remove([A], 6.0) == [asked(A, op=UNSUBSCRIBE)]
        assert subs.acknowledged(ack(A), 7.0) == []
        assert subs.status == {}

    def test_rejected_topic_needs_no_unsubscribe(self) -> None:
        """The server never held it."""
        subs = subscriptions(A)
        subs.start(0.0)
        subs.refused(named(A), 1.0)
        assert subs.remove([A], 2.0) == []

    def test_removed_and_added_again_ends_subscribed(self) -> None:
        """In order: unsubscribe, then subscribe."""
        subs = settled_with(A)
        assert subs.remove([A], 1.0) == [asked(A, op=UNSUBSCRIBE)]
        assert subs.add([A], 1.1) == []
        assert subs.acknowledged(ack(A, operation=Operation.UNSUBSCRIBE), 1.5)[1:] == [asked(A)]
        subs.acknowledged(ack(A), 2.0)
        assert subs.status == {A: ACKNOWLEDGED}

    def test_limit_learnt_keeps_a_queued_unsubscribe(self) -> None:
        """What waits to be subscribed is dropped; what waits to be unsubscribed is not."""
        subs = settled_with(A, B)
        subs.add([C], 1.0)
        subs.remove([B], 1.1)
        assert subs.refused(too_many(), 2.0)[1:] == [Overflow((C,), 1), asked(B, op=UNSUBSCRIBE)]


@dataclass
class Server:
    """The exchange's rules for requests: whole frames refused, a budget counted over frames."""

    bad: set[str]
    budget: int
    names_culprit: bool
    budget_first: bool
    held: set[str] = field(default_factory=set)

    def answer(self, frame: bytes) -> Ack | Error:
        operation, *topics = msgspec.json.decode(frame)
        assert operation == "subscribe"
        culprit = next((topic for topic in topics if topic in self.bad), None)
        full = len(self.held | set(topics)) > self.budget
        if full and (self.budget_first or culprit is None):
            return too_many()
        if culprit is not None:
            return named(culprit) if self.names_culprit else unnamed()
        self.held |= set(topics)
        return ack(*topics)


def converse(subs: Subscriptions, server: Server) -> list[Output]:
    """Let both talk until nothing is in flight; everything that was said, in order."""
    said = list(subs.start(0.0))
    now = 0.0
    while said and isinstance(request := said[-1], Request):
        now += 1.0
        answer = server.answer(request.frame)
        said += subs.acknowledged(answer, now) if isinstance(answer, Ack) else subs.refused(answer, now)
    assert subs.deadline() is None
    assert subs.settled
    return said


topics_in_any_state = st.lists(st.booleans(), max_size=60)


@given(topics_in_any_state, st.booleans(), st.booleans(), st.integers(30, 800))
def test_every_good_topic_is_acknowledged_and_every_bad_one_rejected(
    bad_flags: list[bool], names_culprit: bool, budget_first: bool, max_frame_bytes: int
) -> None:
    """Whatever the set of bad topics and the style of the errors, and in a bounded number of requests."""
    topics = [f"trade.P{n}_X" for n in range(len(bad_flags))]
    bad = {topic for topic, is_bad in zip(topics, bad_flags, strict=True) if is_bad}
    subs = Subscriptions(topics, max_frame_bytes, 5.0)
    server = Server(bad, 1000, names_culprit, budget_first)
    said = converse(subs, server)

    assert subs.status == {topic: REJECTED if topic in bad else ACKNOWLEDGED for topic in topics}
    assert server.held == set(topics) - bad
    assert sorted(t for o in said if isinstance(o, Acknowledged) for t in o.topics) == sorted(server.held)
    assert sorted(t for o in said if isinstance(o, Rejected) for t in o.topics) == sorted(bad)
    requests = sum(isinstance(o, Request) for o in said)
    frames = ceil(len(topics) / max(1, (max_frame_bytes - 13) // 15))
    depth = 1 if names_culprit else 2 * ceil(log2(len(topics) + 1))
    assert requests <= frames + len(bad) * depth


@given(topics_in_any_state, st.booleans(), st.booleans(), st.integers(30, 800), st.integers(1, 30))
def test_budget_is_used_to_the_last_place_and_the_limit_learnt_is_true(
    bad_flags: list[bool], names_culprit: bool, budget_first: bool, max_frame_bytes: int, budget: int
) -> None:
    """No good topic is rejected, no place stays empty while a good topic overflows, no bad topic is acknowledged."""
    topics = [f"trade.P{n}_X" for n in range(len(bad_flags))]
    bad = {topic for topic, is_bad in zip(topics, bad_flags, strict=True) if is_bad}
    good = set(topics) - bad
    subs = Subscriptions(topics, max_frame_bytes, 5.0)
    said = converse(subs, server := Server(bad, budget, names_culprit, budget_first))

    having = {status: {t for t, s in subs.status.items() if s is status} for status in TopicStatus}
    assert having[ACKNOWLEDGED] == server.held <= good
    assert len(server.held) == min(budget, len(good))
    assert having[REJECTED] <= bad
    overflows = [o for o in said if isinstance(o, Overflow)]
    assert {t for o in overflows for t in o.topics} == having[OVERFLOWED]
    assert all(o.limit == budget for o in overflows)
    assert len(overflows) <= 1
