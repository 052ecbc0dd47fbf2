"""How one connection's sessions are accounted for, however they end."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager, suppress
from random import Random
from socket import create_server, socket
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import capture_logs
from websockets.frames import Opcode
from websockets.utils import accept_key

from alpmon.core.backoff import Backoff
from alpmon.core.freshness import TopicFreshness, TopicState
from alpmon.core.session import Settings
from alpmon.core.states import State
from alpmon.probe.connector import ConnectRequest
from alpmon.probe.worker import Worker
from alpmon.telemetry.histogram import LATENCY_BUCKETS, Histogram
from alpmon.telemetry.labels import RELOAD, Phase
from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord
from tests.integration.harness import until
from tests.probe.probe_peers import frame
from tests.telemetry.records import RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import StartExchange

WELCOME = frame(Opcode.TEXT, b'["welcome",1790139140,20000,30000,"the-client"]')


class Kept:
    """A worker that holds one topic, and all that is recorded of it."""

    def __init__(self, url: str, connect_timeout: float = 10.0) -> None:
        self.record = ConnectionRecord("0-0", State.CONNECTING, ack={"subscribe": Histogram(LATENCY_BUCKETS)})
        self.record.topics["trade.*"] = TopicRecord("trade.*", TopicFreshness(RULE))
        self.worker = Worker(
            TargetRecord("t", url, {"0-0": self.record}),
            self.record,
            ConnectRequest(url, connect_timeout_seconds=connect_timeout),
            Settings(10.0, 5.0, None, 0.0, 0.0, 800),
            Backoff(60.0, 60.0, 1.0, Random(1)),
            structlog.get_logger("test"),
            token=None,
            overflow=lambda topics, limit: None,
            attempted=lambda: None,
        )

    @property
    def ends(self) -> list[tuple[str, str, str]]:
        """How sessions ended, each as often as it did."""
        return list(self.record.disconnects.elements())

    def assert_nothing_is_left(self) -> None:
        """Of the session that ended, in what is scraped."""
        record = self.record
        freshness = record.topics["trade.*"].freshness
        assert freshness is not None
        assert (record.up, record.client_id, freshness.state(time.monotonic())) == (False, "", TopicState.DOWN)
        assert not record.failures
        assert record.session_duration.count == 1


@contextmanager
def welcome_on_request(told: threading.Event) -> Iterator[tuple[int, threading.Event, threading.Event]]:
    """A peer in a thread that answers one upgrade, welcome included, when it is told to.

    Gives its port, and what is set when it was asked and when it has answered.
    """
    asked, answered = threading.Event(), threading.Event()

    def serve(listener: socket) -> None:
        peer, _ = listener.accept()
        request = b""
        while b"\r\n\r\n" not in request:
            request += peer.recv(4096)
        asked.set()
        told.wait()
        key = next(line.split()[1] for line in request.decode().splitlines() if "websocket-key" in line.lower())
        head = (
            f"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}"
        )
        peer.sendall(head.encode() + b"\r\n\r\n" + WELCOME)
        answered.set()
        with suppress(ConnectionError):
            while peer.recv(4096):
                pass
        peer.close()

    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1], asked, answered
        told.set()
        thread.join()


async def test_a_session_whose_attempt_ran_out_of_time_is_accounted_for() -> None:
    """Our loop stalls until the deadline is past; upgrade and welcome lie in the socket and are read first."""
    told = threading.Event()
    with welcome_on_request(told) as (port, asked, answered):
        kept = Kept(f"ws://127.0.0.1:{port}", connect_timeout=0.3)
        running = asyncio.create_task(kept.worker.run())
        await until(asked.is_set)
        told.set()
        answered.wait()
        time.sleep(0.3)  # noqa: ASYNC251 - this is the stall
        await until(lambda: kept.record.state is State.BACKOFF)
        assert kept.ends == [("client", "1006", "connection_lost")]
        kept.assert_nothing_is_left()
        kept.worker.stop()
        await running
    assert kept.record.state is State.STOPPED


async def test_a_stop_between_the_welcome_and_the_end_of_the_attempt_says_goodbye(
    start_exchange: StartExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 1001, as at any other time."""
    exchange = await start_exchange()
    kept = Kept(exchange.url)
    observe = Worker._observe

    def stop_at_the_upgrade(worker: Worker, phase: Phase, seconds: float) -> None:
        observe(worker, phase, seconds)
        if phase is Phase.UPGRADE:
            worker.stop(RELOAD)

    monkeypatch.setattr(Worker, "_observe", stop_at_the_upgrade)
    await kept.worker.run()
    assert kept.record.state is State.STOPPED
    await until(lambda: exchange.ledger.connections[0].close is not None)
    close = exchange.ledger.connections[0].close
    assert close is not None
    assert (close.initiator, close.code) == ("client", 1001)
    assert not kept.record.up
    assert not kept.record.failures


async def test_a_worker_that_is_cancelled_while_it_is_stopped_accounts_for_its_session(
    start_exchange: StartExchange,
) -> None:
    """Whoever stops everything waits for two seconds and no longer."""
    kept = Kept((await start_exchange()).url)
    running = asyncio.create_task(kept.worker.run())
    await until(lambda: kept.record.state is State.LIVE)
    kept.worker.stop()
    running.cancel()
    await asyncio.wait([running])
    assert kept.ends == [("client", "1006", "shutdown")]
    kept.assert_nothing_is_left()
    assert kept.record.state is State.STOPPED


def plant_in_an_acknowledgement(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    monkeypatch.setattr(kept.record, "ack", None)


def plant_where_requests_are_counted(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    """Where their failure is counted as well, when the session ends."""
    monkeypatch.setattr(kept.record, "requests", None)
    monkeypatch.setattr(kept.record, "request_failures", None)


@pytest.mark.parametrize("plant", [plant_in_an_acknowledgement, plant_where_requests_are_counted])
async def test_a_session_that_a_bug_of_ours_ended_is_accounted_for(
    start_exchange: StartExchange,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch, Kept], None],
) -> None:
    """It was welcomed, so it counts as a disconnect; we ended it, because we could not go on with it."""
    exchange = await start_exchange()
    kept = Kept(exchange.url)
    plant(monkeypatch, kept)
    with capture_logs() as logs, pytest.raises(TypeError):
        await kept.worker.run()
    assert kept.ends == [("client", "1006", "protocol_error")]
    kept.assert_nothing_is_left()
    assert kept.record.state is State.BACKOFF
    (ended,) = (log for log in logs if log["event"] == "session ended")
    assert (ended["close_reason"], ended["error"]) == ("", "a bug of ours: TypeError")
    assert ended["client_id"] == exchange.ledger.connections[0].client_id


async def test_an_attempt_that_a_bug_of_ours_ended_has_failed(
    start_exchange: StartExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the welcome there is no session to end; the socket is not left open."""
    exchange = await start_exchange()
    kept = Kept(exchange.url)
    monkeypatch.setattr(kept.record, "connect", None)
    with pytest.raises(TypeError):
        await kept.worker.run()
    assert (kept.record.failures, kept.ends) == ({"other": 1}, [])
    assert kept.record.last_failure == "other: a bug of ours: TypeError"
    assert kept.record.state is State.BACKOFF
