"""`alpmon health`: what a container's health check relies on."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import bcrypt
import pytest
from aiohttp import web
from click.testing import CliRunner

from alpmon.cli import main
from alpmon.health import Credentials, UnhealthyError, ask
from tests.integration.harness import monitoring, target, until
from tests.integration.prometheus import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import trustme

    from tests.conftest import StartExchange

SECONDS = 10.0


@asynccontextmanager
async def answering(status: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of a server that answers every path alike."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="said\n")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_running_monitor_is_healthy_and_ready(start_exchange: StartExchange) -> None:
    """The path is `/-/healthy` unless another is named; `/` names none, as the status page always answers."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await until(lambda: monitored.service.monitor.first_attempts_made)
        url = monitored.service.url
        assert await asyncio.to_thread(ask, url, SECONDS) == "healthy"
        assert await asyncio.to_thread(ask, f"{url}/", SECONDS) == "healthy"
        assert await asyncio.to_thread(ask, f"{url}/-/ready", SECONDS) == "ready"


async def test_a_monitor_that_says_no_is_unhealthy() -> None:
    """What it says is passed on."""
    async with answering(503) as url:
        with pytest.raises(UnhealthyError, match="503 said"):
            await asyncio.to_thread(ask, url, SECONDS)


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_monitor_that_wants_a_password_is_alive(status: int) -> None:
    """It has answered, and that was the question."""
    async with answering(status) as url:
        assert await asyncio.to_thread(ask, url, SECONDS) == "guarded, and answering"


async def test_with_the_password_the_answer_itself_counts(start_exchange: StartExchange, tmp_path: Path) -> None:
    """So a probe of `/-/ready` says something although the path is guarded; a wrong password is no answer."""
    web_config = tmp_path / "web.yaml"
    web_config.write_text(
        json.dumps({"basic_auth_users": {"prober": bcrypt.hashpw(b"s3cr3t", bcrypt.gensalt(4)).decode()}})
    )
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"]), web_config_file=str(web_config)) as monitored:
        files = Credentials(written(tmp_path / "user", "prober\n"), written(tmp_path / "password", "s3cr3t\n"))
        ready = f"{monitored.service.url}/-/ready"
        await until(lambda: monitored.service.monitor.first_attempts_made)
        assert await asyncio.to_thread(ask, ready, SECONDS) == "guarded, and answering"
        monitored.service.monitor.first_attempts_made = False
        with pytest.raises(UnhealthyError, match="503 not ready"):
            await asyncio.to_thread(ask, ready, SECONDS, files)
        monitored.service.monitor.first_attempts_made = True
        assert await asyncio.to_thread(ask, ready, SECONDS, files) == "ready"
        written(tmp_path / "password", "wrong")
        with pytest.raises(UnhealthyError, match="401"):
            await asyncio.to_thread(ask, ready, SECONDS, files)


def written(file: Path, text: str) -> Path:
    """A file with that text."""
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--username-file", "USER"], 2, "--password-file"),
        (["--username-file", "USER", "--password-file", "none"], 1, "No such file"),
    ],
)
def test_credentials_that_are_not_whole(options: list[str], code: int, words: str, tmp_path: Path) -> None:
    """Half of them is a mistake in the call; files that are not there are not well."""
    files = {"USER": str(written(tmp_path / "user", "prober")), "none": str(tmp_path / "none")}
    said = CliRunner().invoke(main, ["health", *(files.get(option, option) for option in options)])
    assert said.exit_code == code
    assert words in said.output


async def test_tls_with_a_certificate_of_any_name_is_alive(server_tls: ssl.SSLContext) -> None:
    """The loopback is in nobody's certificate."""
    async with answering(200, server_tls) as url:
        assert await asyncio.to_thread(ask, url, SECONDS) == "said"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_monitor_that_wants_a_certificate_is_alive_where_it_can_be_told(
    authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    """TLS 1.3 stands before the certificate is missed; TLS 1.2 refuses in the handshake, as a broken one would."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    async with answering(200, context) as url:
        if version is ssl.TLSVersion.TLSv1_3:
            assert await asyncio.to_thread(ask, url, SECONDS) == "guarded, and answering"
        else:
            with pytest.raises(UnhealthyError):
                await asyncio.to_thread(ask, url, SECONDS)


async def test_a_monitor_that_accepts_and_says_nothing_is_unhealthy() -> None:
    """Within the time given."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UnhealthyError, match="timed out"):
            await asyncio.to_thread(ask, f"http://127.0.0.1:{port}", 0.2)


def test_nobody_there_exits_with_1() -> None:
    """And names the URL that was asked."""
    url = f"http://127.0.0.1:{free_port()}"
    said = CliRunner().invoke(main, ["health", url])
    assert said.exit_code == 1
    assert url in said.output


def test_it_imports_little() -> None:
    """It runs every few seconds beside the monitor."""
    code = (
        f"import sys; from alpmon.cli import main; sys.argv = ['alpmon', 'health', 'http://127.0.0.1:{free_port()}']\n"
    )
    code += "try: main()\nexcept SystemExit: print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "alpmon.health" in said.stdout
    assert not {"pydantic", "aiohttp", "structlog"} & set(said.stdout.split())
