"""What the siblings tell each topic of its silence, by what else lives on the connection."""

from __future__ import annotations

import pytest

from alpmon.core.events import Trade
from alpmon.core.freshness import Mode, Rule, TopicFreshness, TopicState
from alpmon.core.states import State
from alpmon.probe.siblings import Group, Sibling
from alpmon.telemetry.state import ConnectionRecord, TopicRecord

RULE = Rule(mode=Mode.FIXED, after=10.0)


class Watched(TopicFreshness):
    """Counts how often it is asked for its state."""

    asked = 0

    def state(self, now: float) -> TopicState:
        self.asked += 1
        return super().state(now)


def topic_of(pair: str) -> str:
    return f"trade.{pair}"


def trade(pair: str, number: int) -> Trade:
    return Trade("t", 1790139142.0, number, pair, "1", "1", "buy")


class Pair:
    """Two connections with the same topics, subscribed at 0."""

    def __init__(self, *pairs: str) -> None:
        self.group = Group(2)
        self.records: list[ConnectionRecord] = []
        self.siblings: list[Sibling] = []
        for number in (0, 1):
            record = ConnectionRecord(f"0-{number}", State.LIVE)
            for pair in pairs:
                freshness = Watched(RULE)
                freshness.up(0.0)
                freshness.acknowledged(0.0)
                record.topics[topic_of(pair)] = TopicRecord(topic_of(pair), freshness)
            self.records.append(record)
            self.siblings.append(self.group.join(number, record))
            self.siblings[-1].subscribed(record.topics, 0.0)

    def say(self, pair: str, number: int, now: float) -> None:
        """Both deliver a trade."""
        for record, sibling in zip(self.records, self.siblings, strict=True):
            self.freshness(record, pair).message(now)
            sibling.saw(trade(pair, number), b"", now)

    def freshness(self, record: ConnectionRecord, pair: str) -> Watched:
        freshness = record.topics[topic_of(pair)].freshness
        assert isinstance(freshness, Watched)
        return freshness

    def states(self, now: float) -> dict[str, TopicState]:
        """What the first connection's topics are found to be."""
        self.group.judge(now)
        return {name: t.freshness.state(now) for name, t in self.records[0].topics.items() if t.freshness is not None}


@pytest.mark.parametrize("lively", [("A",), ("A", "B")])
def test_a_silent_topic_is_quiet_by_the_life_of_another(lively: tuple[str, ...]) -> None:
    """One is enough, and it needs no other for itself."""
    pair = Pair("A", "B", "C")
    for second in range(3, 31):
        for name in lively:
            pair.say(name, second, float(second))
    found = pair.states(30.0)
    assert {found[topic_of(name)] for name in lively} == {TopicState.LIVE}
    assert found[topic_of("C")] is TopicState.QUIET


def test_the_last_topic_that_lives_does_not_vouch_for_itself() -> None:
    """When it is silent as well, nothing lives: stale, as all the others."""
    pair = Pair("A", "B")
    for second in range(3, 31):
        pair.say("A", second, float(second))
    for second in range(31, 45):
        found = pair.states(float(second))
    assert set(found.values()) == {TopicState.STALE}


def test_each_topic_is_looked_at_a_bounded_number_of_times() -> None:
    """However many there are beside it: all are judged every second."""
    names = [f"P{number}" for number in range(50)]
    pair = Pair(*names)
    pair.group.judge(30.0)
    assert {pair.freshness(record, name).asked for record in pair.records for name in names} == {1}
