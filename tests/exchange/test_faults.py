"""Each fault does what it says, to the connections it selects, and nothing once it is lifted."""

from __future__ import annotations

import asyncio
import struct
import time

import pytest
from pydantic import ValidationError
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from alpmon.core.events import Dialect
from alpmon.exchange import faults
from alpmon.exchange.faults import (
    GARBAGE,
    Abort,
    Close,
    CrossBook,
    DelayAcks,
    DelayData,
    DelayPings,
    DelayWelcome,
    DropAcks,
    DropPings,
    Duplicate,
    Freeze,
    Garbage,
    HalfOpen,
    Mute,
    NoWelcome,
    Payload,
    RefuseUpgrades,
    Reorder,
    Skew,
    StallUpgrades,
    Thin,
)
from tests.waiting import eventually

SHORT_SECONDS = 0.15
"""How long to look for a frame that must not come."""


@pytest.fixture
async def exchange(start_exchange):
    return await start_exchange()


@pytest.fixture
async def client(exchange, dial):
    client = await dial(exchange)
    await client.ask("subscribe", "trade.*", "ticker.*", "market_depth.BTC_USDT")
    return client


def trade(exchange, symbol="BTC_USDT"):
    event = exchange.market.quotes.trade(symbol, time.time())
    exchange.publish(event)
    return event.id


def ticker(exchange):
    exchange.publish(exchange.market.quotes.tickers(time.time()))


def book(exchange):
    exchange.publish(exchange.market.quotes.book("BTC_USDT", time.time()))


async def hears_nothing(client) -> bool:
    try:
        async with asyncio.timeout(SHORT_SECONDS):
            await client.socket.recv()
    except TimeoutError:
        return True
    return False


class TestData:
    async def test_mute(self, exchange, client) -> None:
        """A muted topic sends nothing, its neighbours go on, and lifting the fault brings it back."""
        fault = exchange.faults.add(Mute(topic="trade.*"))
        trade(exchange)
        ticker(exchange)
        assert (await client.frame())[0] == "tk"
        assert exchange.faults.lift(fault)
        trade(exchange)
        assert (await client.frame())[0] == "t"
        assert {topic: count.frames for topic, count in exchange.ledger.topics().items()} == {
            "ticker.*": 1,
            "trade.*": 1,
        }

    async def test_freeze(self, exchange, client) -> None:
        """All data stops; requests are still answered."""
        exchange.faults.add(Freeze())
        for say in (trade, ticker, book):
            say(exchange)
        assert (await client.ask("subscribe", "trade.*"))[0] == "subscribe"
        assert client.data == []

    async def test_thin(self, exchange, client) -> None:
        """A quarter of 2 000 trades gets through, within six standard deviations; the ledger counts what was sent."""
        exchange.faults.add(Thin(topic="trade.*", keep=0.25))
        for _ in range(2000):
            trade(exchange)
        sent = exchange.ledger.topics()["trade.*"].frames
        assert 384 < sent < 616
        exchange.faults.clear()
        last = trade(exchange)
        received = [await client.frame() for _ in range(sent + 1)]
        assert received[-1][2] == last

    async def test_duplicate(self, exchange, client) -> None:
        """Each frame comes twice, byte for byte, and counts twice."""
        exchange.faults.add(Duplicate(topic="trade.*"))
        trade(exchange)
        assert await client.text() == await client.text()
        assert exchange.ledger.topics()["trade.*"].frames == 2

    async def test_reorder(self, exchange, client) -> None:
        """Of each two frames of a topic the later comes first; a frame that waits is sent after the fault."""
        fault = exchange.faults.add(Reorder(topic="trade.*"))
        ids = [trade(exchange) for _ in range(5)]
        exchange.faults.lift(fault)
        ids.append(trade(exchange))
        received = [(await client.frame())[2] for _ in ids]
        assert received == [ids[1], ids[0], ids[3], ids[2], ids[4], ids[5]]

    async def test_cross_book(self, exchange, client) -> None:
        """The best bid is above the best ask while it is on, and below it after."""
        fault = exchange.faults.add(CrossBook())
        book(exchange)
        exchange.faults.lift(fault)
        book(exchange)
        gaps = []
        for _ in range(2):
            levels = (await client.frame())[2]
            gaps.append(float(levels["Asks"][0][0]) - float(levels["Bids"][0][0]))
        assert gaps[0] < 0 < gaps[1]

    async def test_delay_data(self, exchange, client) -> None:
        """A frame leaves late with the stamp it would have had; other topics are in time."""
        exchange.faults.add(DelayData(topic="trade.*", by=0.2))
        started = time.monotonic()
        trade(exchange)
        ticker(exchange)
        assert [(await client.frame())[0] for _ in range(2)] == ["tk", "t"]
        assert time.monotonic() - started >= 0.19


