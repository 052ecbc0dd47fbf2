"""A whole monitor in the test's own process, against whatever it is pointed at, read as Prometheus reads it."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client.openmetrics import parser as openmetrics

from alpmon.config import parse
from alpmon.core.rates import SLOT_SECONDS
from alpmon.exchange.pairs import SYMBOLS
from alpmon.service import Service
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from alpmon.core.freshness import TopicState
    from alpmon.telemetry.state import ConnectionRecord, TopicRecord

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TARGET = "test"


class Scrape:
    """One reading of /metrics, parsed strictly."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def values(self, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
        """All samples of a name that carry these labels, by their remaining labels."""
        return {
            tuple(sorted(set(s.labels.items()) - set(labels.items()))): s.value
            for s in self.samples
            if s.name == name and labels.items() <= s.labels.items()
        }

    def value(self, name: str, **labels: str) -> float:
        """The sum over all samples of a name that carry these labels; fails where there is none."""
        found = self.values(name, **labels)
        assert found, f"no sample {name}{labels}"
        return sum(found.values())


class Monitored:
    """A running service and how to ask it."""

    def __init__(self, service: Service, http: aiohttp.ClientSession) -> None:
        self.service = service
        self._http = http

    def connection(self, label: str = "0-0") -> ConnectionRecord:
        """What was recorded of one connection."""
        return self.service.monitor.targets[TARGET].connections[label]

    def state(self, topic: str, label: str = "0-0") -> TopicState:
        """What is thought of a topic now."""
        freshness = self.connection(label).topics[topic].freshness
        assert freshness is not None
        return freshness.state(time.monotonic())

    def topics(self, target: str) -> list[TopicRecord]:
        """What was recorded of the topics of a target, on all its connections."""
        connections = self.service.monitor.targets[target].connections.values()
        return [topic for connection in connections for topic in connection.topics.values()]

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """One HTTP GET: status and text."""
        async with self._http.get(self.service.url + path, headers=headers) as response:
            return response.status, await response.text()

    async def scrape(self) -> Scrape:
        """One reading of /metrics."""
        status, text = await self.get("/metrics", Accept=OPENMETRICS)
        assert status == 200
        return Scrape(text)

    async def until_live(self, label: str = "0-0") -> None:
        """Wait until a connection has everything acknowledged or rejected."""
        await until(lambda: self.connection(label).state.value == "live")


until = partial(eventually, seconds=30.0)
"""Wait for a condition; a machine under load is slow, and that is no fault."""


def configuration(*targets: dict[str, Any], **more: Any) -> str:
    """A configuration file's text; JSON is YAML."""
    return json.dumps({"listen": "127.0.0.1:0", "targets": list(targets), **more})


def target(url: str, topics: list[str], **more: Any) -> dict[str, Any]:
    """One target that retries fast, because tests do not wait."""
    reconnect = {"initial": "50ms", "max": "200ms"}
    return {"name": TARGET, "url": url, "topics": topics, "reconnect": reconnect, **more}


def many_topics(count: int) -> list[str]:
    """Different valid topics of the simulated exchange."""
    made = (f"{channel}.{symbol}" for channel in ("market_depth", "trade", "diff") for symbol in sorted(SYMBOLS))
    return list(itertools.islice(made, count))


def teach_rate(topic: TopicRecord, messages_per_second: float) -> None:
    """What a quarter of an hour would have taught, which a test does not wait for."""
    now = time.time()
    for seconds_ago in range(900, 0, -round(SLOT_SECONDS)):
        topic.meter.rate.observe(round(messages_per_second * SLOT_SECONDS), SLOT_SECONDS, 2.0, now - seconds_ago)


@asynccontextmanager
async def monitoring(*targets: dict[str, Any], **more: Any) -> AsyncIterator[Monitored]:
    """A monitor of these targets, stopped at the end."""
    config = parse(configuration(*targets, **more), "test.yaml", {})
    async with aiohttp.ClientSession() as http, Service(config) as service:
        yield Monitored(service, http)
