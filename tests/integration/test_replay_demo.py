"""The demo's first five minutes, recorded: the replay's verdicts are those of the live run, each at its moment."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from alpmon import simulation
from alpmon.config import parse, parse_duration, show
from alpmon.core.freshness import TopicState
from alpmon.exchange import Exchange, Settings
from alpmon.exchange.scenario import Scenario, Step, load, play
from alpmon.replay.replay import Replay
from alpmon.telemetry.untaped import read
from tests.integration.recording import Recorded, assert_same, retold
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alpmon.config import Config
    from alpmon.telemetry.entries import AnyEntry
    from alpmon.telemetry.monitor import Monitor

PACE = 15.0
"""The demo is played so many times as fast, and everything that it waits for passes as much sooner."""
FIRST_FIVE_MINUTES = 300.0
LOOK_SECONDS = 0.01
TOLD = (TopicState.STALE, TopicState.SILENT, TopicState.REJECTED, TopicState.QUIET)
CLOCKS_APART_SECONDS = 0.01
"""A printed moment has milliseconds, and comes from both clocks, which do not go alike."""


class Verdict(NamedTuple):
    """What is thought of one topic; `since` is monotonic and exact, whenever it was looked at."""

    state: TopicState
    since: float
    episodes: int
    stale_seconds: float
    stale_after: float


class Look(NamedTuple):
    """What was thought at a moment: verdicts by connection and topic, and for each connection what became of it."""

    now: float
    wall: float
    topics: dict[tuple[str, str], Verdict]
    connections: dict[str, tuple[bool, int, int]]


def look(monitor: Monitor, now: float, wall: float) -> Look:
    """At everything."""
    topics, connections = {}, {}
    for target in monitor.targets.values():
        for record in target.connections.values():
            name = f"{target.name}/{record.label}"
            connections[name] = record.up, record.disconnects.total(), record.failures.total()
            for topic in record.topics.values():
                judged = topic.freshness
                if judged is not None:
                    topics[name, topic.topic] = Verdict(
                        judged.state(now),
                        judged.since(now),
                        judged.episodes(now),
                        judged.stale_seconds(now),
                        judged.stale_after(),
                    )
    return Look(now, wall, topics, connections)


async def look_on(monitor: Monitor, looks: list[Look]) -> None:
    """Look at everything again and again, without the tape."""
    while True:
        looks.append(look(monitor, time.monotonic(), time.time()))
        await asyncio.sleep(LOOK_SECONDS)


def paced(value: Any) -> Any:
    """A part of a configuration file, every duration in it so much shorter."""
    if isinstance(value, dict):
        return {key: paced(each) for key, each in value.items()}
    if isinstance(value, list):
        return [paced(each) for each in value]
    try:
        return f"{round(parse_duration(value) / PACE * 1000)}ms"
    except (TypeError, ValueError):
        return value


def paced_exchange(settings: Settings) -> Settings:
    """One of the demo's exchanges."""
    interval, timeout = settings.ping_interval_seconds / PACE, settings.ping_timeout_seconds / PACE
    return replace(settings, rate=PACE, ping_interval_seconds=interval, ping_timeout_seconds=timeout)


def paced_scenario(scenario: Scenario) -> Scenario:
    """The demo's faults once, those that are late by something by so much less; `play` has the pace of the rest."""
    return Scenario(scenario.description, tuple(map(paced_step, scenario.steps)))


def paced_step(step: Step) -> Step:
    """One fault; what is in whole seconds has none left."""
    less = {"by": lambda seconds: seconds / PACE, "retry_after": lambda seconds: round(seconds / PACE)}
    now = {name: value for name in less if (value := getattr(step.fault, name, None)) is not None}
    return replace(step, fault=step.fault.model_copy(update={name: less[name](value) for name, value in now.items()}))


def paced_config(observed: Exchange, documented: Exchange, scenario: Scenario) -> Config:
    """The demo's own, as it comes out with every default."""
    config = simulation.demo_config("127.0.0.1:0", observed, documented, scenario)
    return parse(json.dumps(paced(yaml.safe_load(show(config)))), "the demo", {})


