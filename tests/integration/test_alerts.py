"""From a fault to the person: a real Prometheus, a real Alertmanager and the shipped rules, a minute in a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from alpmon.core.events import Dialect
from alpmon.exchange import scenario
from alpmon.exchange.faults import (
    Abort,
    Close,
    CrossBook,
    DelayAcks,
    DelayData,
    DropPings,
    Duplicate,
    Fault,
    Freeze,
    Garbage,
    HalfOpen,
    Mute,
    Payload,
    RefuseUpgrades,
    Reorder,
    Skew,
    Thin,
)
from grafana.source.rules import rules, variables
from tests.integration.alerting import Told, alertmanager, faster, webhook
from tests.integration.harness import monitoring, target, teach_rate
from tests.integration.prometheus import Prometheus, prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from alpmon.exchange import Exchange
    from alpmon.telemetry.state import TopicRecord
    from tests.conftest import StartExchange

WITHIN_SECONDS = 120.0
BOOK = "market_depth.BTC_USDT"
BURN = "AlpmonErrorBudgetBurn"
VARIABLES = {
    "reference_divergence_seconds": 1.5,  # the monitor's own figure, which does not run at the rules' pace
    "monitor_slow_ratio": 10,  # how busy the machine of the tests is proves nothing: far off, like the next three
    "pong_slow_share": 2,
    "feed_lag_seconds": 5,
    "ack_slow_seconds": 2.5,
}
CONNECTION = {"job": "alpmon", "connection": "0-0"}


@dataclass(frozen=True)
class Expected:
    """One alert: a piece of its description, and its labels beyond the target's name and `CONNECTION`; "" for none."""

    name: str
    text: str
    severity: str = "warning"
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A target with an exchange of its own: what is done to it, and which alerts that sets off; no others may come.

    Attributes:
        faults: made when all is well, and lifted when all alerts have fired; the alerts must resolve then.
        closes: how many sessions are closed, one after the other.
        sends: a frame to send.
        burns: whether the target's error budget burns as well; None where it may, as scrapes happen to fall.
        usual: messages a second that each topic is taught to be used to.
        may_follow: what the end of the fault may set off.
    """

    alerts: tuple[Expected, ...] = ()
    faults: tuple[Fault, ...] = ()
    closes: int = 0
    sends: str = ""
    dialect: Dialect = Dialect.OBSERVED
    topics: tuple[str, ...] = ("trade.*", BOOK)
    config: dict[str, Any] = field(default_factory=dict)
    market: dict[str, Any] = field(default_factory=dict)
    burns: bool | None = False
    usual: float | None = None
    may_follow: tuple[Expected, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether the trouble is over after the faults."""
        return bool(self.faults or self.closes or self.sends)


def topic_is(after: str, topics: str = "trade.*", **more: str) -> dict[str, Any]:
    """Freshness with a short fixed threshold for some topics, and limits that nothing reaches for the others."""
    override = {"topics": topics, "mode": "fixed", "after": after, **more}
    return {"freshness": {"default": {"mode": "fixed", "after": "5m", "silent_after": "5m"}, "overrides": [override]}}


