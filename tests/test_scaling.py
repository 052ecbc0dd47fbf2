"""docs/scaling.md: its numbers of series are those of the program, and its rules do what it says."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from alpmon.config import parse
from alpmon.config.document import MAX_FILE_BYTES
from alpmon.core.layout import owner
from alpmon.probe.supervisor import Supervisor
from alpmon.telemetry.metrics import register
from alpmon.telemetry.monitor import Monitor
from tests.tools import require_tool

PAGE = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text()


TOPICS = 12


def registry(targets: list[dict[str, Any]], **env: str) -> CollectorRegistry:
    """What a process with this configuration shows from its first scrape on."""
    monitor, registry = Monitor(started_wall=0.0), CollectorRegistry()
    Supervisor(parse(json.dumps({"targets": targets}), env=env), monitor, Random(0))
    register(registry, monitor)
    return registry


def target(name: str, topics: int, per_connection: int = 20) -> dict[str, Any]:
    """So many topics, none of which is a wildcard."""
    names = [f"market_depth.S{number}_USDT" for number in range(topics)]
    return {"name": name, "url": f"ws://{name}/ws", "topics": names, "max_topics_per_connection": per_connection}


def samples(groups: int, topics: int) -> list[str]:
    """The names of all samples of one target with so many connections of so many topics."""
    shown = registry([target("t", groups * topics, topics)])
    return [sample.name for family in shown.collect() for sample in family.samples if "target" in sample.labels]


def costs(name: str) -> tuple[int, int]:
    """Series and buckets that the page gives for something."""
    (series, buckets) = re.findall(rf"^\| {name} \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)[0]
    return int(series), int(buckets)


def added(more: list[str], less: list[str]) -> tuple[int, int]:
    """How many series, and how many of them buckets, one has over the other."""
    buckets = [sum(name.endswith("_bucket") for name in names) for names in (more, less)]
    return len(more) - len(less), buckets[0] - buckets[1]


def test_a_topic_has_the_series_that_the_page_says() -> None:
    """What one more topic on the same connection adds."""
    assert added(samples(1, 3), samples(1, 2)) == costs("topic of a connection")


def test_a_connection_has_the_series_that_the_page_says() -> None:
    """What a second connection adds, less its topic."""
    series, buckets = added(samples(2, 1), samples(1, 1))
    topic_series, topic_buckets = costs("topic of a connection")
    assert (series - topic_series, buckets - topic_buckets) == costs("connection")


def test_a_target_has_the_series_that_the_page_says() -> None:
    """What is left of one connection of one topic."""
    series, buckets = added(samples(1, 1), [])
    parts = [costs("connection"), costs("topic of a connection")]
    left = series - sum(part[0] for part in parts), buckets - sum(part[1] for part in parts)
    assert left == costs("target of a shard that holds a connection of it")


def test_a_fleet_has_as_many_series_as_the_page_adds_up() -> None:
    """Over all shards: what one shows of its targets no other does."""
    targets = [target(f"t{number}", TOPICS) for number in range(100)]
    each = sum(costs(part)[0] for part in ("target of a shard that holds a connection of it", "connection"))
    each += TOPICS * costs("topic of a connection")[0]
    shown = []
    for index in range(8):
        shard = registry(targets, ALPMON_SHARD_INDEX=str(index), ALPMON_SHARD_COUNT="8")
        shown += [sample for family in shard.collect() for sample in family.samples if "target" in sample.labels]
    assert len(shown) == len(targets) * each
    assert {sample.labels["target"] for sample in shown} == {target["name"] for target in targets}


def test_a_process_has_the_series_that_the_page_says() -> None:
    """Whatever it holds."""
    shown = [sample for family in registry([target("t", 1)]).collect() for sample in family.samples]
    names = [sample.name for sample in shown if sample.name.startswith("alpmon_") and "target" not in sample.labels]
    assert added(names, []) == costs("process")


def test_the_arithmetic_of_10000_targets_is_that_of_the_series() -> None:
    """With all buckets, and without those that the page drops."""
    (pattern,) = re.findall(r'regex: "(\S+_bucket)", action: drop', PAGE)
    parts = [samples(1, 1), samples(2, 1), samples(1, 2)]
    kept = [sum(re.fullmatch(pattern, name) is None for name in names) for names in parts]
    sums = re.findall(r"\| 10 000 . \((\d+) \+ (\d+) \+ 12 . (\d+)\) \| (\d\.\d) million \|", PAGE)
    expected = []
    for one, two_connections, two_topics in ([len(names) for names in parts], kept):
        topic = two_topics - one
        connection = two_connections - one - topic
        target_itself = one - connection - topic
        million = f"{(target_itself + connection + 12 * topic) / 100:.1f}"
        expected.append((str(target_itself), str(connection), str(topic), million))
    assert sums == expected


def test_the_hash_is_as_even_as_the_page_says() -> None:
    """Over the shards of one release of the plan."""
    held = Counter(owner(f"target-{number}", 0, 25) for number in range(2500))
    assert f"hold {min(held.values())} to\n{max(held.values())}" in PAGE
    assert max(held.values()) <= 120


def test_the_configuration_of_a_release_fits() -> None:
    """As the chart writes it; the chart refuses a longer one."""
    (length,) = re.findall(r"2 500 . (\d+) bytes", PAGE)
    targets = [target(f"target-{number}", TOPICS) for number in range(1000, 3500)]
    for each in targets:
        each["url"] = f"wss://{each['name']}.example/ws"
        del each["max_topics_per_connection"]
    text = yaml.safe_dump({"targets": targets})
    assert len(text) / 2500 <= int(length)
    assert 2500 * int(length) < MAX_FILE_BYTES


def test_a_monitor_says_which_shard_it_holds_and_how_many_are_meant_to() -> None:
    """`AlpmonShardMissing` and `AlpmonShardDoubled` go by it."""
    shown = registry([target("t", 1)], ALPMON_SHARD_INDEX="alpmon-5", ALPMON_SHARD_COUNT="4", ALPMON_SHARD_REPLICAS="2")
    figures = ("alpmon_shard_index", "alpmon_shard_count", "alpmon_shard_replicas")
    assert [shown.get_sample_value(name) for name in figures] == [1, 4, 2]


def quorum_rules() -> dict[str, Any]:
    """The rules on the page."""
    blocks = re.findall(r"```yaml\n(groups:.*?)```", PAGE, re.DOTALL)
    (block,) = blocks
    rules: dict[str, Any] = yaml.safe_load(block)
    return rules


Saying = dict[str, int]
QUIET, STALE, DOWN, REJECTED = {"live": 1}, {"stale": 1}, {"down": 1}, {"rejected": 1}
STATES = ("down", "pending", "rejected", "silent", "live", "quiet", "stale")


def series(region: str, replica: int, saying: Saying) -> list[dict[str, str]]:
    """What one of a region's monitors says of one topic for ten minutes."""
    labels = f'region="{region}",target="alp",topic="trade.*",connection="0-0",instance="{region}:{replica}"'
    states = dict.fromkeys(STATES, 0) | saying
    return [
        {"series": f"alpmon_topic_stale{{{labels}}}", "values": f"{states['stale']}x10"},
        *(
            {"series": f'alpmon_topic_state{{{labels},alpmon_topic_state="{state}"}}', "values": f"{value}x10"}
            for state, value in states.items()
        ),
    ]


