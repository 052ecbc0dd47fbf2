"""The commands. What a command does not need is not imported for it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from alpmon import __version__, params

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from alpmon.config import Config
    from alpmon.exchange.scenario import Scenario

UNHEALTHY: Final = 1
BAD_CONFIGURATION: Final = 2
DEMO_LISTEN: Final = "127.0.0.1:9719"
SIMULATE_LISTEN: Final = "127.0.0.1:9720"
HEALTH_URL: Final = "http://127.0.0.1:9719/-/healthy"
HEALTH_SECONDS: Final = 3.0
EXCHANGE_URL: Final = "wss://www.alp.com/ws"

_config = click.option(
    "--config", "config_file", type=params.FILE, help="YAML file; without it, the public feed of the exchange."
)


_listen = click.option(
    "--listen",
    metavar="ADDR:PORT",
    callback=params.address,
    help="Where to serve HTTP; goes before the file's `listen`.",
)


_COMPLETION: Final = """\b
The shell completes commands, scenarios and topics with this in ~/.bashrc:
  eval "$(_ALPMON_COMPLETE=bash_source alpmon)"
For zsh it is zsh_source, for fish fish_source.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=_COMPLETION)
@click.version_option(__version__, prog_name="alpmon")
def main() -> None:
    """Watch the connection to Alp Exchange: is a feed stale, slow, thin or deaf, and whose fault is it?"""


@main.command(short_help="Hold the connections and serve the metrics.")
@_config
@_listen
def run(config_file: Path | None, listen: str | None) -> None:
    """Hold the connections and serve the metrics, until SIGTERM or SIGINT.

    SIGHUP, or POST /-/reload, takes up the changed file; with a mistake in it the old one stays in force.

    Exit code: 0 after a signal, 2 for a bad configuration or an address that cannot be listened on.
    """
    config = _load(config_file, listen)
    _log(config)
    from alpmon import service

    source = None if config_file is None else lambda: _read(config_file, listen)
    _run(service.run(config, source=source))


@main.command(short_help="Run the monitor against a simulated exchange, faults included.")
@click.option("--listen", metavar="ADDR:PORT", callback=params.address, default=DEMO_LISTEN, show_default=True)
@click.option(
    "--scenario",
    default="demo",
    show_default=True,
    shell_complete=params.scenarios,
    help="A built-in scenario or a YAML file.",
)
def demo(listen: str, scenario: str) -> None:
    """Run the monitor against a simulated exchange, faults included. Needs no account and no network.

    \b
    Built-in scenarios:
      anomalies     crossed books, repeated trades, trades out of order
      deaf_sibling  one connection of two goes deaf on a topic
      demo          each kind of trouble within five minutes
      flaky         connections that break and are hard to get back
      frozen_books  the stream's books freeze and REST shows news
      healthy       nothing ever goes wrong
      muted         one topic goes mute and its neighbours do not
      paging        each kind of trouble until the shipped alerts fire
      paused        the whole market pauses: quiet, and no page
      silent        a topic is acknowledged and never delivers
      skewed        the server's clock is 3 s ahead for a while
      thin          a feed goes on at 2 % of its rate
    """  # noqa: D301 - the backspace is click's mark for lines that are to stay as they are
    played = _scenario(scenario)
    from alpmon import logs, simulation

    logs.configure("warning")
    _run(simulation.demo(listen, played))


