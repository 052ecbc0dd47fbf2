"""A part of a recording that is replayed alone says of what was so by then what the whole recording says of it."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.config import parse, show
from alpmon.core.stand import Stand
from alpmon.probe.taped import learnt_by, stood_by
from alpmon.replay.replay import Replay
from alpmon.telemetry.entries import (
    AnyEntry,
    Asked,
    Counted,
    Disconnected,
    Evidence,
    Failed,
    Header,
    Held,
    Judged,
    Lost,
    Open,
    Pong,
    Stood,
    Text,
    Tick,
    TopicStood,
)
from alpmon.telemetry.tape import Tape
from alpmon.telemetry.untaped import read
from tests.integration.harness import TARGET, target, until
from tests.integration.recording import Recorded, configured, retold, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from alpmon.config import Config
    from tests.conftest import StartExchange

LINE = f"{TARGET}/0-0"
TOPICS = ("trade.*", "ticker.*")
FIXED = {"default": {"mode": "fixed", "after": "15s", "silent_after": "1m"}}
PART_BYTES = 50_000
CUT = b"x" * PART_BYTES
"""Whatever comes after it begins a part."""
_ESTABLISHING = (Held, Open, Asked, Failed, Disconnected)


def watched(**more: Any) -> Config:
    """One connection, with thresholds of our own."""
    return configured(target("ws://127.0.0.1:1/ws", list(TOPICS), **{"freshness": FIXED, **more}))


def put(kind: Any, now: float, **more: Any) -> AnyEntry:
    """A line of the connection; both clocks begin at 0."""
    entry: AnyEntry = kind(now=now, wall=now, line=LINE, **more)
    return entry


def said(now: float, frame: str) -> AnyEntry:
    """A frame of the exchange."""
    return put(Text, now, data=frame, size=len(frame))


def traded(now: float) -> AnyEntry:
    """One trade."""
    return said(now, f'["t",1,{int(now * 4)},"BTC_USDT","1","1","buy"]')


def up(now: float) -> list[AnyEntry]:
    """A session, with everything acknowledged a moment after the welcome."""
    return [
        put(Open, now, topics=TOPICS),
        said(now + 0.25, '["welcome",1,20000,30000,"c"]'),
        said(now + 0.5, '["subscribe",1,"trade.*","ticker.*"]'),
    ]


def ended(now: float) -> list[AnyEntry]:
    """A session is over."""
    how = {"initiator": "server", "code": "1012", "reason": "close_frame", "close_reason": ""}
    return [put(Lost, now), put(Disconnected, now, **how)]


def ticker(now: float) -> AnyEntry:
    """One ticker."""
    return said(now, f'["tk",{int(now)},["A_B","1","1","1","1","-1","1","1","1"]]')


def looked(*times: float) -> list[AnyEntry]:
    """Nothing comes meanwhile."""
    return [put(Tick, now) for now in times]


HELD = put(Held, 0.0, topics=TOPICS)
LIVE = [HELD, *up(1.0), traded(2.0)]


def tell(path: Path, story: Iterable[AnyEntry], cuts: Iterable[float] = (), config: Config | None = None) -> str:
    """What a monitor says that goes through the story and records it, with a new part from each of these moments on."""
    config = config or watched()
    tape = Tape(path, show(config), "0", 0.0, 0.0, part_bytes=PART_BYTES, parts=100)
    lines: list[str] = []
    monitor = Replay(lines.append, lambda text: parse(text, "recording", {}), None)
    tape.learning = lambda now, wall: learnt_by(monitor.monitor, now, wall)
    tape.standing = lambda now, wall: stood_by(monitor.monitor, now, wall)

    def recorded() -> Iterator[AnyEntry]:
        due = sorted(cuts)
        yield Header(now=0.0, wall=0.0, format=1, alpmon="0", run=0.0, part=0, config=show(config))
        for entry in sorted(story, key=lambda each: each.now):
            while due and due[0] <= entry.now:
                tape.write(put(Pong, due.pop(0), payload=CUT))
            settling = isinstance(entry, Text) and entry.data.startswith(('["welcome"', '["subscribe"', '["error"'))
            tape.write(entry, establishing=isinstance(entry, _ESTABLISHING) or settling)
            yield entry

    monitor.run(recorded())
    tape.close()
    return "\n".join(lines)


def alone(path: Path) -> Path:
    """The newest part, and no other beside it."""
    (path.parent / "alone").mkdir(exist_ok=True)
    return shutil.copy(path, path.parent / "alone" / path.name)


def told(answer: str) -> list[str]:
    """What happened, without the summary."""
    return answer.partition("\n\n")[0].splitlines()


def judged(answer: str) -> list[str]:
    """What came of it: the alerts, and of each topic all that is no count of the part's own."""
    lines = answer.splitlines()
    fired = [line for line in lines if line.startswith(("would have", "fires still"))]
    return fired + [" ".join([line.split()[0], *line.split()[2:]]) for line in lines if line.startswith("  t")]


