"""The server's clock and the feed's lag over a real socket: the exchange skews its clock, and knows by how much."""

from __future__ import annotations

import time
from math import isnan
from typing import TYPE_CHECKING

import pytest

from alpmon.core.events import Dialect
from alpmon.core.topics import Channel
from alpmon.exchange.faults import DelayAcks, DelayData, DropAcks, Freeze, Payload, Skew
from tests.integration.harness import TARGET, Monitored, monitoring, target, until

if TYPE_CHECKING:
    from alpmon.core.clock import Reading
    from tests.conftest import StartExchange

PROBING = {"ack_probe_interval": "250ms"}
GOOD_ENOUGH = {Dialect.DOCUMENTED: (0.020, 4.0), Dialect.OBSERVED: (0.150, 12.0)}
"""Half-width in seconds, and the seconds it may take."""


def reading(monitored: Monitored) -> Reading:
    return monitored.service.monitor.targets[TARGET].clock.reading(time.monotonic(), time.time())


def future_trade(number: int, ahead: float) -> Payload:
    return Payload(text=f'["t",{time.time() + ahead:.6f},{number},"BTC_USDT","1","1","buy"]')


@pytest.mark.parametrize("skew", [0.0, 2.75, -40.3])
@pytest.mark.parametrize("dialect", GOOD_ENOUGH)
async def test_a_skewed_clock_is_found_within_its_stated_error(
    start_exchange: StartExchange, dialect: Dialect, skew: float
) -> None:
    """As small an error as promised, in the time promised, and the truth inside it at every look."""
    exchange = await start_exchange(dialect=dialect)
    exchange.faults.add(Skew(by=skew))
    half_width, seconds = GOOD_ENOUGH[dialect]
    looks: list[Reading] = []

    def good_enough() -> bool:
        looks.append(reading(monitored))
        return looks[-1].error_seconds < half_width

    async with monitoring(target(exchange.url, ["trade.*"], **PROBING)) as monitored:
        await monitored.until_live()
        await until(good_enough, seconds=seconds)
        for look in looks:
            assert abs(look.offset_seconds - skew) <= look.error_seconds
        scrape = await monitored.scrape()
        error = scrape.value("alpmon_clock_offset_error_seconds", target=TARGET)
        assert scrape.value("alpmon_clock_offset_seconds", target=TARGET) == pytest.approx(skew, abs=error)


async def test_a_step_in_mid_session_is_found(start_exchange: StartExchange) -> None:
    """Both ways; the last acknowledgement counts."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED)
    async with monitoring(target(exchange.url, ["trade.*"], **PROBING)) as monitored:
        await until(lambda: reading(monitored).error_seconds < 0.02)
        for skew in (3.0, -1.5):
            exchange.faults.clear()
            exchange.faults.add(Skew(by=skew))
            await until(lambda skew=skew: abs(reading(monitored).offset_seconds - skew) < 0.02)  # type: ignore[misc]
            assert abs(reading(monitored).offset_seconds - skew) <= reading(monitored).error_seconds


async def test_a_frame_from_the_future_is_counted_and_an_acknowledgement_asked_for(
    start_exchange: StartExchange,
) -> None:
    """Probing is a minute away, yet the step is found at once: the feed itself raised the doubt."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED)
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await until(lambda: reading(monitored).error_seconds < 0.02)
        exchange.faults.add(Skew(by=5.0))
        exchange.send(future_trade(1, 5.0))
        await until(lambda: abs(reading(monitored).offset_seconds - 5.0) < 0.02)
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_negative_lag_total", channel="trade") == 1
        assert scrape.value("alpmon_subscribe_requests_total", op="probe") == 1
        exchange.send(future_trade(2, 5.0))
        await until(lambda: monitored.connection().data_frames == 2)
        assert (await monitored.scrape()).value("alpmon_negative_lag_total", channel="trade") == 1


