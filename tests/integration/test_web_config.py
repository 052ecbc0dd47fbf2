"""One web configuration file, for alpmon and for Prometheus, whose own code reads the format there."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from alpmon.config import ConfigError
from alpmon.config.access import load_access
from alpmon.config.tls import OPENSSL_NAMES, TLS13_SUITES
from tests.integration.prometheus import free_port, serving
from tests.tools import require_tool
from tests.web.guarding import HASH, RIGHT, USERS, basic, certificate, guarded, trusting

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    import trustme

HEADERS = {
    "Content-Security-Policy": "default-src 'self'",
    "X-Frame-Options": "sameorigin",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "1",
    "Strict-Transport-Security": "max-age=60",
}
TLS = {"cert_file": "cert.pem", "key_file": "key.pem"}
CLIENTS = {"client_ca_file": "ca.pem", "client_auth_type": "RequireAndVerifyClientCert"}
FULL: dict[str, Any] = {
    "tls_server_config": {
        **TLS,
        **CLIENTS,
        "min_version": "TLS12",
        "max_version": "TLS13",
        "cipher_suites": [*TLS13_SUITES, *OPENSSL_NAMES],
        "prefer_server_cipher_suites": False,
        "curve_preferences": ["CurveP256"],
    },
    "http_server_config": {"http2": False, "headers": HEADERS},
    "basic_auth_users": USERS,
}
GOOD: dict[str, dict[str, Any]] = {
    "everything": FULL,
    "nothing": {},
    "users": {"basic_auth_users": USERS},
    "users commented out": {"basic_auth_users": None},
    "tls commented out": {"tls_server_config": {}},
    "tls 1.3 suites only": {"tls_server_config": {**TLS, "cipher_suites": [*TLS13_SUITES]}},
    "certificates if given": {"tls_server_config": {**TLS, **CLIENTS, "client_auth_type": "VerifyClientCertIfGiven"}},
    "an empty header": {"http_server_config": {"headers": {"Content-Security-Policy": ""}}},
}
BAD: dict[str, dict[str, Any]] = {
    "an unknown section": {"basic_auth_user": USERS},
    "an unknown key": {"tls_server_config": {**TLS, "cert_fil": "x"}},
    "an unknown header": {"http_server_config": {"headers": {"X-Other": "x"}}},
    "a header's value": {"http_server_config": {"headers": {"X-Frame-Options": "DENY"}}},
    "a header without a value": {"http_server_config": {"headers": {"X-Content-Type-Options": ""}}},
    "an unknown suite": {"tls_server_config": {**TLS, "cipher_suites": ["TLS_AES"]}},
    "an unknown curve": {"tls_server_config": {**TLS, "curve_preferences": ["P256"]}},
    "an unknown version": {"tls_server_config": {**TLS, "min_version": "1.2"}},
    "an unknown kind of client": {"tls_server_config": {**TLS, "client_auth_type": "Verify"}},
    "an authority without a demand": {"tls_server_config": {**TLS, "client_ca_file": "ca.pem"}},
    "no key": {"tls_server_config": {"cert_file": "cert.pem"}},
    "no hash": {"basic_auth_users": {"ada": "correct horse"}},
    "an impossible cost": {"basic_auth_users": {"ada": HASH.replace("$04$", "$99$")}},
}


def written(folder: Path, authority: trustme.CA, content: dict[str, Any]) -> Path:
    """The file, and the certificates beside it."""
    certificate(folder, authority)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    path = folder / "web.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    """What promtool thinks of it."""
    command = [require_tool("promtool"), "check", "web-config", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_what_prometheus_takes_is_taken(tmp_path: Path, authority: trustme.CA, content: dict[str, Any]) -> None:
    """A file that works there works here."""
    path = written(tmp_path, authority, content)
    done = checked(path)
    assert done.returncode == 0, done.stdout + done.stderr
    load_access(path)


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_prometheus_refuses_is_refused(tmp_path: Path, authority: trustme.CA, content: dict[str, Any]) -> None:
    """A file that works here works there."""
    path = written(tmp_path, authority, content)
    done = checked(path)
    assert done.returncode == 1, done.stdout + done.stderr
    with pytest.raises(ConfigError):
        load_access(path)


@asynccontextmanager
async def guarded_prometheus(folder: Path, web_config: Path) -> AsyncIterator[str]:
    """The URL of a Prometheus that scrapes nothing, once it listens."""
    port = free_port()
    (folder / "prometheus.yml").write_text("{}")
    async with serving(folder, port, f"--web.config.file={web_config}") as process:
        async with asyncio.timeout(30):
            while not await _listens(port):
                assert process.returncode is None, "prometheus ended"
                await asyncio.sleep(0.05)
        yield f"https://127.0.0.1:{port}"


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def told(url: str, context: ssl.SSLContext, auth: str | None) -> tuple[int, dict[str, str]]:
    """The status of a path that both have, and the headers that the file sets; 0 where TLS lets nobody through."""
    headers = {} if auth is None else {"Authorization": auth}
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{url}/-/healthy", ssl=context, headers=headers) as answer,
        ):
            return answer.status, {name: answer.headers.get(name, "") for name in HEADERS}
    except aiohttp.ClientError:
        return 0, {}


async def test_both_let_in_the_same_people_with_the_same_headers(tmp_path: Path, authority: trustme.CA) -> None:
    """The whole file at once: client certificates, passwords, headers."""
    path = written(tmp_path, authority, FULL)
    known, stranger = trusting(authority), trusting(authority)
    authority.issue_cert("client.test").configure_cert(known)
    asked = [(known, RIGHT), (known, None), (known, basic("ada", "x")), (known, basic("eve", "x")), (stranger, RIGHT)]
    async with guarded_prometheus(tmp_path, path) as url, guarded(path) as web:
        theirs = [await told(url, *each) for each in asked]
        ours = [await told(web.url, *each) for each in asked]
    assert [status for status, _ in theirs] == [200, 401, 401, 401, 0]
    assert ours == [(200, HEADERS), (401, HEADERS), (401, HEADERS), (401, HEADERS), (0, {})]
    assert theirs == ours
