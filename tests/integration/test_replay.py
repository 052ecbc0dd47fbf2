"""Recorded, then replayed: the verdicts are those of the live run, and the same each time."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.config import show
from alpmon.core.cadence import Cadence
from alpmon.core.freshness import Rule
from alpmon.core.rates import Rate
from alpmon.exchange.faults import Abort, Freeze, Mute, Payload
from alpmon.probe.taped import LineTape, TapedFreshness
from alpmon.telemetry import statefile
from alpmon.telemetry.entries import AnyEntry, Counted, Held, Judged, Learnt, Lost, Open, Released, Text
from alpmon.telemetry.tape import Tape, TapeError
from alpmon.telemetry.untaped import read
from tests.integration.harness import TARGET, Monitored, configuration, target, until
from tests.integration.prometheus import free_port
from tests.integration.recording import Recorded, assert_same, configured, retold, run
from tests.processes import process

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from alpmon.exchange import Exchange
    from alpmon.telemetry.state import ConnectionRecord
    from tests.conftest import StartExchange


@pytest.fixture
async def recorded(start_exchange: StartExchange, tmp_path: Path) -> AsyncIterator[tuple[Exchange, Recorded]]:
    """A quiet exchange and a monitor on it, recorded, with one topic that goes stale soon."""
    exchange = await start_exchange()
    overrides = [{"topics": "trade.*", "mode": "fixed", "after": "300ms"}]
    watched = target(exchange.url, ["trade.*", "ticker.*"], freshness={"overrides": overrides})
    config = configured(watched)
    async with Recorded(tmp_path / "x.jsonl.gz", config) as recorded:
        await until(lambda: recorded.connection().state.value == "live")
        yield exchange, recorded


def stale_episodes(record: ConnectionRecord, topic: str = "trade.*") -> int:
    """So far."""
    freshness = record.topics[topic].freshness
    assert freshness is not None
    return freshness.episodes(time.monotonic())


async def test_thresholds_can_be_tuned_on_a_recording(recorded: tuple[Exchange, Recorded]) -> None:
    """The same frames, judged by another configuration."""
    exchange, recording = recorded
    trade = '["t",1790139142,{},"BTC_USDT","1","1","buy"]'
    for number in (1, 2):
        exchange.send(Payload(text=trade.format(number)))
        await until(lambda number=number: stale_episodes(recording.connection()) == number)  # type: ignore[misc]
    await recording.service.__aexit__(None, None, None)
    recording.tape.close()
    said, _ = retold(recording.path)
    assert said.count("trade.*: live -> stale, threshold 0.300 s") == 2
    columns = ["messages", "longest silence", "threshold", "times stale", "longest time", "in all"]
    assert all(column in said for column in columns)
    (row,) = (line.split() for line in said.splitlines() if line.startswith("  trade.*"))
    assert [row[1], *row[4:7]] == ["2", "0.300", "s", "2"]
    silence, longest, in_all = (float(row[place]) for place in (2, 7, 9))
    assert silence == pytest.approx(0.3 + longest, abs=0.002)
    assert longest <= in_all
    patient = target(exchange.url, ["trade.*"], freshness={"default": {"mode": "fixed", "after": "1h"}})
    said, monitor = retold(recording.path, configured(patient))
    assert "-> stale" not in said
    assert monitor.targets[TARGET].connections["0-0"].topics["trade.*"].messages == 2


async def test_an_incident_shows_in_the_recordings(recorded: tuple[Exchange, Recorded]) -> None:
    """Over HTTP: what was wrong, and the frames before it."""
    exchange, recording = recorded
    exchange.send(Payload(text='["t",1790139142,7,"BTC_USDT","1","1","buy"]'))
    exchange.send(Payload(text="not json"))
    await until(lambda: recording.connection().malformed.total() == 1)
    exchange.faults.add(Abort())
    await until(lambda: recording.connection().disconnects.total() == 1)
    async with aiohttp.ClientSession() as http:
        _, out = await Monitored(recording.service, http).get("/api/v1/recordings")
    (connection,) = json.loads(out)["connections"]
    troubles = {trouble["kind"]: trouble for trouble in connection["troubles"]}
    assert troubles["malformed"]["reason"] == "invalid_json"
    assert [frame["text"] for frame in troubles["malformed"]["frames"]][-2:] == [
        '["t",1790139142,7,"BTC_USDT","1","1","buy"]',
        "not json",
    ]
    assert troubles["disconnected"]["reason"] == "connection_lost"
    assert troubles["disconnected"]["client_id"] == exchange.ledger.connections[0].client_id


async def test_nothing_of_an_account_reaches_the_file(start_exchange: StartExchange, tmp_path: Path) -> None:
    """Neither the token, nor a balance, nor a frame that may hold one; and the verdicts stay the same."""
    exchange = await start_exchange()
    token = tmp_path / "token"
    token.write_text("s3cret-token")
    watched = target(exchange.url, ["trade.*"], auth={"token_file": str(token)})
    config = configured(watched)
    async with Recorded(tmp_path / "x.jsonl", config) as recording:
        await until(lambda: any(entry.authenticated for entry in exchange.ledger.connections))
        frames = (
            '["w",1790139142,1,"spot","BTC","98765.4321",null]',
            '["balance",1790139142,"98765.4321"]',
            '["w","98765.4321"]',
            '["error",1790139142,"bad token s3cret-token","auth"]',
        )
        for frame in frames:
            exchange.send(Payload(text=frame))
        await until(lambda: recording.connection().error_frames.total() == 1)
    written = (tmp_path / "x.jsonl").read_text()
    assert "98765.4321" not in written
    assert "s3cret-token" not in written
    _, replayed = retold(tmp_path / "x.jsonl")
    assert_same(replayed, recording.monitor)
    assert recording.connection().topics["wallet"].messages == 1


async def test_what_siblings_say_is_part_of_the_recording(start_exchange: StartExchange, tmp_path: Path) -> None:
    """A silence that a sibling vouches for is quiet in the replay as well."""
    exchange = await start_exchange(market=True, rate=20.0)
    freshness = {"default": {"mode": "fixed", "after": "1s"}}
    watched = target(exchange.url, ["trade.*", "ticker.*"], redundancy=2, freshness=freshness)
    config = configured(watched)
    async with Recorded(tmp_path / "x.jsonl", config) as recording:
        for label in ("0-0", "0-1"):
            await until(lambda label=label: recording.connection(label).topics["trade.*"].messages > 0)  # type: ignore[misc]
        exchange.faults.add(Mute(topic="trade.*"))
        freshness_of = recording.connection().topics["trade.*"].freshness
        assert freshness_of is not None
        await until(lambda: freshness_of.state(time.monotonic()).value == "quiet")
        exchange.faults.add(Freeze())
    entries: list[AnyEntry] = list(read(recording.path))
    assert any(isinstance(entry, Judged) for entry in entries)
    said, replayed = retold(recording.path)
    assert_same(replayed, recording.monitor)
    assert "-> quiet" in said


async def test_a_recording_that_lost_its_beginning_is_judged_from_there(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Each part says how its connections got where they are."""
    exchange = await start_exchange()
    config = configured(target(exchange.url, ["trade.*"]))
    path = tmp_path / "x.jsonl"
    async with Recorded(path, config, part_bytes=20_000, parts=2) as recording:
        await until(lambda: recording.connection().state.value == "live")
        await exchange.burst(2000, {"trade.*": 1.0})
        await until(lambda: recording.connection().data_frames == 2000)
    kept = sum(isinstance(entry, Text) and '["t"' in entry.data for entry in read(path))
    assert 0 < kept < 2000
    said, replayed = retold(path)
    record = replayed.targets[TARGET].connections["0-0"]
    assert record.topics["trade.*"].messages == kept
    assert record.unrouted == 0
    assert "disconnected by client: 1001 shutdown" in said


