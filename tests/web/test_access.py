"""Who may ask: the exporter-toolkit's web configuration file, over real sockets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme
from prometheus_client import CollectorRegistry

from alpmon.telemetry.labels import WebRefusal
from alpmon.telemetry.monitor import Monitor
from alpmon.web.access import WRONG_LOGIN_SECONDS
from alpmon.web.app import create_app
from alpmon.web.logins import MOST_WAITING, MOST_WAITING_OF_A_PEER
from tests.waiting import eventually
from tests.web.guarding import (
    RIGHT,
    USERS,
    WRONG,
    basic,
    certificate,
    guarded,
    trusting,
    written,
)
from tests.web.hashing import Bcrypt

if TYPE_CHECKING:
    from pathlib import Path


def routes() -> list[tuple[str, str]]:
    """Method and path of all that is served, and of something that is not; one asset stands for all of them."""
    router = create_app(Monitor(1.0), CollectorRegistry(), str).router
    served = {
        (route.method, route.resource.canonical.replace("{name}", "page.js"))
        for route in router.routes()
        if route.resource is not None
    }
    return [*sorted(served), ("GET", "/nowhere")]


@pytest.mark.parametrize(("method", "path"), routes())
async def test_every_path_wants_the_password(tmp_path: Path, method: str, path: str) -> None:
    """Those that are not there included: what is there is nobody's business."""
    async with guarded(written(tmp_path, basic_auth_users=USERS)) as web:
        assert [await web.status(path, auth, method=method) for auth in WRONG] == [401] * len(WRONG)
        assert await web.status(path, None, method="PUT") == 401
        answers = {"/nowhere": 404, "/-/ready": 503, "/-/reload": 409}
        assert await web.status(path, RIGHT, method=method) == answers.get(path, 200)


def test_all_that_the_contract_names_is_among_what_is_tried() -> None:
    """The list is the router's own; this says that it is one."""
    assert {("GET", "/"), ("HEAD", "/metrics"), ("GET", "/api/v1/history"), ("POST", "/-/reload")} <= set(routes())


async def test_failed_logins_are_slowed_and_counted_and_a_first_visit_is_none(tmp_path: Path) -> None:
    """A browser asks without a login before it shows its dialogue; an unknown user waits as long as a known one."""
    async with guarded(written(tmp_path, basic_auth_users=USERS)) as web:
        await web.status("/", None)
        await web.status("/", RIGHT)
        assert (web.monitor.login_failures, web.slept) == (0, [])
        await web.status("/", WRONG[1])
        await web.status("/", WRONG[2])
        await web.status("/", RIGHT)
        assert (web.monitor.login_failures, web.slept) == (2, [WRONG_LOGIN_SECONDS] * 2)
        assert WRONG_LOGIN_SECONDS > 0.0


