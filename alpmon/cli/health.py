"""`alpmon health`: whether a running monitor lives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from alpmon.cli import params
from alpmon.cli.output import echo
from alpmon.cli.startup import UNHEALTHY

HEALTH_URL: Final = "http://127.0.0.1:9719/-/healthy"
HEALTH_SECONDS: Final = 3.0


@click.command(short_help="Ask a running monitor whether it lives: for health checks.")
@click.argument("url", default=HEALTH_URL)
@click.option("--username-file", type=params.FILE, help="File with a user's name, where the monitor asks for one.")
@click.option("--password-file", type=params.FILE, help="File with that user's password.")
def health(url: str, username_file: Path | None, password_file: Path | None) -> None:
    """Ask a running monitor at URL whether it lives: for a container's health check, where there is no curl.

    Without URL it is this machine's monitor at the usual port; a URL without a path asks for /-/healthy. Exit code: 0
    if it answers well, or is guarded, answers and was not given a password; 1 if not.
    """
    from alpmon.health import Credentials, UnhealthyError, ask

    if (username_file is None) != (password_file is None):
        raise click.UsageError("--username-file and --password-file go together")
    credentials = Credentials(username_file, password_file) if username_file and password_file else None
    try:
        echo(ask(url, HEALTH_SECONDS, credentials))
    except UnhealthyError as error:
        click.echo(str(error), err=True)
        sys.exit(UNHEALTHY)
