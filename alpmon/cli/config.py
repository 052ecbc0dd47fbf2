"""`alpmon config`: configuration files, checked and shown."""

from __future__ import annotations

import json
from pathlib import Path

import click

from alpmon.cli import params
from alpmon.cli.output import echo
from alpmon.cli.startup import load, refuse


@click.group()
def config() -> None:
    """Check and show configuration files."""


@config.command(short_help="Name every mistake in FILE with its line.")
@click.argument("file", type=params.FILE)
def check(file: Path) -> None:
    """Name every mistake in FILE with its line, and in the web_config_file that it names; exit code 2 if there is one.

    Whatever passes, `alpmon run` takes up. The files of tokens, keys, secrets and CAs may come later, and are not read.
    """
    found = load(file)
    if found.web_config_file is not None:
        _check_web(found.web_config_file)
    topics = sum(len(target.topics) for target in found.targets)
    echo(f"{file}: good; targets: {len(found.targets)}, topics: {topics}")


def _check_web(file: Path) -> None:
    """Go through a web configuration file as the monitor does, certificates included; the end if that cannot be had."""
    from alpmon.config import ConfigError
    from alpmon.web.access import read_access

    try:
        read_access(file)
    except ConfigError as error:
        refuse(str(error))
    echo(f"{file}: good")


@config.command(short_help="Print what FILE comes to: defaults included and secrets masked.")
@click.argument("file", type=params.FILE)
def show(file: Path) -> None:
    """Print what FILE comes to, defaults included and secrets masked."""
    from alpmon.config import show as shown

    echo(shown(load(file)), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file."""
    from alpmon.config import schema as schema_of

    echo(json.dumps(schema_of(), indent=2))
