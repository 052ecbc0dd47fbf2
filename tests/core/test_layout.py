"""Topics to groups to frames to shards: nothing lost, nothing doubled, nothing moved without need."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.events import Operation
from alpmon.core.layout import frames, mine, owner, plan, rearrange

PAIRS = [f"P{n}_USDT" for n in range(12)]
TOPICS = [f"{channel}.{symbol}" for channel in ("trade", "ticker", "diff") for symbol in ("*", *PAIRS)]

topic_lists = st.lists(st.sampled_from(TOPICS), unique=True)
budgets = st.integers(1, 25)


def breaks_wildcard_rule(group: tuple[str, ...]) -> bool:
    channels = [topic.partition(".")[0] for topic in group]
    return any(topic.endswith(".*") and channels.count(topic[:-2]) > 1 for topic in group)


class TestPlan:
    def test_45_topics_within_20_make_three_groups(self) -> None:
        """The issue's own case: 20 + 20 + 5, in order."""
        topics = [f"market_depth.P{n}_USDT" for n in range(45)]
        assert plan(topics, 20) == [tuple(topics[:20]), tuple(topics[20:40]), tuple(topics[40:])]

    def test_wildcard_leaves_its_members_and_later_topics_fill_the_gap(self) -> None:
        """First fit: a group that had to be left open is filled by whoever may go there."""
        topics = ["trade.A_B", "trade.*", "ticker.*", "trade.C_D"]
        assert plan(topics, 3) == [("trade.A_B", "ticker.*", "trade.C_D"), ("trade.*",)]

    def test_wildcard_of_another_channel_is_no_conflict(self) -> None:
        """`ticker.*` says nothing about trades."""
        assert plan(["ticker.*", "trade.A_B"], 20) == [("ticker.*", "trade.A_B")]

    def test_channel_whose_name_starts_with_another_is_not_its_member(self) -> None:
        """A channel ends at the dot."""
        assert plan(["trade.*", "trades.A_B"], 20) == [("trade.*", "trades.A_B")]

    def test_repeated_topic_counts_once(self) -> None:
        """One subscription is enough."""
        assert plan(["trade.*", "trade.*"], 1) == [("trade.*",)]

    def test_no_topics_make_no_groups(self) -> None:
        """An empty target opens no connection."""
        assert plan([], 20) == []

    def test_group_without_room_is_refused(self) -> None:
        """A limit below one cannot be planned for."""
        with pytest.raises(ValueError, match="at least one topic"):
            plan(["trade.*"], 0)

    @given(topic_lists, budgets)
    def test_every_topic_once_within_the_limit_apart_from_its_wildcard(self, topics: list[str], budget: int) -> None:
        """Nothing lost or doubled, no group too large or empty, no frame that could mean two topics."""
        groups = plan(topics, budget)
        assert sorted(topic for group in groups for topic in group) == sorted(topics)
        assert all(1 <= len(group) <= budget for group in groups)
        assert not any(map(breaks_wildcard_rule, groups))

    @given(topic_lists, budgets)
    def test_at_most_one_group_more_than_the_smallest(self, topics: list[str], budget: int) -> None:
        """The docstring's bound; exact where no wildcard meets its members."""
        fewest = ceil(len(topics) / budget)
        count = len(plan(topics, budget))
        assert count <= fewest + 1
        if not breaks_wildcard_rule(tuple(topics)):
            assert count == fewest

    @given(topic_lists, budgets, st.integers(0, 40))
    def test_appending_topics_moves_none(self, topics: list[str], budget: int, cut: int) -> None:
        """Each group of the shorter list is the beginning of the same group of the longer one."""
        before, after = plan(topics[:cut], budget), plan(topics, budget)
        assert len(before) <= len(after)
        assert all(new[: len(old)] == old for old, new in zip(before, after, strict=False))


