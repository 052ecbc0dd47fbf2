"""Who may ask: the exporter-toolkit's web configuration file, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import bcrypt
import pytest
import trustme
import yaml
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from alpmon.background import in_background
from alpmon.config import ConfigError
from alpmon.config.access import WebConfig, load_access
from alpmon.telemetry.metrics import register
from alpmon.telemetry.state import Monitor, WebRefusal
from alpmon.web.access import WRONG_LOGIN_SECONDS, Access
from alpmon.web.app import create_app
from alpmon.web.logins import MOST_WAITING, MOST_WAITING_OF_A_PEER
from alpmon.web.server import Server, serve
from tests.waiting import eventually
from tests.web.hashing import Bcrypt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def basic(user: str, password: str) -> str:
    """An `Authorization` header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = {"ada": HASH}
RIGHT = basic("ada", PASSWORD)
WRONG = [
    None,
    basic("ada", "wrong"),
    basic("bob", PASSWORD),
    basic("", ""),
    basic("ada", PASSWORD + "x" * 100),
]
FILES = {"cert_file": "a", "key_file": "b"}


def routes() -> list[tuple[str, str]]:
    """Method and path of all that is served, and of something that is not; one asset stands for all of them."""
    router = create_app(Monitor(1.0), CollectorRegistry(), str).router
    served = {
        (route.method, route.resource.canonical.replace("{name}", "page.js"))
        for route in router.routes()
        if route.resource is not None
    }
    return [*sorted(served), ("GET", "/nowhere")]


class Guarded:
    """A guarded application that is served."""

    def __init__(self, server: Server, access: Access, monitor: Monitor, slept: list[float]) -> None:
        self.server = server
        self.url = server.url
        self.access = access
        self.monitor = monitor
        self.slept = slept

    async def status(
        self, path: str, auth: str | None = None, tls: ssl.SSLContext | None = None, method: str = "GET"
    ) -> int:
        """The status of one request on a connection of its own."""
        headers = {} if auth is None else {"Authorization": auth}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.url + path, headers=headers, ssl=tls or True) as answer,
        ):
            return answer.status

    async def send(self, auth: str, local: str = "127.0.0.1") -> asyncio.StreamWriter:
        """A request whose answer nobody reads."""
        port = int(self.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(local, 0))
        writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\n\r\n".encode())
        return writer

    @property
    def open_connections(self) -> int:
        """How many clients are still there, as far as the server knows; their handlers may outlive them."""
        server = self.server._runner.server
        assert server is not None
        return sum(connection.transport is not None for connection in server.connections)


@asynccontextmanager
async def guarded(path: Path) -> AsyncIterator[Guarded]:
    """Serve with this web configuration file, watched."""
    monitor, registry = Monitor(1.0), CollectorRegistry()
    register(registry, monitor)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    access = Access(path, monitor, sleep)
    app = create_app(monitor, registry, lambda: "", monotonic=lambda: 0.0, access=access)
    server = await serve(app, "127.0.0.1", 0, access.ssl_context)
    watching = in_background("watch", lambda: access.watch(server, every_seconds=0.01))
    try:
        yield Guarded(server, access, monitor, slept)
    finally:
        watching.cancel()
        await server.close()


def written(folder: Path, **content: object) -> Path:
    """A web configuration file."""
    path = folder / "web.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def certificate(folder: Path, authority: trustme.CA, name: str = "127.0.0.1") -> dict[str, str]:
    """A certificate in the folder, as the file names it."""
    issued = authority.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return {"cert_file": "cert.pem", "key_file": "key.pem"}


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


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


async def test_a_password_that_was_changed_is_in_force_without_a_restart(tmp_path: Path) -> None:
    """And the old one is not, remembered or not."""
    path = written(tmp_path, basic_auth_users=USERS)
    async with guarded(path) as web:
        assert await web.status("/metrics", RIGHT) == 200
        changed = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
        written(tmp_path, basic_auth_users={"ada": changed})
        before = web.access._config
        await eventually(lambda: web.access._config is not before)
        assert await web.status("/metrics", RIGHT) == 401
        assert await web.status("/metrics", basic("ada", "another")) == 200


async def test_a_file_that_has_become_bad_changes_nothing(tmp_path: Path) -> None:
    """The guard stays up."""
    path = written(tmp_path, basic_auth_users=USERS)
    async with guarded(path) as web:
        path.write_text("basic_auth_users: {ada: plain}\n")
        seen = web.access._seen
        await eventually(lambda: web.access._seen != seen)
        assert await web.status("/metrics", None) == 401
        assert await web.status("/metrics", RIGHT) == 200


OPENING = ["", "# nobody\n", "basic_auth_users: {}\n", "http_server_config: {headers: {X-XSS-Protection: '1'}}\n"]


@pytest.mark.parametrize("content", OPENING)
async def test_a_file_that_would_let_everybody_in_is_taken_up_by_a_restart_only(tmp_path: Path, content: str) -> None:
    """A file is empty for a moment when it is written in place, and that moment must not open the monitor."""
    path = written(tmp_path, basic_auth_users=USERS)
    with capture_logs() as told:
        async with guarded(path) as web:
            path.write_text(content)
            await eventually(lambda: told)
            assert await web.status("/config", None) == 401
            assert await web.status("/config", RIGHT) == 200
            changed = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
            written(tmp_path, basic_auth_users={"ada": changed})
            await eventually(lambda: told[-1]["event"] == "web configuration read anew")
            assert await web.status("/config", basic("ada", "another")) == 200
            assert await web.status("/config", None) == 401
    refused = [line["mistakes"] for line in told if line["event"] == "web configuration not changed"]
    assert refused == [[f"{path}: without basic_auth_users more people could read: only a restart takes that up"]]
    path.write_text(content)
    async with guarded(path) as web:
        assert await web.status("/config", None) == 200