class TestAnswers:
    async def test_delay_acks(self, exchange, client) -> None:
        """Acknowledgements and errors leave the given time after their requests, to a few milliseconds."""
        exchange.faults.add(DelayAcks(by="350ms"))
        entry = exchange.ledger.connections[0]
        for topic in ("trade.*", "nonsense"):
            await client.ask("subscribe", topic)
            delay = entry.replies[-1].at - entry.requests[-1].at
            assert 0.349 <= delay < 1

    async def test_drop_acks(self, exchange, client) -> None:
        """The request takes effect and is not answered."""
        exchange.faults.add(DropAcks())
        await client.send("subscribe", "trade.ETH_USDT")
        assert await hears_nothing(client)
        assert "trade.ETH_USDT" in exchange.sessions[0].topics
        trade(exchange, "ETH_USDT")
        assert (await client.frame())[3] == "ETH_USDT"


class TestPings:
    @pytest.mark.parametrize("dialect", [Dialect.OBSERVED, Dialect.DOCUMENTED])
    async def test_drop_pings(self, start_exchange, dial, dialect) -> None:
        """No ping while it is on; they come again after it."""
        exchange = await start_exchange(dialect=dialect, ping_interval_seconds=0.05)
        exchange.faults.add(DropPings())
        client = await dial(exchange)
        assert await hears_nothing(client)
        assert exchange.ledger.connections[0].pings == []
        exchange.faults.clear()
        await eventually(lambda: exchange.ledger.connections[0].pings)

    @pytest.mark.parametrize("dialect", [Dialect.OBSERVED, Dialect.DOCUMENTED])
    async def test_delay_pings(self, start_exchange, dial, dialect) -> None:
        """The first ping comes its delay after the interval."""
        exchange = await start_exchange(dialect=dialect, ping_interval_seconds=0.1)
        exchange.faults.add(DelayPings(by=0.2))
        await dial(exchange)
        entry = exchange.ledger.connections[0]
        await eventually(lambda: entry.pings)
        assert entry.pings[0].at - entry.opened_at >= 0.29