class TestRearrange:
    def test_a_topic_that_goes_moves_no_other_and_leaves_room_for_a_new_one(self) -> None:
        """Where a plan made afresh would move one topic of every group."""
        held = {0: ("diff.A_B", "diff.C_D"), 1: ("diff.E_F", "diff.G_H"), 2: ("diff.I_J",)}
        without = ["diff.C_D", "diff.E_F", "diff.G_H", "diff.I_J"]
        assert rearrange(held, without, 2) == {**held, 0: ("diff.C_D",)}
        assert rearrange(held, [*without, "diff.K_L"], 2) == {**held, 0: ("diff.C_D", "diff.K_L")}

    def test_a_group_that_nothing_is_left_of_is_gone_and_its_number_is_free(self) -> None:
        """For the next group that is needed, not before the gaps of the others are filled."""
        held = {0: ("diff.A_B",), 1: ("diff.C_D",)}
        assert rearrange(held, ["diff.C_D"], 1) == {1: ("diff.C_D",)}
        assert rearrange(held, ["diff.C_D", "diff.E_F"], 1) == {1: ("diff.C_D",), 0: ("diff.E_F",)}
        assert rearrange(held, ["diff.C_D", "diff.E_F"], 2) == {1: ("diff.C_D", "diff.E_F")}

    def test_a_wildcard_fills_no_gap_beside_its_members(self) -> None:
        """It comes with the member that goes, but only where no other one stays."""
        held = {0: ("trade.A_B", "trade.C_D")}
        assert rearrange(held, ["trade.C_D", "trade.*"], 2) == {0: ("trade.C_D",), 1: ("trade.*",)}

    def test_a_smaller_limit_moves_what_is_over_it(self) -> None:
        """And a larger one nothing."""
        held = {0: ("diff.A_B", "diff.C_D", "diff.E_F")}
        assert rearrange(held, held[0], 2) == {0: ("diff.A_B", "diff.C_D"), 1: ("diff.E_F",)}
        assert rearrange({0: ("diff.A_B",), 1: ("diff.C_D",)}, ["diff.A_B", "diff.C_D"], 2) == {
            0: ("diff.A_B",),
            1: ("diff.C_D",),
        }

    def test_a_group_without_room_keeps_what_it_has(self) -> None:
        """A limit learnt from the server says where new topics cannot go, and throws out none."""
        held = {0: ("diff.A_B", "diff.C_D")}
        assert rearrange(held, ["diff.A_B", "diff.C_D", "diff.E_F"], 9, room=1) == {**held, 1: ("diff.E_F",)}

    def test_added_groups_get_the_numbers_given(self) -> None:
        """Those in use are passed over."""
        held = {5: ("diff.A_B",)}
        topics = ["diff.A_B", "diff.C_D", "diff.E_F"]
        assert set(rearrange(held, topics, 1, numbers=[5, 7, 9, 11])) == {5, 7, 9}

    @given(topic_lists, topic_lists, budgets, budgets, budgets)
    def test_every_topic_once_and_none_moved_without_need(
        self, before: list[str], after: list[str], budget: int, later: int, room: int
    ) -> None:
        """From any groups to any others: the plan's own properties hold, and each move has its reason."""
        held = dict(enumerate(plan(before, budget)))
        groups = rearrange(held, after, later, room=min(room, later))
        assert sorted(topic for group in groups.values() for topic in group) == sorted(after)
        assert all(1 <= len(group) <= later for group in groups.values())
        assert not any(map(breaks_wildcard_rule, groups.values()))
        kept = {n: [topic for topic in group if topic in after][:later] for n, group in held.items()}
        for number, topics in kept.items():
            assert groups.get(number, ())[: len(topics)] == tuple(topics)

    @given(topic_lists, budgets)
    def test_the_same_configuration_again_changes_nothing(self, topics: list[str], budget: int) -> None:
        """A reload of anything else leaves the topics alone."""
        held = dict(enumerate(plan(topics, budget)))
        assert rearrange(held, topics, budget) == held


class TestFrames:
    def test_frame_may_be_exactly_as_long_as_the_limit(self) -> None:
        """The server reads `limit` bytes; one byte less and the topic starts a frame of its own."""
        both = b'["subscribe","trade.*","ticker.*"]'
        topics = ("trade.*", "ticker.*")
        assert frames(Operation.SUBSCRIBE, topics, len(both)) == [(both, topics)]
        assert [asked for _, asked in frames(Operation.SUBSCRIBE, topics, len(both) - 1)] == [
            ("trade.*",),
            ("ticker.*",),
        ]

    def test_topic_longer_than_a_frame_is_refused(self) -> None:
        """Sending it would end the connection with 1009."""
        with pytest.raises(ValueError, match=r"trade\.A_B"):
            frames(Operation.UNSUBSCRIBE, ["trade.A_B"], 20)

    @given(
        st.sampled_from(Operation),
        st.lists(st.text(max_size=20), max_size=40),
        st.integers(200, 800),
    )
    def test_frames_hold_all_topics_in_order_within_the_limit(
        self, operation: Operation, topics: list[str], max_bytes: int
    ) -> None:
        """Any text survives the packing, no frame is too long, and none could have taken the next topic as well."""
        packed = frames(operation, topics, max_bytes)
        assert [topic for _, asked in packed for topic in asked] == topics
        for frame, asked in packed:
            assert len(frame) <= max_bytes
            assert msgspec.json.decode(frame) == [operation, *asked]
        for (_, asked), (_, following) in pairwise(packed):
            assert len(msgspec.json.encode([operation, *asked, following[0]])) > max_bytes


class TestShards:
    def test_owner_is_the_same_everywhere(self) -> None:
        """Pinned: a change of these would move connections between shards that disagree during a rollout."""
        assert [owner("alp", group, 3) for group in range(12)] == [0, 2, 2, 1, 2, 1, 1, 2, 2, 0, 0, 2]
        assert [owner("spare", group, 3) for group in range(12)] == [0, 1, 0, 0, 0, 2, 2, 0, 0, 1, 1, 0]

    @given(st.text(max_size=10), st.integers(0, 60), st.integers(1, 12))
    def test_shards_partition_the_groups(self, target: str, group_count: int, shards: int) -> None:
        """Each group has exactly one owner, and keeps its number there."""
        groups = [(f"trade.P{n}_USDT",) for n in range(group_count)]
        parts = [mine(target, groups, index, shards) for index in range(shards)]
        assert sorted(n for part in parts for n in part) == list(range(group_count))
        assert all(part[n] == groups[n] for part in parts for n in part)

    @given(st.text(max_size=10), st.integers(0, 100), st.integers(1, 12))
    def test_added_shard_only_takes(self, target: str, group: int, shards: int) -> None:
        """A group stays where it was or goes to the shard that was added."""
        assert owner(target, group, shards + 1) in (owner(target, group, shards), shards)

    @pytest.mark.parametrize("shards", [1, 2, 4, 9])
    def test_added_shard_takes_its_share(self, shards: int) -> None:
        """Of 3000 groups about 1 in n + 1 moves."""
        moved = sum(owner("alp", group, shards + 1) == shards for group in range(3000))
        assert moved == pytest.approx(3000 / (shards + 1), rel=0.15)