@asynccontextmanager
async def record(exchange: Exchange, path: Path) -> AsyncIterator[Process]:
    """`alpmon record` in a process of its own, once it is live."""
    config = path.with_name("alpmon.yaml")
    config.write_text(configuration(target(exchange.url, ["trade.*"]), listen=f"127.0.0.1:{free_port()}"))
    command = (sys.executable, "-m", "alpmon", "record", path, "--config", config)
    async with process(*command, stderr=asyncio.subprocess.PIPE) as started:
        assert started.stderr is not None
        async with asyncio.timeout(30):
            while b'"after": "live"' not in (line := await started.stderr.readline()):
                assert line, "ended without saying so"
        yield started


async def test_record_and_replay_as_commands(start_exchange: StartExchange, tmp_path: Path) -> None:
    """`record` serves like `run` and ends with 0; `replay` says the same twice."""
    exchange, path = await start_exchange(market=True, rate=20.0), tmp_path / "x.jsonl"
    async with record(exchange, path) as started:
        await until(lambda: exchange.ledger.connections[0].data.frames >= 10)
        started.terminate()
        _, errors = await asyncio.wait_for(started.communicate(), 30)
        assert started.returncode == 0, errors
    first, second = run("replay", str(path)), run("replay", str(path))
    assert first.exit_code == 0, first.output
    assert first.output == second.output
    assert "disconnected by client: 1001 shutdown" in first.output
    assert f"{TARGET}/0-0: " in first.output