class TestEnds:
    async def test_close(self, exchange, client) -> None:
        """The client sees the code and the reason, and the ledger names the server."""
        exchange.faults.add(Close(code=1012, reason="service restart"))
        assert await client.close_code() == 1012
        assert client.socket.close_reason == "service restart"
        entry = exchange.ledger.connections[0]
        assert (entry.close.initiator, entry.close.code, entry.close.reason) == ("server", 1012, "service restart")
        assert not list(exchange.faults)

    async def test_a_client_that_ignores_a_close_is_cut_off(self, start_exchange) -> None:
        """After the close timeout the transport is aborted."""
        exchange = await start_exchange(close_timeout_seconds=0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(exchange.http_url.rpartition(":")[2]))
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await eventually(lambda: exchange.sessions)
        session = exchange.sessions[0]
        exchange.faults.add(Close(code=1000))
        async with asyncio.timeout(5):
            await session.finished.wait()
            received = await reader.read()
        assert received.endswith(b"\x88\x02" + struct.pack("!H", 1000))
        writer.close()

    async def test_abort(self, exchange, client) -> None:
        """The TCP connection is reset: no close frame, and the error is a reset, not an end of file."""
        exchange.faults.add(Abort())
        with pytest.raises(ConnectionClosedError) as caught:
            await client.frame()
        assert caught.value.rcvd is None
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        entry = exchange.ledger.connections[0]
        assert (entry.close.initiator, entry.close.code, entry.close.reason) == ("server", 1006, "reset")

    async def test_abort_and_half_open_over_tls(self, start_exchange, dial, server_tls, client_tls) -> None:
        """Both reach through the encryption: silence while held, a reset and no close frame after."""
        exchange = await start_exchange(ssl_context=server_tls)
        client = await dial(exchange, ssl=client_tls)
        held = exchange.faults.add(HalfOpen())
        await client.send("subscribe", "trade.*")
        assert await hears_nothing(client)
        exchange.faults.lift(held)
        assert (await client.frame())[0] == "subscribe"
        exchange.faults.add(Abort())
        with pytest.raises(ConnectionClosedError) as caught:
            await client.frame()
        assert isinstance(caught.value.__cause__, ConnectionResetError)

    async def test_half_open(self, exchange, client, dial) -> None:
        """Sessions open now are neither read nor written, pings included; new ones live; lifting it ends the spell."""
        fault = exchange.faults.add(HalfOpen())
        await client.send("subscribe", "trade.ETH_USDT")
        pong = await client.socket.ping()
        trade(exchange)
        assert await hears_nothing(client)
        assert not pong.done()
        assert exchange.ledger.connections[0].close is None
        assert exchange.ledger.connections[0].data.frames == 0
        fresh = await dial(exchange)
        assert (await fresh.ask("subscribe", "trade.*"))[0] == "subscribe"
        exchange.faults.lift(fault)
        assert (await client.frame())[2] == "trade.ETH_USDT"
        await pong

    async def test_a_half_open_exchange_stops(self, exchange, client) -> None:
        """A held session does not hold up the server's end."""
        exchange.faults.add(HalfOpen())
        await exchange.__aexit__(None, None, None)
        assert exchange.sessions == ()


class TestConnecting:
    async def test_refuse_upgrades(self, exchange, dial) -> None:
        """The status and the header come as told; the attempts are in the ledger; open sessions stay."""
        before = await dial(exchange)
        fault = exchange.faults.add(RefuseUpgrades(status=429, retry_after="7s"))
        with pytest.raises(InvalidStatus) as caught:
            await dial(exchange)
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "7"
        exchange.faults.lift(fault)
        await dial(exchange)
        assert [attempt.status for attempt in exchange.ledger.attempts] == [101, 429, 101]
        assert (await before.ask("subscribe", "trade.*"))[0] == "subscribe"

    async def test_stall_upgrades(self, exchange, dial) -> None:
        """TCP is accepted and nothing is answered, until the fault is lifted: then the connection is cut."""
        fault = exchange.faults.add(StallUpgrades())
        attempt = asyncio.ensure_future(dial(exchange, open_timeout=5))
        await eventually(lambda: exchange.ledger.attempts)
        done, _ = await asyncio.wait([attempt], timeout=SHORT_SECONDS)
        assert not done
        exchange.faults.lift(fault)
        with pytest.raises(Exception, match="did not receive a valid HTTP response"):
            await attempt
        assert exchange.ledger.attempts[0].status == 0
        assert exchange.sessions == ()

    async def test_no_welcome(self, exchange, dial) -> None:
        """The upgrade succeeds and then nothing: no welcome, no answer, no data."""
        exchange.faults.add(NoWelcome())
        client = await dial(exchange, welcomed=False)
        await client.send("subscribe", "trade.*")
        trade(exchange)
        assert await hears_nothing(client)
        assert exchange.ledger.connections[0].welcome == ()

    async def test_delay_welcome(self, exchange, dial) -> None:
        """The welcome comes as late as told."""
        exchange.faults.add(DelayWelcome(by=0.2))
        started = time.monotonic()
        await dial(exchange)
        assert time.monotonic() - started >= 0.19