@pytest.mark.parametrize("cut", [10.0, 17.0, 40.0, 77.0, 99.0])
@pytest.mark.parametrize("end", [(), (traded(130.0), *looked(145.0, 300.0))])
def test_a_mute_goes_on_in_the_part_that_begins_in_it(tmp_path: Path, cut: float, end: tuple[AnyEntry, ...]) -> None:
    """Before the threshold, at it, before the alert, at it and after."""
    tickers = [ticker(float(now)) for now in range(5, 130, 5)]
    whole = tell(tmp_path / "x", [*LIVE, *tickers, *end], cuts=[5.0, cut])
    assert "1970-01-01T00:00:17.000Z test/0-0 trade.*: live -> stale, threshold 15.000 s" in whole
    assert "1970-01-01T00:01:17.000Z test/0-0 AlpmonFeedStale fires for trade.* (critical)" in whole
    part, _ = retold(alone(tmp_path / "x"))
    assert told(part) == told(whole)
    assert judged(part) == judged(whole)
    assert "this is from its oldest part that is left" in part
    assert retold(tmp_path / "x")[0] == whole, "its parts together are the whole"


def test_a_topic_that_was_late_all_through_a_part_is_told_with_all_of_it(tmp_path: Path) -> None:
    """A silence has one length, wherever the file was changed."""
    tell(tmp_path / "x", [*LIVE, *looked(30.0, 100.0, 110.0)], cuts=[100.0])
    part, monitor = retold(alone(tmp_path / "x"))
    freshness = monitor.targets[TARGET].connections["0-0"].topics["trade.*"].freshness
    assert freshness is not None
    assert freshness.age(110.0) == 108.0
    assert freshness.stale_seconds(110.0) == 93.0
    assert told(part)[0] == "1970-01-01T00:00:01.250Z test/0-0 welcomed, client id c"
    assert "1970-01-01T00:01:40.000Z to 1970-01-01T00:01:50.000Z" in part


@pytest.mark.parametrize("cut", [30.0, 70.0, 400.0])
def test_a_subscription_that_brings_nothing(tmp_path: Path, cut: float) -> None:
    """Of a topic that never delivered, and of one that the exchange refuses."""
    refused = [said(1.25, '["welcome",1,20000,30000,"c"]'), said(1.5, '["subscribe",1,"ticker.*"]')]
    refused += [said(1.75, '["error",1,"unknown topic: trade.*","subscribe"]')]
    whole = tell(
        tmp_path / "x", [HELD, put(Open, 1.0, topics=TOPICS), *refused, *looked(*range(10, 500, 10))], cuts=[cut]
    )
    part, _ = retold(alone(tmp_path / "x"))
    wanted = [line for line in told(whole) if "Alpmon" in line and "ErrorFrames" not in line]
    assert any("AlpmonFeedSilent fires for ticker.*" in line for line in wanted)
    assert [line for line in told(part) if "Alpmon" in line] == wanted


@pytest.mark.parametrize("cut", [25.0, 35.0, 60.0])
def test_what_rest_said_of_a_silence_holds_in_the_next_part(tmp_path: Path, cut: float) -> None:
    """Quiet stays quiet, and what was found to be missed stays missed."""
    excused = put(Evidence, 20.0, topic="trade.*", nothing_missed=True)
    missed = put(Evidence, 40.0, topic="trade.*", nothing_missed=False)
    calm = tell(tmp_path / "calm", [*LIVE, excused, *looked(*range(22, 120, 2))], cuts=[cut])
    part, _ = retold(alone(tmp_path / "calm"))
    assert [line for line in told(part) if "trade" in line] == [
        "1970-01-01T00:00:20.000Z test/0-0 trade.*: live -> quiet, threshold 15.000 s"
    ]
    assert "AlpmonFeedStale for trade" not in calm + part
    whole = tell(tmp_path / "x", [*LIVE, excused, missed, *looked(*range(42, 120, 2))], cuts=[cut])
    part, _ = retold(alone(tmp_path / "x"))
    fires = "1970-01-01T00:01:40.000Z test/0-0 AlpmonFeedStale fires for trade.* (critical)"
    assert fires in told(whole)
    assert fires in told(part)


