"""`alpmon run` and `alpmon record`: the monitor, and the monitor with a tape."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alpmon import __version__
from alpmon.cli import params
from alpmon.cli.startup import UNHEALTHY, load, read_anew, refuse, run_loop

if TYPE_CHECKING:
    from alpmon.config import Config
    from alpmon.service import Source


@click.command(short_help="Hold the connections and serve the metrics.")
@params.config_file
@params.listen
def run(config_file: Path | None, listen: str | None) -> None:
    """Hold the connections and serve the metrics, until SIGTERM or SIGINT.

    SIGHUP, or POST /-/reload, takes up the changed file; with a mistake in it the old one stays in force.

    Exit code: 0 after a signal, 2 for a bad configuration or an address that cannot be listened on.
    """
    config = load(config_file, listen)
    _log(config)
    from alpmon import service

    run_loop(service.run(config, source=_source(config_file, listen)))


@click.command(short_help="Run the monitor and write everything received to a file.")
@click.argument("file", type=params.FILE)
@params.config_file
@params.listen
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
    there is only the type, time and length of each message. `alpmon replay` reads it. All else is as in `alpmon run`.

    A FILE that is there already is kept, as FILE.1.

    \b
    Example:
      alpmon record incident.jsonl.gz --config alpmon.yaml

    Exit code: 0 after a signal, 2 for a bad configuration, or a file or an address that cannot be had; 1 if FILE
    could not be written to the end.
    """  # noqa: D301
    config = load(config_file, listen)
    _log(config)
    import time

    from alpmon import service
    from alpmon.config import show as shown
    from alpmon.telemetry.tape import Tape, TapeError

    size = part_size << 20
    try:
        tape = Tape(file, shown(config), __version__, time.monotonic(), time.time(), part_bytes=size, parts=parts)
    except TapeError as error:
        refuse(str(error))
    try:
        run_loop(service.run(config, tape=tape, source=_source(config_file, listen)))
    finally:
        tape.close()
    if tape.failure:
        click.echo(tape.failure, err=True)
        sys.exit(UNHEALTHY)


def _source(config_file: Path | None, listen: str | None) -> Source | None:
    """Where the configuration can be read anew; without a file there is nothing to reload."""
    return None if config_file is None else lambda further: read_anew(config_file, listen, further)


def _log(config: Config) -> None:
    from alpmon import logs

    logs.configure(config.log.level, config.log.format)
