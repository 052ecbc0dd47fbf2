"""The shipped Alertmanager configuration, asked of a real one: who hears of what, and what silences what."""

from __future__ import annotations

import asyncio
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
import yaml

from tests.grafana import shipped
from tests.integration.alerting import running
from tests.tools import require_tool

if TYPE_CHECKING:
    from pathlib import Path

WITHIN_SECONDS: Final = 30.0
Labels = dict[str, str]


def alert(name: str, severity: str = "warning", **labels: str) -> Labels:
    """An alert's labels; those of no case need a job of their own."""
    return {"alertname": f"Alpmon{name}", "severity": severity, **labels}


ONE = {"target": "alp", "connection": "0-0"}
OTHER, THIRD, FOURTH = ({"target": "alp", "connection": f"{group}-0"} for group in (1, 2, 3))
TOPIC = {**ONE, "topic": "trade.*"}
OF_A_TOPIC = ("FeedStale", "FeedSilent", "FeedThin", "FeedLagging", "FeedDivergedFromReference", "FeedAnomalies")
OF_A_SESSION = ("MissedMessages", "SubscribeAckSlow", "SubscribeRejected", "ErrorFrames", "PingOverdue")


def elsewhere(labels: Labels) -> list[Labels]:
    """The same of another fleet, by each label that tells fleets apart."""
    return [{**labels, name: "other"} for name in ("cluster", "namespace", "service")]


def foreign(severity: str = "warning", **labels: str) -> Labels:
    """An alert that is not of these rules."""
    return {"alertname": "SomebodyElses", "severity": severity, **labels}


@dataclass(frozen=True)
class Case:
    """An alert, what is silenced while it fires, and what must be heard all the same."""

    by: Labels
    silenced: tuple[Labels, ...]
    heard: tuple[Labels, ...]


CASES: Final = {
    "a slow monitor is not heard about anything": Case(
        alert("MonitorSlow", instance="m1"),
        (
            alert("PongSlow", **ONE, instance="m1"),
            alert("ClockOffset", target="alp", instance="m1"),
            alert("ConfigReloadFailed", instance="m1"),
            alert("FeedAnomalies", **ONE, channel="trade", kind="crossed_book", instance="m1"),
        ),
        (
            alert("PongSlow", **ONE, instance="m2"),
            *elsewhere(alert("PongSlow", **ONE, instance="m1")),
            foreign(instance="m1"),
            alert("MonitorSlow", instance="m3"),
            alert("MonitorSlow", "critical", **OTHER),
            alert("FeedStale", "critical", **TOPIC),
            alert("ErrorBudgetBurn", "critical", target="alp", long_window="1h"),
            alert("ShardMissing", "critical"),
        ),
    ),
    "a connection of slow monitors is not judged, as of a slow shard; the others are": Case(
        alert("MonitorSlow", "critical", **OTHER),
        (
            alert("FeedStale", "critical", **OTHER, topic="ticker.*"),
            alert("ConnectionDown", "critical", **OTHER),
            alert("ReplicasDisagree", **OTHER),
            alert("PongSlow", **OTHER, instance="m1"),
        ),
        (
            alert("MonitorSlow", instance="m1"),
            alert("MonitorSlow", "critical", **THIRD),
            alert("FeedStale", "critical", **TOPIC),
            alert("FeedStale", "critical", **{**OTHER, "target": "other"}, topic="ticker.*"),
            *elsewhere(alert("FeedStale", "critical", **OTHER, topic="ticker.*")),
            foreign(**OTHER),
            alert("ConnectionDown", "critical", **FOURTH),
            alert("ErrorBudgetBurn", "critical", target="alp", long_window="1h"),
            alert("Absent", instance="m2"),
            alert("ShardMissing", "critical"),
        ),
    ),
    "a connection that is down explains what its topics and requests suffer": Case(
        alert("ConnectionDown", "critical", **ONE),
        (
            *(alert(name, "critical", **TOPIC) for name in OF_A_TOPIC),
            *(alert(name, **TOPIC, instance="m1") for name in OF_A_SESSION),
        ),
        (
            *(alert(name, "critical", **OTHER, topic="trade.*") for name in OF_A_TOPIC),
            *(alert(name, **OTHER, topic="trade.*") for name in OF_A_SESSION),
            alert("FeedStale", "critical", **{**TOPIC, "target": "other"}),
            *elsewhere(alert("FeedStale", "critical", **TOPIC)),
            alert("ReconnectFailing", **ONE, instance="m1", reason="dns"),
            alert("ConnectionFlapping", **ONE, instance="m1"),
            alert("CertificateExpiring", target="alp"),
            alert("ErrorBudgetBurn", "critical", target="alp", long_window="1h"),
        ),
    ),
    "who is paged about a topic need not be told of it": Case(
        alert("FeedSilent", "critical", **TOPIC),
        (alert("FeedSilent", **TOPIC),),
        (
            alert("FeedSilent", **ONE, topic="ticker.*"),
            *elsewhere(alert("FeedSilent", **TOPIC)),
            alert("FeedSilent", **{**TOPIC, "connection": "1-0"}),
            foreign("critical", **TOPIC),
            foreign(**TOPIC),
            alert("FeedStale", **TOPIC),
            alert("FeedThin", "critical", **TOPIC),
        ),
    ),
    "who is paged about a target's budget need not be told that it burns slowly as well": Case(
        alert("ErrorBudgetBurn", "critical", target="alp", long_window="1h"),
        (
            alert("ErrorBudgetBurn", target="alp", long_window="1d"),
            alert("ErrorBudgetBurn", target="alp", long_window="3d"),
        ),
        (
            alert("ErrorBudgetBurn", "critical", target="alp", long_window="6h"),
            alert("ErrorBudgetBurn", target="other", long_window="1d"),
            alert("CertificateExpiring", target="alp"),
        ),
    ),
    "who is paged that there is no monitor need not be told of each": Case(
        alert("Absent", "critical"),
        (alert("Absent", instance="m1"), alert("Absent", instance="m2", namespace="other")),
        (alert("ShardMissing", "critical"), alert("ConfigReloadFailed", instance="m1")),
    ),
}


