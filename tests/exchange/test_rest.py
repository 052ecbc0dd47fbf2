"""REST tells what the market said, in the shapes of the exchange's public API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import aiohttp
import pytest

from alpmon.core.events import Dialect
from alpmon.exchange.faults import Freeze, Pause, RefuseRest
from tests.waiting import eventually


@pytest.fixture
async def exchange(start_exchange):
    return await start_exchange(dialect=Dialect.DOCUMENTED)


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def got(http, exchange, path: str) -> tuple[int, Any]:
    async with http.get(exchange.rest_url + path) as response:
        return response.status, await response.json()


def signed(body: bytes, secret: str) -> dict[str, str]:
    return {"X-SIGN": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


CREDENTIALS = json.dumps({"api_key": "demo-key", "api_secret": "demo-secret"}).encode()


async def test_the_order_book_equals_the_last_frame_level_for_level(exchange, http, dial) -> None:
    """`buy` are the bids and `sell` the asks, best first."""
    client = await dial(exchange)
    await client.ask("subscribe", "market_depth.BTC_USDT")
    for moment in (1000.0, 1001.0):
        exchange.publish(exchange.market.quotes.book("BTC_USDT", moment))
    await client.frame()
    _, _, book = await client.frame()
    status, shown = await got(http, exchange, "/orderbook?pair=BTC_USDT")
    assert status == 200
    assert [[level["price"], level["amount"]] for level in shown["buy"]] == book["Bids"]
    assert [[level["price"], level["amount"]] for level in shown["sell"]] == book["Asks"]


async def test_news_that_a_fault_keeps_from_the_stream_shows_in_rest(exchange, http) -> None:
    """And a pausing market has none, anywhere."""
    quotes = exchange.market.quotes
    exchange.faults.add(Freeze())
    exchange.publish(quotes.trade("BTC_USDT", 1000.0))
    exchange.publish(quotes.trade("ETH_USDT", 1001.0))
    pause = exchange.faults.add(Pause())
    exchange.publish(quotes.trade("BTC_USDT", 1002.0))
    exchange.faults.lift(pause)
    _, trades = await got(http, exchange, "/trades")
    assert [(trade["pair"], trade["timestamp"]) for trade in trades] == [("ETH_USDT", 1001.0), ("BTC_USDT", 1000.0)]
    assert trades[0]["id"] > trades[1]["id"]
    _, of_bitcoin = await got(http, exchange, "/trades?pair=BTC_USDT")
    assert of_bitcoin == trades[1:]


async def test_tickers_are_the_last_row_of_each_pair(exchange, http) -> None:
    """All of them, or one."""
    frame = exchange.market.quotes.tickers(1000.0)
    exchange.publish(frame)
    _, rows = await got(http, exchange, "/ticker")
    told = [(row["pair"], row["last"], row["buy"], row["sell"], row["timestamp"]) for row in rows]
    assert told == [(row.symbol, row.close, row.bid, row.ask, 1000.0) for row in frame.rows]
    _, row = await got(http, exchange, f"/ticker?pair={frame.rows[0].symbol}")
    assert row == rows[0]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/orderbook", 400), ("/orderbook?pair=NOPE_USDT", 400), ("/ticker?pair=BTC_USDT", 404), ("/nothing", 404)],
)
async def test_what_cannot_be_answered_is_refused(exchange, http, path, status) -> None:
    """With a status, and no guess."""
    async with http.get(exchange.rest_url + path) as response:
        assert response.status == status


async def test_a_refusal_names_when_to_come_back_and_spares_the_other_endpoints(exchange, http) -> None:
    """429 with Retry-After on books; trades go on. The ledger knows both."""
    exchange.faults.add(RefuseRest(endpoint="orderbook", status=429, retry_after=7))
    async with http.get(exchange.rest_url + "/orderbook?pair=BTC_USDT") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert await got(http, exchange, "/trades") == (200, [])
    told = [(entry.method, entry.endpoint, entry.pair, entry.status) for entry in exchange.ledger.rest]
    assert told == [("GET", "orderbook", "BTC_USDT", 429), ("GET", "trades", "", 200)]


async def test_a_key_and_its_secret_get_a_token_that_says_when_it_ends(exchange, http) -> None:
    """A bare JSON string, signed, with `exp` as long ahead as the settings say."""
    before = time.time()
    async with http.post(
        exchange.rest_url + "/auth", data=CREDENTIALS, headers=signed(CREDENTIALS, "demo-secret")
    ) as r:
        token = await r.json()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert before + 600 <= claims["exp"] <= time.time() + 600
    assert exchange.ledger.tokens_issued == 1


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (CREDENTIALS, signed(CREDENTIALS, "another")),
        (CREDENTIALS, signed(b"{}", "demo-secret")),
        (CREDENTIALS, {}),
        (b"no json", signed(b"no json", "demo-secret")),
        (CREDENTIALS.replace(b"demo-secret", b"x"), signed(CREDENTIALS.replace(b"demo-secret", b"x"), "x")),
    ],
)
async def test_credentials_that_are_wrong_or_not_signed_are_refused(exchange, http, body, signature) -> None:
    """401, and no token."""
    async with http.post(exchange.rest_url + "/auth", data=body, headers=signature) as response:
        assert response.status == 401
    assert exchange.ledger.tokens_issued == 0


async def test_a_market_that_paused_goes_on_when_the_pause_is_lifted(start_exchange, dial) -> None:
    """Nothing is sent from the first moment of the pause to its last."""
    exchange = await start_exchange(market=True, rate=100.0)
    client = await dial(exchange)
    pause = exchange.faults.add(Pause())
    await client.ask("subscribe", "trade.*", "ticker.*")
    await eventually(lambda: exchange.market.next_at > time.time() + 100.0)
    entry = exchange.ledger.connections[0]
    assert entry.data.frames == 0
    exchange.faults.lift(pause)
    await eventually(lambda: entry.data.frames > 0)
