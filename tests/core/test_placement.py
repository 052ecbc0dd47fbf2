"""What stays where it is when the configuration changes, and that shards which ask nobody never disagree."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.layout import plan
from alpmon.core.placement import SPILLED, Placement

PAIRS = [f"P{n}_USDT" for n in range(12)]
TOPICS = [f"{channel}.{symbol}" for channel in ("trade", "ticker", "diff") for symbol in ("*", *PAIRS)]
BOOKS = [f"market_depth.P{n:02}_USDT" for n in range(60)]

configurations = st.lists(
    st.tuples(st.lists(st.sampled_from(TOPICS), unique=True, min_size=1), st.integers(1, 12)), min_size=1, max_size=4
)


def alone(topics: list[str] = BOOKS, max_topics: int = 20) -> Placement:
    """A process that holds a target alone."""
    placement = Placement("alp", 0, 1, is_alone=True)
    placement.arrange(topics, max_topics)
    return placement


def shards(parts: int, topics: list[str], max_topics: int) -> list[Placement]:
    """The processes that hold a target together."""
    placements = [Placement("alp", part, parts, is_alone=False) for part in range(parts)]
    for placement in placements:
        placement.arrange(topics, max_topics)
    return placements


def held(*placements: Placement) -> Counter[str]:
    """How often each topic is held."""
    return Counter(topic for placement in placements for group in placement.groups.values() for topic in group)


def homes(placement: Placement) -> dict[str, int]:
    """Each topic's group."""
    return {topic: number for number, group in placement.groups.items() for topic in group}


class TestAlone:
    def test_it_begins_with_the_plan(self) -> None:
        """So that a restart gives every topic the same connection again."""
        assert list(alone().groups.values()) == plan(BOOKS, 20)

    def test_the_first_of_sixty_topics_goes_and_no_other_moves(self) -> None:
        """The gap is the next topic's."""
        placement = alone()
        before = homes(placement)
        placement.arrange(BOOKS[1:], 20)
        assert homes(placement) == {topic: before[topic] for topic in BOOKS[1:]}
        placement.arrange([*BOOKS[1:], "trade.*"], 20)
        assert homes(placement)["trade.*"] == 0
        assert set(placement.groups) == {0, 1, 2}

    def test_overflow_fills_the_gaps_of_other_groups(self) -> None:
        """45 topics on two connections of 30, of which the server takes 20 each."""
        placement = alone(BOOKS[:45], 30)
        placement.spill(0, BOOKS[20:30], 20)
        assert placement.groups == {
            0: tuple(BOOKS[:20]),
            1: (*BOOKS[30:45], *BOOKS[20:25]),
            2: tuple(BOOKS[25:30]),
        }

    def test_a_limit_that_was_learnt_is_kept_to_by_what_comes_later(self) -> None:
        """Until it is another server's."""
        placement = alone(BOOKS[:22], 30)
        placement.spill(0, BOOKS[20:22], 20)
        placement.arrange([*BOOKS[:22], "trade.*"], 30)
        assert homes(placement)["trade.*"] == 1
        placement.forget_limit()
        placement.arrange([*BOOKS[:22], "trade.*", "ticker.*"], 30)
        assert homes(placement)["ticker.*"] == 0

    def test_what_is_asked_for_once_stays_with_its_group_until_that_is_gone(self) -> None:
        """Also when a lower number comes into use again."""
        placement = alone()
        placement.arrange(BOOKS[20:], 20)
        assert placement.carrier == 1
        placement.arrange([*BOOKS[20:], "trade.*"], 20)
        assert set(placement.groups) == {0, 1, 2}
        assert placement.carrier == 1


class TestShards:
    def test_a_limit_that_one_shard_learnt_changes_nothing_for_the_others(self) -> None:
        """What did not fit is held by the shard that learnt it, under numbers that no plan has."""
        placements = shards(2, BOOKS[:45], 30)
        learner = next(p for p in placements if p.groups)
        number, topics = next(iter(learner.groups.items()))
        learner.spill(number, topics[10:], 10)
        assert [n for n in learner.groups if n >= SPILLED] == [(number + 1) * SPILLED, (number + 1) * SPILLED + 1]
        assert held(*placements) == Counter(BOOKS[:45])
        before = homes(learner)
        learner.arrange(BOOKS[:45], 30)
        assert homes(learner) == before

    def test_a_plan_that_grows_takes_no_number_from_what_was_spilled(self) -> None:
        """Neither this shard's next group nor another's is mistaken for it."""
        placement = Placement("alp", 0, 1, is_alone=False)
        placement.arrange(BOOKS[:10], 10)
        placement.spill(0, BOOKS[5:10], 5)
        placement.arrange(BOOKS, 10)
        assert placement.groups[SPILLED] == tuple(BOOKS[5:10])
        assert held(placement) == Counter(BOOKS)

    @given(st.integers(1, 5), configurations, st.data())
    def test_each_topic_is_held_once_over_all_shards_whatever_they_learn_and_reload(
        self, parts: int, configurations: list[tuple[list[str], int]], data: st.DataObject
    ) -> None:
        """One that starts only now, with the last configuration, agrees with those that have lived through all."""
        placements = shards(parts, *configurations[0])
        for topics, max_topics in configurations:
            for placement in placements:
                placement.arrange(topics, max_topics)
                for number, group in list(placement.groups.items()):
                    limit = data.draw(st.integers(1, len(group)))
                    if limit < len(group):
                        placement.spill(number, group[limit:], limit)
            assert held(*placements) == Counter(topics)
            numbers = [n for placement in placements for n in placement.groups]
            assert len(numbers) == len(set(numbers))
        late = shards(parts, *configurations[-1])
        for part, fresh in enumerate(late):
            assert held(fresh) == held(placements[part])