async def test_a_recording_is_there_though_its_process_was_killed(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Up to the last second or so, also where it is compressed and so slow that no buffer is ever full."""
    exchange, path = await start_exchange(), tmp_path / "x.jsonl.gz"
    async with record(exchange, path) as started:
        exchange.send(Payload(text='["t",1790139142,7,"BTC_USDT","1","1","buy"]'))
        await until(lambda: '["t"' in on_the_disk(path))
        started.kill()
        await started.communicate()
    said = run("replay", str(path))
    assert said.exit_code == 0, said.output
    assert "was cut off, as by a crash" in said.stderr
    assert "welcomed, client id" in said.stdout


def on_the_disk(path: Path) -> str:
    """All text frames of a recording that is being written, as far as they can be read."""
    try:
        return "".join(entry.data for entry in read(path) if isinstance(entry, Text))
    except TapeError:
        return ""


def test_starts_that_fail_leave_a_recording_as_it_is(tmp_path: Path) -> None:
    """A service manager tries again and again while another process has the address."""
    path, state = tmp_path / "x.jsonl", tmp_path / "state"
    path.write_text("an incident\n")
    statefile.save(state, {TARGET: {"trade.*": statefile.Learnt(Cadence(5.0, 600.0).snapshot(), None)}}, time.time())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "alpmon.yaml"
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        nowhere = target(f"ws://127.0.0.1:{free_port()}/ws", ["trade.*"])
        config.write_text(configuration(nowhere, listen=listen, state_file=str(state)))
        for _ in range(3):
            refused = run("record", str(path), "--config", str(config), "--parts", "3")
            assert (refused.exit_code, listen in refused.output) == (2, True), refused.output
    assert path.read_text() == "an incident\n"
    assert sorted(file.name for file in tmp_path.glob("x*")) == ["x.jsonl"]


def test_what_was_learnt_before_is_part_of_the_recording(tmp_path: Path) -> None:
    """A threshold that came out of a state file is the replay's as well; what is no use there is let pass as well."""
    cadence = Cadence(5.0, 600.0)
    for _ in range(5000):
        cadence.observe(20.0)
    config = configured(target("ws://127.0.0.1:1/ws", ["trade.*", "ticker.*"]))
    tape = Tape(tmp_path / "x", show(config), "0", 1.0, 1.0)
    line = LineTape(tape, TARGET, "0-0")
    live = TapedFreshness(line, "trade.*", Rule(), 1.0)
    fresh = live.stale_after()
    live.restore(cadence.snapshot())
    assert live.stale_after() != fresh
    line.learnt("trade.*", cadence.snapshot(), None)
    line.learnt("ticker.*", {"nonsense": 1}, None)
    line.held(["trade.*", "ticker.*"], account=False)
    tape.close()
    topics = retold(tmp_path / "x")[1].targets[TARGET].connections["0-0"].topics
    thresholds = [topic.freshness.stale_after() for topic in topics.values() if topic.freshness]
    assert thresholds == [live.stale_after(), fresh]


@pytest.mark.parametrize("twice", [Open, Lost])
def test_lines_out_of_order_are_refused_and_not_a_crash(tmp_path: Path, twice: type[Open] | type[Lost]) -> None:
    """A file that somebody edited; what does no harm is let pass."""
    config = configured(target("ws://127.0.0.1:1/ws", ["trade.*"]))
    tape = Tape(tmp_path / "x", show(config), "0", 1.0, 1.0)
    line = f"{TARGET}/0-0"
    for entry in (Held(now=1.0, wall=1.0, line=line, topics=("trade.*",)), *[twice(now=2.0, wall=2.0, line=line)] * 2):
        tape.write(entry)
    tape.close()
    said = run("replay", str(tmp_path / "x"))
    if twice is Open:
        assert (said.exit_code, "makes no sense at 1970-01-01T00:00:02.000Z" in said.output) == (2, True)
    else:
        assert said.exit_code == 0


def test_a_line_that_is_released_twice_does_no_harm(tmp_path: Path) -> None:
    """Nobody writes that, and somebody may edit it."""
    tape = Tape(tmp_path / "x", show(configured(target("ws://127.0.0.1:1/ws", ["trade.*"]))), "0", 1.0, 1.0)
    line = f"{TARGET}/0-0"
    tape.write(Held(now=1.0, wall=1.0, line=line, topics=("trade.*",)))
    for name in (line, f"{line}~1"):
        tape.write(Released(now=2.0, wall=2.0, line=name, after=f"{line}~1"))
    tape.close()
    assert run("replay", str(tmp_path / "x")).exit_code == 0


def clocks(path: Path, *times: tuple[float, float]) -> None:
    """A connection that is held at one o'clock, and looked at whenever these clocks say so."""
    tape = Tape(path, show(configured(target("ws://127.0.0.1:1/ws", ["trade.*"]))), "0", 3600.0, 3600.0)
    line = f"{TARGET}/0-0"
    tape.write(Held(now=3600.0, wall=3600.0, line=line, topics=("trade.*",)))
    for now, wall in times:
        tape.write(Counted(now=now, wall=wall, line=line))
    tape.close()


@pytest.mark.parametrize(
    ("now", "wall", "why"),
    [
        (1e12, 3600.0, "clock shows 1000000000000.0"),
        (3600.0, 1e300, "clock shows 1e+300"),
        (3600.0, -1e12, "clock shows -1000000000000.0"),
        (-1e12, 3600.0, "clock shows -1000000000000.0"),
        (3600.0 + 40 * 86400.0, 3600.0, "goes on by 3456000.0 s"),
        (60.0, 3600.0, "goes back by 3540.0 s"),
    ],
)
def test_clocks_that_no_monitor_has_are_refused(tmp_path: Path, now: float, wall: float, why: str) -> None:
    """In one line, before anything is made of them."""
    clocks(tmp_path / "x", (now, wall))
    said = run("replay", str(tmp_path / "x"))
    assert (said.exit_code, said.stdout, said.stderr.count("\n")) == (2, "", 1), said.output
    assert why in said.stderr
    assert "after 1970-01-01T01:00:00.000Z" in said.stderr


@given(st.lists(st.tuples(st.floats(0, 1e6) | st.floats(), st.floats(0, 1e6) | st.floats()), max_size=5))
def test_any_clocks_end_in_an_answer(
    tmp_path_factory: pytest.TempPathFactory, times: list[tuple[float, float]]
) -> None:
    """Or in one line that says what is wrong; never in a traceback, and never not at all."""
    path = tmp_path_factory.mktemp("clocks") / "x"
    clocks(path, *times)
    said = run("replay", str(path))
    assert said.exit_code in (0, 2)
    if said.exit_code:
        assert said.stderr.count("\n") == 1


def test_a_monitor_that_stood_still_for_days_is_told_about(tmp_path: Path) -> None:
    """Its process was stopped, say; a day costs no more looks than an hour."""
    clocks(tmp_path / "x", (3600.0 + 20 * 86400.0, 3600.0 + 20 * 86400.0))
    said = run("replay", str(tmp_path / "x"))
    assert said.exit_code == 0
    assert "1970-01-01T01:00:00.000Z to 1970-01-21T01:00:00.000Z" in said.stdout


def test_a_recording_that_was_cut_off_is_told_up_to_there(tmp_path: Path) -> None:
    """With 0; that it was cut is said beside the answer, not in it."""
    path = tmp_path / "x"
    tape = Tape(path, show(configured(target("ws://127.0.0.1:1/ws", ["trade.*"]))), "0", 1.0, 1.0)
    tape.write(Held(now=1.0, wall=1.0, line=f"{TARGET}/0-0", topics=("trade.*",)))
    tape.close()
    whole = run("replay", str(path))
    with path.open("a") as file:
        file.write('{"event":"op')
    cut = run("replay", str(path))
    assert (cut.exit_code, cut.stdout) == (0, whole.stdout)
    assert whole.stderr == ""
    assert cut.stderr == f"{path} was cut off, as by a crash; it was read to its last whole line\n"


def test_replay_refuses_what_it_cannot_judge(tmp_path: Path) -> None:
    """With 2, and why."""
    missing = run("replay", str(tmp_path / "none"))
    assert (missing.exit_code, "No such file" in missing.output) == (2, True)
    garbage = tmp_path / "x"
    garbage.write_text("nonsense\n")
    assert run("replay", str(garbage)).exit_code == 2
    tape = Tape(tmp_path / "y", show(configured(target("ws://127.0.0.1:1/ws", ["trade.*"]))), "0", 1.0, 1.0)
    tape.write(Held(now=1.0, wall=1.0, line=f"{TARGET}/0-0", topics=("trade.*",)))
    tape.close()
    other = tmp_path / "other.yaml"
    other.write_text(configuration({**target("ws://127.0.0.1:1/ws", ["trade.*"]), "name": "other"}))
    stranger = run("replay", str(tmp_path / "y"), "--config", str(other))
    assert (stranger.exit_code, stranger.output.count("\n")) == (2, 1)
    assert f"holds target '{TARGET}', and the configuration given has only 'other'" in stranger.output
    nowhere = run("record", str(tmp_path / "no" / "x"))
    assert (nowhere.exit_code, "cannot write" in nowhere.output) == (2, True)
    packed = run("record", str(tmp_path / "x.zst"))
    assert (packed.exit_code, packed.output.count("\n"), "x.gz" in packed.output) == (2, 1, True)


def thin_recording(path: Path, state: Rate) -> None:
    """A hundred trades every two seconds for a minute, four for a minute, a hundred again; on clocks of our own."""
    config = configured(target("ws://127.0.0.1:1/ws", ["trade.*"]))
    tape = Tape(path, show(config), "0", 0.0, 1000.0)
    line = f"{TARGET}/0-0"
    tape.write(Learnt(now=0.0, wall=1000.0, line=line, topic="trade.*", rate=state.snapshot()))
    tape.write(Held(now=0.0, wall=1000.0, line=line, topics=("trade.*",)))
    tape.write(Open(now=0.0, wall=1000.0, line=line))
    for said in ('["welcome",1000,20000,30000,"c"]', '["subscribe",1000,"trade.*"]'):
        tape.write(Text(now=0.0, wall=1000.0, line=line, data=said, size=len(said)))
    number = 0
    for slot in range(90):
        now = 2.0 * slot
        for _ in range(4 if 30 <= slot < 60 else 100):
            number += 1
            trade = f'["t",1000,{number},"BTC_USDT","1","1","buy"]'
            tape.write(Text(now=now + 1.0, wall=1001.0 + now, line=line, data=trade, size=len(trade)))
        tape.write(Counted(now=now + 2.0, wall=1002.0 + now, line=line))
    tape.close()


def test_a_feed_that_went_thin_is_told_with_how_long_it_was(tmp_path: Path) -> None:
    """Though no silence of it was long enough to be stale."""
    usual = Rate()
    for slot in range(400):
        usual.observe(100, 2.0, 5.0, slot * 2.0)
    thin_recording(tmp_path / "x", usual)
    said, monitor = retold(tmp_path / "x")
    began, ended = (line for line in said.splitlines() if " thin" in line and "time thin" not in line)
    assert "trade.*: thin, 0.0" in began
    assert "1970-01-01T00:17:40.000Z" < began < "1970-01-01T00:18:40.000Z"
    assert "trade.*: no longer thin after " in ended
    assert ended > "1970-01-01T00:18:40.000Z"
    assert "-> stale" not in said
    assert monitor.targets[TARGET].connections["0-0"].topics["trade.*"].meter.rate.ratio > 0.5


async def test_what_a_connection_missed_is_told(start_exchange: StartExchange, tmp_path: Path) -> None:
    """As it was counted, and at the end."""
    exchange = await start_exchange(market=True, rate=20.0)
    config = configured(target(exchange.url, ["trade.*", "ticker.*"], redundancy=2))
    async with Recorded(tmp_path / "x.jsonl", config) as recording:
        for label in ("0-0", "0-1"):
            standing = recording.connection(label).topics["trade.*"].standing
            assert standing is not None
            await until(lambda standing=standing: standing.since < time.monotonic() - 2.0)  # type: ignore[misc]
        exchange.faults.add(Mute(topic="trade.*", connections="first"))
        await until(lambda: any(missed_by(recording, label) for label in ("0-0", "0-1")))
    said, replayed = retold(recording.path)
    assert_same(replayed, recording.monitor)
    assert "trade.*: missed " in said


def missed_by(recording: Recorded, label: str) -> int:
    """Trades."""
    standing = recording.connection(label).topics["trade.*"].standing
    assert standing is not None
    return standing.missed