async def test_one_wrong_stamp_does_not_move_the_clock(start_exchange: StartExchange) -> None:
    """The acknowledgement that it provokes says that nothing has stepped; its lag counts as 0."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED)
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await until(lambda: reading(monitored).error_seconds < 0.02)
        for number in range(3):
            exchange.send(future_trade(number, 1e6))
        await until(lambda: monitored.connection().ack["probe"].count == 1)
        assert abs(reading(monitored).offset_seconds) <= reading(monitored).error_seconds
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_negative_lag_total", channel="trade") == 3
        assert scrape.value("alpmon_feed_lag_seconds_sum", channel="trade") == 0.0
        assert scrape.value("alpmon_feed_lag_seconds_count", channel="trade") == 3


@pytest.mark.parametrize("skew", [0.0, 7.0, -7.0])
async def test_the_lag_is_what_the_exchange_waited(start_exchange: StartExchange, skew: float) -> None:
    """300 ms from stamp to socket read 300 ms, whatever the exchange's clock says; a bucket names the session."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED, market=True, rate=100.0)
    exchange.faults.add(DelayData(by=0.3))
    exchange.faults.add(Skew(by=skew))
    unknown = exchange.faults.add(Freeze())
    async with monitoring(target(exchange.url, ["trade.*"], **PROBING)) as monitored:
        await until(lambda: reading(monitored).error_seconds < 0.02)
        exchange.faults.lift(unknown)
        await until(lambda: monitored.connection().data_frames >= 50)
        assert monitored.connection().channels[Channel.TRADE].lag.count == monitored.connection().data_frames
        scrape = await monitored.scrape()
        count = scrape.value("alpmon_feed_lag_seconds_count", channel="trade")
        assert scrape.value("alpmon_feed_lag_seconds_sum", channel="trade") / count == pytest.approx(0.3, abs=0.08)
        assert scrape.value("alpmon_feed_lag_seconds_bucket", channel="trade", le="0.25") == 0
        assert scrape.value("alpmon_negative_lag_total", channel="trade") == 0
        named = [s.exemplar for s in scrape.samples if s.name == "alpmon_feed_lag_seconds_bucket" and s.exemplar]
        assert named
        assert all(exemplar.labels["client_id"] == monitored.connection().client_id for exemplar in named)


async def test_a_whole_second_is_an_upper_bound_of_the_lag(start_exchange: StartExchange) -> None:
    """A stamp that was cut makes up to a second of it: nothing is below 0, and nothing above 1 s but what is late."""
    exchange = await start_exchange(dialect=Dialect.OBSERVED, market=True, rate=100.0)
    async with monitoring(target(exchange.url, ["trade.*"], **PROBING)) as monitored:
        await until(lambda: reading(monitored).error_seconds < 0.15)
        await until(lambda: monitored.connection().data_frames >= 50)
        exchange.faults.add(Freeze())
        await until(lambda: monitored.connection().data_frames == exchange.ledger.connections[0].data.frames)
        scrape = await monitored.scrape()
        count = scrape.value("alpmon_feed_lag_seconds_count", channel="trade")
        assert scrape.value("alpmon_negative_lag_total", channel="trade") == 0
        assert scrape.value("alpmon_feed_lag_seconds_sum", channel="trade") / count < 1.5
        assert scrape.value("alpmon_feed_lag_seconds_bucket", channel="trade", le="2.5") == count


async def test_nothing_is_said_of_a_clock_that_nothing_bounds(start_exchange: StartExchange) -> None:
    """Without an acknowledgement the offset is NaN, and so no lag is told; never a guess."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED)
    exchange.faults.add(DropAcks())
    async with monitoring(target(exchange.url, ["trade.*"], **PROBING)) as monitored:
        await until(lambda: bool(exchange.sessions and exchange.sessions[0].topics))
        exchange.send(future_trade(1, 0.0))
        await until(lambda: monitored.connection().data_frames == 1)
        scrape = await monitored.scrape()
        assert isnan(scrape.value("alpmon_clock_offset_seconds", target=TARGET))
        assert isnan(scrape.value("alpmon_clock_offset_error_seconds", target=TARGET))
        assert scrape.value("alpmon_feed_lag_seconds_count", channel="trade") == 0


async def test_acknowledgements_after_their_deadline_do_not_mislead(start_exchange: StartExchange) -> None:
    """An answer may be that of a request given up before: the interval is wider for it, and true."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED)
    async with monitoring(
        target(exchange.url, ["trade.*"], ack_probe_interval="200ms", timeouts={"ack": "150ms"})
    ) as monitored:
        await until(lambda: reading(monitored).error_seconds < 0.02)
        exchange.faults.add(DelayAcks(by=0.25))
        failures = monitored.connection().request_failures
        await until(lambda: failures["probe", "timeout"] >= 1)
        answered = monitored.connection().ack["probe"].count
        await until(lambda: monitored.connection().ack["probe"].count >= answered + 5)
        look = reading(monitored)
        assert abs(look.offset_seconds) <= look.error_seconds


async def test_the_connections_of_a_target_share_its_clock(start_exchange: StartExchange) -> None:
    """One estimate a target, without a connection label."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED)
    options = {"redundancy": 2, **PROBING}
    async with monitoring(target(exchange.url, ["trade.*"], **options)) as monitored:
        await monitored.until_live("0-0")
        await monitored.until_live("0-1")
        scrape = await monitored.scrape()
        assert list(scrape.values("alpmon_clock_offset_seconds", target=TARGET)) == [()]
        assert abs(reading(monitored).offset_seconds) <= reading(monitored).error_seconds
