"""The service's own words at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bcrypt
import pytest
from structlog.testing import capture_logs

from alpmon.config import parse
from alpmon.service import Service
from tests.integration.harness import configuration

if TYPE_CHECKING:
    from pathlib import Path

HASH = bcrypt.hashpw(b"x", b"$2b$04$" + b"a" * 21 + b"u").decode()
"""With a salt of its own, for it is in the tests' names, and those must be the same in every worker."""
WARNING = "anybody who reaches this address can read everything"
GUARDING = f"basic_auth_users: {{ada: '{HASH}'}}\n"


async def warnings(folder: Path, listen: str, web_config: str | None) -> list[str]:
    """What a monitor without targets worth the name warns of while it starts."""
    more = {}
    if web_config is not None:
        path = folder / "web.yml"
        path.write_text(web_config)
        more["web_config_file"] = str(path)
    target = {"name": "t", "url": "ws://127.0.0.1:9/ws", "topics": ["trade.*"]}
    config = parse(configuration(target, listen=listen, **more), "test.yaml", {})
    with capture_logs() as told:
        async with Service(config):
            pass
    return [line["event"] for line in told if "listen" in line]


@pytest.mark.parametrize("web_config", [None, "", "http_server_config: {headers: {X-XSS-Protection: '1'}}\n"])
@pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0"])
async def test_an_address_for_others_that_nobody_guards_is_warned_of(
    tmp_path: Path, listen: str, web_config: str | None
) -> None:
    """Once, whether there is no web configuration or one that keeps nobody out."""
    assert await warnings(tmp_path, listen, web_config) == [WARNING]


@pytest.mark.parametrize(
    ("listen", "web_config"),
    [("0.0.0.0:0", GUARDING), ("127.0.0.1:0", None), ("127.0.0.1:0", ""), ("localhost:0", None)],
)
async def test_a_guarded_address_or_the_loopback_is_not(tmp_path: Path, listen: str, web_config: str | None) -> None:
    """Nobody learns to overlook a warning that is always there."""
    assert await warnings(tmp_path, listen, web_config) == []
