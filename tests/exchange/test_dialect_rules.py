"""Each rule of the two dialects, seen by a plain client."""

from __future__ import annotations

import re
import time

import aiohttp
import pytest

from alpmon.core.events import Dialect
from alpmon.exchange import WelcomeUnit
from alpmon.exchange.pairs import PAIRS, SYMBOLS
from alpmon.exchange.quotes import Quotes
from alpmon.exchange.wire import AccountEvent
from tests.waiting import eventually

OBSERVED, DOCUMENTED = Dialect.OBSERVED, Dialect.DOCUMENTED
BOTH = pytest.mark.parametrize("dialect", [OBSERVED, DOCUMENTED])
DEPTHS = [f"market_depth.{pair.symbol}" for pair in PAIRS]


class TestWelcome:
    @BOTH
    async def test_it_carries_the_timing_in_milliseconds(self, start_exchange, dial, dialect) -> None:
        """The welcome advertises the interval and the timeout that are in force, and a UUID."""
        exchange = await start_exchange(dialect=dialect, ping_interval_seconds=0.5, ping_timeout_seconds=1.25)
        client = await dial(exchange, welcomed=False)
        kind, _, interval, timeout, client_id = await client.frame()
        assert (kind, interval, timeout) == ("welcome", 500, 1250)
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", client_id)
        assert list(exchange.ledger.connections[0].welcome)[2:] == [500, 1250, client_id]

    async def test_the_older_edition_writes_nanoseconds(self, start_exchange, dial) -> None:
        """30 s and 65 s become 30000000000 and 65000000000."""
        exchange = await start_exchange(
            dialect=DOCUMENTED,
            welcome_unit=WelcomeUnit.NANOSECONDS,
            ping_interval_seconds=30,
            ping_timeout_seconds=65,
        )
        client = await dial(exchange, welcomed=False)
        assert (await client.frame())[2:4] == [30_000_000_000, 65_000_000_000]

    async def test_each_connection_has_its_own_client_id(self, start_exchange, dial) -> None:
        """Two connections, two ids; the official client's path serves as well."""
        exchange = await start_exchange()
        await dial(exchange)
        await dial(exchange)
        first, second = exchange.ledger.connections
        assert first.client_id != second.client_id

    async def test_the_official_clients_path_is_served(self, start_exchange) -> None:
        """`/alp-ws` welcomes too."""
        exchange = await start_exchange()
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{exchange.http_url}/alp-ws") as socket:
            assert (await socket.receive_json(timeout=5))[0] == "welcome"

    async def test_one_seed_gives_the_same_ids(self, start_exchange, dial) -> None:
        """Two exchanges of one seed hand out the same client id, another seed another one."""
        ids = []
        for seed in (3, 3, 4):
            exchange = await start_exchange(seed=seed)
            client = await dial(exchange, welcomed=False)
            ids.append((await client.frame())[4])
        assert ids[0] == ids[1] != ids[2]


class TestStamps:
    async def test_observed_stamps_are_whole_seconds_in_every_frame(self, start_exchange, dial) -> None:
        """Welcome, acknowledgement, error and data carry integers near the present second."""
        exchange = await start_exchange()
        client = await dial(exchange, welcomed=False)
        frames = [await client.frame(), await client.ask("subscribe", "trade.*"), await client.ask("subscribe", "x")]
        await exchange.burst(1)
        frames.append(await client.frame())
        assert [frame[0] for frame in frames] == ["welcome", "subscribe", "error", "t"]
        assert all(type(frame[1]) is int and abs(frame[1] - time.time()) < 5 for frame in frames)

    async def test_documented_stamps_are_fractions(self, start_exchange, dial) -> None:
        """The same frames carry floats of at most six decimals."""
        exchange = await start_exchange(dialect=DOCUMENTED)
        client = await dial(exchange, welcomed=False)
        frames = [await client.frame(), await client.ask("subscribe", "trade.*"), await client.ask("subscribe", "x")]
        await exchange.burst(1)
        frames.append(await client.frame())
        assert all(type(frame[1]) is float and frame[1] == round(frame[1], 6) for frame in frames)


