"""Each built-in scenario shows what its line in `alpmon demo --help` promises: played faster, to the demo's monitor."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from click.testing import CliRunner

from alpmon.cli import main
from alpmon.core.freshness import TopicState
from alpmon.core.sightings import Timing
from alpmon.exchange.scenario import Scenario, load, names, play
from alpmon.service import Service
from alpmon.simulation import demo_config
from alpmon.telemetry.statefile import Learnt, save
from tests.integration.harness import until
from tests.integration.test_freshness import learnt_rate
from tests.integration.test_reference import alert_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
    from pathlib import Path

    from alpmon.config import Config
    from alpmon.exchange import Exchange
    from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord
    from tests.conftest import StartExchange

PROMISES = {
    "anomalies": "crossed books, repeated trades, trades out of order",
    "deaf_sibling": "one connection of two goes deaf on a topic",
    "flaky": "connections that break and are hard to get back",
    "frozen_books": "the stream's books freeze and REST shows news",
    "healthy": "nothing ever goes wrong",
    "muted": "one topic goes mute and its neighbours do not",
    "paused": "the whole market pauses: quiet, and no page",
    "silent": "a topic is acknowledged and never delivers",
    "skewed": "the server's clock is 3 s ahead for a while",
    "thin": "a feed goes on at 2 % of its rate",
}
TRADES, TICKERS = "trade.*", "ticker.*"
BITCOIN, ETHER, RESTING = "market_depth.BTC_USDT", "market_depth.ETH_USDT", "market_depth.ZEC_USDC"
BOOKS = {BITCOIN, ETHER}
BUSY = {TRADES, TICKERS, *BOOKS}
CROWD = 5.0
"""How many times denser the market is than the scenario is fast: a machine that stumbles must not look like a fault."""
OBSERVED = "observed"
ROUNDS_SECONDS = 80.0
"""Long enough for two rounds, where a busy machine may need the second."""


class Play(NamedTuple):
    """A scenario under way, and the monitor that watches it."""

    exchange: Exchange
    service: Service

    @property
    def target(self) -> TargetRecord:
        return self.service.monitor.targets[OBSERVED]

    @property
    def connections(self) -> list[ConnectionRecord]:
        return list(self.target.connections.values())

    def topic(self, topic: str, connection: int = 0) -> TopicRecord:
        return self.connections[connection].topics[topic]

    def states(self, connection: int = 0) -> dict[str, TopicState]:
        now, topics = time.monotonic(), self.connections[connection].topics.values()
        return {topic.topic: topic.freshness.state(now) for topic in topics if topic.freshness is not None}

    def are(self, wanted: TopicState, topics: Iterable[str], connection: int = 0) -> bool:
        states = self.states(connection)
        return all(states[topic] is wanted for topic in topics)

    def stale_seconds(self, topics: Iterable[str]) -> list[float]:
        records = [connection.topics[topic] for connection in self.connections for topic in topics]
        return [t.freshness.stale_seconds(time.monotonic()) for t in records if t.freshness is not None]


def sooner(config: Config, pace: float, connect_timeout: float) -> Config:
    """The demo's target that the scenario is played to, whose thresholds and waits are shorter."""
    [target] = [target for target in config.targets if target.name == OBSERVED]
    rules = target.freshness
    freshness = rules.model_copy(
        update={
            "default": rules.default.model_copy(update=_shorter(rules.default, pace)),
            "overrides": tuple(rule.model_copy(update=_shorter(rule, pace)) for rule in rules.overrides),
        }
    )
    changes = {
        "freshness": freshness,
        "reference": target.reference.model_copy(update=_shorter(target.reference, pace)),
        "reconnect": target.reconnect.model_copy(update=_shorter(target.reconnect, pace)),
        "timeouts": target.timeouts.model_copy(update={"connect": connect_timeout, "welcome": connect_timeout}),
    }
    return config.model_copy(update={"targets": (target.model_copy(update=changes),)})


def _shorter(section: Any, pace: float) -> dict[str, float]:
    """Every duration of a section."""
    fields = {name: getattr(section, name) for name in type(section).model_fields if name != "factor"}
    return {name: value / pace for name, value in fields.items() if isinstance(value, float)}


