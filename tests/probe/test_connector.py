"""Connecting over real sockets: the phases, the names of the failures, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import logging
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Opcode

from alpmon.probe import connector, tls
from alpmon.probe.connector import Connected, ConnectRequest, connect
from alpmon.probe.failures import ConnectFailed, retry_after_seconds
from alpmon.telemetry.labels import FailureReason, Phase
from tests.probe.names import Names
from tests.probe.probe_peers import Answer, Log, ended, frame, raw_server, tcp_server

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def says(response: bytes) -> Answer:
    """Answer any request with these bytes, and wait for the client to go."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await reader.read()

    return answer


def says_at_once(greeting: bytes) -> Answer:
    """Say this without being asked, and wait for the client to go."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()

    return answer


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hold(peer: ServerConnection) -> None:
    await peer.wait_closed()


@asynccontextmanager
async def websocket(**options: Any) -> AsyncIterator[int]:
    async with serve(hold, "127.0.0.1", 0, **options) as server:
        yield server.sockets[0].getsockname()[1]


class Phases(list[Phase]):
    """The phases that succeeded."""

    def __call__(self, phase: Phase, seconds: float) -> None:
        assert seconds >= 0.0
        self.append(phase)


async def failure(request: ConnectRequest) -> ConnectFailed:
    """The failure that an attempt must end in, having told the handler nothing."""
    log = Log()
    with pytest.raises(ConnectFailed) as caught:
        await connect(request, log, Phases())
    assert log.heard == []
    assert log.lost_at == []
    return caught.value


async def drop(connected: Connected) -> None:
    connected.connection.abort()
    await ended(connected.connection)


async def test_the_phases_of_a_plain_connection() -> None:
    """Without TLS there is no such phase, and no certificate."""
    requests: list[Any] = []

    def note(peer: ServerConnection, request: Any) -> None:
        requests.append(request)

    async with websocket(process_request=note) as port:
        phases = Phases()
        log = Log()
        connected = await connect(ConnectRequest(f"ws://localhost:{port}/ws", user_agent="alpmon/test"), log, phases)
        await drop(connected)
    assert phases == [Phase.RESOLVE, Phase.TCP, Phase.UPGRADE]
    assert (connected.certificate_not_after_wall, connected.tls_version) == (None, None)
    assert connected.peer == f"127.0.0.1:{port}"
    assert not connected.proxied
    assert log.heard == [("opened",)]
    (request,) = requests
    assert (request.path, request.headers["User-Agent"]) == ("/ws", "alpmon/test")
    assert "Sec-WebSocket-Extensions" not in request.headers


async def test_the_phases_of_a_tls_connection(authority: trustme.CA, ca_file: Path) -> None:
    """TLS is a phase of its own, with the earliest end of the chain that the server showed."""
    intermediate = authority.create_child_ca()
    ends = dt.datetime(2031, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    certificate = intermediate.issue_cert("localhost", not_after=ends)
    async with websocket(ssl=server_tls(certificate)) as port:
        phases = Phases()
        connected = await connect(ConnectRequest(f"wss://localhost:{port}", ca_file=ca_file), Log(), phases)
        await drop(connected)
    assert phases == [Phase.RESOLVE, Phase.TCP, Phase.TLS, Phase.UPGRADE]
    assert connected.certificate_not_after_wall == ends.timestamp()
    assert connected.tls_version in ("TLSv1.2", "TLSv1.3")


async def test_a_certificate_that_is_not_verified_is_still_read() -> None:
    """With verification off any certificate is taken, and its end is known all the same."""
    ends = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = trustme.CA().issue_cert("elsewhere.invalid", not_after=ends)
    async with websocket(ssl=server_tls(certificate)) as port:
        request = ConnectRequest(f"wss://localhost:{port}", insecure_skip_verify=True)
        connected = await connect(request, Log(), Phases())
        await drop(connected)
    assert connected.certificate_not_after_wall == ends.timestamp()


async def test_the_name_to_verify_may_be_given(authority: trustme.CA, ca_file: Path) -> None:
    """`server_name` replaces the URL's host in SNI and in the check of the certificate."""
    asked: list[str] = []
    exchange = server_tls(authority.issue_cert("exchange.example"))
    exchange.sni_callback = lambda _, name, __: asked.append(name)
    async with websocket(ssl=exchange) as port:
        url = f"wss://127.0.0.1:{port}"
        connected = await connect(ConnectRequest(url, ca_file=ca_file, server_name="exchange.example"), Log(), Phases())
        await drop(connected)
    assert asked == ["exchange.example"]


