"""The private channels, opened with a token or with what is traded for one; and that nobody ever reads a secret."""

from __future__ import annotations

import io
import itertools
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import structlog

from alpmon import logs
from alpmon.exchange.faults import Close, Payload, RefuseRest
from tests.integration.harness import Monitored, monitoring, target, until
from tests.integration.recording import Recorded, configured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

PRIVATE = ("wallet", "order", "account_trade")
TOKEN = "opaque-token-of-the-test"
KEY, SECRET = "key-of-the-test", "secret-of-the-test"
"""And `eyJ` is how every JSON Web Token begins."""
PAGES = ("/metrics", "/", "/api/v1/status", "/api/v1/recordings", "/config")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, at the level that says most."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def token_file(exchange: Exchange, folder: Path) -> dict[str, Any]:
    (folder / "token").write_text(f"{TOKEN}\n")
    return {"token_file": str(folder / "token")}


def key_and_secret(exchange: Exchange, folder: Path) -> dict[str, Any]:
    (folder / "key").write_text(KEY)
    (folder / "secret").write_text(SECRET)
    return {"key_file": str(folder / "key"), "secret_file": str(folder / "secret"), "rest_url": exchange.rest_url}


def publish_account_events(exchange: Exchange, count: int = 30) -> None:
    for _ in range(count):
        exchange.publish(exchange.market.quotes.account(time.time()))


def presented(exchange: Exchange) -> list[float]:
    """When tokens were presented on the first connection, seconds from its opening."""
    [entry, *_] = exchange.ledger.connections
    return [request.at - entry.opened_at for request in entry.requests if request.operation == "auth"]


async def assert_no_secret_anywhere(monitored: Monitored, log: io.StringIO, *secrets: str) -> None:
    """Not in the log, and not on any page."""
    shown = {path: (await monitored.get(path))[1] for path in PAGES}
    shown["log"] = log.getvalue()
    assert "alpmon.probe" in shown["log"], "the log is kept"
    for (where, text), secret in itertools.product(shown.items(), secrets):
        assert secret not in text, where


@pytest.mark.parametrize("credentials", [token_file, key_and_secret])
async def test_private_frames_are_counted_to_the_ledger(
    start_exchange: StartExchange, tmp_path: Path, log: io.StringIO, credentials: Any
) -> None:
    """Each under its channel, beside the public feed; what opened them is nowhere to be read."""
    exchange = await start_exchange(api_keys={KEY: SECRET})
    async with monitoring(target(exchange.url, ["trade.*"], auth=credentials(exchange, tmp_path))) as monitored:
        await until(lambda: exchange.ledger.connections and exchange.ledger.connections[0].authenticated)
        publish_account_events(exchange)
        await exchange.burst(10, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 40)
        scrape = await monitored.scrape()
        sent = exchange.ledger.topics()
        for channel in PRIVATE:
            assert sent[channel].frames > 0
            assert scrape.value("alpmon_messages_total", topic=channel) == sent[channel].frames
            assert scrape.value("alpmon_message_bytes_total", topic=channel) == sent[channel].bytes
        assert scrape.value("alpmon_messages_total", topic="trade.*") == 10
        assert scrape.value("alpmon_error_frames_total") == 0
        assert scrape.value("alpmon_private_channels_open") == 1
        await assert_no_secret_anywhere(monitored, log, TOKEN, KEY, SECRET, "eyJ")


async def test_a_refused_token_is_visible_and_costs_the_public_feed_nothing(
    start_exchange: StartExchange, tmp_path: Path, log: io.StringIO
) -> None:
    """Counted as `unauthorized`; no private frame comes."""
    exchange = await start_exchange(refused_tokens=frozenset({TOKEN}))
    async with monitoring(target(exchange.url, ["trade.*"], auth=token_file(exchange, tmp_path))) as monitored:
        await until(lambda: monitored.connection().error_frames["unauthorized"])
        publish_account_events(exchange)
        await exchange.burst(10, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 10)
        scrape = await monitored.scrape()
        assert scrape.value("alpmon_error_frames_total", reason="unauthorized") == 1
        assert scrape.value("alpmon_error_frames_total") == 1
        assert scrape.value("alpmon_private_channels_open") == 0
        status = json.loads((await monitored.get("/api/v1/status"))[1])
        assert status["verdict"]["sentence"] == "The private channels are closed on test 0-0"
        assert scrape.value("alpmon_connection_up") == 1
        assert scrape.value("alpmon_topic_state", topic="trade.*", alpmon_topic_state="live") == 1
        assert sum(scrape.value("alpmon_messages_total", topic=channel) for channel in PRIVATE) == 0
        await assert_no_secret_anywhere(monitored, log, TOKEN)


