"""Topics to topic groups (one connection each), groups to request frames, groups to shards.

A plan is a pure function of the configuration, so every shard computes the same one alone, and a restart gives each
topic the connection it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import count
from typing import Final, TypeAlias

from alpmon.core.events import Operation
from alpmon.core.protocol import request

Group: TypeAlias = tuple[str, ...]

_WILDCARD: Final = ".*"


def plan(topics: Iterable[str], max_topics: int) -> list[Group]:
    """Distribute topics over as few groups as stability allows: each goes to the first group that takes it.

    A wildcard and its own members never share a group: the exchange does not echo the topic, so their frames could
    not be told apart. Topics appended later change no earlier topic's group; a repeated topic counts once.

    No stable plan can always be the smallest. With two topics a group, `trade.A, diff.A` must share one group to be
    fewest; then `trade.B, trade.*` need a group each, where a plan made afresh would need two in all. First fit
    stays within one group of the smallest: of two groups with room, every topic of the later one conflicts with the
    earlier one, and no topic can conflict with two groups that also conflict with each other, so there are never
    three groups with room. Without wildcards that meet their members it is exactly the smallest.

    Args:
        topics: topics in the configuration's order.
        max_topics: most topics of a group, at least 1.
    """
    return list(rearrange({}, topics, max_topics).values())


def rearrange(
    held: Mapping[int, Group],
    topics: Iterable[str],
    max_topics: int,
    *,
    room: int | None = None,
    numbers: Iterable[int] | None = None,
) -> dict[int, Group]:
    """Distribute other topics with the fewest moves: what is held stays, gaps are filled, only then groups are added.

    Args:
        held: the present groups by number; a topic is in one of them at most.
        topics: what shall be held instead, in the configuration's order.
        max_topics: most topics of a group, at least 1; one that holds more keeps its first.
        room: a group of so many topics takes no more; `max_topics` if None.
        numbers: those of groups that are added, where not in use; the lowest ones if None.

    Returns:
        The groups by number; one that nothing is left of is gone.
    """
    if max_topics < 1:
        raise ValueError(f"a group holds at least one topic, not {max_topics}")
    wanted = dict.fromkeys(topics)
    kept = {n: [topic for topic in held[n] if topic in wanted][:max_topics] for n in sorted(held)}
    groups = {n: dict.fromkeys(group) for n, group in kept.items() if group}
    placed = {topic for group in groups.values() for topic in group}
    free = iter(count() if numbers is None else numbers)
    most = max_topics if room is None else room
    for topic in wanted:
        if topic in placed:
            continue
        home = next((g for g in groups.values() if len(g) < most and not _conflicts(topic, g)), None)
        if home is None:
            home = groups[next(n for n in free if n not in groups)] = {}
        home[topic] = None
    return {n: tuple(group) for n, group in groups.items()}


def _conflicts(topic: str, group: Iterable[str]) -> bool:
    """Whether the group holds the topic's wildcard or, for a wildcard, one of its members."""
    channel, _, _ = topic.partition(".")
    wildcard = channel + _WILDCARD
    if topic == wildcard:
        return any(other.partition(".")[0] == channel for other in group)
    return wildcard in group


def frames(operation: Operation, topics: Sequence[str], max_frame_bytes: int) -> list[tuple[bytes, Group]]:
    """Pack topics, in order, into the fewest request frames that the server will read.

    Returns:
        Each frame's bytes with the topics it asks for.

    Raises:
        ValueError: a single topic does not fit; the server would close the connection over it (1009).
    """
    packed: list[list[str]] = []
    for topic in topics:
        if len(request(operation, [topic])) > max_frame_bytes:
            raise ValueError(f"a request for {topic!r} alone is longer than {max_frame_bytes} bytes")
        if packed and len(request(operation, [*packed[-1], topic])) <= max_frame_bytes:
            packed[-1].append(topic)
        else:
            packed.append([topic])
    return [(request(operation, frame), tuple(frame)) for frame in packed]


def owner(target: str, group: int, shard_count: int) -> int:
    """The shard that holds a group: rendezvous hashing, the highest score wins.

    A shard that is added takes groups only from the others to itself, about one in `shard_count`; no group moves
    between two shards that stay. blake2b, unlike `hash()`, is the same in every process and Python version.
    """
    return max(range(shard_count), key=lambda shard: _score(target, group, shard))


def _score(target: str, group: int, shard: int) -> bytes:
    return blake2b(f"{target}\0{group}\0{shard}".encode(), digest_size=16).digest()


def mine(target: str, groups: Sequence[Group], index: int, shard_count: int) -> dict[int, Group]:
    """The groups of one shard, by their number in the plan: the number is the connection's name everywhere."""
    return {n: group for n, group in enumerate(groups) if owner(target, n, shard_count) == index}