class TestSubscribing:
    @BOTH
    async def test_one_acknowledgement_lists_the_frames_topics(self, start_exchange, dial, dialect) -> None:
        """A frame of several topics is acknowledged once, in its order, again when repeated, unsubscribing likewise."""
        exchange = await start_exchange(dialect=dialect)
        client = await dial(exchange)
        topics = ["market_depth.ZEC_USDC", "trade.*", "ticker.*"]
        for operation in ("subscribe", "subscribe", "unsubscribe", "unsubscribe"):
            answer = await client.ask(operation, *topics)
            assert [answer[0], *answer[2:]] == [operation, *topics]
        assert exchange.sessions[0].topics == {}
        assert [entry.topics for entry in exchange.ledger.connections[0].acks] == [tuple(topics)] * 4

    async def test_an_observed_error_names_the_topic_and_the_operation(self, start_exchange, dial) -> None:
        """The first bad topic is named; nothing of the frame is added; the socket stays open."""
        exchange = await start_exchange()
        client = await dial(exchange)
        answer = await client.ask("subscribe", "trade.*", "diff.NOPE_USDT", "nonsense")
        assert [answer[0], *answer[2:]] == ["error", "Invalid topic: diff.NOPE_USDT", "subscribe"]
        assert exchange.sessions[0].topics == {}
        assert (await client.ask("subscribe", "trade.*"))[0] == "subscribe"

    async def test_a_documented_error_names_nothing(self, start_exchange, dial) -> None:
        """The whole frame is refused with the documents' words."""
        exchange = await start_exchange(dialect=DOCUMENTED)
        client = await dial(exchange)
        answer = await client.ask("subscribe", "trade.*", "diff.NOPE_USDT")
        assert [answer[0], *answer[2:]] == ["error", "Topic does not exist"]
        assert exchange.sessions[0].topics == {}

    @BOTH
    @pytest.mark.parametrize(
        "topic",
        ["market_depth.*", "ticker.btc_usdt", "ticker.NOPE_USDT", "ticker", "ticker.", "wallet.*", "", 5, None, ["a"]],
    )
    async def test_what_is_no_topic_is_refused(self, start_exchange, dial, dialect, topic) -> None:
        """Unknown channels, pairs, wildcards and types are refused with an error."""
        client = await dial(await start_exchange(dialect=dialect))
        assert (await client.ask("subscribe", topic))[0] == "error"

    async def test_twenty_topics_over_all_frames(self, start_exchange, dial) -> None:
        """Observed: the 21st topic is refused with its whole frame; unsubscribing frees room; repeats are free."""
        exchange = await start_exchange()
        client = await dial(exchange)
        assert (await client.ask("subscribe", *DEPTHS[:12]))[0] == "subscribe"
        assert (await client.ask("subscribe", *DEPTHS[:20]))[0] == "subscribe"
        answer = await client.ask("subscribe", DEPTHS[20])
        assert [answer[0], *answer[2:]] == ["error", "Too many topics", "subscribe"]
        assert len(exchange.sessions[0].topics) == 20
        await client.ask("unsubscribe", DEPTHS[0])
        assert (await client.ask("subscribe", DEPTHS[20]))[0] == "subscribe"

    async def test_the_documents_set_no_budget(self, start_exchange, dial) -> None:
        """Documented: 44 topics on one connection."""
        client = await dial(await start_exchange(dialect=DOCUMENTED))
        topics = [*DEPTHS, *(f"trade.{symbol}" for symbol in sorted(SYMBOLS))]
        assert len(await client.ask("subscribe", *topics)) == 2 + 44


class TestBadFrames:
    async def test_800_bytes_are_read_and_801_closed_with_1009(self, start_exchange, dial) -> None:
        """Observed: the limit is on the frame's payload."""
        client = await dial(await start_exchange())
        await client.socket.send('["subscribe","trade.*"]'.ljust(800))
        assert (await client.frame())[0] == "subscribe"
        await client.socket.send('["subscribe","trade.*"]'.ljust(801))
        assert await client.close_code() == 1009

    @pytest.mark.parametrize("text", ["1", "2", "{}", '{"a": 1}', "[]", "hello", "", "null", '"subscribe"', "[" * 700])
    async def test_an_observed_peer_drops_what_is_no_array(self, start_exchange, dial, text) -> None:
        """Stray 1 and 2, objects, non-JSON and the empty array end the connection without a close frame."""
        exchange = await start_exchange()
        client = await dial(exchange)
        await client.socket.send(text)
        assert await client.close_code() == 1006
        entry = exchange.ledger.connections[0]
        assert (entry.close.initiator, entry.close.code) == ("server", 1006)

    async def test_an_observed_peer_drops_binary_frames(self, start_exchange, dial) -> None:
        """A binary frame is no array either."""
        client = await dial(await start_exchange())
        await client.socket.send(b'["subscribe","trade.*"]')
        assert await client.close_code() == 1006

    @pytest.mark.parametrize("text", ["1", "{}", "[]", "hello", '["what"]', '["subscribe"]', "[[]]"])
    async def test_the_documents_answer_with_an_error(self, start_exchange, dial, text) -> None:
        """Documented: any error is an error frame, and the socket stays."""
        client = await dial(await start_exchange(dialect=DOCUMENTED))
        await client.socket.send(text)
        assert (await client.frame())[0] == "error"
        assert (await client.ask("subscribe", "trade.*"))[0] == "subscribe"

    async def test_an_unprompted_documented_pong_is_harmless(self, start_exchange, dial) -> None:
        """Documented: a `2` that answers nothing is not answered."""
        exchange = await start_exchange(dialect=DOCUMENTED)
        client = await dial(exchange)
        await client.socket.send("2")
        assert (await client.ask("subscribe", "trade.*"))[0] == "subscribe"
        assert exchange.ledger.connections[0].text_pongs == 1


