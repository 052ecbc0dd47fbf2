"""`alpmon check` as a process, against peers that are well, wrong, slow and dead."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner
from websockets.frames import Opcode

from alpmon.cli import main
from alpmon.core.events import Dialect
from alpmon.exchange.faults import (
    Close,
    DelayAcks,
    DelayWelcome,
    DropAcks,
    Freeze,
    HalfOpen,
    NoWelcome,
    RefuseUpgrades,
    StallUpgrades,
)
from alpmon.probe.check.report import Report
from tests.integration.prometheus import free_port
from tests.probe.probe_peers import frame, raw_server, tcp_server
from tests.waiting import eventually

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    import trustme

    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

DIALECTS = [Dialect.DOCUMENTED, Dialect.OBSERVED]
START_SECONDS = 20.0
"""What starting a Python process may cost on a busy machine; the deadlines themselves are in the reports."""
GOODBYE_SECONDS = 1.5
WELCOME = b'["welcome",1790139140,20000,30000,"some-client"]'
ACK = b'["subscribe",1790139140,"ticker.*"]'
TICKER = b'["tk",1790139141,["BTC_USDT","1","1","1","1","1","1","1","1"]]'


@dataclass
class Checked:
    """How one check ended."""

    code: int
    report: Report
    errors: str

    @property
    def verdicts(self) -> dict[str, str]:
        return {step.step + (f" {step.topic}" if step.topic else ""): str(step.verdict) for step in self.report.steps}


def environment() -> dict[str, str]:
    """Ours without proxies."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


async def run(*arguments: str, code: str = "from alpmon.cli import main; main()") -> tuple[int, str, str]:
    """`alpmon ...` in a process: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), START_SECONDS + 40)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def check(url: str, *options: str, timeout: float = 30.0) -> Checked:
    """Check with `--json`; whatever it says must fit its schema, its exit code and its deadline."""
    code, out, err = await run("check", url, "--json", "--timeout", f"{round(timeout * 1000)}ms", *options)
    report = msgspec.json.decode(out, type=Report, strict=True)
    assert report.healthy is (code == 0)
    assert report.seconds < timeout + GOODBYE_SECONDS
    return Checked(code, report, err)


def assert_fails_at(checked: Checked, step: str, words: str) -> None:
    """The step is named, what came before was well, and nothing of a traceback is shown."""
    assert checked.code == 1
    assert checked.report.failed_step == step
    assert words in (checked.report.detail or ""), checked.report.detail
    assert checked.errors == ""
    failed = [name for name, verdict in checked.verdicts.items() if verdict == "failed"]
    assert failed
    assert {name.partition(" ")[0] for name in failed} == {step}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_healthy_exchange_passes_every_step(start_exchange: StartExchange, dialect: Dialect) -> None:
    """And is told goodbye; both dialects, told apart."""
    exchange = await start_exchange(dialect=dialect, market=True, rate=20.0)
    checked = await check(exchange.url, "--topic", "ticker.*", "--topic", "trade.*", "--messages", "2")
    assert checked.code == 0
    assert checked.verdicts == dict.fromkeys(
        ("resolve", "tcp", "upgrade", "welcome", "ack", "message ticker.*", "message trade.*", "ping"), "ok"
    )
    report = checked.report
    assert report.dialect == dialect
    (entry,) = exchange.ledger.connections
    assert report.client_id == entry.client_id
    assert (report.advertised_ping_interval_seconds, report.advertised_ping_timeout_seconds) == (20.0, 30.0)
    assert all(step.seconds is not None and 0.0 <= step.seconds <= report.seconds for step in report.steps)
    await eventually(lambda: entry.close is not None)
    assert entry.close is not None
    assert entry.close.code == 1000


async def test_tls_is_a_step_and_its_certificate_is_told(
    start_exchange: StartExchange, server_tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """With the right CA, and with none needed."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    exchange = await start_exchange(ssl_context=server_tls, market=True, rate=20.0)
    checked = await check(exchange.url, "--ca", str(ca_file))
    assert checked.code == 0
    assert list(checked.verdicts)[:4] == ["resolve", "tcp", "tls", "upgrade"]
    assert checked.report.tls_version == "TLSv1.3"
    assert (checked.report.certificate_expires_in_seconds or 0.0) > 0.0
    assert (await check(exchange.url, "--insecure")).code == 0