async def test_an_address_certificate_is_verified(authority: trustme.CA, ca_file: Path) -> None:
    """A URL with an address needs a certificate for that address."""
    async with websocket(ssl=server_tls(authority.issue_cert("127.0.0.1"))) as port:
        connected = await connect(ConnectRequest(f"wss://127.0.0.1:{port}", ca_file=ca_file), Log(), Phases())
        await drop(connected)
    assert connected.peer == f"127.0.0.1:{port}"


async def test_an_unknown_authority_is_refused() -> None:
    """The system's CAs do not know the server's."""
    async with websocket(ssl=server_tls(trustme.CA().issue_cert("localhost"))) as port:
        failed = await failure(ConnectRequest(f"wss://localhost:{port}"))
    assert (failed.reason, failed.phase) == (FailureReason.TLS, Phase.TLS)
    assert failed.detail.startswith("certificate refused: ")


async def test_a_wrong_name_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    """A certificate for somebody else."""
    async with websocket(ssl=server_tls(authority.issue_cert("elsewhere.example"))) as port:
        failed = await failure(ConnectRequest(f"wss://localhost:{port}", ca_file=ca_file))
    assert (failed.reason, failed.phase) == (FailureReason.TLS, Phase.TLS)
    assert "localhost" in failed.detail


async def test_an_expired_certificate_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    """A certificate of yesterday."""
    ended_at = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    async with websocket(ssl=server_tls(authority.issue_cert("localhost", not_after=ended_at))) as port:
        failed = await failure(ConnectRequest(f"wss://localhost:{port}", ca_file=ca_file))
    assert failed.reason is FailureReason.TLS
    assert "expired" in failed.detail


async def test_tls_to_a_server_that_speaks_none() -> None:
    """A plain server answers the hello with something that is no TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with tcp_server(answer) as port:
        failed = await failure(ConnectRequest(f"wss://localhost:{port}"))
    assert (failed.reason, failed.phase) == (FailureReason.TLS, Phase.TLS)


async def test_a_server_that_hangs_up_on_the_tls_hello() -> None:
    """A connection that ends within TLS is a failure of TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async with tcp_server(answer) as port:
        failed = await failure(ConnectRequest(f"wss://localhost:{port}"))
    assert (failed.reason, failed.phase) == (FailureReason.TLS, Phase.TLS)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_ca_file_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    """The failure names the file."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    failed = await failure(ConnectRequest("wss://localhost:1", ca_file=path))
    assert (failed.reason, failed.phase) == (FailureReason.TLS, Phase.TLS)
    assert str(path) in failed.detail


async def test_a_ca_file_that_was_replaced_is_read_again(authority: trustme.CA, tmp_path: Path) -> None:
    """The context is kept from one attempt to the next, and built again once the file has changed."""
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    os.utime(path, (1, 1))
    async with websocket(ssl=server_tls(authority.issue_cert("localhost"))) as port:
        request = ConnectRequest(f"wss://localhost:{port}", ca_file=path)
        assert (await failure(request)).reason is FailureReason.TLS
        authority.cert_pem.write_to_path(str(path))
        await drop(await connect(request, Log(), Phases()))


async def test_a_closed_port_refuses() -> None:
    """Nobody listens, on any of the host's addresses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        failed = await failure(ConnectRequest(f"ws://localhost:{bound.getsockname()[1]}"))
    assert (failed.reason, failed.phase) == (FailureReason.REFUSED, Phase.TCP)


async def test_a_name_that_does_not_exist() -> None:
    """RFC 6761: `invalid` never resolves."""
    failed = await failure(ConnectRequest("ws://nonexistent.invalid"))
    assert (failed.reason, failed.phase) == (FailureReason.DNS, Phase.RESOLVE)