async def test_a_session_that_outlives_its_token_presents_the_next_one_in_time(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """On the same connection, before the first one's `exp`."""
    lifetime = 6.0
    exchange = await start_exchange(api_keys={KEY: SECRET}, token_seconds=lifetime)
    async with monitoring(target(exchange.url, ["trade.*"], auth=key_and_secret(exchange, tmp_path))) as monitored:
        await until(lambda: exchange.ledger.connections and len(presented(exchange)) == 2)
        assert presented(exchange)[1] < lifetime
        assert exchange.ledger.tokens_issued == 2
        assert len(exchange.ledger.connections) == 1
        assert monitored.connection().error_frames.total() == 0


async def test_a_token_file_that_changes_is_presented_at_once(
    start_exchange: StartExchange, tmp_path: Path, log: io.StringIO
) -> None:
    """The refused token is replaced, and the private channels open on the session that is up."""
    exchange = await start_exchange(refused_tokens=frozenset({TOKEN}))
    async with monitoring(target(exchange.url, ["trade.*"], auth=token_file(exchange, tmp_path))) as monitored:
        await until(lambda: monitored.connection().error_frames["unauthorized"])
        (tmp_path / "token").write_text("the-next-token")
        await until(lambda: exchange.ledger.connections[0].authenticated)
        publish_account_events(exchange, 10)
        await until(lambda: monitored.connection().data_frames == 10)
        assert len(exchange.ledger.connections) == 1
        await assert_no_secret_anywhere(monitored, log, TOKEN, "the-next-token")


async def test_a_token_that_cannot_be_renewed_leaves_the_session_as_it_is(
    start_exchange: StartExchange, tmp_path: Path, log: io.StringIO
) -> None:
    """It is said once, and neither the public feed nor what the last token opened ends for it."""
    exchange = await start_exchange(api_keys={KEY: SECRET}, token_seconds=1.0)
    async with monitoring(target(exchange.url, ["trade.*"], auth=key_and_secret(exchange, tmp_path))) as monitored:
        await until(lambda: exchange.ledger.connections and exchange.ledger.connections[0].authenticated)
        exchange.faults.add(RefuseRest(endpoint="auth"))
        await until(lambda: "token cannot be renewed" in log.getvalue())
        publish_account_events(exchange, 10)
        await until(lambda: monitored.connection().data_frames == 10)
        await assert_no_secret_anywhere(monitored, log, KEY, SECRET, "eyJ")


async def test_credentials_that_are_refused_are_an_attempt_that_failed(
    start_exchange: StartExchange, tmp_path: Path, log: io.StringIO
) -> None:
    """Counted as `auth`, told in one line, and tried again when the files hold others."""
    exchange = await start_exchange(api_keys={KEY: "another-secret"})
    async with monitoring(target(exchange.url, ["trade.*"], auth=key_and_secret(exchange, tmp_path))) as monitored:
        await until(lambda: monitored.connection().failures["auth"])
        assert monitored.connection().last_failure.endswith("key and secret were refused: HTTP 401 Unauthorized")
        await assert_no_secret_anywhere(monitored, log, KEY, SECRET)
        (tmp_path / "secret").write_text("another-secret")
        await until(lambda: exchange.ledger.connections and exchange.ledger.connections[0].authenticated)


@pytest.mark.parametrize("token", ["s3cret-token", 's3cret"to\\ken/=='])
async def test_a_token_that_the_server_repeats_is_repeated_nowhere(
    start_exchange: StartExchange, tmp_path: Path, log: io.StringIO, token: str
) -> None:
    """Neither out of a close reason, cut off there or not, nor out of a frame that escapes it in its own way."""
    exchange = await start_exchange()
    (tmp_path / "token").write_text(token)
    config = configured(target(exchange.url, ["trade.*"], auth={"token_file": str(tmp_path / "token")}))
    errors = [json.dumps(["error", 1790139142, f"token {token} is not good", "auth"])]
    errors += [errors[0].replace("/", "\\/"), errors[0].replace("=", "\\u003D")]
    reasons = [f"token {token} is not good", f"not good: {token[:-2]}"]
    async with Recorded(tmp_path / "x.jsonl", config) as recorded, aiohttp.ClientSession() as http:
        connection, monitored = recorded.connection(), Monitored(recorded.service, http)
        for number, reason in enumerate(reasons):
            await until(lambda number=number: presented_on(exchange, number))  # type: ignore[misc]
            for text in errors:
                exchange.send(Payload(text=text))
            await until(lambda number=number: connection.error_frames.total() == 3 * (number + 1))  # type: ignore[misc]
            exchange.faults.add(Close(code=1008, reason=reason))
            await until(lambda number=number: connection.disconnects.total() == number + 1)  # type: ignore[misc]
            assert connection.last_end is not None
            assert connection.last_end.close_reason == reason.replace(token, "***").replace(token[:-2], "***")
            await assert_no_secret_anywhere(monitored, log, "s3cret")
    written = (tmp_path / "x.jsonl").read_text()
    assert "token *** is not good" in written
    assert "s3cret" not in written


def presented_on(exchange: Exchange, number: int) -> bool:
    """Whether a token was presented on the connection of this number."""
    connections = exchange.ledger.connections
    return number < len(connections) and connections[number].authenticated
