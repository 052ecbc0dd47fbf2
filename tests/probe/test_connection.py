"""The connection against real servers: what reaches the handler, what the peer sees, how it ends."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.frames import Opcode

from alpmon.probe.closing import CloseCause, CloseFacts
from alpmon.telemetry.labels import Initiator
from tests.probe.probe_peers import MAX_SIZE, Log, dial, ended, frame, raw_server, silent_server, websocket_server


async def every_size() -> None:
    """Messages of every length of a frame's header, then messages that the library assembles."""
    sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000, 5]
    messages = [bytes([65 + i]) * size for i, size in enumerate(sizes)]

    async def handle(peer: ServerConnection) -> None:
        for message in messages:
            await peer.send(message.decode())
        await peer.send(["in ", "three ", "parts"])
        await peer.send(b"\0" * 300)
        await peer.send([b"\0" * 70_000, b"\0" * 70_000])
        await peer.close(4001, "done")

    async with websocket_server(handle) as port:
        log = Log()
        facts = await ended(await dial(port, log))
    assert log.heard == [
        ("opened",),
        *(("text", message) for message in messages),
        ("text", b"in three parts"),
        ("binary", 300),
        ("binary", 140_000),
    ]
    assert facts == CloseFacts(Initiator.SERVER, 4001, 4001, "done", CloseCause.CLOSE_FRAME)
    assert (len(log.closing_at), len(log.lost_at)) == (1, 1)


async def test_messages_of_every_size_arrive_whole_and_in_order() -> None:
    """Where the event loop reads into our buffer, as CPython's own does."""
    await every_size()


def test_the_same_where_the_event_loop_hands_over_bytes() -> None:
    """Uvloop knows no buffered protocols."""
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(every_size())


async def test_a_welcome_in_the_same_segment_as_the_upgrade() -> None:
    """Frames behind the handshake's response in one read are handled, the first half of a frame included."""
    held = frame(Opcode.TEXT, b"second" * 50)
    more = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, b"welcome") + held[:100])
        await more.wait()
        writer.write(held[100:])
        await reader.read()

    async with raw_server(handle) as port:
        log = Log()
        connection = await dial(port, log)
        await log.until(("text", b"welcome"))
        more.set()
        await log.until(("text", b"second" * 50))
        connection.abort()
        await ended(connection)
    assert log.heard[0] == ("opened",)


async def test_a_message_is_stamped_with_the_read_that_completed_it() -> None:
    """Both clocks are read once a read, and all messages of one read share the stamp."""
    before = time.monotonic(), time.time()
    async with silent_server(frame(Opcode.TEXT, b"a") + frame(Opcode.PING, b"p") + frame(Opcode.TEXT, b"b")) as port:
        log = Log()
        connection = await dial(port, log)
        await log.until(("text", b"b"))
        connection.abort()
        await ended(connection)
    assert len(set(log.stamps)) == 1
    now, wall = log.stamps[0]
    assert before[0] <= now <= log.answered[0] <= log.lost_at[0] <= time.monotonic()
    assert before[1] <= wall <= time.time()


async def test_a_ping_is_answered_before_the_handler_hears_of_it() -> None:
    """The pong carries the ping's payload, and both pongs and answers sent by the handler reach the peer."""
    answers: list[Any] = []

    async def handle(peer: ServerConnection) -> None:
        await (await peer.ping(b"are you there"))
        answers.append("pong")
        await peer.send("1")
        answers.append(await peer.recv())
        await peer.close()

    def answer(log: Log, payload: bytes) -> None:
        assert log.connection is not None
        answers.append(log.connection.send_text_now(b"2") <= time.monotonic())

    async with websocket_server(handle) as port:
        log = Log(answer)
        connection = await dial(port, log)
        await ended(connection)
    assert answers == ["pong", True, "2"]
    assert ("ping", b"are you there") in log.heard


async def test_our_own_ping_comes_back_as_a_pong() -> None:
    """A ping sent with `send_ping_now` is answered by any server, and the handler is told the payload."""

    async def handle(peer: ServerConnection) -> None:
        await peer.wait_closed()

    async with websocket_server(handle) as port:
        log = Log()
        connection = await dial(port, log)
        connection.send_ping_now(b"round trip")
        await log.until(("pong", b"round trip"))
        connection.close_now(1001, "going")
        facts = await ended(connection)
    assert facts == CloseFacts(Initiator.CLIENT, 1001, 1001, "going", None)


