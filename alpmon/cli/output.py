"""What commands print: an output that cannot be written ends the command, and says nothing about what was asked."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Look:
    """What standard output can show, and is wanted to.

    Attributes:
        terminal: The cursor can be moved.
        unicode: There are more characters than ASCII's.
        coloured: Colours and weights.
    """

    terminal: bool
    unicode: bool
    coloured: bool


def look() -> Look:
    """As the stream and the environment say: TERM=dumb moves no cursor, NO_COLOR (no-color.org) is what it says."""
    out = sys.stdout
    if out is None or not out.isatty() or os.environ.get("TERM") == "dumb":
        return Look(terminal=False, unicode=False, coloured=False)
    return Look(terminal=True, unicode="utf" in out.encoding.lower(), coloured=not os.environ.get("NO_COLOR"))


class OutputError(click.ClickException):
    """Standard output cannot be written."""

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002
        """Say why."""
        click.echo(f"cannot write the output: {self.message}", err=True)


class ReaderGoneError(OutputError):
    """Whoever read it has seen enough, as `head` has; what ends by SIGPIPE ends like this to a shell."""

    exit_code = 128 + signal.SIGPIPE

    def show(self, file: object = None) -> None:
        """Nobody need be told."""


def echo(text: str | bytes, *, nl: bool = True) -> None:
    """Print to standard output.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        click.echo(text, nl=nl)
    except BrokenPipeError as error:
        _give_up()
        raise ReaderGoneError(str(error)) from error
    except OSError as error:
        _give_up()
        raise OutputError(error.strerror or str(error)) from error


def _give_up() -> None:
    """What is left in the buffer goes nowhere: Python would try to write it once more at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
