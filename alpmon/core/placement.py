"""Which topics one process holds on which of its connections, from one configuration to the next.

Shards agree without a word, and can only on what each computes from the configuration alone: a topic that one of them
kept where it was, against the plan, would be held twice or by nobody once another one starts anew. So

- a process that holds a target alone keeps each topic on the connection where it is, as long as the limits allow;
  after a restart it is where the plan puts it;
- one of several follows the plan of the moment, and only what its servers had no room for, which no other one knows
  of, is placed by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, count
from typing import Final

from alpmon.core.layout import Group, mine, plan, rearrange

SPILLED: Final = 10_000
"""What group N of a shard's plan has no room for is numbered from (N + 1) times this, where no plan comes to: the same
numbers after each restart, and never those of a group that the next configuration plans."""


class Placement:
    """The topic groups that one process holds of one target.

    Args:
        target: its name.
        part: which part of the plan the process holds.
        parts: how many there are.
        is_alone: whether no other process holds anything of the target.

    Attributes:
        groups: topics by group number; the number is the connection's name everywhere.
        carrier: the group that carries what the target is asked for once; it may be another process's.
    """

    def __init__(self, target: str, part: int, parts: int, *, is_alone: bool) -> None:
        self.groups: dict[int, Group] = {}
        self.carrier = 0
        self._target = target
        self._part = part
        self._parts = parts
        self._is_alone = is_alone
        self._topics: Sequence[str] = ()
        self._max_topics = 1
        self._learnt: int | None = None

    def arrange(self, topics: Sequence[str], max_topics: int) -> None:
        """Hold these topics, or this process's part of them, with at most so many on a connection."""
        self._topics, self._max_topics = topics, max_topics
        self.groups = self._kept() if self._is_alone else self._planned()
        if self._is_alone and self.carrier not in self.groups:
            self.carrier = min(self.groups)

    def spill(self, group: int, overflow: Iterable[str], limit: int) -> None:
        """The server takes `limit` topics a connection: some of a group go where there is room, or to new groups."""
        leaving = frozenset(overflow)
        self._learnt = limit
        self.groups[group] = tuple(topic for topic in self.groups[group] if topic not in leaving)
        self.arrange(self._topics, self._max_topics)

    def forget_limit(self) -> None:
        """Another server may have room for more."""
        self._learnt = None

    @property
    def _room(self) -> int:
        return self._max_topics if self._learnt is None else min(self._max_topics, self._learnt)

    def _kept(self) -> dict[int, Group]:
        return rearrange(self.groups, self._topics, self._max_topics, room=self._room)

    def _planned(self) -> dict[int, Group]:
        groups: dict[int, Group] = {}
        planned = plan(self._topics, self._max_topics)
        for number, topics in mine(self._target, planned, self._part, self._parts).items():
            spilled = (number + 1) * SPILLED
            held = {n: group for n, group in self.groups.items() if n == number or n // SPILLED == number + 1}
            numbers = chain((number,), count(spilled))
            groups |= rearrange(held, topics, self._max_topics, room=self._room, numbers=numbers)
        return groups
