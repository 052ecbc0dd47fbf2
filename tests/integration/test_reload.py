"""Taking up a changed configuration: only what changed is touched, and a mistake changes nothing."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from alpmon.config import parse
from alpmon.core.layout import owner
from alpmon.exchange.faults import HalfOpen, Mute, Payload, RefuseUpgrades
from alpmon.service import Service, Source
from tests.integration.harness import TARGET, Monitored, configuration, many_topics, monitoring, target, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from alpmon.exchange.ledger import ConnectionEntry
    from tests.conftest import StartExchange


class Reloadable(Monitored):
    """A monitor whose configuration the test writes."""

    text = ""

    async def post(self, **headers: str) -> tuple[int, str]:
        """`POST /-/reload`: status and text."""
        async with self._http.post(self.service.url + "/-/reload", headers=headers) as response:
            return response.status, await response.text()

    def frames(self) -> list[int]:
        """Data frames, by connection."""
        return [record.data_frames for record in self.service.monitor.targets[TARGET].connections.values()]

    async def reload(self, *targets: dict[str, Any], **more: Any) -> None:
        """Write and take up a good configuration."""
        self.text = configuration(*targets, **more)
        assert await self.post() == (200, "reloaded\n")


@asynccontextmanager
async def reloadable(*targets: dict[str, Any], **more: Any) -> AsyncIterator[Reloadable]:
    """A monitor of these targets."""
    holder: list[Reloadable] = []
    config = parse(configuration(*targets, **more), "test.yaml", {})
    service = Service(config, source=lambda further: parse(holder[0].text, "test.yaml", {}, further))
    async with aiohttp.ClientSession() as http:
        holder.append(Reloadable(service, http))
        async with service:
            yield holder[0]


async def test_topics_change_on_the_live_connection(start_exchange: StartExchange) -> None:
    """The new one is subscribed, the old one unsubscribed and its series gone; the session notices nothing else."""
    exchange = await start_exchange()
    async with reloadable(target(exchange.url, ["trade.*", "ticker.*"])) as monitored:
        await monitored.until_live()
        await exchange.burst(10, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 10)
        await monitored.reload(target(exchange.url, ["trade.*", "market_depth.BTC_USDT"]))
        await until(lambda: set(exchange.sessions[0].topics) == {"trade.*", "market_depth.BTC_USDT"})
        await exchange.burst(10, {"market_depth.BTC_USDT": 1.0})
        await until(lambda: monitored.connection().data_frames == 20)
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_messages_total", topic="trade.*") == 10
        assert scrape.value("alpmon_messages_total", topic="market_depth.BTC_USDT") == 10
        assert "ticker" not in "".join(line for line in scrape.text.splitlines() if 'topic="' in line)
        live = scrape.values("alpmon_topic_state", alpmon_topic_state="live")
        assert set(live.values()) == {1.0}
        assert len(exchange.ledger.attempts) == 1
        assert exchange.ledger.connections[0].close is None
        assert scrape.value("alpmon_config_last_reload_successful") == 1


async def test_the_series_of_a_wildcards_pairs_go_with_it_and_leave_their_room_to_others(
    start_exchange: StartExchange,
) -> None:
    """What was counted as `other` stays counted: counters never go back."""
    exchange = await start_exchange()
    options = {"limits": {"max_symbols": 2}}
    both, one = (target(exchange.url, topics) for topics in (["trade.*", "ticker.*"], ["ticker.*"]))
    row = '"1","1","1","1","1","1","1","1"'
    async with reloadable(both, **options) as monitored:
        await monitored.until_live()
        for symbol in ("A_B", "C_D", "E_F", "G_H"):
            exchange.send(Payload(text=f'["t",1790139142,1,"{symbol}","1","1","buy"]'))
        exchange.send(Payload(text=f'["tk",1790139142,["A_B",{row}]]'))
        await until(lambda: monitored.connection().data_frames == 5)
        assert len((await monitored.scrape()).values("alpmon_symbol_messages_total", channel="trade")) == 3
        await monitored.reload(one, **options)
        exchange.send(Payload(text=f'["tk",1790139143,["E_F",{row}],["G_H",{row}]]'))
        await until(lambda: monitored.connection().data_frames == 6)
        scrape = await monitored.scrape()
        for name in ("alpmon_symbol_messages_total", "alpmon_symbol_last_message_timestamp_seconds"):
            assert not scrape.values(name, channel="trade"), name
        symbols = scrape.values("alpmon_symbol_messages_total", target=TARGET, connection="0-0", channel="ticker")
        assert symbols == {(("symbol", "A_B"),): 1, (("symbol", "E_F"),): 1, (("symbol", "other"),): 1}
        assert scrape.value("alpmon_symbols_dropped_total") == 3, "E_F and G_H, and G_H again"
        assert "1 symbol counted as other" in (await monitored.get("/"))[1]


def asked(entry: ConnectionEntry, since: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    """What a connection requested of the exchange, but for its first frames."""
    return [(request.operation, request.topics) for request in entry.requests[since:]]


async def test_a_topic_that_goes_moves_no_other_and_leaves_its_place_to_a_new_one(
    start_exchange: StartExchange,
) -> None:
    """The first of sixty on three connections: the other two hear nothing of it."""
    exchange = await start_exchange()
    topics = many_topics(60)
    async with reloadable(target(exchange.url, topics)) as monitored:
        for label in ("0-0", "1-0", "2-0"):
            await monitored.until_live(label)
        entries = {frozenset(session.topics): session.entry for session in exchange.sessions}
        before = {entry.number: len(entry.requests) for entry in entries.values()}
        await monitored.reload(target(exchange.url, [*topics[1:], "ticker.*"]))
        await until(lambda: any("ticker.*" in session.topics for session in exchange.sessions))
        await monitored.until_live()
        new = {held: asked(entry, before[entry.number]) for held, entry in entries.items()}
        assert new.pop(frozenset(topics[:20])) == [("unsubscribe", (topics[0],)), ("subscribe", ("ticker.*",))]
        assert list(new.values()) == [[], []]
        assert len(exchange.ledger.attempts) == 3


async def test_the_private_channels_move_on_when_their_connection_goes(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """They came over the first group; once that is gone another session begins, with the token."""
    exchange = await start_exchange()
    (tmp_path / "token").write_text("token-of-the-test")
    topics, options = many_topics(40), {"auth": {"token_file": str(tmp_path / "token")}}
    async with reloadable(target(exchange.url, topics, **options)) as monitored:
        for label in ("0-0", "1-0"):
            await monitored.until_live(label)
        await until(lambda: [entry.authenticated for entry in exchange.ledger.connections].count(True) == 1)
        await monitored.reload(target(exchange.url, topics[20:], **options))
        await until(lambda: len(exchange.ledger.connections) == 3)
        await until(lambda: exchange.ledger.connections[2].authenticated)
        assert list(monitored.service.monitor.targets[TARGET].connections) == ["1-0"]
        assert "wallet" in monitored.connection("1-0").topics


@asynccontextmanager
async def sharded(holder: dict[int, str]) -> AsyncIterator[list[Service]]:
    """Two processes' worth of monitor, each with its own configuration."""

    def source(index: int) -> Source:
        return lambda further: parse(holder[index], "test.yaml", {}, further)

    services = [Service(source(index)(lambda _: ()), source=source(index)) for index in (0, 1)]
    async with services[0], services[1]:
        yield services


