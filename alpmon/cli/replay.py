"""`alpmon replay`: a recording told again."""

from __future__ import annotations

from pathlib import Path

import click

from alpmon.cli import params
from alpmon.cli.output import echo
from alpmon.cli.startup import load, refuse


@click.command(short_help="Tell a recording again: what would have been alerted and when.")
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
    from alpmon.replay import ReplayError
    from alpmon.replay.replay import Replay
    from alpmon.telemetry.tape import TapeError
    from alpmon.telemetry.untaped import read

    judge_by = None if config_file is None else load(config_file)
    replay = Replay(echo, lambda config: parse(config, f"{file}, configuration", {}), judge_by)
    try:
        replay.run(read(file, lambda remark: click.echo(remark, err=True)))
    except (ConfigError, ReplayError, TapeError) as error:
        refuse(str(error))