@main.command(short_help="Run the simulated exchange alone, for clients to try.")
@click.option("--listen", metavar="ADDR:PORT", callback=params.address, default=SIMULATE_LISTEN, show_default=True)
@click.option("--dialect", type=click.Choice(["documented", "observed"]), default="observed", show_default=True)
@click.option(
    "--scenario", shell_complete=params.scenarios, help="A built-in scenario or a YAML file; healthy without it."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the market and every chance.")
def simulate(listen: str, dialect: str, scenario: str | None, seed: int) -> None:
    """Run the simulated exchange alone, for clients to try themselves on.

    Faults can be switched over HTTP: POST, GET and DELETE /control/faults. What was sent is at /control/ledger.
    """
    played = None if scenario is None else _scenario(scenario)
    from alpmon import logs, simulation
    from alpmon.config import split_listen
    from alpmon.core.protocol import Dialect
    from alpmon.exchange import Settings

    logs.configure("info")
    host, port = split_listen(listen)
    _run(simulation.simulate(Settings(dialect=Dialect(dialect), host=host, port=port, seed=seed), played))


@main.command("check", short_help="Try one connection, step by step, and say which step fails.")
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
def check_connection(
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

    Exit code: 0 healthy, 1 unhealthy (or one of several is), 2 usage or a bad configuration.
    """
    if config_file is not None and (url is not None or insecure or ca_file is not None):
        raise click.UsageError("--config says where and how to connect; it goes without URL, --insecure and --ca")
    if names and config_file is None:
        raise click.UsageError("--target names one of a file: give --config as well")
    if insecure and ca_file is not None:
        raise click.UsageError("--insecure takes any certificate; it makes no sense with --ca")
    from alpmon import checkrun
    from alpmon.probe.check import CheckRequest
    from alpmon.probe.checklist import UnknownTargetError, chosen, request_of

    if config_file is None:
        wanted = 1 if messages is None else messages
        request = CheckRequest(url or EXCHANGE_URL, topics or ("ticker.*",), wanted, timeout, ca_file, insecure)
        healthy = asyncio.run(checkrun.one(request, as_json=as_json))
    else:
        try:
            targets = chosen(_load(config_file).targets, names)
        except UnknownTargetError as error:
            _refuse(f"{config_file}: {error}")
        requests = [request_of(target, topics, messages or 0, timeout) for target in targets]
        healthy = asyncio.run(checkrun.several(requests, as_json=as_json))
    sys.exit(0 if healthy else UNHEALTHY)


@main.command(short_help="Ask a running monitor whether it lives: for health checks.")
@click.argument("url", default=HEALTH_URL)
@click.option("--username-file", type=params.FILE, help="File with a user's name, where the monitor asks for one.")
@click.option("--password-file", type=params.FILE, help="File with that user's password.")
def health(url: str, username_file: Path | None, password_file: Path | None) -> None:
    """Ask a running monitor at URL whether it lives: for a container's health check, where there is no curl.

    Without URL it is this machine's monitor at the usual port. Exit code: 0 if it answers well, or is guarded, answers
    and was not given a password; 1 if not.
    """
    from alpmon.health import Credentials, UnhealthyError, ask

    if (username_file is None) != (password_file is None):
        raise click.UsageError("--username-file and --password-file go together")
    credentials = Credentials(username_file, password_file) if username_file and password_file else None
    try:
        click.echo(ask(url, HEALTH_SECONDS, credentials))
    except UnhealthyError as error:
        click.echo(str(error), err=True)
        sys.exit(UNHEALTHY)


@main.command(short_help="Run the monitor, and write everything received to a file.")
@click.argument("file", type=params.FILE)
@_config
@_listen
@click.option(
    "--part-size",
    type=click.IntRange(1, 1 << 20),
    default=64,
    show_default=True,
    help="Megabytes; a full FILE becomes FILE.1, and that FILE.2.",
)
@click.option("--parts", type=click.IntRange(1, 1000), default=8, show_default=True, help="Files kept in all.")
def record(file: Path, config_file: Path | None, listen: str | None, part_size: int, parts: int) -> None:
    """Run the monitor, and write everything received to FILE; compressed if it ends with .gz.

    JSON lines with the time of each frame, and markers where connections open, fail and end. Of private channels
    there is only the type and the time of each message. `alpmon replay` reads it. All else is as in `alpmon run`.

    A FILE that is there already is kept, as FILE.1.

    \b
    Example:
      alpmon record incident.jsonl.gz --config alpmon.yaml

    Exit code: 0 after a signal, 2 for a bad configuration, or a file or an address that cannot be had; 1 if FILE
    could not be written to the end.
    """  # noqa: D301
    config = _load(config_file, listen)
    _log(config)
    import time

    from alpmon import service
    from alpmon.config import show as shown
    from alpmon.telemetry.tape import Tape, TapeError

    source = None if config_file is None else lambda: _read(config_file, listen)
    size = part_size << 20
    try:
        tape = Tape(file, shown(config), __version__, time.monotonic(), time.time(), part_bytes=size, parts=parts)
    except TapeError as error:
        _refuse(str(error))
    try:
        _run(service.run(config, tape=tape, source=source))
    finally:
        tape.close()
    if tape.failure:
        click.echo(tape.failure, err=True)
        sys.exit(UNHEALTHY)


@main.command(short_help="Tell a recording again: what would have been alerted, and when.")
@click.argument("file", type=params.FILE)
@click.option("--config", "config_file", type=params.FILE, help="Judge by this file instead of the recording's own.")
def replay(file: Path, config_file: Path | None) -> None:
    """Tell what `alpmon record` wrote to FILE to the same core again: what would have been alerted, and when.

    A line for each trouble as it comes and goes, one for each of the shipped alerts that would have fired or
    resolved, and a table at the end: for each topic its longest silence beside the threshold, how often, how long at
    most and how long in all it was stale, and what was thin or missed. FILE.1 and so on are read first.

    To tune thresholds change `freshness` in a copy of the configuration and judge by it. What the connections did
    stays as it was. The same recording and the same configuration give the same answer, byte for byte.

    \b
    Example:
      alpmon replay incident.jsonl.gz > before.txt
      alpmon replay incident.jsonl.gz --config tuned.yaml | diff before.txt -

    Exit code: 0, or 2 where FILE or the configuration cannot be read. A recording that was cut off, as by a crash, is
    told up to there, and a line on stderr says so.
    """  # noqa: D301
    from alpmon.config import ConfigError, parse
    from alpmon.probe.replay import Replay, ReplayError
    from alpmon.telemetry.tape import TapeError
    from alpmon.telemetry.untaped import read

    judge_by = None if config_file is None else _load(config_file)
    replay = Replay(click.echo, lambda config: parse(config, f"{file}, configuration", {}), judge_by)
    try:
        replay.run(read(file, lambda remark: click.echo(remark, err=True)))
    except (ConfigError, ReplayError, TapeError) as error:
        _refuse(str(error))


@main.group("config")
def config_group() -> None:
    """Check and show configuration files."""


@config_group.command(short_help="Name every mistake in FILE with its line.")
@click.argument("file", type=params.FILE)
def check(file: Path) -> None:
    """Name every mistake in FILE with its line; exit code 2 if there is one."""
    config = _load(file)
    topics = sum(len(target.topics) for target in config.targets)
    click.echo(f"{file}: good; targets: {len(config.targets)}, topics: {topics}")


@config_group.command()
@click.argument("file", type=params.FILE)
def show(file: Path) -> None:
    """Print what FILE comes to, defaults included and secrets masked."""
    from alpmon.config import show as shown

    click.echo(shown(_load(file)), nl=False)


@config_group.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file."""
    from alpmon.config import schema as schema_of

    click.echo(json.dumps(schema_of(), indent=2))


def _scenario(name: str) -> Scenario:
    from alpmon.exchange.scenario import ScenarioError, load

    try:
        return load(name)
    except ScenarioError as error:
        _refuse(str(error))


def _load(config_file: Path | None, listen: str | None = None) -> Config:
    """The configuration, or the end with every mistake named."""
    from alpmon.config import ConfigError

    try:
        return _read(config_file, listen)
    except ConfigError as error:
        _refuse(str(error))


def _read(config_file: Path | None, listen: str | None) -> Config:
    from alpmon.config import default_config, load

    config = default_config() if config_file is None else load(config_file)
    return config if listen is None else config.model_copy(update={"listen": listen})


def _log(config: Config) -> None:
    from alpmon import logs

    logs.configure(config.log.level, config.log.format)


def _run(main_coroutine: Coroutine[Any, Any, None]) -> None:
    """The only place where an event loop is started."""
    from alpmon.config import ConfigError
    from alpmon.web import ListenError

    try:
        asyncio.run(main_coroutine)
    except (ConfigError, ListenError) as error:
        _refuse(str(error))


def _refuse(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(BAD_CONFIGURATION)