@pytest.mark.parametrize(
    ("regions", "exchange", "network"),
    [
        pytest.param([[QUIET], [QUIET], [QUIET]], False, [], id="all well"),
        pytest.param([[STALE], [QUIET], [QUIET]], False, ["r0"], id="one of three"),
        pytest.param([[STALE], [STALE], [QUIET]], True, [], id="two of three"),
        pytest.param([[STALE], [STALE], [STALE]], True, [], id="all"),
        pytest.param([[STALE], [STALE], [DOWN]], True, [], id="two, and one cannot tell"),
        pytest.param([[STALE], [QUIET], [DOWN]], False, ["r0"], id="one of the two that can tell"),
        pytest.param([[STALE], [DOWN], [REJECTED]], False, [], id="one, and nobody else can tell"),
        pytest.param([[STALE], [STALE], [QUIET], [QUIET]], False, ["r0", "r1"], id="as many as not"),
        pytest.param([[STALE, DOWN], [STALE], [QUIET]], True, [], id="a replica that is down hides nothing"),
        pytest.param([[STALE, QUIET], [STALE], [QUIET]], False, ["r1"], id="a region's replicas must agree"),
        pytest.param([[DOWN, DOWN], [STALE], [QUIET]], False, ["r1"], id="a region that is down altogether"),
    ],
)
def test_most_regions_that_can_tell_are_the_exchange_and_fewer_are_the_network(
    tmp_path: Path, regions: list[list[Saying]], exchange: bool, network: list[str]
) -> None:
    """By promtool, after each alert's `for`."""
    rules = quorum_rules()
    summaries = {rule["alert"]: rule["annotations"] for rule in rules["groups"][0]["rules"] if "alert" in rule}
    topic = {"target": "alp", "topic": "trade.*"}
    expected = {
        "AlpmonQuorumExchangeStale": [{"severity": "critical", **topic}] if exchange else [],
        "AlpmonQuorumNetworkStale": [{"severity": "warning", "region": region, **topic} for region in network],
    }
    alerts = [
        {
            "eval_time": "9m",
            "alertname": name,
            "exp_alerts": [{"exp_labels": labels, "exp_annotations": summaries[name]} for labels in found],
        }
        for name, found in expected.items()
    ]
    said = [
        each
        for region, replicas in enumerate(regions)
        for replica, saying in enumerate(replicas)
        for each in series(f"r{region}", replica, saying)
    ]
    test = {"interval": "1m", "input_series": said, "alert_rule_test": alerts}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    command = [require_tool("promtool"), "test", "rules", "test.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_as_much_is_sent_to_the_global_prometheus_as_the_page_says() -> None:
    """By the names that it keeps: of a topic, and of a connection."""
    (pattern,) = set(re.findall(r'regex: "(alpmon_topic_[^"]*\|ALERTS)"', PAGE))

    def sent(groups: int, topics: int) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in samples(groups, topics))

    topic = sent(1, 2) - sent(1, 1)
    words = re.findall(r"(\d+) series a topic instead of (\d+), and (\d+) a connection instead of (\d+)", PAGE)
    instead = costs("topic of a connection")[0], costs("connection")[0]
    assert [tuple(map(int, each)) for each in words] == [(topic, instead[0], sent(1, 1) - topic, instead[1])]
