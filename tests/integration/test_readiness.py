"""`/-/ready`: what a roll-out waits for before it ends the other holder of the same topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alpmon.exchange.faults import DelayAcks, DropAcks, Fault, NoWelcome, RefuseUpgrades, StallUpgrades
from tests.integration.harness import monitoring, target, until

if TYPE_CHECKING:
    from tests.conftest import StartExchange


async def test_a_monitor_is_ready_when_its_topics_are_acknowledged(start_exchange: StartExchange) -> None:
    """And not before: until then it watches nothing."""
    exchange = await start_exchange()
    exchange.faults.add(DelayAcks(by=0.5))
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await until(lambda: monitored.connection().up)
        assert (await monitored.get("/-/ready"))[0] == 503
        await until(lambda: monitored.service.monitor.first_attempts_made)
        assert monitored.connection().topics["trade.*"].subscribed_wall > 0
        assert (await monitored.get("/-/ready"))[0] == 200


@pytest.mark.parametrize(
    "fault", [NoWelcome(), StallUpgrades(), RefuseUpgrades(status=503)], ids=lambda fault: fault.fault
)
async def test_an_exchange_that_is_not_well_holds_it_up_no_longer_than_an_attempt(
    start_exchange: StartExchange, fault: Fault
) -> None:
    """Its trouble is no reason to start a monitor again, nor to stop a roll-out."""
    exchange = await start_exchange()
    exchange.faults.add(fault)
    patience = {"connect": "200ms", "welcome": "200ms"}
    never_again = {"initial": "1m", "max": "1m"}
    async with monitoring(target(exchange.url, ["trade.*"], timeouts=patience, reconnect=never_again)) as monitored:
        await until(lambda: monitored.service.monitor.first_attempts_made)
        assert monitored.connection().failures.total() > 0
        assert not monitored.connection().up


async def test_an_exchange_that_answers_no_request_holds_it_up_no_longer_than_an_acknowledgement_may_take(
    start_exchange: StartExchange,
) -> None:
    """The topic is rejected then, and the connection lives."""
    exchange = await start_exchange()
    exchange.faults.add(DropAcks())
    async with monitoring(target(exchange.url, ["diff.BTC_USDT"], timeouts={"ack": "200ms"})) as monitored:
        await until(lambda: monitored.service.monitor.first_attempts_made)
        assert monitored.connection().up
        assert monitored.connection().topics["diff.BTC_USDT"].subscribed_wall == 0


async def test_a_monitor_that_holds_nothing_is_ready(start_exchange: StartExchange) -> None:
    """As a shard may, where there are more of them than connections."""
    exchange = await start_exchange()
    watched = target(exchange.url, ["trade.*"])
    async with (
        monitoring(watched, shard={"index": 0, "count": 2}) as one,
        monitoring(watched, shard={"index": 1, "count": 2}) as other,
    ):
        monitors = [one.service.monitor, other.service.monitor]
        await until(lambda: all(monitor.first_attempts_made for monitor in monitors))
        assert sorted(len(monitor.targets["test"].connections) for monitor in monitors) == [0, 1]