class TestDelivery:
    async def test_observed_diffs_and_single_tickers_stay_silent(self, start_exchange, dial) -> None:
        """Acknowledged is not delivering: of a market that says everything, these topics hear nothing."""
        exchange = await start_exchange()
        client = await dial(exchange)
        answer = await client.ask("subscribe", "diff.BTC_USDT", "diff.*", "ticker.BTC_USDT", "trade.BTC_USDT")
        assert answer[0] == "subscribe"
        _say_everything(exchange)
        assert (await client.frame())[0] == "t"
        assert set(exchange.ledger.topics()) == {"trade.BTC_USDT"}

    async def test_documented_topics_all_deliver(self, start_exchange, dial) -> None:
        """Each public topic of a pair sends its own frames, tickers and rates with that pair's row alone."""
        exchange = await start_exchange(dialect=DOCUMENTED)
        client = await dial(exchange)
        topics = [f"{channel}.BTC_USDT" for channel in ("ticker", "trade", "rates", "diff", "market_depth")]
        await client.ask("subscribe", *topics)
        _say_everything(exchange)
        frames = {frame[0]: frame for frame in [await client.frame() for _ in topics]}
        assert set(frames) == {"tk", "t", "r", "d", "p"}
        assert [row[0] for row in frames["tk"][2:]] == ["BTC_USDT"]
        assert [row[1:] for row in frames["r"][2]] == [["BTC", "USDT"]]
        assert {topic: count.frames for topic, count in exchange.ledger.topics().items()} == dict.fromkeys(topics, 1)

    async def test_a_frame_counts_for_its_exact_topic_first(self, start_exchange, dial) -> None:
        """With `trade.*` and `trade.BTC_USDT` on one connection a trade is sent once and counts for the exact one."""
        exchange = await start_exchange()
        client = await dial(exchange)
        await client.ask("subscribe", "trade.*", "trade.BTC_USDT")
        quotes = exchange.market.quotes
        for symbol in ("BTC_USDT", "ETH_USDT"):
            exchange.publish(quotes.trade(symbol, time.time()))
        assert [(await client.frame())[3] for _ in range(2)] == ["BTC_USDT", "ETH_USDT"]
        assert {t: c.frames for t, c in exchange.ledger.topics().items()} == {"trade.BTC_USDT": 1, "trade.*": 1}

    async def test_after_unsubscribing_nothing_comes(self, start_exchange, dial) -> None:
        """A topic that was given back sends no more."""
        exchange = await start_exchange()
        client = await dial(exchange)
        await client.ask("subscribe", "trade.*", "ticker.*")
        await client.ask("unsubscribe", "trade.*")
        _say_everything(exchange)
        assert (await client.frame())[0] == "tk"
        assert set(exchange.ledger.topics()) == {"ticker.*"}


