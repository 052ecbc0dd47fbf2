"""`alpmon config`: configuration files, checked and shown."""

from __future__ import annotations

import json
from pathlib import Path

import click

from alpmon.cli import params
from alpmon.cli.startup import load


@click.group()
def config() -> None:
    """Check and show configuration files."""


@config.command(short_help="Name every mistake in FILE with its line.")
@click.argument("file", type=params.FILE)
def check(file: Path) -> None:
    """Name every mistake in FILE with its line; exit code 2 if there is one."""
    found = load(file)
    topics = sum(len(target.topics) for target in found.targets)
    click.echo(f"{file}: good; targets: {len(found.targets)}, topics: {topics}")


@config.command()
@click.argument("file", type=params.FILE)
def show(file: Path) -> None:
    """Print what FILE comes to, defaults included and secrets masked."""
    from alpmon.config import show as shown

    click.echo(shown(load(file)), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file."""
    from alpmon.config import schema as schema_of

    click.echo(json.dumps(schema_of(), indent=2))