class Interrupted:
    """A replay that is looked at whenever the live run was."""

    def __init__(self, path: Path, looks: list[Look]) -> None:
        self.looks: list[Look] = []
        self._path = path
        self._due = iter(looks)
        self._replay = Replay(lambda _: None, lambda text: parse(text, "recording", {}), None)
        self._replay.run(self._entries())

    def _entries(self) -> Iterator[AnyEntry]:
        due = next(self._due, None)
        for entry in read(self._path):
            while due is not None and due.now < entry.now:
                self.looks.append(look(self._replay.monitor, due.now, due.wall))
                due = next(self._due, None)
            yield entry


def unlike(told: Look, live: Look) -> dict[Any, Any]:
    """What is not the same in both."""
    told_of, known = {**told.topics, **told.connections}, {**live.topics, **live.connections}
    assert list(told_of) == list(known)
    return {name: (told_of[name], value) for name, value in known.items() if told_of[name] != value}


def transitions(looks: list[Look]) -> dict[tuple[str, str], list[tuple[TopicState, float]]]:
    """Each state that a topic came into, and when, as far as anybody looked while it lasted."""
    seen: dict[tuple[str, str], list[tuple[TopicState, float]]] = defaultdict(list)
    for each in looks:
        for topic, verdict in each.topics.items():
            if not seen[topic] or seen[topic][-1][0] is not verdict.state:
                seen[topic].append((verdict.state, verdict.since))
    return dict(seen)


def printed(said: str) -> dict[tuple[str, str, str], list[float]]:
    """When each topic came into each state, by what the replay says; unix seconds."""
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for moment, name, topic, state in re.findall(r"^(\S+Z) (\S+/\S+) (\S+): \w+ -> (\w+)", said, re.MULTILINE):
        found[name, topic, state].append(datetime.fromisoformat(moment).timestamp())
    return found


async def test_the_demos_first_five_minutes_replayed_twice_give_the_verdicts_of_the_live_run(tmp_path: Path) -> None:
    """Both targets, every fault: the same states since the same moments, at each of many looks, and as printed."""
    demo = load("demo")
    looks: list[Look] = []
    async with AsyncExitStack() as stack:
        observed = await stack.enter_async_context(Exchange(paced_exchange(simulation.OBSERVED)))
        documented = await stack.enter_async_context(Exchange(paced_exchange(simulation.DOCUMENTED)))
        config = paced_config(observed, documented, demo)
        recorded = await stack.enter_async_context(Recorded(tmp_path / "demo.jsonl", config))
        records = [target.connections["0-0"] for target in recorded.monitor.targets.values()]
        await eventually(lambda: all(record.up for record in records), 30.0)
        looking = asyncio.create_task(look_on(recorded.monitor, looks))
        playing = asyncio.create_task(play(observed, paced_scenario(demo), pace=PACE))
        await asyncio.wait([playing], timeout=FIRST_FIVE_MINUTES / PACE)
        for task in (playing, looking):
            task.cancel()
    said, replayed = retold(recorded.path)
    assert retold(recorded.path)[0] == said
    assert_same(replayed, recorded.monitor)
    assert set(replayed.targets) == {"observed", "documented"}

    again = Interrupted(recorded.path, looks)
    assert len(again.looks) == len(looks) > 100
    for live, told in zip(looks, again.looks, strict=True):
        assert unlike(told, live) == {}, "(replayed, live)"
    assert transitions(again.looks) == transitions(looks)
    assert_printed(said, looks)

    observed_record = recorded.monitor.targets["observed"].connections["0-0"]
    # How much of a fault is met at this pace is the machine's business; that they are met at all is not.
    assert observed_record.disconnects.total() >= 3, said
    assert any(state is TopicState.STALE for state, _ in transitions(looks)["observed/0-0", "trade.*"]), said


def assert_printed(said: str, looks: list[Look]) -> None:
    """Each verdict of the live run that calls for somebody stands in the answer, with its moment."""
    moments, offset = printed(said), looks[-1].wall - looks[-1].now
    for (name, topic), states in transitions(looks).items():
        for state, since in states:
            if state in TOLD:
                told = moments[name, topic, state]
                assert any(abs(moment - offset - since) < CLOCKS_APART_SECONDS for moment in told), (name, topic, state)