async def test_a_name_that_cannot_exist() -> None:
    """A label longer than the DNS allows is refused before anybody is asked."""
    failed = await failure(ConnectRequest(f"ws://{'x' * 64}.example"))
    assert (failed.reason, failed.phase) == (FailureReason.DNS, Phase.RESOLVE)


async def test_an_address_that_nothing_routes_to() -> None:
    """The limited broadcast address takes no connection."""
    failed = await failure(ConnectRequest("ws://255.255.255.255:80"))
    assert (failed.reason, failed.phase) == (FailureReason.UNREACHABLE, Phase.TCP)


@contextlib.contextmanager
def accepts_nobody(host: str, port: int = 0) -> Iterator[int]:
    """A listener whose backlog is full: it lets whoever comes wait; gives its port."""
    with contextlib.ExitStack() as kept:
        listener = kept.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            sock = kept.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_listener_that_accepts_nobody() -> None:
    """A full backlog answers nothing: the deadline ends it in the TCP phase."""
    with accepts_nobody("127.0.0.1") as port:
        failed = await failure(ConnectRequest(f"ws://127.0.0.1:{port}", connect_timeout_seconds=0.2))
    assert (failed.reason, failed.phase) == (FailureReason.TIMEOUT, Phase.TCP)


async def test_an_address_that_says_nothing_is_overtaken_by_the_next(names: Names) -> None:
    """RFC 8305: the second address is tried while the first still hangs, and the time is one phase's."""
    async with websocket() as port:
        with accepts_nobody("127.0.0.2", port):
            dead = await failure(ConnectRequest(f"ws://127.0.0.2:{port}", connect_timeout_seconds=0.2))
            phases = Phases()
            name = names.answer("exchange.test", ["127.0.0.2", "127.0.0.1"])
            connected = await connect(ConnectRequest(f"ws://{name}:{port}"), Log(), phases)
            await drop(connected)
    assert dead.reason is FailureReason.TIMEOUT
    assert connected.peer == f"127.0.0.1:{port}"
    assert phases == [Phase.RESOLVE, Phase.TCP, Phase.UPGRADE]


async def test_an_address_that_refuses_is_followed_by_the_next(names: Names) -> None:
    """One that works is enough."""
    async with websocket() as port:
        name = names.answer("exchange.test", ["127.0.0.2", "127.0.0.1"])
        connected = await connect(ConnectRequest(f"ws://{name}:{port}"), Log(), Phases())
        await drop(connected)
    assert connected.peer == f"127.0.0.1:{port}"


@pytest.mark.parametrize(("scheme", "phase"), [("ws", Phase.UPGRADE), ("wss", Phase.TLS)])
async def test_a_server_that_says_nothing(scheme: str, phase: Phase) -> None:
    """One deadline over all phases; it closes the socket, and the failure names the phase it ended in."""
    async with tcp_server(says_nothing) as port:
        started = time.monotonic()
        failed = await failure(ConnectRequest(f"{scheme}://localhost:{port}", connect_timeout_seconds=0.2))
        assert time.monotonic() - started >= 0.2
    assert (failed.reason, failed.phase) == (FailureReason.TIMEOUT, phase)


@pytest.mark.parametrize(
    ("response", "status", "retry_after"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 17\r\nContent-Length: 2\r\n\r\nno", 503, 17.0),
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 429, None),
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: 5\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", 429, 5.0),
        (b"HTTP/1.1 404 Not Found\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n", 404, None),
        (b"HTTP/1.1 500 Oh\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n", 500, None),
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 301, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, None),
    ],
)
async def test_an_upgrade_that_is_refused(response: bytes, status: int, retry_after: float | None) -> None:
    """Every status but 101 is a refusal, redirects included; 429 and 503 may come with a wish for patience."""
    async with tcp_server(says(response)) as port:
        failed = await failure(ConnectRequest(f"ws://localhost:{port}"))
    assert (failed.reason, failed.phase, failed.status) == (FailureReason.HTTP_STATUS, Phase.UPGRADE, status)
    assert failed.retry_after_seconds == retry_after
    assert str(status) in failed.detail


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00" * 100 + b"\r\n",
        b"HTTP/1.1 200 OK\x1b[2J\r\n\r\n",
        SWITCHING + b"\r\n",
        SWITCHING + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        SWITCHING + b"A: b\r\n" * 1000 + b"\r\n",
        b"x" * 100_000,
    ],
)
async def test_an_answer_that_is_no_handshake(response: bytes) -> None:
    """Garbage, other protocols, and upgrades that do not prove themselves."""
    async with tcp_server(says(response)) as port:
        failed = await failure(ConnectRequest(f"ws://localhost:{port}", connect_timeout_seconds=5))
    assert (failed.reason, failed.phase) == (FailureReason.HANDSHAKE, Phase.UPGRADE)
    assert failed.detail.isprintable()
    assert 0 < len(failed.detail) <= 123


