"""A web configuration file, and what it names, that change while the monitor runs."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING

import aiohttp
import bcrypt
import pytest
import trustme
from structlog.testing import capture_logs

from alpmon.config.access import WebConfig, load_access
from tests.waiting import eventually
from tests.web.guarding import (
    RIGHT,
    USERS,
    Guarded,
    basic,
    certificate,
    guarded,
    trusting,
    written,
)

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_password_that_was_changed_is_in_force_without_a_restart(tmp_path: Path) -> None:
    """And the old one is not, remembered or not."""
    path = written(tmp_path, basic_auth_users=USERS)
    async with guarded(path) as web:
        assert await web.status("/metrics", RIGHT) == 200
        changed = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
        await web.change(tmp_path, basic_auth_users={"ada": changed})
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


async def test_a_certificate_that_was_replaced_is_served_without_a_restart(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """And no client finds the port closed meanwhile."""
    other = trustme.CA()
    path = written(tmp_path, tls_server_config=certificate(tmp_path, authority))
    async with guarded(path) as web:
        assert await web.status("/metrics", tls=trusting(authority)) == 200
        certificate(tmp_path, other)
        await web.read_anew()
        assert await web.status("/metrics", tls=trusting(other)) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await web.status("/metrics", tls=trusting(authority))


async def test_a_client_authority_that_was_replaced_is_asked_without_a_restart(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """Whom the new one signed comes in, and whom only the old one did stays out."""
    other, ca_file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    tls = {**certificate(tmp_path, authority), "client_ca_file": "ca.pem"}
    path = written(tmp_path, tls_server_config={**tls, "client_auth_type": "RequireAndVerifyClientCert"})
    before, after = trusting(authority), trusting(authority)
    authority.issue_cert("client.test").configure_cert(before)
    other.issue_cert("client.test").configure_cert(after)
    async with guarded(path) as web:
        assert await web.status("/metrics", tls=before) == 200
        other.cert_pem.write_to_path(ca_file)
        await web.read_anew()
        assert await web.status("/metrics", tls=after) == 200
        with pytest.raises(aiohttp.ClientError):
            await web.status("/metrics", tls=before)


async def test_an_open_connection_does_not_outlive_the_demand_for_a_certificate(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """Its handshake was before anybody asked for one."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = certificate(tmp_path, authority)
    demand = {"client_ca_file": "ca.pem", "client_auth_type": "RequireAndVerifyClientCert"}
    client = trusting(authority)
    async with guarded(written(tmp_path, tls_server_config=tls)) as web, aiohttp.ClientSession() as http:
        for status in (200, 403):
            async with http.get(web.url, ssl=client) as answer:
                assert answer.status == status
                await answer.read()
            assert web.open_connections == 1
            if status == 200:
                await web.change(tmp_path, tls_server_config={**tls, **demand})


async def test_the_least_version_of_tls_changes_without_a_restart(tmp_path: Path, authority: trustme.CA) -> None:
    """Up and down."""
    tls = certificate(tmp_path, authority)
    older = trusting(authority)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    async with guarded(written(tmp_path, tls_server_config=tls)) as web:
        assert (await web.shaken_hands(older))[0] == "TLSv1.2"
        await web.change(tmp_path, tls_server_config={**tls, "min_version": "TLS13"})
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await web.shaken_hands(older)
        assert (await web.shaken_hands(trusting(authority)))[0] == "TLSv1.3"
        await web.change(tmp_path, tls_server_config={**tls, "max_version": "TLS12"})
        assert (await web.shaken_hands(trusting(authority)))[0] == "TLSv1.2"


async def test_a_change_that_could_not_be_served_is_tried_again(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process has no file left to open; until then what was served is."""
    other, refusals = trustme.CA(), [OSError(errno.EMFILE, "Too many open files")]
    async with guarded(written(tmp_path, tls_server_config=certificate(tmp_path, authority))) as web:
        listen = web.server.listen

        async def fail_once(context: ssl.SSLContext | None) -> None:
            if refusals:
                raise refusals.pop()
            await listen(context)

        monkeypatch.setattr(web.server, "listen", fail_once)
        certificate(tmp_path, other)
        await eventually(lambda: not refusals)
        assert await web.status("/metrics", tls=trusting(authority)) == 200
        await eventually(lambda: web.server.ssl_context is web.access.ssl_context)
        assert await web.status("/metrics", tls=trusting(other)) == 200


async def test_headers_change_without_a_restart(tmp_path: Path) -> None:
    """Added, changed, and back to our own."""

    async def policies(web: Guarded) -> tuple[str | None, str | None]:
        async with aiohttp.ClientSession() as http, http.get(web.url + "/-/ready") as answer:
            return answer.headers.get("Strict-Transport-Security"), answer.headers.get("X-Frame-Options")

    def headers(**given: str) -> dict[str, object]:
        return {"http_server_config": {"headers": {name.replace("_", "-"): value for name, value in given.items()}}}

    async with guarded(written(tmp_path)) as web:
        assert await policies(web) == (None, "DENY")
        await web.change(tmp_path, **headers(Strict_Transport_Security="max-age=1", X_Frame_Options="sameorigin"))
        assert await policies(web) == ("max-age=1", "sameorigin")
        await web.change(tmp_path, **headers(Strict_Transport_Security="max-age=2"))
        assert await policies(web) == ("max-age=2", "DENY")
        await web.change(tmp_path)
        assert await policies(web) == (None, "DENY")


async def test_the_rate_limit_changes_without_a_restart(tmp_path: Path) -> None:
    """It keeps nobody out, so it may go; another change of the file does not fill the bucket."""
    limit = {"interval": "10s", "burst": 1}
    async with guarded(written(tmp_path, rate_limit=limit)) as web:
        assert [await web.status("/") for _ in range(2)] == [200, 429]
        await web.change(tmp_path, rate_limit=limit, http_server_config={"http2": False})
        assert await web.status("/") == 429
        await web.change(tmp_path)
        assert [await web.status("/") for _ in range(3)] == [200] * 3
