"""The control over HTTP does what the methods do."""

from __future__ import annotations

import aiohttp
import pytest

from tests.waiting import eventually


@pytest.fixture
async def exchange(start_exchange):
    return await start_exchange()


@pytest.fixture
async def http(exchange):
    async with aiohttp.ClientSession(exchange.http_url) as session:
        yield session


async def test_a_fault_is_added_listed_and_lifted(exchange, http) -> None:
    """An id comes back, by which it is lifted once and no more."""
    async with http.post("/control/faults", json={"fault": "mute", "topic": "trade.*"}) as response:
        assert response.status == 201
        fault = (await response.json())["id"]
    async with http.get("/control/faults") as response:
        assert await response.json() == [{"id": fault, "fault": "mute", "topic": "trade.*", "connections": "all"}]
    for expected in (204, 404):
        async with http.delete(f"/control/faults/{fault}") as response:
            assert response.status == expected
    assert not exchange.faults


async def test_all_faults_are_lifted_together(exchange, http) -> None:
    """DELETE on the collection clears it."""
    for name in ("freeze", "drop_acks"):
        await http.post("/control/faults", json={"fault": name})
    assert len(list(exchange.faults)) == 2
    async with http.delete("/control/faults") as response:
        assert response.status == 204
    assert not exchange.faults


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("faults", '{"fault": "mute", "topik": "x"}', "mute.topik: Extra inputs are not permitted"),
        ("faults", "no json", "Expecting value"),
        ("faults", "[1]", "Input should be a valid dictionary"),
        ("send", "{}", "exactly one of text, binary and raw"),
        ("send", '{"text": "x", "repeat": 0}', "repeat: Input should be greater than or equal to 1"),
        ("burst", '{"count": 1, "session": 1}', "session 1 holds no topic that delivers"),
        ("burst", '{"count": 1, "mix": {"trade.*": 0}}', "greater than 0"),
    ],
)
async def test_mistakes_are_answered_with_400(exchange, http, dial, path, body, complaint) -> None:
    """The answer says what is wrong, and nothing happens."""
    await dial(exchange)
    async with http.post(f"/control/{path}", data=body) as response:
        assert response.status == 400
        assert complaint in "\n".join((await response.json())["error"])
    assert not exchange.faults
    assert exchange.ledger.connections[0].frames == {"welcome": 1}


async def test_frames_are_sent(exchange, http, dial) -> None:
    """Text and binary, repeated; the answer says how many went out."""
    client = await dial(exchange)
    async with http.post("/control/send", json={"text": "hello", "repeat": 2}) as response:
        assert await response.json() == {"sent": 2}
    async with http.post("/control/send", json={"binary": "AAE=", "session": 1}) as response:
        assert await response.json() == {"sent": 1}
    assert [await client.socket.recv() for _ in range(3)] == ["hello", "hello", b"\x00\x01"]


async def test_a_burst_is_written_and_the_ledger_shows_it(exchange, http, dial) -> None:
    """The ledger over HTTP holds the counts of the burst."""
    client = await dial(exchange)
    await client.ask("subscribe", "trade.*", "ticker.*")
    async with http.post("/control/burst", json={"count": 100, "mix": {"trade.*": 3, "ticker.*": 1}}) as response:
        assert await response.json() == {"sent": 100}
    async with http.get("/control/ledger") as response:
        topics = (await response.json())["connections"][0]["topics"]
    assert {topic: count["frames"] for topic, count in topics.items()} == {"trade.*": 75, "ticker.*": 25}


async def test_an_instant_fault_over_http(exchange, http, dial) -> None:
    """A close happens at once and stays on no list."""
    client = await dial(exchange)
    await http.post("/control/faults", json={"fault": "close", "code": 1012, "reason": "bye"})
    assert await client.close_code() == 1012
    await eventually(lambda: exchange.sessions == ())
    assert not exchange.faults


async def test_a_plain_get_of_the_socket_path_is_no_upgrade(exchange, http) -> None:
    """It is answered as a bad request and opens nothing."""
    async with http.get("/ws") as response:
        assert response.status == 400
    assert exchange.ledger.connections == []
