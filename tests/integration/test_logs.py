"""What the monitor says of a session, in its log."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from alpmon import logs
from alpmon.exchange.faults import Close, Garbage
from tests.integration.harness import TARGET, monitoring, target, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StartExchange


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """The log's lines; logging is as it was afterwards."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    logs.configure("error", "json")


def lines(stream: io.StringIO, event: str) -> list[dict[str, Any]]:
    """The lines of one event, in order."""
    return [line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == event]


async def test_a_session_is_told_by_its_state_changes_and_one_line_at_its_end(
    start_exchange: StartExchange, told: io.StringIO
) -> None:
    """Each with target, connection and client id; the end with its code and reason."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        await exchange.burst(7, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 7)
        exchange.faults.add(Close(code=1012, reason="maintenance"))
        await until(lambda: monitored.connection().session_duration.count == 1)
        await monitored.until_live()
    client_id = exchange.ledger.connections[0].client_id
    moves = [line for line in lines(told, "state") if line.get("client_id") == client_id]
    assert [(line["before"], line["after"]) for line in moves] == [
        ("welcoming", "subscribing"),
        ("subscribing", "live"),
        ("live", "backoff"),
    ]
    assert {(line["target"], line["connection"]) for line in moves} == {(TARGET, "0-0")}
    assert (moves[-1]["initiator"], moves[-1]["code"], moves[-1]["reason"]) == ("server", "1012", "close_frame")
    first, second = lines(told, "session ended")
    assert first["client_id"] == client_id
    assert (first["code"], first["close_reason"], first["data_frames"]) == (1012, "maintenance", 7)
    assert (second["initiator"], second["code"], second["reason"]) == ("client", 1001, "shutdown")


async def test_a_warning_that_repeats_is_bounded(start_exchange: StartExchange, told: io.StringIO) -> None:
    """Two hundred bad frames are counted one by one and told once."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        exchange.faults.add(Garbage(frames=("null",) * 200))
        await until(lambda: monitored.connection().malformed["not_array"] == 200)
    assert len(lines(told, "malformed frame")) == 1
