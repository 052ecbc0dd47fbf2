"""A client that nobody here wrote, against the simulated exchange: the exchange's own, as published."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alpmon.core.events import Dialect
from tests.tools import missing

if TYPE_CHECKING:
    import ssl

    import trustme

    from tests.conftest import StartExchange

CLIENT = "alpcom-api==1.0.3"
SCRIPT = Path(__file__).with_name("official_client.py")
PYTHON = os.environ.get("ALPMON_OFFICIAL_CLIENT_PYTHON")

pytestmark = pytest.mark.busy


async def run(*command: str | Path, **env: str) -> tuple[int, str]:
    """Run a command; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 90)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode or 0, output.decode()


@pytest.fixture
async def official_python(tmp_path: Path) -> str:
    """An interpreter that has the client; it pins an old websockets, so it gets a virtual environment of its own."""
    if PYTHON:
        return PYTHON
    code, output = await run(sys.executable, "-m", "venv", tmp_path / "venv")
    assert code == 0, output
    python = str(tmp_path / "venv" / "bin" / "python")
    code, output = await run(python, "-m", "pip", "install", "--quiet", CLIENT)
    if code != 0:
        missing(f"{CLIENT} cannot be installed here: {output[-300:]}")
    return python


async def test_the_official_client_receives_every_channel_over_tls(
    start_exchange: StartExchange,
    server_tls: ssl.SSLContext,
    authority: trustme.CA,
    official_python: str,
    tmp_path: Path,
) -> None:
    """Its own loop and handlers: all seven of them are called, with frames that it can read."""
    exchange = await start_exchange(ssl_context=server_tls, dialect=Dialect.DOCUMENTED, market=True, rate=20.0)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    topics = ["ticker.*", "trade.*", "rates.*", "diff.BTC_USDT", "market_depth.BTC_USDT"]
    url = exchange.url.replace("/ws", "/alp-ws")
    code, output = await run(official_python, SCRIPT, url, *topics, SSL_CERT_FILE=str(trusted))
    assert code == 0, output
    counts = json.loads(output.splitlines()[-1])
    assert set(counts) == {"ticker", "trade", "rate", "diff", "depth", "wallet", "order"}
    assert min(counts.values()) >= 1
    [entry] = exchange.ledger.connections
    assert entry.path == "/alp-ws"
    assert entry.authenticated