def twice(entries: Iterable[AnyEntry]) -> list[AnyEntry]:
    """The same on both connections of a group."""
    second = f"{TARGET}/0-1"
    return [each for entry in entries for each in (entry, msgspec.structs.replace(entry, line=second))]


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("cut", [16.0, 30.25, 60.0])
def test_what_siblings_said_of_a_silence_holds_in_the_next_part(tmp_path: Path, cut: float, every: int) -> None:
    """Until they say something else: quiet is not called late because a file was full, and dead is not called quiet."""
    story = twice([*LIVE, *(ticker(float(now)) for now in range(3, 80, every))])
    story += [Judged(now=now + 0.5, wall=now + 0.5) for now in range(3, 200)]
    whole = tell(tmp_path / "x", story, cuts=[cut], config=watched(redundancy=2))
    assert whole.count("trade.*: live -> quiet") == 2
    assert whole.count("AlpmonFeedStale fires for trade.*") == 2, "the tickers end as well"
    part, _ = retold(alone(tmp_path / "x"))
    assert told(part) == told(whole)
    assert judged(part) == judged(whole)


@pytest.mark.parametrize("cut", [22.0, 40.0, 90.0])
def test_what_a_sibling_got_is_held_against_the_other_in_the_next_part(tmp_path: Path, cut: float) -> None:
    """Though the sibling is silent itself by then, and everything else well."""
    story = twice([*LIVE, *(ticker(float(now)) for now in range(3, 160))])
    story += [msgspec.structs.replace(traded(now), line=f"{TARGET}/0-1") for now in (10.0, 18.0)]
    story += [Judged(now=now + 0.5, wall=now + 0.5) for now in range(3, 160)]
    whole = tell(tmp_path / "x", story, cuts=[cut], config=watched(redundancy=2))
    assert "test/0-0 trade.*: live -> stale" in whole
    assert "test/0-1 trade.*: live -> quiet" in whole
    part, _ = retold(alone(tmp_path / "x"))
    spells = [line for line in told(whole) if "->" in line or "FeedStale" in line]
    assert [line for line in told(part) if "->" in line or "FeedStale" in line] == spells


@pytest.mark.parametrize("cut", [25.0, 60.0, 110.0])
def test_a_connection_that_is_down_is_so_since_its_session_ended(tmp_path: Path, cut: float) -> None:
    """And no attempt that failed begins that anew."""
    failed = [put(Failed, now, reason="refused", detail="no") for now in (30.0, 50.0)]
    whole = tell(tmp_path / "x", [*LIVE, *ended(20.0), *failed, *up(120.0), *looked(130.0, 300.0)], cuts=[cut])
    part, _ = retold(alone(tmp_path / "x"))
    alerts = [line for line in told(whole) if "Alpmon" in line]
    assert "1970-01-01T00:01:20.000Z test/0-0 AlpmonConnectionDown fires (critical)" in alerts
    assert [line for line in told(part) if "Alpmon" in line] == alerts
    assert told(part)[0] == "1970-01-01T00:00:20.000Z test/0-0 down"


def test_a_connection_that_never_was_up_is_down_from_the_first(tmp_path: Path) -> None:
    """From when it was held on."""
    tell(tmp_path / "x", [HELD, put(Failed, 5.0, reason="refused", detail="no"), *looked(70.0, 80.0)], cuts=[65.0])
    part, _ = retold(alone(tmp_path / "x"))
    assert told(part) == [
        "1970-01-01T00:00:00.000Z test/0-0 down",
        "1970-01-01T00:01:00.000Z test/0-0 AlpmonConnectionDown fires (critical)",
    ]


def test_what_happened_before_a_part_is_not_counted_as_happening_in_it(tmp_path: Path) -> None:
    """An error in how the session began: an hour ago, and no alert of today."""
    error = said(1.6, '["error",1,"unknown topic: trade.*","subscribe"]')
    tell(tmp_path / "x", [*LIVE[:-1], error, *looked(*range(10, 4000, 10))], cuts=[3600.0])
    part, _ = retold(alone(tmp_path / "x"))
    assert "AlpmonErrorFrames" not in part


@pytest.mark.parametrize("after", ["5s", "15s", "50s", "1h"])
def test_other_thresholds_count_in_a_part_for_the_silence_that_it_begins_in(tmp_path: Path, after: str) -> None:
    """As they do in the whole."""
    tell(tmp_path / "x", [*LIVE, *looked(*range(10, 200, 10))], cuts=[100.0])
    tuned = watched(freshness={"default": {"mode": "fixed", "after": after, "silent_after": "1h"}})
    whole, _ = retold(tmp_path / "x", tuned)
    part, _ = retold(alone(tmp_path / "x"), tuned)
    assert told(part) == told(whole)
    assert judged(part) == judged(whole)


