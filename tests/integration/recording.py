"""A monitor that records, what a replay of the recording says, and how both are compared."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from alpmon.cli import main
from alpmon.config import parse, show
from alpmon.replay.replay import Replay
from alpmon.service import Service
from alpmon.telemetry.tape import Tape
from alpmon.telemetry.untaped import read
from tests.integration.harness import TARGET, configuration

if TYPE_CHECKING:
    from pathlib import Path

    from alpmon.config import Config
    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.state import ConnectionRecord


def configured(*targets: dict[str, Any], **more: Any) -> Config:
    """A configuration of these targets."""
    return parse(configuration(*targets, **more), "test.yaml", {})


class Recorded:
    """A monitor with a tape, of a configuration that can be changed."""

    def __init__(self, path: Path, config: Config, **tape: Any) -> None:
        self.path = path
        self.config = config
        self.tape = Tape(path, show(config), "0", time.monotonic(), time.time(), **tape)
        self.service = Service(config, Random(1), tape=self.tape, source=lambda _: self.config)

    def reload(self, *targets: dict[str, Any], **more: Any) -> None:
        """Take up a good configuration."""
        self.config = configured(*targets, **more)
        assert self.service.reload() == []

    @property
    def monitor(self) -> Monitor:
        return self.service.monitor

    def connection(self, label: str = "0-0") -> ConnectionRecord:
        return self.monitor.targets[TARGET].connections[label]

    async def __aenter__(self) -> Recorded:
        await self.service.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.service.__aexit__(*error)
        self.tape.close()


def retold(path: Path, config: Config | None = None) -> tuple[str, Monitor]:
    """What a replay says, and the state that it ends in."""
    lines: list[str] = []
    replay = Replay(lines.append, lambda text: parse(text, "recording", {}), config)
    replay.run(read(path))
    return "\n".join(lines), replay.monitor


def verdicts(monitor: Monitor) -> dict[str, Any]:
    """Everything that alerts are made of, after the end: no clock is needed any more."""
    return {
        f"{name}/{record.label}": {
            "topics": {
                topic.topic: None
                if topic.freshness is None
                else (topic.messages, topic.freshness.episodes(0.0), topic.freshness.stale_seconds(0.0))
                for topic in record.topics.values()
            },
            "thresholds": {
                topic.topic: topic.freshness.stale_after() for topic in record.topics.values() if topic.freshness
            },
            "rates": {
                topic.topic: (repr(topic.meter.rate.ratio), topic.meter.rate.snapshot(), topic.meter.seen)
                for topic in record.topics.values()
            },
            "missed": {topic.topic: topic.standing.missed for topic in record.topics.values() if topic.standing},
            "delays": record.delivery_delay and record.delivery_delay.counts,
            "interarrival": {topic.topic: topic.interarrival.counts for topic in record.topics.values()},
            "disconnects": record.disconnects,
            "failures": record.failures,
            "frames": (record.data_frames, record.frames, record.malformed, record.unrouted),
            "errors": record.error_frames,
            "requests": (record.requests, record.request_failures),
            "pings": record.pings,
            "sessions": record.session_duration.counts,
            "anomalies": {channel: seen.anomalies for channel, seen in record.channels.items()},
            "lag": {channel: seen.lag.counts for channel, seen in record.channels.items()},
        }
        for name, target in monitor.targets.items()
        for record in target.connections.values()
    }


def assert_same(replayed: Monitor, live: Monitor) -> None:
    """The same verdicts; names each that is not."""
    told, known = verdicts(replayed), verdicts(live)
    assert list(told) == list(known)
    unlike = {
        f"{connection} {name}": (told[connection][name], value)
        for connection, found in known.items()
        for name, value in found.items()
        if told[connection][name] != value
    }
    assert unlike == {}, "(replayed, live)"


def run(*arguments: str) -> Any:
    """One command."""
    return CliRunner().invoke(main, list(arguments))
