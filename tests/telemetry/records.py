"""A monitor's state, as the probe builds it, and ways to scrape it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from alpmon.core.events import Dialect
from alpmon.core.freshness import Mode, Rule, TopicFreshness
from alpmon.core.reference import Watch
from alpmon.core.rest import question
from alpmon.core.sightings import Standing
from alpmon.core.states import State
from alpmon.telemetry.histogram import LATENCY_BUCKETS, Histogram
from alpmon.telemetry.metrics import register, render
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
STARTED_WALL = 1_790_000_000.0
RULE = Rule(Mode.FIXED, silent_after=30.0, after=10.0)
"""Stale after 10 s without a message, silent 30 s after an acknowledgement without any."""


class Clock:
    """Monotonic seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def connection(label: str = "0-0", topics: Iterable[str] = ("trade.*", "ticker.*")) -> ConnectionRecord:
    """One of several siblings, with a reference, so that it has all there is to have."""
    record = ConnectionRecord(label, State.CONNECTING, delivery_delay=Histogram(LATENCY_BUCKETS))
    for topic in topics:
        record.topics[topic] = TopicRecord(topic, TopicFreshness(RULE, 1000.0), standing=Standing(), watch=watch(topic))
    return record


def watch(topic: str) -> Watch:
    """Looks at REST every 30 s."""
    asked = question(topic)
    assert asked is not None
    return Watch(topic, asked, 30.0)


def fresh_monitor(*connections: ConnectionRecord, url: str = "wss://exchange.test/ws") -> Monitor:
    """One target `alp` with the connections given, or with one of two topics."""
    monitor = Monitor(started_wall=STARTED_WALL)
    records = connections or (connection(),)
    monitor.targets["alp"] = TargetRecord("alp", url, {record.label: record for record in records})
    return monitor


def bring_up(record: ConnectionRecord, now: float, wall: float = STARTED_WALL) -> None:
    """The session is welcomed, and every topic acknowledged."""
    record.state, record.established_wall, record.client_id = State.LIVE, wall, "client-1"
    record.dialect = Dialect.OBSERVED
    for topic in record.topics.values():
        if topic.freshness is not None:
            topic.freshness.up(now)
            topic.freshness.acknowledged(now)


class Scraper:
    """A registry over one monitor."""

    def __init__(self, monitor: Monitor, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.registry = CollectorRegistry()
        register(self.registry, monitor, self.clock)

    def text(self, accept: str = "") -> str:
        return render(self.registry, accept, "").body.decode()

    def families(self) -> dict[str, Metric]:
        """By OpenMetrics' name, through the strict parser."""
        return {family.name: family for family in parse_openmetrics(self.text(OPENMETRICS))}

    def samples(self) -> Iterator[Sample]:
        for family in parse_text(self.text()):
            yield from family.samples

    def value(self, name: str, **labels: str) -> float:
        """The one sample of that name whose labels include those given."""
        found = [s.value for s in self.samples() if s.name == name and labels.items() <= s.labels.items()]
        assert len(found) == 1, f"{len(found)} samples of {name} with {labels}"
        return found[0]

    def children(self, name: str) -> list[dict[str, str]]:
        """The labels of every sample of that name, without target and connection."""
        scope = ("target", "connection")
        return [
            {key: value for key, value in sample.labels.items() if key not in scope}
            for sample in self.samples()
            if sample.name == name
        ]