async def in_pieces(writer: asyncio.StreamWriter, data: bytes) -> None:
    """A byte at a time, each read before the next is written wherever the loop lets it."""
    for byte in data:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "did not receive a valid HTTP response"),
        (b"\x00\x01\xff\r\n\r\n", "did not receive a valid HTTP response"),
        (b"x" * 20_000, "expected no more than"),
    ],
)
async def test_a_server_of_something_else_that_stays_is_no_silent_one(
    greeting: bytes, words: str, asked: bool, scheme: str, authority: trustme.CA, ca_file: Path
) -> None:
    """It need not hang up to be known for what it is, whether it speaks first or waits for a request."""
    told = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asked:
            await reader.readuntil(b"\r\n\r\n")
        await in_pieces(writer, greeting[:1000])
        writer.write(greeting[1000:])
        await told.wait()

    options = {"ssl": server_tls(authority.issue_cert("localhost"))} if scheme == "wss" else {}
    async with tcp_server(answer, **options) as port:
        failed = await failure(
            ConnectRequest(f"{scheme}://localhost:{port}", ca_file=ca_file, connect_timeout_seconds=5)
        )
        told.set()
    assert (failed.reason, failed.phase) == (FailureReason.HANDSHAKE, Phase.UPGRADE)
    assert words in failed.detail