def test_what_was_learnt_and_how_old_the_last_message_is_go_together(tmp_path: Path) -> None:
    """An adaptive threshold is the one that was in force, to the last bit."""
    config = watched(freshness={})
    trades = [traded(2.0 + 2.0 * n + (n % 7) / 8) for n in range(200)]
    whole = tell(tmp_path / "x", [*LIVE[:-1], *trades, *looked(*range(410, 1200, 10))], cuts=[700.0], config=config)
    part, _ = retold(alone(tmp_path / "x"))
    stale = [line for line in told(whole) if "trade.*: live -> stale" in line]
    assert len(stale) == 1
    assert told(part) == told(whole)
    assert judged(part) == judged(whole)


def test_a_part_of_an_older_alpmon_begins_anew(tmp_path: Path) -> None:
    """It says nothing of where its topics stand: none is called late for what is not known."""
    tell(tmp_path / "x", [*LIVE, *looked(30.0, 100.0, 110.0)], cuts=[100.0])
    path = tmp_path / "old"
    lines = (tmp_path / "x").read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith('{"event":"stood"')))
    part, monitor = retold(path)
    assert told(part) == ["1970-01-01T00:00:01.250Z test/0-0 welcomed, client id c"]
    freshness = monitor.targets[TARGET].connections["0-0"].topics["trade.*"].freshness
    assert freshness is not None
    assert freshness.age(110.0) == 10.0


def test_a_part_that_ends_with_its_beginning_says_what_was_so(tmp_path: Path) -> None:
    """The process was killed just then."""
    tell(tmp_path / "x", [*LIVE, *looked(90.0, 100.0)], cuts=[100.0])
    entries = [entry for entry in read(alone(tmp_path / "x")) if isinstance(entry, Header) or entry.again]
    lines: list[str] = []
    Replay(lines.append, lambda text: parse(text, "recording", {}), None).run(entries)
    assert "1970-01-01T00:00:17.000Z test/0-0 trade.*: live -> stale, threshold 15.000 s" in lines


moments = st.floats(0.0, 200.0) | st.floats(allow_nan=False)
stands = st.builds(
    Stand,
    phase=st.sampled_from(["down", "pending", "rejected", "live", "stale", "nonsense"]),
    since=moments,
    seed=moments,
    threshold=moments,
    delivered=st.booleans(),
    excused=st.booleans(),
    excused_changed=st.none() | moments,
    said=st.dictionaries(st.sampled_from(["siblings", "reference", "stars"]), st.none() | st.booleans()),
)


@given(stands, moments)
def test_whatever_a_part_says_of_its_beginning_there_is_an_answer(
    tmp_path_factory: pytest.TempPathFactory, stand: Stand, down_since: float
) -> None:
    """Somebody may edit it."""
    path = tmp_path_factory.mktemp("edited") / "x"
    tape = Tape(path, show(watched()), "0", 100.0, 100.0)
    topics = (TopicStood(topic="trade.*", stand=stand), TopicStood(topic="no.such", stand=stand))
    held = Held(now=100.0, wall=100.0, line=LINE, topics=TOPICS, down_since=down_since, again=True)
    repeated = [held, *up(1.0), put(Stood, 100.0, topics=topics)]
    for entry in (*repeated, put(Stood, 100.0, topics=topics, again=True), traded(120.0), put(Counted, 130.0)):
        tape.write(entry)
    tape.close()
    answer = run("replay", str(path))
    assert answer.exit_code in (0, 2)
    if answer.exit_code:
        assert answer.stderr.count("\n") == 1, answer.output


async def test_the_monitor_says_where_its_topics_stand(start_exchange: StartExchange, tmp_path: Path) -> None:
    """In a part that began in the midst of a mute."""
    exchange = await start_exchange()
    freshness = {"overrides": [{"topics": "ticker.*", "mode": "fixed", "after": "300ms"}]}
    config = configured(target(exchange.url, ["trade.*", "ticker.*"], freshness=freshness))
    path = tmp_path / "x"
    async with Recorded(path, config, part_bytes=40_000, parts=2) as recorded:
        await until(lambda: recorded.connection().state.value == "live")
        ticker = recorded.connection().topics["ticker.*"].freshness
        assert ticker is not None
        await until(lambda: ticker.state(time.monotonic()).value == "stale")
        since = ticker.since(time.monotonic())
        await exchange.burst(2000, {"trade.*": 1.0})
        await until(lambda: recorded.connection().data_frames == 2000)
        part, replayed = retold(path)
    assert "beginning was dropped" in part
    assert "ticker.*: live -> stale, threshold 0.300 s" in part
    told_of = replayed.targets[TARGET].connections["0-0"].topics["ticker.*"].freshness
    assert told_of is not None
    assert told_of.since(time.monotonic()) == since