class TestContent:
    async def test_garbage(self, exchange, client) -> None:
        """Every frame of the list arrives as it is, and the session goes on."""
        exchange.faults.add(Garbage())
        assert [await client.text() for _ in GARBAGE] == [payload.text for payload in GARBAGE]
        trade(exchange)
        assert (await client.frame())[0] == "t"
        assert exchange.ledger.connections[0].frames["raw"] == len(GARBAGE)

    async def test_garbage_of_ones_own(self, exchange, client) -> None:
        """Text, binary and raw bytes; the last breaks the WebSocket protocol itself."""
        raw = {"raw": "g34="}  # a frame with a reserved opcode
        exchange.faults.add(Garbage.model_validate({"frames": ["oops", {"binary": "AAE="}, raw]}))
        assert await client.text() == "oops"
        assert await client.socket.recv() == b"\x00\x01"
        with pytest.raises(ConnectionClosedError):
            await client.frame()

    async def test_skew(self, exchange, client) -> None:
        """All stamps are ahead by as much, or behind."""
        for by in (100.0, -100.0):
            exchange.faults.clear()
            exchange.faults.add(Skew(by=by))
            stamps = [(await client.ask("subscribe", "trade.*"))[1]]
            trade(exchange)
            stamps.append((await client.frame())[1])
            assert stamps == pytest.approx([time.time() + by] * 2, abs=5)

    async def test_send(self, exchange, client, dial) -> None:
        """What a test sends by hand arrives, as often as said, at all sessions or one."""
        other = await dial(exchange)
        assert exchange.send(Payload(text="all")) == 2
        assert exchange.send(Payload(text="one"), session=2, repeat=3) == 3
        assert [await other.text() for _ in range(4)] == ["all", "one", "one", "one"]
        assert await client.text() == "all"
        assert await hears_nothing(client)


class TestSelection:
    async def test_first_means_the_oldest_open_session(self, exchange, dial) -> None:
        """Only the oldest is closed, then the next oldest."""
        clients = [await dial(exchange) for _ in range(3)]
        for expected in (2, 1):
            exchange.faults.add(Close(connections="first"))
            await eventually(lambda expected=expected: len(exchange.sessions) == expected)
        assert [await client.close_code() for client in clients[:2]] == [1012, 1012]
        assert [session.number for session in exchange.sessions] == [3]

    @pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
    async def test_a_fraction_selects_about_as_many(self, exchange, dial, fraction) -> None:
        """Of 8 sessions, the fraction is hit to within one."""
        for _ in range(8):
            await dial(exchange)
        exchange.faults.add(HalfOpen(connections=fraction))
        held = sum(session.link.is_held for session in exchange.sessions)
        exchange.faults.clear()
        assert abs(held - 8 * fraction) <= 1
        assert fraction not in (0.0, 1.0) or held == 8 * fraction


class TestParsing:
    def test_every_fault_can_be_named(self) -> None:
        """Each kind of fault is found by its name, and shows it."""
        for name, more in [("mute", {}), ("skew", {"by": "-2s"}), ("thin", {"keep": 0.5}), ("garbage", {})]:
            assert faults.parse({"fault": name, **more}).fault == name

    @pytest.mark.parametrize(
        ("fields", "complaint"),
        [
            ({"fault": "explode"}, "does not match any of the expected tags: 'mute'"),
            ({}, "Unable to extract tag"),
            ({"fault": "mute", "topik": "x"}, "mute.topik: Extra inputs"),
            ({"fault": "thin"}, "thin.keep: Field required"),
            ({"fault": "thin", "keep": 1.5}, "less than or equal to 1"),
            ({"fault": "delay_acks", "by": "soon"}, "'soon' is no duration: write 350ms, 40s or 1m30s"),
            ({"fault": "delay_acks", "by": "-1s"}, "greater than or equal to 0"),
            ({"fault": "skew", "by": "nan"}, "is no duration"),
            ({"fault": "close", "code": 99}, "greater than or equal to 1000"),
            ({"fault": "mute", "connections": "second"}, "mute.connections"),
            ({"fault": "garbage", "frames": [{"text": "a", "binary": "AA=="}]}, "exactly one of text, binary and raw"),
        ],
    )
    def test_mistakes_are_named(self, fields, complaint) -> None:
        """What is no fault is refused with the field and the reason."""
        with pytest.raises(ValidationError) as caught:
            faults.parse(fields)
        assert complaint in "\n".join(faults.describe(caught.value))