async def test_a_greeting_that_comes_with_the_end_of_the_tls_handshake(authority: trustme.CA, ca_file: Path) -> None:
    """It may be read before there was an occasion to ask for anything."""
    told = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        await told.wait()

    context = server_tls(authority.issue_cert("localhost"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # The server has the last word of this handshake.
    async with tcp_server(answer, ssl=context) as port:
        failed = await failure(ConnectRequest(f"wss://localhost:{port}", ca_file=ca_file))
        told.set()
    assert (failed.reason, failed.phase) == (FailureReason.HANDSHAKE, Phase.UPGRADE)
    assert "did not receive a valid HTTP response" in failed.detail


async def test_a_response_that_comes_byte_by_byte_is_one() -> None:
    """Half a line of HTTP is no reason to give up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        await in_pieces(writer, response)
        await reader.read()

    async with raw_server(handle) as port:
        connected = await connect(ConnectRequest(f"ws://localhost:{port}"), Log(), Phases())
        await drop(connected)


async def test_a_server_that_hangs_up_on_the_request() -> None:
    """A connection that ends before the response is a failure of the handshake."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with tcp_server(answer) as port:
        failed = await failure(ConnectRequest(f"ws://localhost:{port}"))
    assert (failed.reason, failed.phase) == (FailureReason.HANDSHAKE, Phase.UPGRADE)


async def test_a_frame_behind_the_response_is_told_though_connect_is_still_under_way() -> None:
    """The welcome in the same segment as the upgrade reaches the handler, after `opened`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, b"welcome"))
        await reader.read()

    async with raw_server(handle) as port:
        log = Log()
        connected = await connect(ConnectRequest(f"ws://localhost:{port}"), log, Phases())
        await log.until(("text", b"welcome"))
        await drop(connected)
    assert log.heard == [("opened",), ("text", b"welcome")]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_cancelled_attempt_leaves_no_socket(scheme: str) -> None:
    """Whoever stops the monitor in the middle of an attempt hangs up at once."""
    spoken_to, hung_up = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        spoken_to.set()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        hung_up.set()

    async with tcp_server(answer) as port, asyncio.timeout(5):
        attempt = asyncio.create_task(connect(ConnectRequest(f"{scheme}://localhost:{port}"), Log(), Phases()))
        await spoken_to.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await hung_up.wait()


@pytest.mark.parametrize("bug", [TypeError("a bug"), OSError(errno.ENOSPC, "a bug"), TimeoutError("a bug")])
@pytest.mark.parametrize("phase", [Phase.RESOLVE, Phase.TCP, Phase.TLS, Phase.UPGRADE])
async def test_a_bug_of_the_observer_is_not_taken_for_a_failure(
    bug: Exception, phase: Phase, authority: trustme.CA, ca_file: Path
) -> None:
    """It comes out as it is, though a network could raise the same, and closes the socket all the same."""

    def observe(succeeded: Phase, seconds: float) -> None:
        if succeeded is phase:
            raise bug

    async with websocket(ssl=server_tls(authority.issue_cert("localhost"))) as port:
        with pytest.raises(type(bug), match="a bug"):
            await connect(ConnectRequest(f"wss://localhost:{port}", ca_file=ca_file), Log(), observe)


async def test_frames_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the level, the library's log of frames, tokens among them, stays shut."""
    caplog.set_level(logging.DEBUG)
    async with websocket() as port:
        connected = await connect(ConnectRequest(f"ws://localhost:{port}"), Log(), Phases())
        connected.connection.send_text_now(b'["auth","very-secret"]')
        connected.connection.close_now(1000)
        await ended(connected.connection)
    ours = [record for record in caplog.records if not record.name.startswith("websockets.server")]
    assert not [record for record in ours if "very-secret" in record.getMessage()]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("1e9", None),
        ("", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799.0 - 1_000_000_000.0),
        (format_datetime(dt.datetime.fromtimestamp(1_000_000_090, dt.UTC), usegmt=True), 90.0),
        (format_datetime(dt.datetime.fromtimestamp(999_999_000, dt.UTC), usegmt=True), 0.0),
        ("9" * 1000, 999_999_999_999.0),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds or an HTTP date, never below zero; anything else is no wish at all."""
    assert retry_after_seconds(503, value, 1_000_000_000.0) == seconds


class ConnectProxy:
    """A small CONNECT proxy; remembers what it was asked."""

    def __init__(self, refusal: bytes = b"", on_request: Callable[[], object] = lambda: None) -> None:
        self.heads: list[str] = []
        self._refusal = refusal
        self._on_request = on_request

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        self._on_request()
        if self._refusal:
            writer.write(self._refusal)
            await reader.read()
            return
        host, port = head.split()[1].rsplit(":", 1)
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, upstream_writer), pump(upstream_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


@pytest.fixture
def by_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def set_proxy(url: str) -> None:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("https_proxy", url)

    return set_proxy


async def test_a_plain_connection_through_a_proxy(by_proxy: Callable[[str], None]) -> None:
    """The environment's proxy is asked for a tunnel with its credentials; resolve and tcp are the way to it."""
    proxy = ConnectProxy()
    async with websocket() as port, tcp_server(proxy) as proxy_port:
        by_proxy(f"http://user:pass@localhost:{proxy_port}")
        phases = Phases()
        connected = await connect(ConnectRequest(f"ws://127.0.0.1:{port}"), Log(), phases)
        await drop(connected)
    assert phases == [Phase.RESOLVE, Phase.TCP, Phase.UPGRADE]
    assert connected.proxied
    assert connected.peer == f"127.0.0.1:{proxy_port}"
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in proxy.heads[0]


async def test_a_tls_connection_through_a_proxy(
    by_proxy: Callable[[str], None], authority: trustme.CA, ca_file: Path
) -> None:
    """TLS is spoken with the server, not with the proxy, and the way of a frame is the same."""
    proxy = ConnectProxy()
    async with websocket(ssl=server_tls(authority.issue_cert("localhost"))) as port, tcp_server(proxy) as proxy_port:
        by_proxy(f"http://localhost:{proxy_port}")
        phases = Phases()
        log = Log()
        connected = await connect(ConnectRequest(f"wss://localhost:{port}", ca_file=ca_file), log, phases)
        connected.connection.send_ping_now(b"through")
        await log.until(("pong", b"through"))
        connected.connection.close_now(1000)
        await ended(connected.connection)
    assert phases == [Phase.RESOLVE, Phase.TCP, Phase.TLS, Phase.UPGRADE]
    assert connected.certificate_not_after_wall is not None


@pytest.fixture
def system_authorities(monkeypatch: pytest.MonkeyPatch, ca_file: Path) -> Iterator[None]:
    """Make the tests' authority one of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    tls._built.cache_clear()
    yield
    tls._built.cache_clear()


@pytest.mark.usefixtures("system_authorities")
async def test_a_proxy_that_speaks_tls(by_proxy: Callable[[str], None], authority: trustme.CA) -> None:
    """An `https://` proxy is verified with the system's CAs, and the server's TLS runs inside the proxy's."""
    proxy = ConnectProxy()
    localhost = server_tls(authority.issue_cert("localhost"))
    async with websocket(ssl=localhost) as port, tcp_server(proxy, ssl=localhost) as proxy_port:
        by_proxy(f"https://localhost:{proxy_port}")
        phases = Phases()
        connected = await connect(ConnectRequest(f"wss://localhost:{port}"), Log(), phases)
        connected.connection.close_now(1000)
        await ended(connected.connection)
    assert phases == [Phase.RESOLVE, Phase.TCP, Phase.TLS, Phase.UPGRADE]


class Clock:
    """The connector's clock: stands still unless somebody lets it pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(connector, "monotonic", lambda: self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def slow_hello(tls_context: ssl.SSLContext, clock: Clock, seconds: float) -> ssl.SSLContext:
    tls_context.sni_callback = lambda *_: clock.passes(seconds)
    return tls_context


@pytest.mark.usefixtures("system_authorities")
async def test_every_second_of_the_way_through_a_proxy_belongs_to_a_phase(
    by_proxy: Callable[[str], None], authority: trustme.CA, names: Names, clock: Clock
) -> None:
    """To the proxy, TLS with it and its own answer are `tcp`; nothing is left over."""

    def looked_up() -> list[str]:
        clock.passes(1.0)
        return ["127.0.0.1"]

    def dial() -> None:
        clock.passes(30.0)

    certificate = authority.issue_cert("proxy.test", "localhost")
    upstream = slow_hello(server_tls(certificate), clock, 400.0)
    way = slow_hello(server_tls(certificate), clock, 2.0)
    proxy = ConnectProxy(on_request=dial)
    options = {"ssl": upstream, "process_request": lambda *_: clock.passes(5000.0)}
    async with websocket(**options) as port, tcp_server(proxy, ssl=way) as proxy_port:
        by_proxy(f"https://{names.answer('proxy.test', looked_up)}:{proxy_port}")
        took: dict[Phase, float] = {}
        connected = await connect(ConnectRequest(f"wss://localhost:{port}"), Log(), took.__setitem__)
        connected.connection.close_now(1000)
        await ended(connected.connection)
    assert took == {Phase.RESOLVE: 1.0, Phase.TCP: 32.0, Phase.TLS: 400.0, Phase.UPGRADE: 5000.0}


async def test_a_proxy_whose_certificate_is_refused(by_proxy: Callable[[str], None], authority: trustme.CA) -> None:
    """The way to the proxy is part of `tcp`, yet what failed there was TLS."""
    localhost = server_tls(authority.issue_cert("localhost"))
    async with tcp_server(ConnectProxy(), ssl=localhost) as proxy_port:
        by_proxy(f"https://localhost:{proxy_port}")
        failed = await failure(ConnectRequest("ws://exchange.invalid"))
    assert (failed.reason, failed.phase) == (FailureReason.TLS, Phase.TCP)


@pytest.mark.parametrize(
    ("refusal", "reason", "status"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", FailureReason.HTTP_STATUS, 407),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", FailureReason.HTTP_STATUS, 502),
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\n", FailureReason.HTTP_STATUS, 503),
        (b"nonsense\r\n\r\n", FailureReason.HANDSHAKE, None),
    ],
)
async def test_a_proxy_that_refuses(
    by_proxy: Callable[[str], None], refusal: bytes, reason: FailureReason, status: int | None
) -> None:
    """A proxy's refusal is told as the proxy's, without its password; its patience is not the exchange's."""
    async with tcp_server(ConnectProxy(refusal)) as proxy_port:
        by_proxy(f"http://user:secret@localhost:{proxy_port}")
        failed = await failure(ConnectRequest("ws://exchange.invalid"))
    assert (failed.reason, failed.phase, failed.status) == (reason, Phase.TCP, status)
    assert failed.retry_after_seconds is None
    assert "proxy" in failed.detail
    assert "secret" not in failed.detail


async def test_a_proxy_that_hangs_up_within_tls(by_proxy: Callable[[str], None]) -> None:
    """A tunnel that ends in the middle of TLS is a failure of TLS, not a bug."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read(10)

    async with tcp_server(answer) as proxy_port:
        by_proxy(f"http://localhost:{proxy_port}")
        failed = await failure(ConnectRequest("wss://exchange.invalid"))
    assert (failed.reason, failed.phase) == (FailureReason.TLS, Phase.TLS)


class SocksProxy:
    """A small SOCKS proxy, version 4, 4a and 5 (RFC 1928, RFC 1929); names it is given are all this machine.

    Args:
        reply: what version 5 answers to CONNECT; 0 goes there.
        credentials: what it asks for, if anything.

    Attributes:
        dialled: where it was asked to connect, as it was written.
    """

    def __init__(
        self, reply: int = 0, credentials: bytes | None = None, on_request: Callable[[], object] = lambda: None
    ) -> None:
        self.dialled: list[tuple[str, int]] = []
        self._reply = reply
        self._credentials = credentials
        self._on_request = on_request

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        where = await (self._four(reader) if version == 4 else self._five(reader, writer, count))
        if where is None:
            return
        self._on_request()
        self.dialled.append(where)
        if version == 5:
            writer.write(bytes([5, self._reply, 0, 1]) + bytes(6))
        else:
            writer.write(bytes([0, 0x5A]) + bytes(6))
        if self._reply:
            return
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", where[1])
        await asyncio.gather(pump(reader, upstream_writer), pump(upstream_reader, writer))

    async def _four(self, reader: asyncio.StreamReader) -> tuple[str, int]:
        port, address = await reader.readexactly(2), await reader.readexactly(4)
        await reader.readuntil(b"\0")
        named = address[:3] == bytes(3)
        host = (await reader.readuntil(b"\0"))[:-1].decode() if named else socket.inet_ntoa(address)
        return host, int.from_bytes(port, "big")

    async def _five(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int
    ) -> tuple[str, int] | None:
        method = 0 if self._credentials is None else 2
        offered = await reader.readexactly(count)
        writer.write(bytes([5, method if method in offered else 0xFF]))
        if method not in offered or (method == 2 and not await self._let_in(reader, writer)):
            return None
        *_, kind = await reader.readexactly(4)
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        host = await reader.readexactly(size)
        family = {1: socket.AF_INET, 4: socket.AF_INET6}.get(kind)
        port = int.from_bytes(await reader.readexactly(2), "big")
        return (host.decode() if family is None else socket.inet_ntop(family, host)), port

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, size = await reader.readexactly(2)
        user = await reader.readexactly(size)
        (size,) = await reader.readexactly(1)
        good = user + b":" + await reader.readexactly(size) == self._credentials
        writer.write(bytes([1, not good]))
        return good


@pytest.mark.parametrize(
    ("scheme", "dialled", "resolved_here"),
    [
        ("socks5h", "localhost", ["proxy.test"]),
        ("socks5", "127.0.0.1", ["proxy.test", "localhost"]),
        ("socks4a", "localhost", ["proxy.test"]),
        ("socks4", "127.0.0.1", ["proxy.test", "localhost"]),
    ],
)
async def test_a_tls_connection_through_a_socks_proxy(
    by_proxy: Callable[[str], None],
    authority: trustme.CA,
    ca_file: Path,
    names: Names,
    scheme: str,
    dialled: str,
    resolved_here: list[str],
) -> None:
    """The scheme says who resolves the exchange's name; TLS is spoken with the exchange."""
    proxy = SocksProxy()
    names.answer("localhost", ["127.0.0.1"])
    async with websocket(ssl=server_tls(authority.issue_cert("localhost"))) as port, tcp_server(proxy) as proxy_port:
        by_proxy(f"{scheme}://{names.answer('proxy.test', ['127.0.0.1'])}:{proxy_port}")
        phases, log = Phases(), Log()
        connected = await connect(ConnectRequest(f"wss://localhost:{port}", ca_file=ca_file), log, phases)
        connected.connection.send_ping_now(b"through")
        await log.until(("pong", b"through"))
        connected.connection.close_now(1000)
        await ended(connected.connection)
    assert phases == [Phase.RESOLVE, Phase.TCP, Phase.TLS, Phase.UPGRADE]
    assert (connected.proxied, connected.peer) == (True, f"127.0.0.1:{proxy_port}")
    assert proxy.dialled == [(dialled, port)]
    assert names.asked == resolved_here


async def test_every_second_of_the_way_through_a_socks_proxy_belongs_to_a_phase(
    by_proxy: Callable[[str], None], names: Names, clock: Clock
) -> None:
    """What is resolved here is `resolve`, the proxy's own answer is `tcp`."""

    def looked_up() -> list[str]:
        clock.passes(1.0)
        return ["127.0.0.1"]

    proxy = SocksProxy(credentials=b"user:secret", on_request=lambda: clock.passes(30.0))
    async with websocket(process_request=lambda *_: clock.passes(400.0)) as port, tcp_server(proxy) as proxy_port:
        by_proxy(f"socks5://user:secret@{names.answer('proxy.test', looked_up)}:{proxy_port}")
        request = ConnectRequest(f"ws://{names.answer('exchange.test', looked_up)}:{port}")
        took: dict[Phase, float] = {}
        await drop(await connect(request, Log(), took.__setitem__))
    assert took == {Phase.RESOLVE: 2.0, Phase.TCP: 30.0, Phase.UPGRADE: 400.0}


@pytest.mark.parametrize(
    ("proxy", "reason", "words"),
    [
        (SocksProxy(reply=4), FailureReason.UNREACHABLE, "Host unreachable"),
        (SocksProxy(reply=5), FailureReason.REFUSED, "refused"),
        (SocksProxy(reply=1), FailureReason.HANDSHAKE, "General SOCKS server failure"),
        (SocksProxy(credentials=b"user:other"), FailureReason.HANDSHAKE, "authentication failure"),
        (SocksProxy(credentials=b""), FailureReason.HANDSHAKE, "authentication failure"),
        (says_at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n"), FailureReason.HANDSHAKE, "SOCKS version"),
    ],
)
async def test_a_socks_proxy_that_refuses(
    by_proxy: Callable[[str], None], proxy: Answer, reason: FailureReason, words: str
) -> None:
    """What it says of the exchange is taken from it; nothing shows its password."""
    async with tcp_server(proxy) as proxy_port:
        by_proxy(f"socks5h://user:secret@127.0.0.1:{proxy_port}")
        failed = await failure(ConnectRequest("ws://exchange.invalid"))
    assert (failed.reason, failed.phase) == (reason, Phase.TCP)
    assert words in failed.detail
    assert "SOCKS proxy" in failed.detail
    assert "secret" not in str(failed)


async def test_a_socks_proxy_that_is_not_there(by_proxy: Callable[[str], None]) -> None:
    """As any address that refuses, without its password."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        by_proxy(f"socks5h://user:secret@127.0.0.1:{bound.getsockname()[1]}")
        failed = await failure(ConnectRequest("ws://exchange.invalid"))
    assert (failed.reason, failed.phase) == (FailureReason.REFUSED, Phase.TCP)
    assert "secret" not in str(failed)


async def test_no_proxy_is_honoured(by_proxy: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A host in `no_proxy` is reached directly."""
    by_proxy("http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with websocket() as port:
        connected = await connect(ConnectRequest(f"ws://127.0.0.1:{port}"), Log(), Phases())
        await drop(connected)
    assert not connected.proxied


async def test_a_proxy_that_cannot_be_used(by_proxy: Callable[[str], None]) -> None:
    """The failure says what is wrong with it, without its password."""
    by_proxy("ftp://user:secret@localhost")
    failed = await failure(ConnectRequest("ws://exchange.invalid"))
    assert failed.reason is FailureReason.OTHER
    assert "ftp" in failed.detail
    assert "secret" not in str(failed)
