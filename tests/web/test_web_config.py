"""What a web configuration file may say: the exporter-toolkit's format, and a line for each mistake."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from unittest.mock import ANY

import aiohttp
import pytest
import trustme

from alpmon.config import ConfigError
from alpmon.config.access import WebConfig, load_access
from alpmon.telemetry.monitor import Monitor
from alpmon.web.access import Access
from tests.web.guarding import (
    FILES,
    HASH,
    PASSWORD,
    certificate,
    guarded,
    trusting,
    written,
)

if TYPE_CHECKING:
    from pathlib import Path


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
        (
            {"tls_server_config": {**FILES, "key": PASSWORD}},
            "tls_server_config.key: stands beside key_file; give one of the two",
        ),
        ({"tls_server_config": {**FILES, "key": 4711}}, "tls_server_config.key: must be text; put it in quotes"),
        (
            {"tls_server_config": {**FILES, "client_ca": "x"}},
            "client_ca: has no effect without client_auth_type",
        ),
        (
            {"tls_server_config": {**FILES, "client_auth_type": "RequireClientCert"}},
            "client_auth_type: a certificate that nobody verifies is not supported",
        ),
        (
            {"tls_server_config": {**FILES, "cipher_suites": ["TLS_AES_128_GCM_SHA265"]}},
            "cipher_suites[0]: is no cipher suite that can be served, got 'TLS_AES_128_GCM_SHA265'; did you mean TLS_",
        ),
        (
            {"tls_server_config": {**FILES, "cipher_suites": ["TLS_AES_128_GCM_SHA256"], "max_version": "TLS12"}},
            "cipher_suites: holds no suite of TLS 1.2; add one, or let max_version be TLS13",
        ),
        (
            {"tls_server_config": {**FILES, "curve_preferences": ["X25519", "CurveP256"]}},
            "curve_preferences: only one curve can be set here; name one, or leave it out",
        ),
        ({"tls_server_config": {**FILES, "curve_preferences": ["P256"]}}, "did you mean CurveP256?"),
        ({"http_server_config": {"headers": {"X-Frame-Options": ""}}}, "X-Frame-Options: must be 'deny' or"),
        (
            {"http_server_config": {"headers": {"Content-Security-Policy": "default-src 'self'\n"}}},
            "Content-Security-Policy: must be one line of printable characters",
        ),
        ({"rate_limit": {"interval": "1s"}}, "rate_limit.burst: with 0 nothing would ever be answered"),
        ({"rate_limit": {"interval": 1, "burst": 1}}, "interval: must be a duration with its unit, got 1; such as"),
        ({"rate_limit": {"interval": "1 s", "burst": 1}}, "rate_limit.interval: must be a duration with its unit"),
    ],
)
def test_mistakes_are_named_and_no_secret_is_shown(tmp_path: Path, content: dict[str, object], line: str) -> None:
    """With the file's line, as in the main configuration."""
    with pytest.raises(ConfigError) as refused:
        load_access(written(tmp_path, **content))
    assert line in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert "4711" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (0, 0.0),
        ("1s", 1.0),
        ("100ms", 0.1),
        ("1h2m3.5s", 3723.5),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("9us", 9e-6),
    ],
)
def test_an_interval_is_a_duration_of_gos(tmp_path: Path, text: str | int, seconds: float) -> None:
    """As time.ParseDuration reads it."""
    config = load_access(written(tmp_path, rate_limit={"interval": text, "burst": 1}))
    assert config.rate_limit.interval == pytest.approx(seconds)


async def test_certificates_and_key_can_stand_in_the_file_itself(tmp_path: Path, authority: trustme.CA) -> None:
    """As text: then the one file is all that there is to mount."""
    issued = authority.issue_cert("127.0.0.1")
    tls = {
        "cert": issued.cert_chain_pems[0].bytes().decode(),
        "key": issued.private_key_pem.bytes().decode(),
        "client_ca": authority.cert_pem.bytes().decode(),
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    known, stranger = trusting(authority), trusting(authority)
    authority.issue_cert("client.test").configure_cert(known)
    trustme.CA().issue_cert("client.test").configure_cert(stranger)
    path = written(tmp_path, tls_server_config=tls)
    assert "PRIVATE KEY" not in repr(load_access(path))
    async with guarded(path) as web:
        assert await web.status("/metrics", tls=known) == 200
        for context in (stranger, trusting(authority)):
            with pytest.raises(aiohttp.ClientError):
                await web.status("/metrics", tls=context)


@pytest.mark.parametrize("broken", ["cert", "key", "client_ca"])
def test_text_that_is_no_certificate_is_a_mistake_of_the_file(
    tmp_path: Path, authority: trustme.CA, broken: str
) -> None:
    """One line, and nothing of the text."""
    issued = authority.issue_cert("127.0.0.1")
    tls = {
        "cert": issued.cert_chain_pems[0].bytes().decode(),
        "key": issued.private_key_pem.bytes().decode(),
        "client_ca": authority.cert_pem.bytes().decode(),
        "client_auth_type": "RequireAndVerifyClientCert",
        broken: "nonsense é",
    }
    with pytest.raises(
        ConfigError, match=r"a certificate or key cannot be used: .* \(among cert, key, client_ca\)"
    ) as no:
        Access(written(tmp_path, tls_server_config=tls), Monitor(1.0))
    assert "nonsense" not in str(no.value)


@pytest.mark.parametrize(
    ("suites", "version", "suite"),
    [
        (["TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"], "TLSv1.2", "ECDHE-ECDSA-AES256-SHA"),
        (["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"], "TLSv1.2", None),
        (["TLS_AES_128_GCM_SHA256"], "TLSv1.3", None),
    ],
)
async def test_the_suites_that_are_named_are_the_ones_of_tls_12(
    tmp_path: Path, authority: trustme.CA, suites: list[str], version: str, suite: str | None
) -> None:
    """Those of TLS 1.3 are on in any case; where only they are named, there is no TLS 1.2."""
    path = written(tmp_path, tls_server_config={**certificate(tmp_path, authority), "cipher_suites": suites})
    older = trusting(authority)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    older.set_ciphers("ALL")
    async with guarded(path) as web:
        assert await web.shaken_hands(trusting(authority)) == ("TLSv1.3", ANY)
        if version == "TLSv1.3":
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await web.shaken_hands(older)
        else:
            assert await web.shaken_hands(older) == ("TLSv1.2", suite or "ECDHE-ECDSA-CHACHA20-POLY1305")


@pytest.mark.parametrize("curve", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_each_curve_of_the_format_can_be_served(tmp_path: Path, authority: trustme.CA, curve: str) -> None:
    """OpenSSL has other names for them."""
    tls = {**certificate(tmp_path, authority), "curve_preferences": [curve]}
    assert Access(written(tmp_path, tls_server_config=tls), Monitor(1.0)).ssl_context is not None


def test_a_section_whose_keys_are_all_commented_out_is_as_good_as_absent(tmp_path: Path) -> None:
    """As with the other exporters."""
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {}\nbasic_auth_users:\nhttp_server_config:\nrate_limit:\n")
    assert load_access(path) == WebConfig()


def test_a_certificate_that_is_not_there_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    """At the start, not at the first request."""
    path = written(tmp_path, tls_server_config={"cert_file": "none.pem", "key_file": "none.key"})
    with pytest.raises(ConfigError, match=r"a certificate or key cannot be used: No such file .*none\.pem"):
        Access(path, Monitor(1.0))