async def test_a_certificate_of_nobody_we_know_fails_at_tls(
    start_exchange: StartExchange, server_tls: ssl.SSLContext
) -> None:
    """Nothing was said to a server that did not prove who it is."""
    exchange = await start_exchange(ssl_context=server_tls)
    checked = await check(exchange.url)
    assert_fails_at(checked, "tls", "certificate refused")
    assert checked.verdicts["upgrade"] == "skipped"
    assert not exchange.ledger.connections


async def test_a_server_that_never_shakes_hands_fails_at_tls() -> None:
    """Within the deadline."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_server(silent) as port:
        assert_fails_at(await check(f"wss://127.0.0.1:{port}/ws", timeout=1.0), "tls", "no answer in time")


async def test_a_refused_connection_fails_at_tcp() -> None:
    """Nobody listens."""
    port = free_port()
    assert_fails_at(await check(f"ws://127.0.0.1:{port}/ws"), "tcp", f"connection refused (127.0.0.1:{port})")


async def test_a_status_instead_of_an_upgrade_is_named(start_exchange: StartExchange) -> None:
    """Reached, and turned away."""
    exchange = await start_exchange()
    exchange.faults.add(RefuseUpgrades(status=503))
    assert_fails_at(await check(exchange.url), "upgrade", "HTTP 503")


async def test_a_stalled_upgrade_is_given_up(start_exchange: StartExchange) -> None:
    """TCP is accepted, and that is all."""
    exchange = await start_exchange()
    exchange.faults.add(StallUpgrades())
    assert_fails_at(await check(exchange.url, timeout=1.0), "upgrade", "no answer in time")


async def test_an_upgrade_that_drips_is_given_up() -> None:
    """Each byte in time is no answer in time."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with tcp_server(drip) as port:
        assert_fails_at(await check(f"ws://127.0.0.1:{port}/ws", timeout=1.0), "upgrade", "no answer in time")


async def test_silence_after_the_upgrade_fails_at_the_welcome(start_exchange: StartExchange) -> None:
    """No peer may hold us by saying nothing."""
    exchange = await start_exchange()
    exchange.faults.add(NoWelcome())
    assert_fails_at(await check(exchange.url, timeout=1.0), "welcome", "nothing in")