class TestPings:
    async def test_documented_pings_come_each_interval_whatever_is_sent(self, start_exchange, dial) -> None:
        """Text `1`s, an interval apart on a busy socket; `2` answers them and the connection lives."""
        exchange = await start_exchange(dialect=DOCUMENTED, ping_interval_seconds=0.1, ping_timeout_seconds=0.3)
        client = await dial(exchange)
        await client.ask("subscribe", "trade.*")
        pings = 0
        while pings < 6:
            await exchange.burst(1)
            if await client.text() == "1":
                pings += 1
                await client.socket.send("2")
        entry = exchange.ledger.connections[0]
        await eventually(lambda: entry.text_pongs == 6)
        assert [ping.kind for ping in entry.pings[:6]] == ["text"] * 6
        assert all(ping.answered_at is not None for ping in entry.pings[:6])
        since_opened = [ping.at - entry.opened_at for ping in entry.pings[:6]]
        assert all(at > 0.1 * n - 0.01 for n, at in enumerate(since_opened, 1)), "late on a busy machine, never early"
        assert entry.close is None

    async def test_a_missing_documented_pong_closes(self, start_exchange, dial) -> None:
        """No `2` within the timeout after a `1`: the server closes with a code and says why."""
        exchange = await start_exchange(dialect=DOCUMENTED, ping_interval_seconds=0.1, ping_timeout_seconds=0.2)
        client = await dial(exchange)
        assert await client.close_code() == 1008
        entry = exchange.ledger.connections[0]
        assert (entry.close.initiator, entry.close.reason) == ("server", "Pong timeout")
        assert entry.close.at - entry.pings[0].at >= 0.19

    async def test_observed_pings_wait_for_idleness(self, start_exchange, dial) -> None:
        """A WebSocket ping an interval after the last frame sent: none while frames come more often."""
        exchange = await start_exchange(ping_interval_seconds=0.5)
        client = await dial(exchange)
        await client.ask("subscribe", "trade.*")
        entry = exchange.ledger.connections[0]
        busy_until = time.monotonic() + 1.2
        while time.monotonic() < busy_until:
            await exchange.burst(1)
            await client.frame()
        assert entry.pings == []
        last = exchange.sessions[0].link.last_sent
        await eventually(lambda: len(entry.pings) == 2 and entry.protocol_pongs == 2)
        assert 0.5 <= entry.pings[0].at - last < 2
        assert 0.49 <= entry.pings[1].at - entry.pings[0].at < 2
        assert all(ping.kind == "protocol" and ping.answered_at is not None for ping in entry.pings)

    async def test_withheld_observed_pongs_do_not_close(self, start_exchange) -> None:
        """A client that never answers pings is left alone, long past the timeout; the pings carry a payload."""
        exchange = await start_exchange(ping_interval_seconds=0.05, ping_timeout_seconds=0.05)
        async with aiohttp.ClientSession() as http, http.ws_connect(exchange.url, autoping=False) as socket:
            await socket.receive(timeout=5)
            for _ in range(6):
                ping = await socket.receive(timeout=5)
                assert (ping.type, len(ping.data)) == (aiohttp.WSMsgType.PING, 4)
            entry = exchange.ledger.connections[0]
            assert entry.close is None
            assert all(ping.answered_at is None for ping in entry.pings)

    @BOTH
    async def test_the_clients_own_pings_are_answered(self, start_exchange, dial, dialect) -> None:
        """A WebSocket ping from the client is ponged in both dialects."""
        exchange = await start_exchange(dialect=dialect)
        client = await dial(exchange)
        assert await (await client.socket.ping()) >= 0
        assert exchange.ledger.connections[0].client_pings == 1


class TestPrivateChannels:
    @BOTH
    async def test_an_accepted_token_is_not_answered_and_opens_them(self, start_exchange, dial, dialect) -> None:
        """Nothing is sent on acceptance; private frames follow, counted under their channels."""
        exchange = await start_exchange(dialect=dialect)
        client, stranger = await dial(exchange), await dial(exchange)
        await client.send("auth", "a-token")
        assert (await client.ask("subscribe", "trade.*"))[0] == "subscribe"
        sent = _account_events(exchange.market.quotes)
        for event in sent:
            exchange.publish(event)
        tags = [(await client.frame())[0] for _ in sent]
        assert set(tags) == {"w", "o", "ta"}
        assert tags == [event.tag for event in sent]
        mine, other = exchange.ledger.connections
        assert set(mine.topics) == {"wallet", "order", "account_trade"}
        assert (mine.authenticated, other.authenticated, other.topics) == (True, False, {})
        assert stranger.data == []

    @pytest.mark.parametrize("arguments", [["bad"], [""], [], [5], ["a", "b"]])
    async def test_a_refused_token_is_told(self, start_exchange, dial, arguments) -> None:
        """A refused, empty or missing token is answered with an error; no private frame comes."""
        exchange = await start_exchange(refused_tokens=frozenset({"bad"}))
        client = await dial(exchange)
        assert (await client.ask("auth", *arguments))[2:] == ["Unauthorized", "auth"]
        assert not exchange.ledger.connections[0].authenticated

    async def test_a_token_is_not_in_the_ledger(self, start_exchange, dial) -> None:
        """What opens an account is written down nowhere."""
        exchange = await start_exchange(refused_tokens=frozenset({"hush-refused"}))
        client = await dial(exchange)
        await client.send("auth", "hush-accepted")
        await client.ask("auth", "hush-refused")
        assert b"hush" not in exchange.ledger.json()
        assert [entry.operation for entry in exchange.ledger.connections[0].requests] == ["auth", "auth"]


