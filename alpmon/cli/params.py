"""What the commands are given: checked before anything starts, and completed by the shell.

What a parameter does not need is not imported for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
from click.shell_completion import CompletionItem

FILE: Final = click.Path(dir_okay=False, path_type=Path)

Callback: TypeAlias = Callable[[click.Context, click.Parameter, Any], Any]


def _checked(check: Callable[[Any], Any]) -> Callback:
    """A parameter's callback; a `ValueError` of the check is a mistake in the call."""

    @wraps(check)
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None or context.resilient_parsing:  # The shell asks for completions, and nobody for a check.
            return value
        try:
            return check(value)
        except ValueError as error:
            raise click.BadParameter(str(error), param=parameter) from None

    return callback


@_checked
def address(value: str) -> str:
    """ADDR:PORT as it was given, if it is one."""
    from alpmon.config import split_listen

    split_listen(value)
    return value


@_checked
def websocket_url(value: str) -> str:
    """A URL that a target of the configuration may have."""
    from pydantic import TypeAdapter, ValidationError

    from alpmon.config.values import WsUrl

    try:
        return TypeAdapter(WsUrl).validate_python(value)
    except ValidationError as error:
        fault = error.errors()[0]["ctx"]["faults"][0]
        raise ValueError("; ".join(filter(None, (fault.problem, fault.hint)))) from None


@_checked
def known_topics(value: tuple[str, ...]) -> tuple[str, ...]:
    """Topics that the exchange may have, each once."""
    from alpmon.core.topics import split_topic

    for topic in value:
        split_topic(topic)
    return tuple(dict.fromkeys(value))


@_checked
def duration(value: str) -> float:
    """A duration above zero, in seconds."""
    from alpmon.config import parse_duration

    seconds = parse_duration(value)
    if not seconds:
        raise ValueError("must be more than nothing")
    return seconds


@_checked
def readable_ca(value: Path) -> Path:
    """A file that holds at least one certificate."""
    from alpmon.probe.tls import client_context

    try:
        client_context(value, insecure_skip_verify=False)
    except OSError as error:
        raise ValueError(f"{value}: {error.strerror or error}") from None
    return value


config_file: Final = click.option(
    "--config", "config_file", type=FILE, help="YAML file; without it, the public feed of the exchange."
)
listen: Final = click.option(
    "--listen",
    metavar="ADDR:PORT",
    callback=address,
    help="Where to serve HTTP; goes before the file's `listen`.",
)


def scenarios(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The built-in scenarios that begin like this; files, where none does."""
    folder = resources.files("alpmon") / "exchange" / "scenarios"
    names = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def topics(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The wildcards of the public channels."""
    from alpmon.core.topics import PUBLIC_CHANNELS

    found = (f"{channel}.*" for channel in PUBLIC_CHANNELS)
    return [CompletionItem(topic) for topic in found if topic.startswith(incomplete)]