@pytest.mark.parametrize("size", [100, 70_000])
async def test_text_that_is_no_utf8_is_handed_over_as_it_is(size: int) -> None:
    """Bad text is for the handler to count; the connection stays open."""
    bad = b"\xff" * size
    async with silent_server(frame(Opcode.TEXT, bad) + frame(Opcode.TEXT, b"next")) as port:
        log = Log()
        connection = await dial(port, log)
        await log.until(("text", b"next"))
        assert log.heard[1] == ("text", bad)
        assert connection.state.name == "OPEN"
        connection.abort()
        facts = await ended(connection)
    assert facts == CloseFacts(Initiator.CLIENT, 1006, None, "", None)


async def test_a_message_over_the_limit_ends_the_connection() -> None:
    """The peer is told 1009, and the facts say what was too big."""
    async with silent_server(frame(Opcode.TEXT, bytes(MAX_SIZE)) + frame(Opcode.BINARY, bytes(MAX_SIZE + 1))) as port:
        log = Log()
        facts = await ended(await dial(port, log, close_timeout_seconds=0.05))
    assert [heard[0] for heard in log.heard] == ["opened", "text"]
    assert (facts.initiator, facts.code, facts.sent_code, facts.cause) == (
        Initiator.CLIENT,
        1006,
        1009,
        CloseCause.TOO_BIG,
    )


@pytest.mark.parametrize(
    ("bad", "sent_code"),
    [
        (b"\xc1\x00", 1002),
        (b"\x83\x00", 1002),
        (b"\x81\x85abcd", 1002),
        (frame(Opcode.CONT, b"x"), 1002),
        (frame(Opcode.TEXT, b"x", fin=False) + frame(Opcode.TEXT, b"x"), 1002),
        (b"\x89\x7e\x00\x7e" + bytes(126), 1002),
        (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(Opcode.CLOSE, b"\x00\x01"), 1002),
    ],
)
async def test_a_breach_of_the_protocol_ends_the_connection(bad: bytes, sent_code: int) -> None:
    """Nothing behind the breach is handled, the peer is told why, and the facts are a protocol error."""
    async with silent_server(frame(Opcode.TEXT, b"good") + bad + frame(Opcode.TEXT, b"late")) as port:
        log = Log()
        facts = await ended(await dial(port, log, close_timeout_seconds=0.05))
    assert log.heard == [("opened",), ("text", b"good")]
    assert (facts.initiator, facts.sent_code, facts.cause) == (
        Initiator.CLIENT,
        sent_code,
        CloseCause.PROTOCOL_ERROR,
    )
    assert facts.error
    assert facts.reason_text == "", "the peer said nothing"


async def test_the_peers_reason_is_made_printable() -> None:
    """A close reason is text from outside: escaped and short."""
    reason = b"\x1b[2J\n" + b"x" * 110
    async with silent_server(frame(Opcode.CLOSE, struct.pack("!H", 1013) + reason)) as port:
        facts = await ended(await dial(port, Log(), close_timeout_seconds=0.05))
    assert facts.code == 1013
    assert facts.reason_text == ("\\x1b[2J\\n" + "x" * 110)[:123]
    assert facts.error == ""