@asynccontextmanager
async def playing(
    start_exchange: StartExchange,
    name: str,
    pace: float,
    *,
    story: Scenario | None = None,
    crowd: float = CROWD,
    first: bool = False,
    thresholds: float | None = None,
    connect_timeout: float = 10.0,
    ready: Callable[[Play], bool] = lambda _: True,
    **options: Any,
) -> AsyncIterator[Play]:
    """A scenario, so many times as fast: from when the monitor is ready for it, or `first` and then the monitor."""
    story = story or load(name)
    exchange = await start_exchange(market=True, seed=1, rate=pace * crowd)
    config = demo_config("127.0.0.1:0", exchange, exchange, story)
    config = sooner(config, thresholds or pace, connect_timeout).model_copy(update=options)
    async with AsyncExitStack() as stack:
        if first:
            await stack.enter_async_context(_task(play(exchange, story, pace=pace)))
            await until(lambda: bool(exchange.faults))
        seen = Play(exchange, await stack.enter_async_context(Service(config)))
        await until(lambda: all(connection.state.value == "live" for connection in seen.connections))
        if not first:
            await until(lambda: ready(seen))
            await stack.enter_async_context(_task(play(exchange, story, pace=pace)))
        yield seen


@asynccontextmanager
async def _task(running: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(running)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def have_spoken(seen: Play) -> bool:
    """Every busy topic has delivered often enough to be learnt."""
    return all(connection.topics[topic].messages >= 20 for connection in seen.connections for topic in BUSY)


def anomalies(seen: Play) -> dict[tuple[str, str], int]:
    """By channel and kind, what is not zero."""
    channels = seen.connections[0].channels
    return {(channel, kind): n for channel in channels for kind, n in channels[channel].anomalies.items() if n}


def test_every_scenario_keeps_its_promise_here() -> None:
    """The lines of the help, but for the two that show every kind of trouble: their alerts are held to them."""
    said = CliRunner().invoke(main, ["demo", "--help"]).output
    listed = said.partition("Built-in scenarios:")[2].partition("Options:")[0]
    lines = dict(line.split(maxsplit=1) for line in listed.splitlines() if line.strip())
    assert {name: line for name, line in lines.items() if not line.startswith("each kind of trouble")} == PROMISES
    assert names().keys() == lines.keys()


async def test_healthy(start_exchange: StartExchange) -> None:
    """Nothing is stale for a moment, no session ends, no attempt fails; half an hour of it is in test_simulation."""
    async with playing(start_exchange, "healthy", 1, crowd=100.0) as seen:
        await until(lambda: all(seen.topic(topic).messages >= 500 for topic in (TRADES, TICKERS)))
        await until(lambda: seen.topic(RESTING).messages)
        assert set(seen.stale_seconds({*BUSY, RESTING})) == {0.0}
        assert anomalies(seen) == {}
        [connection] = seen.connections
        assert (connection.attempts, connection.session_duration.count) == (1, 0)


async def test_muted(start_exchange: StartExchange) -> None:
    """Stale, while the others are live; live again afterwards."""
    async with playing(start_exchange, "muted", 10, ready=have_spoken) as seen:
        await until(lambda: seen.are(TopicState.STALE, {TRADES}) and seen.are(TopicState.LIVE, BUSY - {TRADES}))
        await until(lambda: not seen.exchange.faults)
        await until(lambda: seen.are(TopicState.LIVE, BUSY))


async def test_silent(start_exchange: StartExchange) -> None:
    """Acknowledged, and not a frame of it; its neighbour delivers."""
    async with playing(start_exchange, "silent", 30, first=True) as seen:
        await until(lambda: seen.are(TopicState.SILENT, {BITCOIN}) and seen.are(TopicState.LIVE, {ETHER}))
        entry = seen.exchange.ledger.connections[-1]
        assert any(BITCOIN in reply.topics for reply in entry.acks)
        assert BITCOIN not in entry.topics
        assert seen.topic(BITCOIN).messages == 0


@pytest.mark.slow
async def test_paused(start_exchange: StartExchange) -> None:
    """Everything that is past its threshold is quiet, on both connections; stale for less than an alert waits for."""
    async with playing(start_exchange, "paused", 4, ready=have_spoken) as seen:

        def all_quiet() -> bool:
            return bool(seen.exchange.faults) and all(
                seen.are(TopicState.QUIET, {TRADES, TICKERS}, connection)
                and TopicState.STALE not in seen.states(connection).values()
                for connection in (0, 1)
            )

        await until(all_quiet, seconds=ROUNDS_SECONDS)
        await until(lambda: not seen.exchange.faults)
        await until(lambda: all(seen.are(TopicState.LIVE, BUSY, connection) for connection in (0, 1)))
        assert max(seen.stale_seconds(BUSY)) < alert_for("AlpmonFeedStale")
        assert seen.target.reference_failures == 0


@pytest.mark.slow
async def test_frozen_books(start_exchange: StartExchange) -> None:
    """Stale by what REST shows; what it has no news of is not."""
    async with playing(start_exchange, "frozen_books", 12, ready=have_spoken) as seen:

        def diverging(topic: str) -> bool:
            watch = seen.topic(topic).watch
            return watch is not None and watch.divergence(time.monotonic()) > 0.0

        await until(lambda: all(map(diverging, BOOKS)) and seen.are(TopicState.STALE, BOOKS), seconds=ROUNDS_SECONDS)
        assert not any(map(diverging, BUSY - BOOKS))
        await until(lambda: seen.are(TopicState.LIVE, BUSY - BOOKS))


@pytest.mark.slow
async def test_deaf_sibling(start_exchange: StartExchange) -> None:
    """Found on that connection: stale there and live on the other, and only there messages are missed."""

    def both_answer(seen: Play) -> bool:
        standings = [connection.topics[TRADES].standing for connection in seen.connections]
        return all(one is not None and time.monotonic() > one.since + Timing().grace for one in standings)

    async with playing(start_exchange, "deaf_sibling", 10, ready=both_answer) as seen:
        oldest = seen.exchange.sessions[0].entry.client_id
        deaf, other = sorted((0, 1), key=lambda number: seen.connections[number].client_id != oldest)
        await until(
            lambda: (
                seen.are(TopicState.STALE, {TRADES}, deaf)
                and seen.are(TopicState.LIVE, BUSY - {TRADES}, deaf)
                and seen.are(TopicState.LIVE, BUSY, other)
            )
        )
        accounts = [seen.topic(TRADES, connection).standing for connection in (deaf, other)]
        await until(lambda: accounts[0] is not None and accounts[0].missed > 20)
        assert accounts[1] is not None
        assert accounts[1].missed == 0


@pytest.mark.slow
async def test_flaky(start_exchange: StartExchange) -> None:
    """Sessions end one after the other, attempts fail in several ways, and each time the connection comes back."""
    async with playing(start_exchange, "flaky", 10, connect_timeout=1.0) as seen:
        [connection] = seen.connections
        await until(lambda: connection.session_duration.count >= 4 and len(connection.failures) >= 2)
        await until(lambda: connection.state.value == "live" and seen.are(TopicState.LIVE, {TRADES, TICKERS}))
        assert {code for _, code, _ in connection.disconnects} >= {"1001", "1006"}
        assert connection.attempts >= connection.session_duration.count + connection.failures.total()


@pytest.mark.slow
async def test_anomalies(start_exchange: StartExchange) -> None:
    """Each kind is counted, and none that was not committed."""
    committed = {
        ("market_depth", "crossed_book"),
        ("market_depth", "unsorted_book"),  # the sides have changed places, so each is in the other's order
        ("trade", "trade_id_repeat"),
        ("trade", "trade_id_regression"),
    }
    by_the_way = {("trade", "timestamp_regression")}  # where two that changed places have stamps of two seconds
    async with playing(start_exchange, "anomalies", 10) as seen:
        await until(lambda: anomalies(seen).keys() >= committed)
        assert anomalies(seen).keys() <= committed | by_the_way


@pytest.mark.slow
async def test_skewed(start_exchange: StartExchange) -> None:
    """The truth is within the stated error: before, while it is skewed, and after."""
    async with playing(start_exchange, "skewed", 6) as seen:

        def within(truth: float) -> bool:
            look = seen.target.clock.reading(time.monotonic(), time.time())
            return abs(look.offset_seconds - truth) <= look.error_seconds < 1.0

        await until(lambda: within(0.0))
        await until(lambda: bool(seen.exchange.faults) and within(3.0))
        await until(lambda: not seen.exchange.faults and within(0.0))


@pytest.mark.slow
async def test_thin(start_exchange: StartExchange, tmp_path: Path) -> None:
    """Found by the rate and by nothing else; what is learnt in fifteen minutes comes from a state file."""
    pace, crowd, waiting = 10.0, 10.0, 14.5 * 60.0
    path = tmp_path / "state.json"
    save(path, {OBSERVED: {TICKERS: Learnt(rate=learnt_rate(pace * crowd / 1.1))}}, time.time())
    scenario = load("thin")
    story = replace(scenario, steps=tuple(replace(step, at=step.at - waiting) for step in scenario.steps))
    # Its messages are a hundredth apart, and those left half a second: the threshold as it is does not see that.
    async with playing(start_exchange, "thin", pace, story=story, crowd=crowd, thresholds=1, state_file=path) as seen:
        rate = seen.topic(TICKERS).meter.rate
        await until(lambda: 0.7 < rate.ratio < 1.3)
        await until(lambda: bool(seen.exchange.faults) and rate.ratio < 0.2, seconds=60.0)
        assert seen.are(TopicState.LIVE, BUSY)