@pytest.mark.parametrize(
    ("missing", "lost"),
    [
        ({"client_auth_type": "VerifyClientCertIfGiven", "client_allowed_sans": None}, "client_auth_type"),
        ({"client_auth_type": None, "client_ca_file": None, "client_allowed_sans": None}, "client_auth_type"),
        ({"client_allowed_sans": None}, "client_allowed_sans"),
    ],
)
async def test_certificates_stay_asked_for_until_a_restart(
    tmp_path: Path, authority: trustme.CA, missing: dict[str, str | None], lost: str
) -> None:
    """As with passwords: half a file must not let in whom the whole one keeps out."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    asked = {
        **certificate(tmp_path, authority),
        "client_ca_file": "ca.pem",
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_allowed_sans": ["good.test"],
    }
    less = {key: value for key, value in (asked | missing).items() if value is not None}
    stranger = trusting(authority)
    authority.issue_cert("bad.test").configure_cert(stranger)
    with capture_logs() as told:
        async with guarded(written(tmp_path, tls_server_config=asked)) as web:
            written(tmp_path, tls_server_config=less)
            await eventually(lambda: told)
            assert lost in told[0]["mistakes"][0]
            assert await web.status("/config", tls=stranger) == 403
            with pytest.raises(aiohttp.ClientError):
                await web.status("/config", tls=trusting(authority))
        async with guarded(tmp_path / "web.yml") as web:
            assert await web.status("/config", tls=stranger) == 200


async def test_a_change_that_comes_while_the_file_is_read_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is remembered by the time before it was read."""
    path = written(tmp_path, basic_auth_users=USERS)

    def read_slowly(file: Path) -> WebConfig:
        config = load_access(file)
        if "bob" in config.basic_auth_users:
            written(tmp_path, basic_auth_users={"last": USERS["ada"]})
        return config

    monkeypatch.setattr("alpmon.web.access.load_access", read_slowly)
    async with guarded(path) as web:
        written(tmp_path, basic_auth_users={"bob": USERS["ada"]})
        await eventually(lambda: "last" in web.access._config.basic_auth_users)


async def test_headers_are_set_and_an_empty_one_is_left_out(tmp_path: Path) -> None:
    """On errors too."""
    headers = {"X-Frame-Options": "", "Strict-Transport-Security": "max-age=60"}
    async with guarded(written(tmp_path, http_server_config={"headers": headers})) as web:
        for path in ("/", "/nowhere"):
            async with aiohttp.ClientSession() as http, http.get(web.url + path) as answer:
                assert "X-Frame-Options" not in answer.headers
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


async def test_only_the_names_that_are_let_in_are(tmp_path: Path, authority: trustme.CA) -> None:
    """`client_allowed_sans`: signed by the right authority is not enough."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = {**certificate(tmp_path, authority), "client_ca_file": "ca.pem", "client_allowed_sans": ["good.test"]}
    path = written(tmp_path, tls_server_config={**tls, "client_auth_type": "RequireAndVerifyClientCert"})
    good, bad = trusting(authority), trusting(authority)
    authority.issue_cert("good.test").configure_cert(good)
    authority.issue_cert("bad.test").configure_cert(bad)
    async with guarded(path) as web:
        assert await web.status("/metrics", tls=good) == 200
        assert await web.status("/metrics", tls=bad) == 403


async def test_a_certificate_that_was_replaced_is_served_without_a_restart(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """And no client finds the port closed meanwhile."""
    other = trustme.CA()
    path = written(tmp_path, tls_server_config=certificate(tmp_path, authority))
    async with guarded(path) as web:
        assert await web.status("/metrics", tls=trusting(authority)) == 200
        context = web.access.ssl_context
        certificate(tmp_path, other)
        await eventually(lambda: web.access.ssl_context is not context)
        assert await web.status("/metrics", tls=trusting(other)) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await web.status("/metrics", tls=trusting(authority))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"basic_auth_users": {"ada": PASSWORD}}, ":2: basic_auth_users.ada: must be a bcrypt hash"),
        ({"basic_auth_users": {"ada": HASH.replace("$04$", "$99$")}}, "ada: a cost of 99 cannot be served"),
        ({"basic_auth_users": {"ada": HASH.replace("$04$", "$17$")}}, "ada: a cost of 17 cannot be served"),
        ({"basic_auth_users": {"ada": HASH.replace("$04$", "$03$")}}, "ada: a cost of 03 cannot be served"),
        ({"basic_auth_user": {}}, ":1: basic_auth_user: unknown key; did you mean 'basic_auth_users'?"),
        ({"tls_server_config": {"cert_file": "a"}}, "tls_server_config.key_file: missing"),
        (
            {
                "tls_server_config": {
                    **FILES,
                    "client_auth_type": "RequireAndVerifyClientCert",
                }
            },
            "client_auth_type: RequireAndVerifyClientCert needs client_ca_file",
        ),
        ({"tls_server_config": {**FILES, "min_version": "TLS10"}}, "min_version: must be"),
    ],
)
def test_mistakes_are_named_and_no_secret_is_shown(tmp_path: Path, content: dict[str, object], line: str) -> None:
    """With the file's line, as in the main configuration."""
    with pytest.raises(ConfigError) as refused:
        load_access(written(tmp_path, **content))
    assert line in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_certificate_that_is_not_there_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    """At the start, not at the first request."""
    path = written(tmp_path, tls_server_config={"cert_file": "none.pem", "key_file": "none.key"})
    with pytest.raises(ConfigError, match=r"a certificate or key cannot be used: No such file .*none\.pem"):
        Access(path, Monitor(1.0))
