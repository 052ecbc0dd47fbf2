"""Scenarios: strict to read, punctual to play, and the built-in ones show what they promise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import pytest

from alpmon.exchange import Exchange, scenario
from alpmon.exchange.faults import Close, DelayAcks, Fault, Mute
from alpmon.exchange.scenario import Scenario, ScenarioError, Step
from tests.waiting import eventually

GOOD = """
description: a test
repeat_every: 1m30s
steps:
  - {at: 1m, fault: close, code: 1012}
  - at: 500ms
    fault: mute
    topic: "trade.*"
    for: 2s
"""


def head(steps: str) -> str:
    return f"description: x\nsteps:\n{steps}"


class TestReading:
    def test_a_good_file(self) -> None:
        """Steps come in the order of their start, durations in seconds."""
        assert scenario.parse(GOOD) == Scenario(
            "a test",
            (Step(0.5, 2.0, Mute(topic="trade.*")), Step(60.0, None, Close(code=1012))),
            repeat_every_seconds=90.0,
        )

    def test_a_file_is_loaded_by_its_path(self, tmp_path) -> None:
        """What is no built-in name is a path."""
        path = tmp_path / "mine.yaml"
        path.write_text(GOOD)
        assert scenario.load(str(path)).description == "a test"

    def test_all_mistakes_are_told_with_their_lines(self) -> None:
        """Each mistake has its line; one does not hide the others."""
        text = head(
            "  - {at: 1s, fault: mute, topik: x}\n"
            "\n"
            "  - {at: 2x, fault: thin, keep: 2}\n"
            "  - {fault: freeze}\n"
            "  - {at: 1s, fault: abort, for: 2s}\n"
            "  - {at: 1s, fault: freeze}\n"
        )
        with pytest.raises(ScenarioError) as caught:
            scenario.parse(text, "mine.yaml")
        assert str(caught.value).splitlines() == [
            "mine.yaml:3: mute.topik: Extra inputs are not permitted",
            "mine.yaml:5: at: Value error, '2x' is no duration: write 350ms, 40s or 1m30s",
            "mine.yaml:5: thin.keep: Input should be less than or equal to 1",
            "mine.yaml:6: at: Field required",
            "mine.yaml:7: for: abort happens once, it cannot last",
        ]

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("steps: []", "mine.yaml: description: Field required"),
            ("description: x\nsteps: []\nextra: 1", "mine.yaml: extra: Extra inputs"),
            ("description: x\nsteps: [1]", "mine.yaml: steps.0: Input should be a valid dictionary"),
            ("description: x\nsteps: []\nrepeat_every: 0s", "mine.yaml: repeat_every: Input should be greater than 0"),
            ("[", "mine.yaml: no YAML: "),
            ("", "mine.yaml: Input should be a valid dictionary"),
            (head("  - {at: 1s, fault: explode}"), "mine.yaml:3: Input tag 'explode'"),
        ],
    )
    def test_what_is_no_scenario(self, text, complaint) -> None:
        """The file's outline is as strict as its steps."""
        with pytest.raises(ScenarioError) as caught:
            scenario.parse(text, "mine.yaml")
        assert str(caught.value).startswith(complaint)

    @pytest.mark.parametrize(
        ("name", "hint"),
        [("demmo", "did you mean demo?"), ("zzz", "built-in ones are anomalies, deaf_sibling, demo, ")],
    )
    def test_an_unknown_name_is_answered_with_a_hint(self, name, hint) -> None:
        """The nearest built-in one, or all of them."""
        with pytest.raises(ScenarioError, match=hint):
            scenario.load(name)


class TestBuiltIn:
    def test_each_has_one_line(self) -> None:
        """All can be read and say in a line what they show."""
        assert set(scenario.names()) >= {"demo", "flaky", "healthy"}
        assert all("\n" not in text and text for text in scenario.names().values())

    def test_the_demo_shows_each_kind_in_five_minutes(self) -> None:
        """Twenty healthy seconds, then every kind of trouble that the README names begins and ends within 300 s."""
        steps = scenario.load("demo").steps
        assert steps[0].at == 20
        assert all(step.at + (step.duration or 0) <= 300 for step in steps)
        assert all(step.fault.instant or step.duration is not None for step in steps)
        assert {step.fault.fault for step in steps} >= {
            "mute",
            "delay_acks",
            "freeze",
            "half_open",
            "close",
            "abort",
            "refuse_upgrades",
            "garbage",
            "thin",
            "skew",
            "cross_book",
            "duplicate",
            "reorder",
        }

    def test_the_paging_one_holds_each_kind_of_the_demo_for_longer(self) -> None:
        """At least a minute each, the shortest that an alert waits; what happens at once has no length."""
        demo, paging = (scenario.load(name).steps for name in ("demo", "paging"))
        kinds = {step.fault.fault for step in demo}
        assert {step.fault.fault for step in paging} == kinds
        for kind in kinds - {"half_open"}:  # the monitor itself ends such a session, whatever it lasts
            assert max(_lengths(paging, kind)) >= max(60.0, *_lengths(demo, kind)) or _instant(paging, kind)

    def test_nothing_goes_wrong_in_the_healthy_one(self) -> None:
        """No step, played once."""
        assert scenario.load("healthy").steps == ()

    @pytest.mark.parametrize("name", ["demo", "flaky"])
    async def test_each_can_be_played_against_clients(self, start_exchange, dial, name) -> None:
        """A round at 400 times its pace leaves no fault on and an exchange that serves."""
        exchange = await start_exchange(market=True)
        await dial(exchange)
        story = scenario.load(name)
        playing = asyncio.create_task(scenario.play(exchange, Scenario(story.description, story.steps), pace=400))
        async with asyncio.timeout(20):
            await playing
        assert not exchange.faults
        client = await dial(exchange)
        assert (await client.ask("subscribe", "trade.*"))[0] == "subscribe"


