"""`alpmon demo` and `alpmon simulate`: the simulated exchange, with the monitor beside it and alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from alpmon.cli import params
from alpmon.cli.startup import refuse, run_loop

if TYPE_CHECKING:
    from alpmon.exchange.scenario import Scenario

DEMO_LISTEN: Final = "127.0.0.1:9719"
SIMULATE_LISTEN: Final = "127.0.0.1:9720"
_SCENARIOS: Final = """\b
Built-in scenarios:
  anomalies     crossed books, repeated trades, trades out of order
  deaf_sibling  one connection of two goes deaf on a topic
  demo          each kind of trouble within five minutes
  flaky         connections that break and are hard to get back
  frozen_books  the stream's books freeze and REST shows news
  healthy       nothing ever goes wrong
  muted         one topic goes mute and its neighbours do not
  paging        each kind of trouble until the shipped alerts fire
  paused        the whole market pauses: quiet, and no page
  silent        a topic is acknowledged and never delivers
  skewed        the server's clock is 3 s ahead for a while
  thin          a feed goes on at 2 % of its rate
"""
"""Below the options; the backspace is click's mark for lines that are to stay as they are."""


@click.command(short_help="Run the monitor against a simulated exchange with faults.", epilog=_SCENARIOS)
@click.option("--listen", metavar="ADDR:PORT", callback=params.address, default=DEMO_LISTEN, show_default=True)
@click.option(
    "--scenario",
    default="demo",
    show_default=True,
    shell_complete=params.scenarios,
    help="A built-in scenario or a YAML file.",
)
def demo(listen: str, scenario: str) -> None:
    """Run the monitor against a simulated exchange, faults included. Needs no account and no network."""
    played = _scenario(scenario)
    from alpmon import logs, simulation

    logs.configure("warning")
    run_loop(simulation.demo(listen, played))


@click.command(short_help="Run the simulated exchange alone for clients to try.", epilog=_SCENARIOS)
@click.option("--listen", metavar="ADDR:PORT", callback=params.address, default=SIMULATE_LISTEN, show_default=True)
@click.option("--dialect", type=click.Choice(["documented", "observed"]), default="observed", show_default=True)
@click.option(
    "--scenario", shell_complete=params.scenarios, help="A built-in scenario or a YAML file; healthy without it."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the market and every chance.")
def simulate(listen: str, dialect: str, scenario: str | None, seed: int) -> None:
    """Run the simulated exchange alone, for clients to try themselves on.

    Faults can be switched over HTTP: POST, GET and DELETE /control/faults; docs/simulate.md lists them all. What was
    sent is at /control/ledger.
    """
    played = None if scenario is None else _scenario(scenario)
    from alpmon import logs, simulation
    from alpmon.config import split_listen
    from alpmon.core.events import Dialect
    from alpmon.exchange import Settings

    logs.configure("info")
    host, port = split_listen(listen)
    run_loop(simulation.simulate(Settings(dialect=Dialect(dialect), host=host, port=port, seed=seed), played))


def _scenario(name: str) -> Scenario:
    from alpmon.exchange.scenario import ScenarioError, load

    try:
        return load(name)
    except ScenarioError as error:
        refuse(str(error))