class TestEnds:
    async def test_the_clients_close_is_answered_with_its_code(self, start_exchange, dial) -> None:
        """The ledger names the client, its code and its reason."""
        exchange = await start_exchange()
        client = await dial(exchange)
        await client.socket.close(1001, "moving on")
        assert client.socket.close_code == 1001
        entry = exchange.ledger.connections[0]
        await eventually(lambda: entry.close is not None)
        assert (entry.close.initiator, entry.close.code, entry.close.reason) == ("client", 1001, "moving on")

    async def test_a_vanished_client_is_the_networks_doing(self, start_exchange, dial) -> None:
        """A reset without a close frame ends the session as 1006 by the network."""
        exchange = await start_exchange()
        client = await dial(exchange)
        client.socket.transport.abort()
        entry = exchange.ledger.connections[0]
        await eventually(lambda: entry.close is not None)
        assert (entry.close.initiator, entry.close.code) == ("network", 1006)

    async def test_invalid_utf8_is_closed_with_1007(self, start_exchange, dial) -> None:
        """The WebSocket protocol's own rule holds in both dialects."""
        exchange = await start_exchange()
        client = await dial(exchange)
        await client.socket.send(b"\xff\xfe", text=True)
        assert await client.close_code() == 1007
        await eventually(lambda: exchange.ledger.connections[0].close is not None)
        assert exchange.ledger.connections[0].close.initiator == "server"

    async def test_a_client_that_never_reads_is_dropped(self, start_exchange) -> None:
        """Over the write buffer's bound the connection is cut and the ledger says why."""
        exchange = await start_exchange(max_write_buffer_bytes=100_000)
        async with aiohttp.ClientSession() as http, http.ws_connect(exchange.url) as socket:
            await socket.receive(timeout=5)
            await socket.send_str('["subscribe","market_depth.BTC_USDT"]')
            await socket.receive(timeout=5)
            book = exchange.market.quotes.book("BTC_USDT", time.time())
            entry = exchange.ledger.connections[0]
            for _ in range(20_000):
                exchange.publish(book)
            assert (entry.close.initiator, entry.close.reason) == ("server", "client too slow")

    async def test_a_stopping_exchange_says_going_away(self, start_exchange, dial) -> None:
        """Leaving the context closes every session with 1001."""
        exchange = await start_exchange()
        client = await dial(exchange)
        await exchange.__aexit__(None, None, None)
        assert await client.close_code() == 1001


async def test_tls_is_served(start_exchange, dial, server_tls, client_tls) -> None:
    """The same exchange over wss, with a certificate that the client checks."""
    exchange = await start_exchange(ssl_context=server_tls)
    assert exchange.url.startswith("wss://")
    client = await dial(exchange, ssl=client_tls)
    await client.ask("subscribe", "trade.*")
    await exchange.burst(100)
    assert [(await client.frame())[0] for _ in range(100)] == ["t"] * 100


async def test_compression_is_not_negotiated(start_exchange, dial) -> None:
    """A client that offers permessage-deflate is answered without it."""
    client = await dial(await start_exchange(), compression="deflate")
    assert client.socket.protocol.extensions == []


def _say_everything(exchange) -> None:
    quotes, now = exchange.market.quotes, time.time()
    tickers = quotes.tickers(now)
    tickers.rows = [quotes.ticker_row(symbol, now) for symbol in ("BTC_USDT", "ETH_USDT")]
    trade, diff, book = (make("BTC_USDT", now) for make in (quotes.trade, quotes.diff, quotes.book))
    for event in (tickers, quotes.rates(now), diff, book, trade):
        exchange.publish(event)


def _account_events(quotes: Quotes) -> list[AccountEvent]:
    events: dict[str, AccountEvent] = {}
    while len(events) < 3:
        event = quotes.account(time.time())
        events.setdefault(event.tag, event)
    return list(events.values())
