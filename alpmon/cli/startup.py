"""What commands begin with, a configuration and an event loop, and how they end where it cannot be had."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from alpmon.config import Config
    from alpmon.config.loader import Further

UNHEALTHY: Final = 1
BAD_CONFIGURATION: Final = 2


def load(config_file: Path | None, listen: str | None = None) -> Config:
    """The configuration, or the end with every mistake named."""
    from alpmon.config import ConfigError

    try:
        return read(config_file, listen)
    except ConfigError as error:
        refuse(str(error))


def read(config_file: Path | None, listen: str | None) -> Config:
    """The configuration, with the address to listen on that the command was given.

    Raises:
        ConfigError: there are mistakes in the file.
    """
    from alpmon import config

    return _at(listen, config.default_config() if config_file is None else config.load(config_file))


def read_anew(config_file: Path, listen: str | None, further: Further) -> Config:
    """The same from the file as it is now, if nothing is further wrong with it.

    Raises:
        ConfigError: there are mistakes in the file.
    """
    from alpmon import config

    return _at(listen, config.load(config_file, further=lambda found: further(_at(listen, found))))


def _at(listen: str | None, found: Config) -> Config:
    return found if listen is None else found.model_copy(update={"listen": listen})


def run_loop(main_coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what serves until a signal, or the end with the reason why it cannot begin."""
    from alpmon.config import ConfigError
    from alpmon.web import ListenError

    try:
        asyncio.run(main_coroutine)
    except (ConfigError, ListenError) as error:
        refuse(str(error))


def refuse(message: str) -> NoReturn:
    """End: what the command was given cannot be used."""
    click.echo(message, err=True)
    sys.exit(BAD_CONFIGURATION)
