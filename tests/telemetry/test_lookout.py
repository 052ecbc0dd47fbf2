"""Troubles that no frame tells of."""

from __future__ import annotations

from alpmon.core.freshness import Mode, Rule, TopicFreshness
from alpmon.core.states import State
from alpmon.telemetry.lookout import Lookout
from alpmon.telemetry.recorder import Trouble
from alpmon.telemetry.state import ConnectionRecord, TopicRecord
from tests.telemetry.records import fresh_monitor

WALL = 1_790_139_140.0


def test_the_lookout_finds_stale_topics_and_new_anomalies_once() -> None:
    """What no frame tells: each episode, each second with something new."""
    record = ConnectionRecord("0-0", State.LIVE)
    freshness = TopicFreshness(Rule(Mode.FIXED, after=10.0))
    record.topics["trade.*"] = TopicRecord("trade.*", freshness)
    freshness.up(0.0)
    freshness.acknowledged(0.0)
    lookout = Lookout(fresh_monitor(record))
    for now in (1.0, 9.0):
        lookout.look(now, WALL + now)
    assert record.recorder.incidents() == []
    for now in (11.0, 12.0, 13.0):
        lookout.look(now, WALL + now)
    (incident,) = record.recorder.incidents()
    assert (incident.kind, incident.reason) == (Trouble.STALE, "trade.*")
    assert incident.detail == "trade.* is stale, 11.0 s old"
    next(iter(record.channels.values())).anomalies["crossed_book"] += 3
    lookout.look(14.0, WALL + 14.0)
    lookout.look(40.0, WALL + 40.0)
    assert [incident.kind for incident in record.recorder.incidents()] == [Trouble.STALE, Trouble.ANOMALY]
    assert record.recorder.incidents()[-1].repeats == 0