def _lengths(steps: Iterable[Step], kind: str) -> list[float]:
    return [step.duration or 0.0 for step in steps if step.fault.fault == kind]


def _instant(steps: Iterable[Step], kind: str) -> bool:
    return all(step.fault.instant for step in steps if step.fault.fault == kind)


class TestPlaying:
    async def test_faults_come_and_go_in_time(self, start_exchange) -> None:
        """Each begins at its time and holds as long as it says; without a duration it holds to the round's end."""
        exchange = await start_exchange()
        seen: list[tuple[str, bool, float]] = []
        exchange.faults.add, exchange.faults.lift = _watched(exchange.faults, seen, time.monotonic())
        steps = (Step(0.0, None, DelayAcks(by=1)), Step(1.0, 2.0, Mute()), Step(2.0, 2.0, Mute(topic="x")))
        async with _playing(exchange, Scenario("x", steps, repeat_every_seconds=6.0), pace=10):
            await eventually(lambda: len(seen) >= 7)
        assert [(name, begins) for name, begins, _ in seen[:7]] == [
            ("delay_acks", True),
            ("mute", True),
            ("mute", True),
            ("mute", False),
            ("mute", False),
            ("delay_acks", False),
            ("delay_acks", True),
        ]
        for (_, _, at), planned in zip(seen, (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.6), strict=False):
            assert planned - 0.001 <= at < planned + 0.3

    async def test_a_fault_without_a_duration_holds_to_the_end_of_the_round(self, start_exchange) -> None:
        """Also as the round's only cue, and as its last one."""
        exchange = await start_exchange()
        seen: list[tuple[str, bool, float]] = []
        exchange.faults.add, exchange.faults.lift = _watched(exchange.faults, seen, time.monotonic())
        story = Scenario("x", (Step(1.0, None, Mute()),), repeat_every_seconds=5.0)
        async with _playing(exchange, story, pace=10):
            await eventually(lambda: len(seen) >= 2)
        assert [(name, begins) for name, begins, _ in seen[:2]] == [("mute", True), ("mute", False)]
        assert seen[1][2] >= 0.5 - 0.001

    async def test_where_nothing_repeats_it_holds_until_the_scenario_is_cancelled(self, start_exchange) -> None:
        """Long after the last cue; then nothing is left of it."""
        exchange = await start_exchange()
        steps = (Step(0.0, None, Mute()), Step(0.1, 0.1, DelayAcks(by=1)), Step(0.3, None, Close()))
        seen: list[tuple[str, bool, float]] = []
        exchange.faults.add, exchange.faults.lift = _watched(exchange.faults, seen, time.monotonic())
        async with _playing(exchange, Scenario("x", steps), pace=10) as playing:
            await eventually(lambda: "close" in [name for name, _, _ in seen])
            done, _ = await asyncio.wait([playing], timeout=0.2)
            assert not done
            assert [active.fault.fault for active in exchange.faults] == ["mute"]
        assert not exchange.faults

    async def test_a_round_is_played_again(self, start_exchange, dial) -> None:
        """A repeating scenario closes one client after the other."""
        exchange = await start_exchange()
        story = Scenario("x", (Step(0.5, None, Close()),), repeat_every_seconds=1.0)
        async with _playing(exchange, story, pace=10) as playing:
            for _ in range(3):
                client = await dial(exchange)
                assert await client.close_code() == 1012
            assert not playing.done()

    async def test_a_cancelled_scenario_leaves_nothing_on(self, start_exchange) -> None:
        """Its faults are lifted, those of others stay."""
        exchange = await start_exchange()
        mine = exchange.faults.add(Mute(topic="mine"))
        async with _playing(exchange, Scenario("x", (Step(0.0, 60.0, Mute()),))):
            await eventually(lambda: len(list(exchange.faults)) == 2)
        assert [active.id for active in exchange.faults] == [mine]


@asynccontextmanager
async def _playing(exchange: Exchange, story: Scenario, pace: float = 1.0) -> AsyncIterator[asyncio.Task[None]]:
    """A scenario that is cancelled at the end."""
    playing = asyncio.create_task(scenario.play(exchange, story, pace=pace))
    yield playing
    playing.cancel()
    with suppress(asyncio.CancelledError):
        await playing


def _watched(faults, seen: list[tuple[str, bool, float]], started: float):
    """The two methods, writing down when each fault came and went."""
    kinds: dict[int, str] = {}
    add, lift = faults.add, faults.lift

    def watched_add(fault: Fault) -> int:
        seen.append((fault.fault, True, time.monotonic() - started))
        fault_id = add(fault)
        kinds[fault_id] = fault.fault
        return fault_id

    def watched_lift(fault_id: int) -> bool:
        if fault_id in kinds:
            seen.append((kinds[fault_id], False, time.monotonic() - started))
        return lift(fault_id)

    return watched_add, watched_lift
