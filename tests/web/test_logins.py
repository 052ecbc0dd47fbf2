"""Who checks passwords, how often, and who has to wait: bcrypt itself runs, and is counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import bcrypt

from alpmon.web.logins import MOST_WAITING, MOST_WAITING_OF_A_PEER, Login, Logins, Verdict
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.web.hashing import Bcrypt

PASSWORD = "correct horse"
ADA = Login("ada", PASSWORD)


def hashed(cost: int) -> str:
    """The password's hash."""
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)).decode()


USERS = {"ada": hashed(4)}


async def test_a_right_password_is_checked_once_and_remembered(counted: Bcrypt) -> None:
    """A scrape every few seconds must not cost a bcrypt each."""
    logins = Logins()
    assert [await logins.check(ADA, USERS, "x") for _ in range(3)] == [Verdict.RIGHT] * 3
    assert counted.calls == 1


async def test_a_wrong_password_is_checked_each_time(counted: Bcrypt) -> None:
    """Nothing is remembered of it: a list of what is wrong would grow with the guesses."""
    logins = Logins()
    assert [await logins.check(Login("ada", "wrong"), USERS, "x") for _ in range(3)] == [Verdict.WRONG] * 3
    assert counted.calls == 3


async def test_a_remembered_password_is_worth_nothing_under_another_hash(counted: Bcrypt) -> None:
    """As after a change of the file."""
    logins = Logins()
    assert await logins.check(ADA, USERS, "x") is Verdict.RIGHT
    assert await logins.check(ADA, {"ada": bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()}, "x") is Verdict.WRONG
    assert await logins.check(ADA, {"bob": USERS["ada"]}, "x") is Verdict.WRONG


async def test_one_login_asked_many_times_at_once_is_checked_once(counted: Bcrypt) -> None:
    """A browser asks for a page and for all that belongs to it."""
    logins = Logins()
    counted.shut()
    asked = [asyncio.create_task(logins.check(ADA, USERS, "x")) for _ in range(MOST_WAITING_OF_A_PEER)]
    await eventually(lambda: logins.waiting == len(asked))
    counted.open()
    assert set(await asyncio.gather(*asked)) == {Verdict.RIGHT}
    assert counted.calls == 1


async def test_an_unknown_user_costs_what_a_known_one_does(counted: Bcrypt) -> None:
    """Where users differ, it costs what one of them does, and the same each time: repeating tells nothing."""
    logins, users = Logins(), {"ada": hashed(4), "bob": hashed(5)}
    for name in map(str, range(60)):
        for _ in range(2):
            assert await logins.check(Login(name, PASSWORD), users, "x") is Verdict.WRONG
    costs = [digest[4:6] for digest in counted.digests]
    assert costs[::2] == costs[1::2]
    assert set(costs) == {b"04", b"05"}


async def test_nobody_stands_in_a_line_without_end(counted: Bcrypt) -> None:
    """One address has half of the places, all together have all; who is remembered needs none."""
    logins = Logins()
    assert await logins.check(ADA, USERS, "x") is Verdict.RIGHT
    counted.shut()
    guesses = [
        asyncio.create_task(logins.check(Login("ada", f"{peer}{number}"), USERS, peer))
        for peer in ("a", "b", "c")
        for number in range(MOST_WAITING_OF_A_PEER + 1)
    ]
    crowded = 2 + MOST_WAITING_OF_A_PEER + 1
    await eventually(lambda: sum(guess.done() for guess in guesses) == crowded)
    assert logins.waiting == MOST_WAITING
    assert await logins.check(ADA, USERS, "a") is Verdict.RIGHT
    counted.open()
    verdicts = await asyncio.gather(*guesses)
    assert (verdicts.count(Verdict.CROWDED), verdicts.count(Verdict.WRONG)) == (crowded, MOST_WAITING)
    assert verdicts[MOST_WAITING_OF_A_PEER] is Verdict.CROWDED
    assert logins.waiting == 0
    assert await logins.check(Login("ada", "wrong"), USERS, "a") is Verdict.WRONG


async def test_nothing_is_checked_for_who_has_gone(counted: Bcrypt) -> None:
    """Their turn takes no time from those behind them."""
    logins, gone = Logins(), [False]
    counted.shut()
    first = asyncio.create_task(logins.check(Login("ada", "first"), USERS, "x"))
    await eventually(lambda: counted.calls == 1)
    left = [asyncio.create_task(logins.check(Login("ada", str(n)), USERS, "x", lambda: gone[0])) for n in range(3)]
    last = asyncio.create_task(logins.check(ADA, USERS, "x"))
    await eventually(lambda: logins.waiting == 5)
    gone[0] = True
    counted.open()
    assert await first is Verdict.WRONG
    assert [await each for each in left] == [Verdict.UNHEARD] * 3
    assert await last is Verdict.RIGHT
    assert counted.calls == 2


async def test_who_is_cancelled_leaves_no_place_taken(counted: Bcrypt) -> None:
    """As when the monitor stops."""
    logins = Logins()
    counted.shut()
    asked = [asyncio.create_task(logins.check(ADA, USERS, "x")) for _ in range(3)]
    await eventually(lambda: logins.waiting == 3)
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert logins.waiting == 0
    counted.open()  # its thread cannot be cancelled