@pytest.mark.parametrize(("number", "words"), [(1, "1 frame and no welcome in"), (3, "3 frames and no welcome in")])
async def test_frames_that_are_no_welcome_are_counted(number: int, words: str) -> None:
    """Something speaks, and not as an exchange does."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, b"[]") * number)
        await reader.read()

    async with raw_server(handle) as port:
        assert_fails_at(await check(f"ws://127.0.0.1:{port}/ws", timeout=1.0), "welcome", words)


async def test_a_late_welcome_within_the_deadline_is_slow_and_healthy(start_exchange: StartExchange) -> None:
    """The step that is slow shows it."""
    exchange = await start_exchange(market=True, rate=20.0)
    exchange.faults.add(DelayWelcome(by=0.4))
    checked = await check(exchange.url)
    assert checked.code == 0
    seconds = {step.step: step.seconds or 0.0 for step in checked.report.steps}
    assert seconds["welcome"] >= 0.39
    assert seconds["welcome"] == max(s for step, s in seconds.items() if step != "message")


async def test_a_request_without_an_answer_fails_at_the_ack(start_exchange: StartExchange) -> None:
    """Welcomed, and then ignored."""
    exchange = await start_exchange()
    exchange.faults.add(DropAcks())
    assert_fails_at(await check(exchange.url, timeout=1.0), "ack", "no answer to the subscription")


async def test_an_ack_that_comes_too_late_fails_at_the_ack(start_exchange: StartExchange) -> None:
    """It has five seconds, whatever the whole check has."""
    exchange = await start_exchange()
    exchange.faults.add(DelayAcks(by=6.0))
    checked = await check(exchange.url)
    assert_fails_at(checked, "ack", "no answer to the subscription in 5 s")
    assert checked.report.seconds < 6.0


async def test_a_refused_topic_is_named_with_the_servers_words(start_exchange: StartExchange) -> None:
    """The good ones beside it are not blamed."""
    exchange = await start_exchange()
    checked = await check(exchange.url, "--topic", "trade.*", "--topic", "diff.NOPE_USDT")
    assert_fails_at(checked, "ack", "diff.NOPE_USDT refused: Invalid topic: diff.NOPE_USDT")
    assert "trade" not in (checked.report.detail or "")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_silence_after_the_ack_fails_at_the_message(start_exchange: StartExchange, dialect: Dialect) -> None:
    """The pong came: the peer is there, and says nothing."""
    exchange = await start_exchange(dialect=dialect, market=True, rate=20.0)
    exchange.faults.add(Freeze())
    checked = await check(exchange.url, timeout=1.5)
    assert_fails_at(checked, "message", "ticker.*: 0 of 1 messages came")
    assert checked.verdicts["ping"] == "ok"


async def test_no_messages_wanted_ends_at_the_pong(start_exchange: StartExchange) -> None:
    """Where silence is normal."""
    exchange = await start_exchange()
    checked = await check(exchange.url, "--messages", "0", "--topic", "diff.BTC_USDT")
    assert checked.code == 0
    assert not [name for name in checked.verdicts if name.startswith("message")]


@pytest.fixture
async def half_open_after_the_ack() -> AsyncIterator[str]:
    """Welcomes, acknowledges, and never reads or writes again."""
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, WELCOME))
        await reader.read(1)
        writer.write(frame(Opcode.TEXT, ACK))
        await done.wait()

    async with raw_server(handle) as port:
        yield f"ws://127.0.0.1:{port}/ws"
        done.set()


async def test_a_peer_that_is_gone_after_the_ack_fails_at_the_ping(half_open_after_the_ack: str) -> None:
    """Waiting for messages is vain: they are skipped, and the ping is what tells."""
    checked = await check(half_open_after_the_ack, timeout=1.5)
    assert_fails_at(checked, "ping", "no pong")
    assert checked.verdicts["message ticker.*"] == "skipped"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_connection_that_goes_half_open_fails_where_it_stood(
    start_exchange: StartExchange, dialect: Dialect
) -> None:
    """Before its acknowledgement."""
    exchange = await start_exchange(dialect=dialect)
    exchange.faults.add(DelayAcks(by=1.0))
    checking = asyncio.create_task(check(exchange.url, timeout=3.0))
    await eventually(lambda: any(session.topics for session in exchange.sessions), START_SECONDS)
    exchange.faults.add(HalfOpen())
    assert_fails_at(await checking, "ack", "no answer")


async def until_held(exchange: Exchange) -> None:
    """Wait for a session that has its topics."""
    await eventually(lambda: any(session.topics for session in exchange.sessions), START_SECONDS)


async def test_a_server_that_closes_is_quoted(start_exchange: StartExchange) -> None:
    """At the step where it closed, at once."""
    exchange = await start_exchange()
    checking = asyncio.create_task(check(exchange.url))
    await until_held(exchange)
    await eventually(lambda: exchange.ledger.connections[0].client_pings > 0)
    exchange.faults.add(Close(code=1012, reason="service restart"))
    checked = await checking
    assert_fails_at(checked, "message", "connection ended by the server, code 1012: service restart")


async def test_a_resolver_that_hangs_does_not_hold_the_process() -> None:
    """Its thread cannot be ended, and nobody waits for it."""
    hang = "import socket, time; socket.getaddrinfo = lambda *a, **k: time.sleep(600)\n"
    started = time.monotonic()
    code, out, err = await run(
        "check", "ws://example.invalid/ws", "--timeout", "500ms", code=hang + "from alpmon.cli import main; main()"
    )
    assert time.monotonic() - started < START_SECONDS
    assert (code, err) == (1, "")
    assert out.splitlines()[-1] == "unhealthy: resolve: no answer in time"


async def test_a_pipe_gets_a_plain_line_a_step(start_exchange: StartExchange) -> None:
    """No colour, no cursor."""
    exchange = await start_exchange(market=True, rate=20.0)
    code, out, _ = await run("check", exchange.url)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[:2] for line in lines[:5]] == [
        [step, "ok"] for step in ("resolve", "tcp", "upgrade", "welcome", "ack")
    ]
    assert sorted(line.split()[0] for line in lines[5:7]) == ["message", "ping"]
    assert lines[-1].startswith("healthy in ")
    assert "\x1b" not in out


@pytest.mark.parametrize("frames", [(ACK, TICKER), (TICKER, ACK)], ids=["behind", "before"])
async def test_a_message_is_told_behind_the_ack_also_when_both_come_in_one_read(frames: tuple[bytes, bytes]) -> None:
    """Even if it comes first: what is shown is the order of the steps."""
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
        writer.write(response + frame(Opcode.TEXT, WELCOME))
        await reader.read(1)
        writer.write(b"".join(frame(Opcode.TEXT, text) for text in frames))
        await done.wait()

    async with raw_server(handle) as port:
        _, out, _ = await run("check", f"ws://127.0.0.1:{port}/ws", "--timeout", "1s")
        done.set()
    steps = [line.split()[:2] for line in out.splitlines()]
    assert steps[3:7] == [["welcome", "ok"], ["ack", "ok"], ["message", "ok"], ["ping", "failed"]]


async def into(stdout: int, *arguments: str) -> tuple[int, str]:
    """`alpmon ...` with its output there: exit code, stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alpmon", *arguments), stdout=stdout, stderr=asyncio.subprocess.PIPE, env=environment()
    )
    os.close(stdout)
    _, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
    assert process.returncode is not None
    return process.returncode, err.decode()