async def test_shards_hold_each_topic_once_after_one_of_them_learnt_a_limit(start_exchange: StartExchange) -> None:
    """A reload of something else: what is planned is planned by the configuration, which both of them know."""
    exchange = await start_exchange()
    topics, options = many_topics(45), {"max_topics_per_connection": 30}
    name = next(name for name in "abcdef" if [owner(name, group, 2) for group in (0, 1)] == [0, 1])
    holder: dict[int, str] = {}

    def configure(floor: str) -> None:
        of_both = {**target(exchange.url, topics, **options), "name": name, "freshness": {"default": {"floor": floor}}}
        holder.update({n: configuration(of_both, shard={"index": n, "count": 2}) for n in (0, 1)})

    configure("5s")
    async with sharded(holder) as services:
        held = lambda: sorted(topic for session in exchange.sessions for topic in session.topics)  # noqa: E731
        await until(lambda: held() == sorted(topics))
        sessions, requests = len(exchange.sessions), sum(len(e.requests) for e in exchange.ledger.connections)
        configure("6s")
        for service in services:
            assert service.reload() == []
        exchange.send(Payload(text='["t",1790139142,1,"A_B","1","1","buy"]'))
        records = [r for service in services for r in service.monitor.targets[name].connections.values()]
        await until(lambda: [record.data_frames for record in records] == [1, 1, 1])
        assert held() == sorted(topics)
        assert len(exchange.ledger.attempts) == sessions == 3
        assert sum(len(entry.requests) for entry in exchange.ledger.connections) == requests
        assert sorted(record.label for record in records) == ["0-0", "1-0", "10000-0"]