def key(labels: Labels) -> tuple[tuple[str, str], ...]:
    """Labels as a key."""
    return tuple(sorted(labels.items()))


def of_case(name: str, labels: Labels) -> Labels:
    """An alert of a case, in a job of its own: no two cases silence each other's."""
    return {"job": name, **labels}


POSTED: Final = [
    *(of_case(name, labels) for name, case in CASES.items() for labels in (case.by, *case.silenced, *case.heard)),
    *({"job": "routes", "alertname": rule["alert"], **rule["labels"]} for rule in shipped.alerts()),
    foreign("critical", job="routes"),
]
Answer = dict[tuple[tuple[str, str], ...], dict[str, Any]]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """What a real Alertmanager says of all alerts, once it silences all that it should, or does not in time."""
    return asyncio.run(_ask(tmp_path_factory.mktemp("alertmanager")))


async def _ask(folder: Path) -> Answer:
    async with running(folder, shipped.ALERTMANAGER.read_text()) as address, aiohttp.ClientSession() as http:
        url = f"http://{address}/api/v2/alerts"
        async with http.post(url, json=[{"labels": labels} for labels in POSTED]) as response:
            assert response.status == 200
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                while not _settled(said := await _read(http, url)):  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        return said


async def _read(http: aiohttp.ClientSession, url: str) -> Answer:
    async with http.get(url) as response:
        return {key(told["labels"]): told for told in await response.json()}


def _settled(said: Answer) -> bool:
    """Whether every alert is there and whatever should be silenced is; each source has been seen by then."""
    expected = [key(of_case(name, labels)) for name, case in CASES.items() for labels in case.silenced]
    return len(said) == len(POSTED) and all(said[labels]["status"]["inhibitedBy"] for labels in expected)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_silences_what_it_explains_and_nothing_else(answer: Answer, name: str) -> None:
    """Both ways: what it must silence, and what must be heard beside it."""
    case = CASES[name]
    quiet = [
        labels
        for labels in (case.by, *case.silenced, *case.heard)
        if answer[key(of_case(name, labels))]["status"]["inhibitedBy"]
    ]
    assert quiet == list(case.silenced)


@pytest.mark.parametrize("rule", shipped.alerts(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_critical_pages_and_a_warning_waits_for_office_hours(answer: Answer, rule: shipped.Rule) -> None:
    """Every alert that is shipped, and to nobody else."""
    told = answer[key({"job": "routes", "alertname": rule["alert"], **rule["labels"]})]
    expected = {"critical": "page", "warning": "office"}[rule["labels"]["severity"]]
    assert [receiver["name"] for receiver in told["receivers"]] == [expected]


def test_an_alert_of_somebody_else_does_not_page(answer: Answer) -> None:
    """The route is for these rules' alerts; what else comes in is the user's to route."""
    told = answer[key(foreign("critical", job="routes"))]
    assert [receiver["name"] for receiver in told["receivers"]] == ["office"]


def test_amtool_takes_the_alertmanager_snippet() -> None:
    """As a whole configuration."""
    command = [require_tool("amtool"), "check-config", str(shipped.ALERTMANAGER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_inhibitions_name_alerts_that_exist() -> None:
    """A pattern that matches no alert silences nothing."""
    names = {alert["alert"] for alert in shipped.alerts()}
    for rule in yaml.safe_load(shipped.ALERTMANAGER.read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            [(name, pattern)] = re.findall(r'(\w+) *(?:=~|!=|=) *"(.*)"', matcher)
            if name == "alertname":
                parts = pattern.split("|")
                assert all(any(re.fullmatch(part, alert) for alert in names) for part in parts), matcher
