"""What a web configuration file may say: the exporter-toolkit's format, and a line for each mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alpmon.config import ConfigError
from alpmon.config.access import load_access
from alpmon.telemetry.state import Monitor
from alpmon.web.access import Access
from tests.web.guarding import FILES, HASH, PASSWORD, written

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