@pytest.fixture
async def healthy(start_exchange: StartExchange, tmp_path: Path) -> dict[str, list[str]]:
    """Each way to call a check that is healthy."""
    exchange = await start_exchange(market=True, rate=20.0)
    targets = [{"name": name, "url": exchange.url, "topics": ["ticker.*"]} for name in ("a", "b")]
    (tmp_path / "alpmon.yaml").write_bytes(msgspec.json.encode({"targets": targets}))
    file = str(tmp_path / "alpmon.yaml")
    return {
        "lines": ["check", exchange.url],
        "json": ["check", exchange.url, "--json"],
        "several": ["check", "--config", file],
        "several as json": ["check", "--config", file, "--json"],
        "show": ["config", "show", file],
    }


FORMS = ["lines", "json", "several", "several as json", "show"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no device that is always full")
@pytest.mark.parametrize("form", FORMS)
async def test_an_output_that_cannot_be_written_is_no_verdict(healthy: dict[str, list[str]], form: str) -> None:
    """One line says what failed, and the exit code is not that of an exchange that is unwell."""
    code, err = await into(os.open("/dev/full", os.O_WRONLY), *healthy[form])
    assert (code, err) == (2, "cannot write the output: No space left on device\n")


@pytest.mark.parametrize("form", FORMS)
async def test_a_reader_that_has_seen_enough_ends_the_command_as_it_does_others(
    healthy: dict[str, list[str]], form: str
) -> None:
    """Quietly, with the code of SIGPIPE: `alpmon check | head -1` tells a script nothing bad of the exchange."""
    reads, writes = os.pipe()
    os.close(reads)
    assert await into(writes, *healthy[form]) == (141, "")


async def on_terminal(*arguments: str, **variables: str) -> tuple[int, str]:
    """`alpmon ...` on a terminal: exit code, and all that was shown there."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "alpmon", *arguments),
        stdout=theirs,
        stderr=theirs,
        env={**environment(), "LC_ALL": "C.UTF-8", "TERM": "xterm", "NO_COLOR": "", **variables},
    )
    os.close(theirs)
    code = await asyncio.wait_for(process.wait(), START_SECONDS)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # how Linux tells the end of a terminal
        pass
    os.close(ours)
    return code, shown.decode()


async def test_a_terminal_gets_a_tree_that_fills_in(start_exchange: StartExchange) -> None:
    """What is waited for stands below what is done."""
    exchange = await start_exchange(market=True, rate=20.0)
    code, text = await on_terminal("check", exchange.url)
    assert code == 0
    assert text.startswith(exchange.url)
    assert "… resolve  up to 10 s" in text
    assert text.index("… welcome") < text.index("✓\x1b[0m welcome")
    assert "└─" in text.splitlines()[-1]
    assert "healthy in" in text.splitlines()[-1]


async def test_no_color_leaves_the_tree_without_colours(start_exchange: StartExchange) -> None:
    """https://no-color.org; the cursor moves still."""
    exchange = await start_exchange(market=True, rate=20.0)
    code, text = await on_terminal("check", exchange.url, NO_COLOR="1")
    assert code == 0
    assert text.index("… welcome") < text.index("├─ ✓ welcome")
    assert "\x1b" not in text.replace("\r\x1b[2K", "")


async def test_a_dumb_terminal_gets_the_lines_of_a_pipe(start_exchange: StartExchange) -> None:
    """It can neither move the cursor nor erase."""
    exchange = await start_exchange(market=True, rate=20.0)
    code, text = await on_terminal("check", exchange.url, TERM="dumb")
    assert (code, "\x1b" in text) == (0, False)
    assert text.startswith("resolve ok ")
    assert text.splitlines()[-1].startswith("healthy in ")


async def test_no_output_at_all_is_nothing_to_fail_for(start_exchange: StartExchange) -> None:
    """`>&-`, as a script has it that wants the exit code only."""
    exchange = await start_exchange(market=True, rate=20.0)
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "alpmon", "check", exchange.url]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment())
    _, err = await asyncio.wait_for(process.communicate(), START_SECONDS)
    assert (process.returncode, err.decode()) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://127.0.0.1/ws"], "must start with ws:// or wss://"),
        (["ws://hunter22@127.0.0.1/ws"], "names a user without a password; write user:password@host"),
        (["ws://user:hunter22/ws"], "the port must be a number from 1 to 65535"),
        (["ws://127.0.0.1:99999/"], "the port must be a number from 1 to 65535"),
        (["ws://127.0.0.1:1/w s"], "must not hold a space or an unprintable character; write a space as %20"),
        (["--topic", "tickers.*"], "names no public channel"),
        (["--timeout", "30"], "no duration"),
        (["--timeout", "0s"], "more than nothing"),
        (["--messages", "-1"], "not in the range"),
        (["--insecure", "--ca", __file__], ""),
        (["--ca", "no-such-file.pem"], "No such file"),
    ],
)
def test_a_mistake_in_the_call_ends_with_2(arguments: list[str], words: str) -> None:
    """Before anything is connected."""
    said = CliRunner().invoke(main, ["check", *arguments])
    assert said.exit_code == 2
    assert words in said.output
    assert "hunter22" not in said.output


