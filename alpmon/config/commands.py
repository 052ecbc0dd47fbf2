"""`alpmon config`: look at a configuration without running it."""

from __future__ import annotations

import json

import click

from alpmon.config.loader import load
from alpmon.config.mistakes import ConfigError
from alpmon.config.models import Config
from alpmon.config.show import schema, show

BAD_CONFIGURATION = 2
"""The exit code that says so."""


def load_or_exit(file: str) -> Config:
    """The configuration of a file; or every mistake on stderr and the end, with exit code 2."""
    try:
        return load(file)
    except ConfigError as error:
        click.echo(error, err=True)
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None


@click.group("config")
def config_group() -> None:
    """Check and show configuration files."""


@config_group.command()
@click.argument("file")
def check(file: str) -> None:
    """Name every mistake in FILE with its line; exit code 2 if there is one."""
    config = load_or_exit(file)
    topics = sum(len(target.topics) for target in config.targets)
    click.echo(f"{file}: good; targets: {len(config.targets)}, topics: {topics}")


@config_group.command("show")
@click.argument("file")
def show_command(file: str) -> None:
    """Print what FILE comes to, defaults included and secrets masked."""
    click.echo(show(load_or_exit(file)), nl=False)


@config_group.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of a configuration file."""
    click.echo(json.dumps(schema(), indent=2))
