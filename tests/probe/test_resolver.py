"""Names to addresses: nobody waits for a lookup but who asked for it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from alpmon.probe import resolver, rest
from alpmon.probe.resolver import resolve
from tests.probe.names import Names
from tests.waiting import eventually

MANY = 64
"""More than an event loop has threads of its own."""
PORT = 443


def hosts(found: resolver.Addresses) -> list[str]:
    return [str(address[0]) for *_, address in found]


class Gate:
    """A resolver that says nothing until it is let."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def __call__(self) -> list[str]:
        assert self._opened.wait(60)
        return ["127.0.0.1"]

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%1"])
async def test_an_address_needs_no_lookup(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """However the resolver is, it is read and not asked about."""
    system = socket.getaddrinfo

    def numeric_only(*args: object, flags: int, **options: object) -> object:
        assert flags & socket.AI_NUMERICHOST
        return system(*args, flags=flags, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", numeric_only)
    [(_, kind, _, _, found)] = await resolve(address, PORT)
    assert (kind, found[0], found[1]) == (socket.SOCK_STREAM, address.partition("%")[0], PORT)


async def test_a_name_has_the_addresses_that_the_system_says(names: Names) -> None:
    """All of them, in its order."""
    name = names.answer("exchange.test", ["127.0.0.2", "127.0.0.1"])
    assert hosts(await resolve(name, PORT)) == ["127.0.0.2", "127.0.0.1"]


async def test_names_do_not_wait_for_each_other(names: Names) -> None:
    """Every one of many is being looked up before the first has its answer."""
    together = threading.Barrier(MANY)

    def answer() -> list[str]:
        together.wait(30)
        return ["127.0.0.1"]

    found = await asyncio.gather(*(resolve(names.answer(f"n{n}.test", answer), PORT) for n in range(MANY)))
    assert [hosts(each) for each in found] == [["127.0.0.1"]] * MANY


async def test_those_who_ask_for_one_name_meanwhile_share_a_lookup(names: Names, gate: Gate) -> None:
    """One question to the resolver for all of them; whoever comes later asks anew."""
    name = names.answer("exchange.test", gate)
    asking = [asyncio.create_task(resolve(name, PORT)) for _ in range(MANY)]
    await eventually(lambda: names.asked)
    gate.open()
    assert [hosts(each) for each in await asyncio.gather(*asking)] == [["127.0.0.1"]] * MANY
    assert names.asked == [name]
    await resolve(name, PORT)
    assert names.asked == [name, name]


async def test_who_gives_up_leaves_the_others_their_answer(names: Names, gate: Gate) -> None:
    """The lookup that they share goes on."""
    name = names.answer("exchange.test", gate)
    patient, impatient = (asyncio.create_task(resolve(name, PORT)) for _ in range(2))
    await eventually(lambda: names.asked)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    gate.open()
    assert hosts(await patient) == ["127.0.0.1"]
    assert names.asked == [name]


async def test_a_name_that_is_not_there_is_told_to_all_who_asked(names: Names) -> None:
    """By the resolver's own error."""

    def no_such_name() -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    name = names.answer("exchange.test", no_such_name)
    told = await asyncio.gather(*(resolve(name, PORT) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [socket.gaierror] * 3


async def test_a_lookup_that_never_ends_is_not_waited_for_for_ever(
    names: Names, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver may be well again and that one question lost: another is asked beside it."""
    monkeypatch.setattr(resolver, "PATIENCE_SECONDS", 0.0)
    name = names.answer("exchange.test", gate)
    lost = asyncio.create_task(resolve(name, PORT))
    await eventually(lambda: names.asked)
    names.answer(name, ["127.0.0.2"])
    assert hosts(await resolve(name, PORT)) == ["127.0.0.2"]
    assert not lost.done()
    gate.open()
    assert hosts(await lost) == ["127.0.0.1"]


async def test_lookups_that_hang_leave_the_loop_its_threads(names: Names, gate: Gate) -> None:
    """What else is done in a thread, a state file saved, is done at once; REST's lookups are no exception."""
    asking = [asyncio.create_task(resolve(names.answer(f"n{n}.test", gate), PORT)) for n in range(MANY)]
    async with rest.client() as http:
        asking += [
            asyncio.create_task(rest.fetch(http, "GET", f"http://{names.answer(f'rest{n}.test', gate)}:1/"))
            for n in range(MANY)
        ]
        await eventually(lambda: len(names.asked) == len(asking))
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "saved"), 30) == "saved"
        gate.open()
        ended = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(each) for each in ended} == {list, rest.RestError}