async def test_an_end_without_a_close_frame_is_the_networks() -> None:
    """End of stream in the middle of a frame: 1006, nobody's decision."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, b"whole") + frame(Opcode.TEXT, b"half")[:3])

    async with raw_server(handle) as port:
        log = Log()
        facts = await ended(await dial(port, log))
    assert log.heard == [("opened",), ("text", b"whole")]
    assert facts == CloseFacts(Initiator.NETWORK, 1006, None, "", CloseCause.CONNECTION_LOST)


async def test_a_reset_is_the_networks_and_says_so() -> None:
    """A reset by the peer is told in the system's words."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response)
        await reader.readexactly(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with raw_server(handle) as port:
        connection = await dial(port, Log())
        connection.send_text_now(b"x")
        facts = await ended(connection)
    assert (facts.initiator, facts.code, facts.cause) == (Initiator.NETWORK, 1006, CloseCause.CONNECTION_LOST)
    assert "reset by peer" in facts.error
    assert facts.reason_text == "", "the peer said nothing"


async def test_a_peer_that_does_not_answer_our_close_is_dropped() -> None:
    """The close handshake has a deadline; what still arrives is handled until then."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response)
        await reader.readexactly(2)
        writer.write(frame(Opcode.TEXT, b"last words"))
        await reader.read()

    async with raw_server(handle) as port:
        log = Log()
        connection = await dial(port, log, close_timeout_seconds=0.1)
        connection.close_now(1001, "shutdown")
        connection.close_now(1000)
        facts = await ended(connection)
    assert log.heard == [("opened",), ("text", b"last words")]
    assert facts == CloseFacts(Initiator.CLIENT, 1006, 1001, "", None)


async def test_closing_while_messages_are_handled() -> None:
    """The handler may close from within a message: the rest of the read is still told, nothing more is sent."""

    def close(log: Log, payload: bytes) -> None:
        assert log.connection is not None
        log.connection.close_now(1008, "enough")
        assert len(log.closing_at) == 1
        assert log.connection.send_text_now(b"too late") is None
        log.connection.send_ping_now(b"too late")

    received: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, b"a") + frame(Opcode.PING) + frame(Opcode.TEXT, b"b"))
        received.append(await reader.read())

    async with raw_server(handle) as port:
        log = Log(close)
        connection = await dial(port, log, close_timeout_seconds=0.1)
        facts = await ended(connection)
    assert log.heard == [("opened",), ("text", b"a"), ("ping", b""), ("text", b"b")]
    assert facts.sent_code == 1008
    (sent,) = received
    close_size, pong_size = 2 + 4 + 2 + len("enough"), 2 + 4
    assert (sent[0], sent[close_size], len(sent)) == (0x88, 0x8A, close_size + pong_size)


async def test_nothing_is_handled_after_an_abort() -> None:
    """Frames behind the one that made the handler abort are not told."""

    def drop(log: Log, payload: bytes) -> None:
        assert log.connection is not None
        log.connection.abort()

    frames = frame(Opcode.TEXT, b"a") + frame(Opcode.TEXT, b"b") + frame(Opcode.PING, b"c")
    async with silent_server(frames) as port:
        log = Log(drop)
        facts = await ended(await dial(port, log))
    assert log.heard == [("opened",), ("text", b"a")]
    assert facts == CloseFacts(Initiator.CLIENT, 1006, None, "", None)


@pytest.mark.parametrize("sent", [frame(Opcode.TEXT, b"a") * 2, frame(Opcode.TEXT, b"a", fin=False) + b"\x80\x00" * 2])
async def test_a_bug_of_the_handler_is_raised_to_the_one_who_waits(sent: bytes) -> None:
    """An exception out of the handler stops the connection, and is neither swallowed nor repeated."""

    def fail(log: Log, payload: bytes) -> None:
        raise ZeroDivisionError("a bug")

    async with silent_server(sent) as port:
        log = Log(fail)
        connection = await dial(port, log)
        with pytest.raises(ZeroDivisionError, match="a bug"):
            await ended(connection)
    assert isinstance(connection.bug, ZeroDivisionError)
    assert log.heard == [("opened",), ("text", b"a")]
    assert len(log.lost_at) == 1


async def test_a_peer_that_pings_and_never_reads_is_dropped() -> None:
    """Unsent answers are bounded: the connection is given up rather than memory."""
    given_up = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not given_up.is_set():
            writer.write(frame(Opcode.PING, bytes(125)) * 1000)
            await writer.drain()

    async with raw_server(handle) as port:
        facts = await ended(await dial(port, Log()))
        given_up.set()
    assert facts == CloseFacts(Initiator.NETWORK, 1006, None, "", CloseCause.CONNECTION_LOST)


async def test_a_refused_handshake_is_never_opened() -> None:
    """A handler hears of a connection only once it is open, so not of one that was refused."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\n\x81\x02no\r\n\r\n")
        await reader.read()

    async with raw_server(handle) as port:
        log = Log()
        with pytest.raises(Exception, match="503"):
            await dial(port, log)
    assert log.heard == []
    assert log.closing_at == log.lost_at == []
