"""What is learnt, over a restart: kept by target and topic, and no bad file is any harm."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from alpmon.core.freshness import Mode, Rule, TopicFreshness
from alpmon.core.states import State
from alpmon.telemetry.memory import Memory
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord
from tests.waiting import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def topic(name: str, seed: int = 0, gap: float = 0.0, rule: Rule | None = None) -> TopicRecord:
    """A topic that has seen an hour of messages, `gap` seconds apart on average; 0.0 for none."""
    freshness = TopicFreshness(rule or Rule())
    record = TopicRecord(name, freshness)
    rng = random.Random(seed)
    freshness.up(0.0)
    freshness.acknowledged(0.0)
    now = 0.0
    while gap and now < 3600.0:
        now += rng.expovariate(1 / gap)
        freshness.message(now)
        record.messages += 1
    for slot in range(400 if gap else 0):
        record.meter.rate.observe(round(2 / gap), 2.0, 5.0, 2.0 * slot)
    return record


def monitor_of(**connections: list[TopicRecord]) -> Monitor:
    monitor = Monitor(started_wall=0.0)
    target = monitor.targets["alp"] = TargetRecord("alp", "ws://h/")
    for label, topics in connections.items():
        target.connections[label] = ConnectionRecord(label, State.LIVE, topics={each.topic: each for each in topics})
    return monitor


def threshold(record: TopicRecord) -> float:
    assert record.freshness is not None
    return record.freshness.stale_after()


def topics_in(path: Path) -> dict[str, Any]:
    """The file, as far as it is about topics."""
    return json.loads(path.read_text())["topics"]  # type: ignore[no-any-return]


def spoil(path: Path, name: str) -> None:
    content = json.loads(path.read_text())
    content["topics"]["alp"][name]["cadence"] = {"known": "nothing"}
    path.write_text(json.dumps(content))


async def saved(path: Path, **connections: list[TopicRecord]) -> None:
    await Memory(path).save(monitor_of(**connections))


async def test_a_topic_knows_after_the_restart_what_it_knew_before(path: Path) -> None:
    """Threshold and usual rate, on whichever connection the topic is now."""
    before = topic("trade.*", gap=1.0)
    await saved(path, a=[topic("ticker.*"), before])
    after = topic("trade.*")
    assert threshold(after) == 600.0
    Memory(path).recall("alp", after)
    assert threshold(after) == pytest.approx(threshold(before), rel=0.01)
    assert after.meter.rate.snapshot() == before.meter.rate.snapshot()


async def test_of_several_connections_the_busiest_is_kept(path: Path) -> None:
    """A replica that was down for an hour knows less."""
    busy = topic("trade.*", gap=1.0)
    await saved(path, a=[topic("trade.*")], b=[busy], c=[topic("trade.*")])
    after = topic("trade.*")
    Memory(path).recall("alp", after)
    assert threshold(after) == pytest.approx(threshold(busy), rel=0.01)


async def test_other_targets_and_topics_get_nothing(path: Path) -> None:
    """What was learnt belongs to one topic of one target."""
    await saved(path, a=[topic("trade.*", gap=1.0)])
    for target, name in (("other", "trade.*"), ("alp", "trade.BTC_USDT")):
        after = topic(name)
        Memory(path).recall(target, after)
        assert threshold(after) == 600.0
        assert after.meter.rate.snapshot() is None


async def test_a_topic_that_is_no_longer_held_is_dropped(path: Path) -> None:
    """The file does not grow with everything that ever was."""
    await saved(path, a=[topic("trade.*", gap=1.0), topic("ticker.*", gap=1.0)])
    memory = Memory(path)
    kept = topic("trade.*")
    memory.recall("alp", kept)
    await memory.save(monitor_of(a=[kept]))
    assert list(topics_in(path)["alp"]) == ["trade.*"]


async def test_what_was_restored_and_never_used_is_saved_again(path: Path) -> None:
    """A monitor whose target is down all day forgets nothing."""
    await saved(path, a=[topic("trade.*", gap=1.0)])
    first = topics_in(path)
    memory = Memory(path)
    idle = topic("trade.*")
    memory.recall("alp", idle)
    await memory.save(monitor_of(a=[idle]))
    second = topics_in(path)
    assert second["alp"]["trade.*"]["rate"] == first["alp"]["trade.*"]["rate"]
    assert threshold(idle) < 600.0


async def test_a_fixed_threshold_stays_fixed(path: Path) -> None:
    """The rate is restored, the cadence has nowhere to go."""
    await saved(path, a=[topic("trade.*", gap=1.0)])
    after = topic("trade.*", rule=Rule(Mode.FIXED, after=77.0))
    Memory(path).recall("alp", after)
    assert threshold(after) == 77.0
    assert after.meter.rate.snapshot() is not None


async def test_private_channels_are_not_in_it(path: Path) -> None:
    """Nothing is judged there, so nothing is learnt."""
    await saved(path, a=[TopicRecord("wallet", None, messages=9), topic("trade.*")])
    assert list(topics_in(path)["alp"]) == ["trade.*"]


def test_a_file_that_is_not_ours_is_set_aside_with_one_warning(path: Path) -> None:
    """And a new one takes its place."""
    path.write_text("precious notes")
    with capture_logs() as logs:
        memory = Memory(path)
    assert [(each["log_level"], each["event"]) for each in logs] == [
        ("warning", "state file is no use and was set aside")
    ]
    assert logs[0]["set_aside"] == f"{path}.bad"
    asyncio.run(memory.save(monitor_of(a=[topic("trade.*", gap=1.0)])))
    assert Path(f"{path}.bad").read_text() == "precious notes"
    assert list(topics_in(path)["alp"]) == ["trade.*"]


async def test_what_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    """A directory in its place, say: one warning, and the monitor goes on without."""
    path = tmp_path / "state.json"
    path.mkdir()
    with capture_logs() as logs:
        memory = Memory(path)
        await memory.save(monitor_of(a=[topic("trade.*", gap=1.0)]))
        await memory.save(monitor_of(a=[topic("trade.*", gap=1.0)]))
    assert [each["event"] for each in logs] == ["state file cannot be read and is left alone"]
    assert path.is_dir()
    assert os.listdir(tmp_path) == ["state.json"]  # noqa: PTH208 - nothing blocks here


async def test_one_spoilt_entry_costs_one_topic(path: Path) -> None:
    """Its neighbours know what they knew."""
    await saved(path, a=[topic("trade.*", gap=1.0), topic("ticker.*", gap=1.0)])
    spoil(path, "ticker.*")
    spoilt, sound = topic("ticker.*"), topic("trade.*")
    with capture_logs() as logs:
        memory = Memory(path)
        memory.recall("alp", spoilt)
        memory.recall("alp", sound)
    assert [(each["event"], each["topic"]) for each in logs] == [("what was saved of a topic is no use", "ticker.*")]
    assert threshold(spoilt) == 600.0
    assert threshold(sound) < 600.0


async def test_a_file_that_cannot_be_written_is_told_once_and_tried_again(tmp_path: Path) -> None:
    """Its folder is missing and comes back."""
    path = tmp_path / "folder" / "state.json"
    monitor = monitor_of(a=[topic("trade.*", gap=1.0)])
    with capture_logs() as logs:
        memory = Memory(path)
        await memory.save(monitor)
        await memory.save(monitor)
        path.parent.mkdir()
        await memory.save(monitor)
    assert [each["event"] for each in logs] == ["state file cannot be written; will be tried again"]
    assert list(topics_in(path)["alp"]) == ["trade.*"]


async def test_it_is_written_now_and_then(path: Path) -> None:
    """Until cancelled; a save that follows at once waits for the one that was running."""
    monitor = monitor_of(a=[topic("trade.*", gap=1.0)])
    memory = Memory(path)
    task = asyncio.create_task(memory.keep(monitor, interval=0.001))
    await eventually(path.exists)
    task.cancel()
    monitor.targets["alp"].connections["b"] = ConnectionRecord("b", State.LIVE, topics={"diff.*": topic("diff.*")})
    await memory.save(monitor)
    assert list(topics_in(path)["alp"]) == ["trade.*", "diff.*"]
