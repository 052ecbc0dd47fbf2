"""The commands. What a command does not need is not imported for it."""

from __future__ import annotations

from typing import Final

import click

from alpmon import __version__
from alpmon.cli import check, config, health, monitor, replay, simulate

_COMPLETION: Final = """\b
The shell completes commands, scenarios and topics with this in ~/.bashrc:
  eval "$(_ALPMON_COMPLETE=bash_source alpmon)"
For zsh it is zsh_source, for fish fish_source.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=_COMPLETION)
@click.version_option(__version__, prog_name="alpmon")
def main() -> None:
    """Watch the connection to Alp Exchange: is a feed stale, slow, thin or deaf, and whose fault is it?"""


main.add_command(monitor.run)
main.add_command(monitor.record)
main.add_command(replay.replay)
main.add_command(simulate.demo)
main.add_command(simulate.simulate)
main.add_command(check.check)
main.add_command(health.health)
main.add_command(config.config)