async def test_a_mistake_changes_nothing_and_all_of_them_are_named(start_exchange: StartExchange) -> None:
    """Also by SIGHUP, whose answer is the log and the metric."""
    exchange = await start_exchange()
    async with reloadable(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        before = monitored.service.monitor.reload_success_wall
        monitored.text = json.dumps({"lisen": 1, "targets": [{"name": "t", "url": "http://x", "topics": ["trade.*"]}]})
        status, said = await monitored.post()
        assert status == 500
        assert "lisen: unknown key" in said
        assert "targets[0].url" in said
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_config_last_reload_successful") == 0
        assert scrape.value("alpmon_config_last_reload_success_timestamp_seconds") == before
        assert scrape.value("alpmon_connection_up", target=TARGET) == 1
        assert len(exchange.ledger.attempts) == 1
        await monitored.reload(target(exchange.url, ["trade.*"]))
        assert (await monitored.scrape()).value("alpmon_config_last_reload_successful") == 1


async def test_what_cannot_change_while_running_is_refused(start_exchange: StartExchange) -> None:
    """With its place and the way out."""
    exchange = await start_exchange()
    async with reloadable(target(exchange.url, ["trade.*"])) as monitored:
        monitored.text = (
            f"\nshard: {{count: 2}}\nlisten: :9720\ntargets: [{json.dumps(target(exchange.url, ['trade.*']))}]"
        )
        told = [
            "test.yaml:2: shard: cannot change while alpmon runs; restart it",
            "test.yaml:3: listen: cannot change while alpmon runs, got ':9720'; restart it",
        ]
        assert await monitored.post() == (500, "\n".join(told) + "\n")
        assert monitored.service.config.shard.count == 1


async def test_targets_come_and_go_and_the_others_do_not_notice(start_exchange: StartExchange) -> None:
    """A target that leaves says goodbye with 1001, and its series go."""
    exchange, other = await start_exchange(), await start_exchange()
    kept = target(exchange.url, ["trade.*"])
    extra = {**target(other.url, ["ticker.*"]), "name": "extra"}
    async with reloadable(kept) as monitored:
        await monitored.until_live()
        await monitored.reload(kept, extra)
        await until(lambda: other.sessions and "ticker.*" in other.sessions[0].topics)
        assert (await monitored.scrape()).value("alpmon_connection_up", target="extra") == 1
        await monitored.reload(kept)
        await until(lambda: other.ledger.connections[0].close is not None)
        close = other.ledger.connections[0].close
        assert close is not None
        assert (close.initiator, close.code) == ("client", 1001)
        assert 'target="extra"' not in (await monitored.scrape()).text
        assert len(exchange.ledger.attempts) == 1


async def test_another_url_ends_the_session_and_the_counters_go_on(start_exchange: StartExchange) -> None:
    """Counters never go back while the process lives."""
    exchange, other = await start_exchange(), await start_exchange()
    async with reloadable(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        await exchange.burst(5, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 5)
        await monitored.reload(target(other.url, ["trade.*"]))
        await until(lambda: other.sessions and "trade.*" in other.sessions[0].topics)
        await monitored.until_live()
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_disconnects_total", initiator="client", reason="reload") == 1
        assert scrape.value("alpmon_messages_total", topic="trade.*") == 5
        await until(lambda: exchange.ledger.connections[0].close is not None)


async def test_reloads_in_the_time_that_a_session_takes_to_end_begin_one_session(
    start_exchange: StartExchange,
) -> None:
    """The peer does not answer our close: the second change comes while the session of the first still ends."""
    exchange = await start_exchange()
    plain = target(exchange.url, ["trade.*"])
    first, second = ({**plain, "tls": {"server_name": name}} for name in ("first", "second"))
    async with reloadable(plain) as monitored:
        await monitored.until_live()
        exchange.faults.add(HalfOpen(connections="first"))
        await monitored.reload(first)
        await monitored.reload(second)
        await until(lambda: monitored.connection().disconnects.total() == 1)
        await until(lambda: len(exchange.ledger.connections) == 2)
        await monitored.until_live()
        record, present = monitored.connection(), exchange.ledger.connections[1]
        assert (record.up, record.client_id, record.state) == (True, present.client_id, "live")
        assert list(record.disconnects.elements()) == [("client", "1006", "reload")]
        assert len(exchange.ledger.attempts) == 2


async def test_another_threshold_is_in_force_at_once(start_exchange: StartExchange) -> None:
    """Without a new session."""
    exchange = await start_exchange()
    plain = target(exchange.url, ["trade.*"])
    fixed = {**plain, "freshness": {"overrides": [{"topics": "trade.*", "mode": "fixed", "after": "90s"}]}}
    async with reloadable(plain) as monitored:
        await monitored.until_live()
        await monitored.reload(fixed)
        assert (await monitored.scrape()).value("alpmon_topic_stale_after_seconds") == 90
        assert len(exchange.ledger.attempts) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"reconnect": {"initial": "2s", "max": "9s", "factor": 2}},
        {"timeouts": {"connect": "3s", "welcome": "3s", "ack": "3s", "silence": "1m"}},
        {"reference": {"url": "http://127.0.0.1:9/", "interval": "7s"}},
        {"reference": {"interval": "7s"}},
        {"freshness": {"default": {"floor": "7s"}}},
        {"ack_probe_interval": "1h"},
        {"rtt_interval": "1h"},
        {"max_frame_bytes": 400},
        {"max_topics_per_connection": 50},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_no_session_notices_a_change_that_it_can_live_with(
    start_exchange: StartExchange, change: dict[str, Any]
) -> None:
    """On either of two connections nothing is asked and nothing ends."""
    exchange = await start_exchange()
    topics, quiet = many_topics(21), {"rtt_interval": "0s", "ack_probe_interval": "0s"}
    async with reloadable(target(exchange.url, topics, **quiet)) as monitored:
        for label in ("0-0", "1-0"):
            await monitored.until_live(label)
        before = [list(entry.requests) for entry in exchange.ledger.connections]
        await monitored.reload(target(exchange.url, topics, **quiet) | change)
        exchange.send(Payload(text='["t",1790139142,1,"A_B","1","1","buy"]'))
        await until(lambda: monitored.frames() == [1, 1])
        assert [entry.requests for entry in exchange.ledger.connections] == before
        assert [entry.close for entry in exchange.ledger.connections] == [None, None]
        assert len(exchange.ledger.attempts) == 2


async def test_probes_and_pings_of_our_own_follow_the_configuration_on_a_live_session(
    start_exchange: StartExchange,
) -> None:
    """They begin, and they end."""
    exchange = await start_exchange()
    quiet = target(exchange.url, ["trade.*"], rtt_interval="0s", ack_probe_interval="0s")
    async with reloadable(quiet) as monitored:
        await monitored.until_live()
        await monitored.reload({**quiet, "rtt_interval": "20ms", "ack_probe_interval": "20ms"})
        (entry,) = exchange.ledger.connections
        await until(lambda: entry.client_pings >= 3 and len(entry.requests) >= 4)
        await monitored.reload(quiet)
        record = monitored.connection()
        assert record.worker_restarts == 0
        assert record.requests["probe"] >= 3
        await until(lambda: record.requests["probe"] == record.ack["probe"].count)
        assert entry.close is None


async def test_other_delays_end_a_wait_by_the_old_ones(start_exchange: StartExchange) -> None:
    """An hour was too long: the next attempt comes at once."""
    exchange = await start_exchange()
    refusing = exchange.faults.add(RefuseUpgrades())
    slow = {**target(exchange.url, ["trade.*"]), "reconnect": {"initial": "1h", "max": "1h"}}
    async with reloadable(slow) as monitored:
        await until(lambda: monitored.connection().failures.total() == 2)
        exchange.faults.lift(refusing)
        await monitored.reload(target(exchange.url, ["trade.*"]))
        assert monitored.connection().retry_at_wall == 0.0
        await monitored.until_live()
        assert len(exchange.ledger.attempts) == 3


async def test_replicas_come_and_go_and_the_others_stay(start_exchange: StartExchange) -> None:
    """They are compared while there are some: what is subscribed already counts from then on."""
    exchange = await start_exchange()
    one = target(exchange.url, ["trade.*"])
    async with reloadable(one) as monitored:
        await monitored.until_live()
        first = exchange.ledger.connections[0]
        requests = len(first.requests)
        await monitored.reload({**one, "redundancy": 2})
        standing = monitored.connection().topics["trade.*"].standing
        assert standing is not None
        assert standing.since <= time.monotonic()
        await monitored.until_live("0-1")
        exchange.send(Payload(text='["t",1790139142,1,"A_B","1","1","buy"]'))
        await until(lambda: monitored.frames() == [1, 1])
        assert (await monitored.scrape()).values("alpmon_missed_messages_total", topic="trade.*")
        await monitored.reload(one)
        second = exchange.ledger.connections[1]
        await until(lambda: second.close is not None)
        assert not (await monitored.scrape()).values("alpmon_missed_messages_total")
        exchange.send(Payload(text='["t",1790139142,2,"A_B","1","1","buy"]'))
        await until(lambda: monitored.connection().data_frames == 2)
        assert (first.close, len(first.requests), len(exchange.ledger.attempts)) == (None, requests, 2)


async def test_credentials_concern_the_connection_that_presents_them(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """The other one carries no private channel, and lives on."""
    exchange = await start_exchange()
    (tmp_path / "token").write_text("token-of-the-test")
    topics = many_topics(21)
    async with reloadable(target(exchange.url, topics)) as monitored:
        for label in ("0-0", "1-0"):
            await monitored.until_live(label)
        large, small = sorted(exchange.sessions, key=lambda session: -len(session.topics))
        await monitored.reload(target(exchange.url, topics, auth={"token_file": str(tmp_path / "token")}))
        await until(lambda: any(entry.authenticated for entry in exchange.ledger.connections))
        assert large.entry.close is not None
        assert small.entry.close is None
        assert len(exchange.ledger.attempts) == 3


async def test_a_page_from_elsewhere_cannot_reload(start_exchange: StartExchange) -> None:
    """A browser says where it comes from."""
    exchange = await start_exchange()
    async with reloadable(target(exchange.url, ["trade.*"])) as monitored:
        monitored.text = configuration(target(exchange.url, ["trade.*"]))
        for origin in ("https://elsewhere.test", "null", "http://[", "http://127.0.0.1:x", "//", ""):
            assert await monitored.post(Origin=origin) == (403, "403 Forbidden\n"), origin
        assert (await monitored.post(Origin=monitored.service.url))[0] == 200
        status, _ = await monitored.get("/-/reload")
        assert status == 405


async def test_without_a_file_there_is_nothing_to_reload_and_nothing_wrong(start_exchange: StartExchange) -> None:
    """The demo, or a run without --config: no file has mistakes, so neither the metric nor the page says so."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        before = monitored.service.monitor.reload_success_wall
        async with aiohttp.ClientSession() as http, http.post(monitored.service.url + "/-/reload") as answer:
            told = await answer.text()
        assert answer.status == 409
        assert told == "there is no configuration file to reload: start with `alpmon run --config FILE`\n"
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_config_last_reload_successful") == 1
        assert scrape.value("alpmon_config_last_reload_success_timestamp_seconds") == before
        assert monitored.service.monitor.reload_successful


async def test_no_message_is_lost_while_a_feed_runs(start_exchange: StartExchange) -> None:
    """A thousand a second, and topics come and go beside them: the exchange's ledger says so."""
    exchange = await start_exchange()
    topics = ["trade.*"]
    async with reloadable(target(exchange.url, topics)) as monitored:
        await monitored.until_live()

        async def feed() -> None:
            for _ in range(30):
                await exchange.burst(100, {"trade.*": 1.0})
                await asyncio.sleep(0.1)

        feeding = asyncio.create_task(feed())
        while not feeding.done():
            more = [] if len(topics) > 1 else ["market_depth.BTC_USDT"]
            topics = ["trade.*", *more]
            await monitored.reload(target(exchange.url, topics))
            await asyncio.sleep(0.05)
        await feeding
        await until(lambda: monitored.connection().topics["trade.*"].messages == 3000)
        assert exchange.ledger.connections[0].topics["trade.*"].frames == 3000
        assert len(exchange.ledger.attempts) == 1


async def test_the_reference_stays_with_a_session_and_goes_with_its_url(start_exchange: StartExchange) -> None:
    """Other thresholds leave what the stream told: a frozen book is found after them too. Without a URL none is."""
    book = "market_depth.BTC_USDT"
    exchange = await start_exchange()
    reference = {"url": exchange.rest_url, "interval": "1s"}
    plain = target(exchange.url, [book], freshness={"default": {"mode": "fixed", "after": "1s"}})
    later = {**plain, "freshness": {"default": {"mode": "fixed", "after": "2s"}}}
    async with reloadable({**plain, "reference": reference}) as monitored:
        await monitored.until_live()
        exchange.publish(exchange.market.quotes.book("BTC_USDT", time.time()))
        await until(lambda: monitored.connection().data_frames == 1)
        await monitored.reload({**later, "reference": reference})
        exchange.faults.add(Mute(topic=book))
        exchange.publish(exchange.market.quotes.book("BTC_USDT", time.time()))
        watch = monitored.connection().topics[book].watch
        assert watch is not None
        await until(lambda: watch.divergence(time.monotonic()) > 0.0)
        await monitored.reload(plain)
        scrape = await monitored.scrape()
        assert not scrape.values("alpmon_topic_reference_divergence_seconds")
        assert len(exchange.ledger.attempts) == 1


async def test_a_silence_that_was_there_before_the_reference_is_not_judged_by_it(
    start_exchange: StartExchange,
) -> None:
    """REST had moved on already, unseen: that it moves no more does not mean that nothing was missed.

    A silence that begins after is judged, and when REST is asked no more what it said is void.
    """
    frozen, idle = "market_depth.BTC_USDT", "market_depth.ETH_USDT"
    exchange = await start_exchange()
    book = lambda topic: exchange.market.quotes.book(topic.partition(".")[2], time.time())  # noqa: E731
    plain = target(exchange.url, [frozen, idle], freshness={"default": {"mode": "fixed", "after": "1s"}})
    async with reloadable(plain) as monitored:
        await monitored.until_live()
        exchange.publish(book(frozen))
        await until(lambda: monitored.connection().data_frames == 1)
        exchange.faults.add(Mute(topic=frozen))
        exchange.publish(book(frozen))
        await monitored.reload({**plain, "reference": {"url": exchange.rest_url, "interval": "1s"}})
        exchange.publish(book(idle))
        await until(lambda: monitored.state(idle) == "quiet")
        assert monitored.state(frozen) == "stale"
        assert {entry.pair for entry in exchange.ledger.rest} == {"ETH_USDT"}
        await monitored.reload(plain)
        assert monitored.state(idle) == "stale"
        assert len(exchange.ledger.attempts) == 1
