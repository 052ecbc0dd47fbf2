"""All targets: that each is held, changes as its configuration does, and that all end together."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from alpmon.background import in_background
from alpmon.core.states import State
from alpmon.probe.fleet import Fleet
from alpmon.probe.siblings import judge_all
from alpmon.telemetry.labels import RELOAD
from alpmon.telemetry.state import TargetRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alpmon.config import Config, Target
    from alpmon.probe.siblings import Group
    from alpmon.telemetry.memory import Memory
    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.state import ConnectionRecord

STOP_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05
_ON_THE_WAY: Final = (State.WELCOMING, State.SUBSCRIBING)


class Supervisor:
    """Holds every connection that the configuration gives to this shard.

    Args:
        config: which connections.
        monitor: where everything is recorded; filled in by the constructor, so that a scrape finds every child.
        rng: the jitter of the reconnects.
    """

    def __init__(self, config: Config, monitor: Monitor, rng: Random, memory: Memory | None = None) -> None:
        self._config = config
        self._monitor = monitor
        self._rng = rng
        self._memory = memory
        self._fleets: dict[str, Fleet] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._judging: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        shard = config.shard
        monitor.shard_index, monitor.shard_count, monitor.shard_replicas = shard.part, shard.count, shard.replicas
        for target in config.targets:
            self._add(target)

    def start(self) -> None:
        """Begin to connect."""
        self._judging = in_background("siblings", lambda: judge_all(self._groups, self._monitor.tape))
        for fleet in self._fleets.values():
            fleet.start()
        self._note_attempts()

    def change(self, config: Config, now: float) -> None:
        """Hold another configuration from now on, monotonic seconds; what has not changed is not touched."""
        self._config = config
        wanted = {target.name: target for target in config.targets}
        for name in [name for name in self._fleets if name not in wanted]:
            self._remove(name, now)
        for name, target in wanted.items():
            fleet = self._fleets.get(name)
            if fleet is None:
                self._add(target).start()
                continue
            fleet.record.url, fleet.record.max_symbols = target.url, config.limits.max_symbols
            if fleet.target != target:
                fleet.change(target, now)

    async def stop(self) -> None:
        """Close every session with 1001; done within two seconds, whatever the peers do."""
        for task in (self._judging, self._settling):
            if task is not None:
                task.cancel()
        ending = [asyncio.create_task(fleet.stop()) for fleet in self._fleets.values()]
        ending += self._leaving
        if ending:
            _, late = await asyncio.wait(ending, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _add(self, target: Target) -> Fleet:
        monitor = self._monitor
        record = TargetRecord(target.name, target.url, max_symbols=self._config.limits.max_symbols, tape=monitor.tape)
        monitor.targets[target.name] = record
        fleet = Fleet(target, self._config.shard, record, self._rng, self._note_attempts, self._memory)
        self._fleets[target.name] = fleet
        return fleet

    def _remove(self, name: str, now: float) -> None:
        fleet = self._fleets.pop(name)
        fleet.release(now)
        leaving = asyncio.create_task(fleet.stop(RELOAD))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        del self._monitor.targets[name]

    def _groups(self) -> list[Group]:
        return [group for fleet in self._fleets.values() for group in fleet.groups]

    def _note_attempts(self) -> None:
        if self._settling is None and all(fleet.attempted for fleet in self._fleets.values()):
            self._settling = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        """Be ready once every first attempt has come to its acknowledgements, or to nothing.

        A roll-out ends the other holder of our topics as soon as we are ready. No exchange can hold it up: it has the
        time that the configuration gives a welcome and an acknowledgement.
        """
        timeouts = [fleet.target.timeouts for fleet in self._fleets.values()]
        patience = max((each.welcome + each.ack for each in timeouts), default=0.0)
        for _ in range(round(patience / _LOOK_SECONDS)):
            if not any(map(_is_on_its_way, self._records())):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self._monitor.first_attempts_made = True

    def _records(self) -> Iterator[ConnectionRecord]:
        for target in self._monitor.targets.values():
            yield from target.connections.values()


def _is_on_its_way(record: ConnectionRecord) -> bool:
    """Whether the first attempt has got somewhere and not to its end."""
    return record.state in _ON_THE_WAY and not record.failures and not record.disconnects
