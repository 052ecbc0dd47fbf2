"""`alpmon check`: one connection, or one to each target of a file, step by step."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from alpmon.cli import params
from alpmon.cli.startup import UNHEALTHY, load, refuse

if TYPE_CHECKING:
    from alpmon.probe.check.request import CheckRequest

EXCHANGE_URL: Final = "wss://www.alp.com/ws"


@click.command(short_help="Try one connection step by step and say which step fails.")
@click.argument("url", required=False, callback=params.websocket_url)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    callback=params.known_topics,
    shell_complete=params.topics,
    help="What to subscribe to; may be given again.  [default: ticker.*, or what the file says]",
)
@click.option(
    "--messages",
    type=click.IntRange(0, 1_000_000),
    help="How many of each topic must arrive; 0 is content with the acknowledgement.  [default: 1, or 0 with --config]",
)
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    callback=params.duration,
    help="For all steps of a connection together.",
)
@click.option("--json", "as_json", is_flag=True, help="One object, as docs/check.schema.json describes it.")
@click.option("--insecure", is_flag=True, help="Take any certificate.")
@click.option(
    "--ca", "ca_file", type=params.FILE, callback=params.readable_ca, help="PEM file of the CAs to trust instead."
)
@click.option(
    "--config", "config_file", type=params.FILE, help="Check every target of a YAML file, with its own TLS settings."
)
@click.option("--target", "names", multiple=True, help="Only this target of the file; may be given again.")
def check(
    url: str | None,
    topics: tuple[str, ...],
    messages: int | None,
    timeout: float,
    as_json: bool,
    insecure: bool,
    ca_file: Path | None,
    config_file: Path | None,
    names: tuple[str, ...],
) -> None:
    """Try one connection to URL, step by step, and say which step fails.

    resolve, tcp, tls, upgrade (10s together), welcome (10s), ack (5s), ping (10s), message of each topic: each is
    timed, and none may take longer than --timeout leaves. URL is the exchange's own unless it is given.

    With --config, one connection to each target of the file, several at a time: with the topics of its first
    connection and as the file says how it proves who it is. --json then prints a list of objects.

    One check cannot tell a quiet pair from a dead feed: a topic that delivers nothing in time is unhealthy. Where
    silence is normal, ask for --messages 0.

    Exit code: 0 healthy, 1 unhealthy (or one of several is), 2 usage, a bad configuration or an output that cannot be
    written.
    """
    if config_file is not None and (url is not None or insecure or ca_file is not None):
        raise click.UsageError("--config says where and how to connect; it goes without URL, --insecure and --ca")
    if names and config_file is None:
        raise click.UsageError("--target names one of a file: give --config as well")
    if insecure and ca_file is not None:
        raise click.UsageError("--insecure takes any certificate; it makes no sense with --ca")
    from alpmon.cli import checkrun
    from alpmon.probe.check.request import CheckRequest

    if config_file is None:
        wanted = 1 if messages is None else messages
        request = CheckRequest(url or EXCHANGE_URL, topics or ("ticker.*",), wanted, timeout, ca_file, insecure)
        healthy = asyncio.run(checkrun.one(request, as_json=as_json))
    else:
        requests = _requests(config_file, names, topics, messages or 0, timeout)
        healthy = asyncio.run(checkrun.several(requests, as_json=as_json))
    sys.exit(0 if healthy else UNHEALTHY)


def _requests(
    config_file: Path, names: tuple[str, ...], topics: tuple[str, ...], messages: int, timeout: float
) -> list[CheckRequest]:
    """What to check of the targets of a file, all or those with these names."""
    from alpmon.probe.check.targets import UnknownTargetError, check_of, chosen

    try:
        targets = chosen(load(config_file).targets, names)
    except UnknownTargetError as error:
        refuse(f"{config_file}: {error}")
    return [check_of(target, topics, messages, timeout) for target in targets]