@pytest.mark.parametrize(
    "call",
    [
        ["check", "--topic", "x" * 2000],
        ["check", "--topic", f"trade.{'x' * 2000}"],
        ["check", "--timeout", "x" * 2000],
        ["check", "--config", "FILE", "--target", "x" * 2000],
        ["run", "--listen", "x" * 2000],
        ["demo", "--scenario", "x" * 2000],
    ],
)
def test_a_long_mistake_in_the_call_is_not_repeated_in_full(call: list[str], tmp_path: Path) -> None:
    """Its beginning and its end tell it."""
    file = tmp_path / "alpmon.yaml"
    file.write_text("targets: [{name: t, url: 'ws://127.0.0.1:1/', topics: ['ticker.*']}]")
    said = CliRunner().invoke(main, [str(file) if word == "FILE" else word for word in call])
    assert said.exit_code == 2
    assert "xxx...xxx" in said.output
    assert len(said.output) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    "url", ["ws://user:hunter22@127.0.0.1:{}/ws?token=abcdef", "wss://x:abcdef@127.0.0.1:{}/ws?key=hunter22"]
)
async def test_secrets_in_the_url_are_not_repeated(url: str) -> None:
    """Reports are pasted into tickets, whatever they were shown on."""
    url = url.format(free_port())
    code, shown = await on_terminal("check", url)
    assert (code, "127.0.0.1" in shown) == (1, True)
    for form in ([], ["--json"]):
        code, out, err = await run("check", url, *form)
        assert code == 1
        shown += out + err
    assert "hunter22" not in shown
    assert "abcdef" not in shown
