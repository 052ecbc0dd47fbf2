"""`alpmon check --config`: every target of a file, as the monitor would connect to it."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from alpmon.cli import main
from alpmon.exchange.faults import DelayAcks
from alpmon.probe.check.report import Report
from alpmon.probe.check.targets import AT_ONCE
from tests.integration.prometheus import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import trustme
    from click.testing import Result

    from tests.conftest import StartExchange

QUIET = ["trade.BTC_USDT", "trade.ETH_USDT"]


def target(name: str, url: str, topics: list[str] = QUIET, **keys: Any) -> dict[str, Any]:
    """One target of a file."""
    return {"name": name, "url": url, "topics": topics, **keys}


async def check(
    folder: Path, targets: list[dict[str, Any]], *options: str, env: Mapping[str, str] | None = None
) -> Result:
    """Write the file and check by it."""
    file = folder / "alpmon.yaml"
    file.write_text(json.dumps({"targets": targets}))
    call = ["check", "--config", str(file), *options]
    # it starts an event loop of its own
    return await asyncio.to_thread(CliRunner().invoke, main, call, env=dict(env or {}))


async def test_a_target_is_checked_with_its_own_tls_its_topics_and_its_environment(
    start_exchange: StartExchange, authority: trustme.CA, tmp_path: Path
) -> None:
    """A name that is not the URL's, a CA beside the file, the topics of its first connection; silence is no fault."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("exchange.test").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    exchange = await start_exchange(ssl_context=context)
    url = exchange.url.replace("127.0.0.1", "${HOST}")
    tls = {"ca_file": "ca.pem", "server_name": "exchange.test"}
    strange = [target("alp", url, max_topics_per_connection=1, max_frame_bytes=64, tls=tls)]
    said = await check(tmp_path, strange, env={"HOST": "127.0.0.1"})
    assert said.exit_code == 0, said.output
    (entry,) = exchange.ledger.connections
    assert [request.topics for request in entry.requests] == [("trade.BTC_USDT",)]
    lines = said.output.splitlines()
    assert lines[0] == f"alp {exchange.url}"
    assert "tls ok" in said.output
    assert lines[-1] == "1 of 1 targets healthy"


async def test_one_target_that_is_not_well_makes_the_check_fail_and_hides_no_other(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """In the order of the file, whichever is done first."""
    exchange = await start_exchange()
    targets = [target("away", f"ws://127.0.0.1:{free_port()}/ws"), target("here", exchange.url)]
    said = await check(tmp_path, targets)
    assert said.exit_code == 1
    assert said.output.splitlines()[-1] == "1 of 2 targets healthy"
    assert said.output.index("unhealthy: tcp") < said.output.index("here ws://") < said.output.index("\nhealthy in")
    assert (await check(tmp_path, targets, "--target", "here")).exit_code == 0


async def test_json_is_a_list_of_reports_that_name_their_targets(start_exchange: StartExchange, tmp_path: Path) -> None:
    """As docs/check.schema.json describes each."""
    exchange = await start_exchange()
    targets = [target(name, exchange.url) for name in ("a", "b", "c")]
    said = await check(tmp_path, targets, "--json", "--target", "c", "--target", "a")
    assert said.exit_code == 0
    reports = msgspec.json.decode(said.output, type=list[Report], strict=True)
    assert [(report.target, report.healthy, report.messages) for report in reports] == [("a", True, 0), ("c", True, 0)]


async def test_messages_and_topics_can_be_asked_for(start_exchange: StartExchange, tmp_path: Path) -> None:
    """They go before the file's; a quiet topic is then unhealthy, as without a file."""
    exchange = await start_exchange()
    said = await check(
        tmp_path,
        [target("a", exchange.url, ["ticker.*"])],
        *("--topic", "trade.BTC_USDT", "--messages", "1", "--timeout", "300ms"),
    )
    assert said.exit_code == 1
    assert "trade.BTC_USDT: 0 of 1 messages came" in said.output
    assert [request.topics for request in exchange.ledger.connections[0].requests] == [("trade.BTC_USDT",)]


async def test_many_targets_are_checked_several_at_a_time(start_exchange: StartExchange, tmp_path: Path) -> None:
    """And never so many that the check itself is a flood."""
    exchange = await start_exchange()
    exchange.faults.add(DelayAcks(by=0.3))
    said = await check(tmp_path, [target(f"t{number}", exchange.url) for number in range(AT_ONCE + 8)])
    assert said.exit_code == 0, said.output
    opened = [(entry.opened_at, 1) for entry in exchange.ledger.connections]
    closed = [(entry.close.at, -1) for entry in exchange.ledger.connections if entry.close is not None]
    level, most = 0, 0
    for _, step in sorted(opened + closed):
        level += step
        most = max(most, level)
    assert len(opened) == AT_ONCE + 8
    assert 1 < most <= AT_ONCE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", "FILE", "ws://127.0.0.1/ws"], "goes without URL"),
        (["--config", "FILE", "--insecure"], "goes without URL"),
        (["--config", "FILE", "--ca", "CA"], "goes without URL"),
        (["--config", "FILE", "--target", "alpp"], "no target is named 'alpp'; did you mean 'alp'?"),
        (["--config", "FILE", "--target", "zzz"], "no target is named 'zzz'; there are alp, other"),
        (["--target", "alp"], "--target names one of a file: give --config as well"),
        (["--config", "none.yaml"], "cannot be read"),
        (["--config", "BAD"], "targets[0].url"),
    ],
)
def test_a_mistake_in_the_call_or_in_the_file_ends_with_2(
    options: list[str], words: str, authority: trustme.CA, tmp_path: Path
) -> None:
    """Before anything is connected."""
    authority.cert_pem.write_to_path(str(tmp_path / "CA"))
    url = f"ws://127.0.0.1:{free_port()}/ws"
    (tmp_path / "FILE").write_text(json.dumps({"targets": [target("alp", url), target("other", url)]}))
    (tmp_path / "BAD").write_text(json.dumps({"targets": [target("alp", "http://127.0.0.1")]}))
    files = {name: str(tmp_path / name) for name in ("FILE", "BAD", "CA")}
    said = CliRunner().invoke(main, ["check", *(files.get(option, option) for option in options)])
    assert said.exit_code == 2
    assert words in said.output.replace("\n", " ")


def test_a_password_in_the_files_url_is_not_repeated(tmp_path: Path) -> None:
    """The log of a test pod is anybody's."""
    url = f"ws://user:hunter22@127.0.0.1:{free_port()}/ws?token=abcdef"
    (tmp_path / "FILE").write_text(json.dumps({"targets": [target("alp", url)]}))
    said = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "FILE")])
    assert said.exit_code == 1
    assert "hunter22" not in said.output
    assert "abcdef" not in said.output
