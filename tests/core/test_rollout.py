"""What is watched while a StatefulSet's pods are replaced: new pods first, then one at a time from the last ordinal."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.layout import owner

GROUPS = range(60)
SHARDS = st.integers(1, 9)


def held(ordinal: int, shard_count: int) -> set[int]:
    """The groups of a pod."""
    return {group for group in GROUPS if owner("t", group, shard_count) == ordinal % shard_count}


def rollout(before: int, after: int, replicas: int) -> Iterator[tuple[int | None, set[int]]]:
    """Each moment at which a pod is away, and the groups held by those that are there; None while all are there."""
    pods = {ordinal: held(ordinal, before) for ordinal in range(before * replicas)}
    for ordinal in range(before * replicas, after * replicas):
        pods[ordinal] = held(ordinal, after)
        yield None, set().union(*pods.values())
    for ordinal in sorted(range(min(before, after) * replicas), reverse=True):
        del pods[ordinal]
        yield ordinal, set().union(*pods.values())
        pods[ordinal] = held(ordinal, after)


@given(SHARDS, SHARDS, st.integers(2, 3))
def test_with_replicas_nothing_is_ever_unwatched_while_shards_are_added(one: int, other: int, replicas: int) -> None:
    """Until the lower pods have their turn they still hold everything between them; then the upper ones do."""
    for _, groups in rollout(min(one, other), max(one, other), replicas):
        assert groups == set(GROUPS)


@given(st.integers(1, 9))
def test_without_replicas_only_what_a_replaced_pod_keeps_is_unwatched(before: int) -> None:
    """What moves to the new shard is held by it before its old pod goes."""
    for ordinal, groups in rollout(before, before + 1, 1):
        kept = set() if ordinal is None else held(ordinal, before) & held(ordinal, before + 1)
        assert set(GROUPS) - groups == kept


@given(SHARDS, st.integers(1, 3))
def test_when_it_is_over_each_group_is_held_as_often_as_there_are_replicas(shards: int, replicas: int) -> None:
    """Neither more nor less."""
    pods = [held(ordinal, shards) for ordinal in range(shards * replicas)]
    assert all(sum(group in pod for pod in pods) == replicas for group in GROUPS)