TRADES = {"topic": "trade.*"}
CASES = {
    "observed": Case(),
    "documented": Case(dialect=Dialect.DOCUMENTED),
    "muted": Case(
        (Expected("AlpmonFeedStale", "trade.* of muted (connection 0-0) has delivered nothing ", "critical", TRADES),),
        (Mute(topic="trade.*"),),
        config=topic_is("3s"),
        burns=True,
    ),
    "silent": Case(
        (
            Expected(
                "AlpmonFeedSilent",
                "diff.BTC_USDT of silent (connection 0-0) was acknowledged ",
                labels={"topic": "diff.BTC_USDT"},
            ),
        ),
        topics=("trade.*", "diff.BTC_USDT"),
        config=topic_is("5m", "diff.*", silent_after="5s"),
    ),
    "late": Case(
        (Expected("AlpmonSubscribeAckSlow", "requests to late (connection 0-0) were acknowledged later than 2.5s"),),
        (DelayAcks(by=4.0),),
        config={"ack_probe_interval": "500ms"},
    ),
    "unknown": Case(
        (
            Expected(
                "AlpmonSubscribeRejected",
                "market_depth.NOPE_USDT of unknown (connection 0-0) was refused",
                labels={"topic": "market_depth.NOPE_USDT"},
            ),
        ),
        topics=("trade.*", "market_depth.NOPE_USDT"),
    ),
    "garbled": Case(
        (Expected("AlpmonMalformedFrames", "frames of garbled (connection 0-0) in the last 10 minutes"),), (Garbage(),)
    ),
    "erring": Case(
        (
            Expected(
                "AlpmonErrorFrames",
                "erring (connection 0-0) sent ",
                labels={"reason": "other"},
            ),
        ),
        sends='["error",1790139264,"Something went wrong"]',
    ),
    "refusing": Case(
        (
            Expected(
                "AlpmonConnectionDown",
                "Connection 0-0 of refusing is down, with 2 topics. It was last seen up at ",
                "critical",
            ),
            Expected(
                "AlpmonReconnectFailing",
                "to connect to refusing (connection 0-0) failed with http_status in the last 10 minutes",
                labels={"reason": "http_status"},
            ),
        ),
        (RefuseUpgrades(status=503), Abort()),
        burns=True,
    ),
    "flapping": Case(
        (Expected("AlpmonConnectionFlapping", "Most were ended by server with close_frame, code 1012."),),
        closes=6,
        burns=None,
    ),
    "unpinged": Case(
        (Expected("AlpmonPingOverdue", "Its welcome promised one every 2s."),),
        (DropPings(),),
        dialect=Dialect.DOCUMENTED,
        market={"ping_interval_seconds": 2.0, "ping_timeout_seconds": 60.0},
    ),
    "crossed": Case(
        tuple(
            Expected(
                "AlpmonFeedAnomalies",
                f"market_depth of crossed (connection 0-0) showed {kind}.",
                labels={"channel": "market_depth", "kind": kind},
            )
            for kind in ("crossed_book", "unsorted_book")
        ),
        (CrossBook(),),
    ),
    "delayed": Case(
        (
            Expected(
                "AlpmonFeedLagging",
                "of the trade messages of delayed (connection 0-0) arrived more than 5s after",
                "critical",
                {"channel": "trade"},
            ),
        ),
        (DelayData(topic="trade.*", by=7.0),),
        dialect=Dialect.DOCUMENTED,
        may_follow=tuple(  # what is delayed no more overtakes what still is
            Expected("AlpmonFeedAnomalies", "", labels={"channel": "trade", "kind": kind})
            for kind in ("trade_id_regression", "timestamp_regression")
        ),
    ),
    "repeating": Case(
        (
            Expected(
                "AlpmonFeedAnomalies",
                "trade of repeating (connection 0-0) showed trade_id_repeat.",
                labels={"channel": "trade", "kind": "trade_id_repeat"},
            ),
        ),
        (Duplicate(topic="trade.*"),),
    ),
    "reordered": Case(
        tuple(
            Expected(
                "AlpmonFeedAnomalies",
                f"trade of reordered (connection 0-0) showed {kind}.",
                labels={"channel": "trade", "kind": kind},
            )
            for kind in ("trade_id_regression", "timestamp_regression")
        ),
        (Reorder(topic="trade.*"),),
        dialect=Dialect.DOCUMENTED,
        market={"rate": 20.0},  # neighbours are seldom of one pair
    ),
    "frozen": Case(
        tuple(
            Expected("AlpmonFeedStale", f"{topic} of frozen (connection 0-0) has ", "critical", {"topic": topic})
            for topic in ("trade.*", "ticker.*")
        ),
        (Freeze(),),
        topics=("trade.*", "ticker.*"),
        config=topic_is("5s", "*"),
        burns=True,
    ),
    "thinned": Case(
        (
            Expected(
                "AlpmonFeedThin",
                "ticker.* of thinned (connection 0-0) delivers ",
                "critical",
                labels={"topic": "ticker.*"},
            ),
        ),
        (Thin(topic="ticker.*", keep=0.05),),
        topics=("ticker.*",),
        config=topic_is("5s", "ticker.*"),  # a rate is judged over a multiple of it
        market={"rate": 40.0},
        usual=36.0,
    ),
    "half-open": Case(
        (
            Expected("AlpmonFeedStale", "trade.* of half-open (connection 0-0) has ", "critical", TRADES),
            Expected("AlpmonPingOverdue", "half-open (connection 0-0) has sent no ping for "),
        ),
        (HalfOpen(),),
        dialect=Dialect.DOCUMENTED,
        config=topic_is("5s"),
        market={"ping_interval_seconds": 2.0, "ping_timeout_seconds": 60.0},
        burns=True,
    ),
    "skewed": Case(
        (
            Expected(
                "AlpmonClockOffset", "The exchange's is ahead. The condition has held since ", labels={"connection": ""}
            ),
        ),
        (Skew(by=3.0),),  # below the lag that pages: until the clock's step is noticed it is lag
        dialect=Dialect.DOCUMENTED,
        config={"ack_probe_interval": "500ms"},
    ),
    "deaf": Case(
        (Expected("AlpmonMissedMessages", "Connection 0-0 of deaf missed ", labels=TRADES),),
        (Mute(topic="trade.*", connections="first"),),
        config={"redundancy": 2},
    ),
    "diverged": Case(
        (
            Expected("AlpmonFeedStale", "trade.* of diverged (connection 0-0) ", "critical", TRADES),
            Expected(
                "AlpmonFeedDivergedFromReference", "REST has shown news on trade.* of diverged for ", "critical", TRADES
            ),
        ),
        (Mute(topic="trade.*"),),
        config=topic_is("3s"),
        burns=True,
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(5 * WITHIN_SECONDS)
async def test_each_fault_pages_with_its_own_alerts_which_resolve_and_the_healthy_targets_page_nobody(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Name, labels and text of each, through the shipped rules and the shipped Alertmanager configuration."""
    exchanges = {name: await exchange_of(start_exchange, case) for name, case in CASES.items()}
    targets = [target_of(name, case, exchanges[name]) for name, case in CASES.items()]
    (tmp_path / "rules.yaml").write_text(faster(rules(variables(VARIABLES))))
    async with (
        monitoring(*targets) as monitored,
        webhook() as (url, told),
        alertmanager(tmp_path, url) as address,
        prometheus(tmp_path, monitored.service.url.removeprefix("http://"), **alerting(address)) as server,
    ):
        await server.until(f'count(alpmon_connection_state{{alpmon_connection_state="live"}} == 1) == {len(CASES) + 1}')
        # what the text of a page says of better times has been recorded as well
        await server.until(f"count(connection:alpmon_connection_up:last_timestamp) == {len(CASES) + 1}")
        lift = [begin(case, exchanges[name], monitored.topics(name)) for name, case in CASES.items()]
        for name, case in CASES.items():
            await close_again_and_again(case.closes, exchanges[name], server, name)
        await none_left(lambda: missing(told))
        for end in lift:
            end()
        await none_left(lambda: still_firing(told))
        fired = await server.query('last_over_time(ALERTS{alertstate="firing"}[1h])')
        strays = unexpected([*map(dict, told.first), *(alert["metric"] for alert in fired)])
        assert not strays, "\n".join(strays)


def test_every_fault_of_the_demo_has_a_case() -> None:
    """A kind that a scenario of the demo gains needs an alert, or a reason for none."""
    tested = {fault.fault for case in CASES.values() for fault in case.faults}
    tested |= {"close" for case in CASES.values() if case.closes}
    played = {step.fault.fault for name in ("demo", "paging") for step in scenario.load(name).steps}
    assert played - tested == set()


def alerting(address: str) -> dict[str, Any]:
    """What Prometheus needs beyond what to scrape."""
    managers = [{"static_configs": [{"targets": [address]}]}]
    return {"rule_files": ["rules.yaml"], "alerting": {"alertmanagers": managers}}


async def exchange_of(start: StartExchange, case: Case) -> Exchange:
    """An exchange that is well, and a few times as busy as the real one."""
    return await start(dialect=case.dialect, **{"market": True, "rate": 4.0, **case.market})


def target_of(name: str, case: Case, exchange: Exchange) -> dict[str, Any]:
    """The target's configuration."""
    reference = {"reference": {"url": exchange.rest_url, "interval": "1s"}} if name == "diverged" else {}
    return target(exchange.url, list(case.topics), name=name, **topic_is("5m"), **reference) | case.config


def begin(case: Case, exchange: Exchange, topics: Iterable[TopicRecord]) -> Callable[[], None]:
    """Bring the trouble about; returns what ends it."""
    if case.usual is not None:
        for topic in topics:
            teach_rate(topic, case.usual)
    if case.sends:
        exchange.send(Payload(text=case.sends))
    ids = [exchange.faults.add(fault) for fault in case.faults]

    def end() -> None:
        for fault in ids:
            exchange.faults.lift(fault)

    return end


async def none_left(what: Callable[[], list[str]]) -> None:
    """Wait until there is none; fail with what is left."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_SECONDS):
            while what():  # noqa: ASYNC110 - it comes from another process
                await asyncio.sleep(0.1)
    assert not (left := what()), "\n".join(left)


async def close_again_and_again(times: int, exchange: Exchange, server: Prometheus, name: str) -> None:
    """Close each session as soon as Prometheus has seen it up, so that it never sees the connection down for long."""
    for ended in range(times):
        count = f'alpmon_session_duration_seconds_count{{target="{name}"}} == {ended}'
        await server.until(f'alpmon_connection_up{{target="{name}"}} == 1 and {count}')
        exchange.faults.add(Close(code=1012))


def matches(expected: Expected, labels: dict[str, str], name: str) -> bool:
    """Whether these are the alert's labels, every one of them."""
    named = {"alertname": expected.name, "severity": expected.severity, "target": name}
    wanted = {key: value for key, value in {**CONNECTION, **expected.labels, **named}.items() if value}
    return {key: value for key, value in labels.items() if key != "instance"} == wanted


def missing(told: Told) -> list[str]:
    """What has not fired yet, or fired with another text."""
    return [f"{name}: {alert}" for name, case in CASES.items() for alert in _missing(told, name, case)]


def _missing(told: Told, name: str, case: Case) -> list[str]:
    fired = [(dict(labels), told.first[labels]["description"]) for labels in told.about(name)]
    burning = any(labels["alertname"] == BURN for labels, _ in fired)
    absent = [
        alert.name
        for alert in case.alerts
        if not any(matches(alert, labels, name) and alert.text in text for labels, text in fired)
    ]
    return absent + [BURN] * (case.burns is True and not burning)


def unexpected(alerts: Iterable[dict[str, str]]) -> list[str]:
    """Those that belong to no case, whatever they are about; told to somebody or not."""
    return [f"{alert}" for alert in alerts if not _own(alert) and not _of_the_pace(alert)]


def _own(alert: dict[str, str]) -> bool:
    name = alert.get("target", "")
    case = CASES.get(name, Case())
    labels = {key: value for key, value in alert.items() if key not in ("__name__", "alertstate")}
    burns = case.burns is not False and labels["alertname"] == BURN
    return burns or any(matches(expected, labels, name) for expected in (*case.alerts, *case.may_follow))


def _of_the_pace(alert: dict[str, str]) -> bool:
    """Two minutes without a monitor are two seconds here: before the first scrape, and while a busy machine is late."""
    return alert["alertname"] == "AlpmonAbsent"


def still_firing(told: Told) -> list[str]:
    """What has not resolved yet, though its cause is gone; the budget's windows outlast the test."""
    return [
        f"{name}: {labels}"
        for name, case in CASES.items()
        for labels in told.about(name)
        if case.ends and told.status[labels] == "firing" and dict(labels)["alertname"] != BURN
    ]