async def test_a_crowd_of_guessers_is_turned_away_and_those_who_left_cost_nothing(
    tmp_path: Path, counted: Bcrypt
) -> None:
    """Guesses whose clients gave up must not keep anybody waiting, nor may those who wait be without number."""
    async with guarded(written(tmp_path, basic_auth_users=USERS)) as web:
        counted.shut()
        writers = [await web.send(basic("ada", f"guess {number}")) for number in range(MOST_WAITING_OF_A_PEER + 5)]
        await eventually(lambda: web.monitor.web_refusals[WebRefusal.LOGINS] == 5)
        async with aiohttp.ClientSession() as http, http.get(web.url, headers={"Authorization": RIGHT}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert await answer.text() == "429 Too Many Requests\n"
        for writer in writers:
            writer.transport.abort()
        await eventually(lambda: not web.open_connections)
        counted.open()
        await eventually(lambda: web.access._logins.waiting == 0)
        assert await web.status("/", RIGHT) == 200
        assert counted.calls == 2
        assert web.monitor.login_failures == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only there is all of 127.0.0.0/8 the loopback's")
async def test_one_address_cannot_keep_another_out(tmp_path: Path, counted: Bcrypt) -> None:
    """However many guesses it sends."""
    async with guarded(written(tmp_path, basic_auth_users=USERS)) as web:
        counted.shut()
        writers = [await web.send(basic("ada", f"guess {number}")) for number in range(MOST_WAITING + 1)]
        await eventually(
            lambda: web.monitor.web_refusals[WebRefusal.LOGINS] == MOST_WAITING + 1 - MOST_WAITING_OF_A_PEER
        )
        other = await web.send(RIGHT, "127.0.0.2")
        await eventually(lambda: web.access._logins.waiting == MOST_WAITING_OF_A_PEER + 1)
        for writer in [*writers, other]:
            writer.transport.abort()
        await eventually(lambda: not web.open_connections)
        counted.open()
        await eventually(lambda: web.access._logins.waiting == 0)


async def test_a_right_login_costs_one_bcrypt(tmp_path: Path, counted: Bcrypt) -> None:
    """However often it comes."""
    async with guarded(written(tmp_path, basic_auth_users=USERS)) as web:
        assert {await web.status("/metrics", RIGHT) for _ in range(5)} == {200}
        assert counted.calls == 1


async def test_headers_are_set_and_an_empty_one_is_left_out(tmp_path: Path) -> None:
    """On errors too."""
    headers = {
        "Content-Security-Policy": "",
        "X-Frame-Options": "sameorigin",
        "Strict-Transport-Security": "max-age=60",
    }
    async with guarded(written(tmp_path, http_server_config={"headers": headers})) as web:
        for path in ("/", "/nowhere"):
            async with aiohttp.ClientSession() as http, http.get(web.url + path) as answer:
                assert "Content-Security-Policy" not in answer.headers
                assert answer.headers.getall("X-Frame-Options") == ["sameorigin"]
                assert answer.headers["Strict-Transport-Security"] == "max-age=60"


async def test_tls_with_client_certificates(tmp_path: Path, authority: trustme.CA) -> None:
    """Nobody without one that our authority signed is heard at all."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = {**certificate(tmp_path, authority), "client_ca_file": "ca.pem"}
    path = written(tmp_path, tls_server_config={**tls, "client_auth_type": "RequireAndVerifyClientCert"})
    with_certificate, stranger = trusting(authority), trusting(authority)
    authority.issue_cert("client.test").configure_cert(with_certificate)
    trustme.CA().issue_cert("client.test").configure_cert(stranger)
    async with guarded(path) as web:
        assert web.url.startswith("https://")
        assert await web.status("/metrics", tls=with_certificate) == 200
        for context in (trusting(authority), stranger):
            with pytest.raises(aiohttp.ClientError):
                await web.status("/metrics", tls=context)


@pytest.mark.parametrize("name", ["good.test", "192.0.2.7", "2001:db8::7", "ada@good.test"])
async def test_only_the_names_that_are_let_in_are(tmp_path: Path, authority: trustme.CA, name: str) -> None:
    """`client_allowed_sans`: signed by the right authority is not enough. Addresses are written as people do."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = {**certificate(tmp_path, authority), "client_ca_file": "ca.pem", "client_allowed_sans": ["x", name]}
    path = written(tmp_path, tls_server_config={**tls, "client_auth_type": "RequireAndVerifyClientCert"})
    good, bad = trusting(authority), trusting(authority)
    authority.issue_cert(name).configure_cert(good)
    authority.issue_cert("bad.test").configure_cert(bad)
    async with guarded(path) as web:
        assert await web.status("/metrics", tls=good) == 200
        assert await web.status("/metrics", tls=bad) == 403


async def test_asking_too_often_is_answered_with_429(tmp_path: Path) -> None:
    """A burst at once, then one each interval; before any password, on every path, and counted."""
    path = written(tmp_path, basic_auth_users=USERS, rate_limit={"interval": "10s", "burst": 2})
    async with guarded(path) as web:
        assert [await web.status(each, RIGHT) for each in ("/", "/nowhere", "/metrics", "/-/healthy")] == [
            *(200, 404),
            *(429, 429),
        ]
        async with aiohttp.ClientSession() as http, http.get(web.url) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
        assert web.monitor.web_refusals[WebRefusal.RATE] == 3
        web.clock[0] += 9.0
        assert await web.status("/", RIGHT) == 429
        web.clock[0] += 1.0
        assert [await web.status("/", RIGHT) for _ in range(2)] == [200, 429]
        web.clock[0] += 1000.0
        assert [await web.status("/", RIGHT) for _ in range(3)] == [200, 200, 429]
