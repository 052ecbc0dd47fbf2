"""The README tells no tales: its metrics, files and commands are those of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import promql_parser
import pytest
import yaml
from click.testing import CliRunner

from alpmon.cli import main
from alpmon.config import parse
from alpmon.core.events import Dialect
from alpmon.exchange.faults import Close
from alpmon.exchange.scenario import load
from alpmon.service import Service
from alpmon.simulation import demo_config
from alpmon.telemetry.families import FAMILIES
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import StartExchange

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    found = [text for kind, text in BLOCKS if kind == language]
    assert found
    return found


def test_every_metric_that_it_shows_or_names_exists() -> None:
    """By its sample's name, suffix included."""
    shown = set(re.findall(r"\balpmon_\w+", README))
    assert len(shown) > 5
    assert shown <= {family.name for family in FAMILIES}


async def test_the_lines_that_it_shows_are_those_of_the_demo(start_exchange: StartExchange) -> None:
    """Each with all its labels, and its value; a state is there at once, and waiting until it is stale is not cheap."""
    observed, documented = await start_exchange(), await start_exchange(dialect=Dialect.DOCUMENTED)
    config = demo_config("127.0.0.1:0", observed, documented, load("demo"))
    async with Service(config) as service, aiohttp.ClientSession() as http:
        record = service.monitor.targets["observed"].connections["0-0"]
        await eventually(lambda: record.up, 30)
        observed.faults.add(Close(code=1012, reason="service restart"))
        await eventually(lambda: record.session_duration.count == 1 and record.up, 30)
        async with http.get(f"{service.url}/metrics") as response:
            scraped = dict(line.rsplit(" ", 1) for line in (await response.text()).splitlines() if line[0] != "#")
    [shown] = blocks("text")
    for series, value in (line.rsplit(" ", 1) for line in shown.splitlines()):
        assert series in scraped
        assert scraped[series] == value or "alpmon_topic_state=" in series, series


def test_its_promql_is_promql() -> None:
    """As Prometheus parses it."""
    for text in blocks("promql"):
        promql_parser.parse(text)


def test_its_configuration_loads() -> None:
    """The block that says that it is alpmon.yaml."""
    [text] = [text for text in blocks("yaml") if text.startswith("# alpmon.yaml")]
    assert parse(text, "README.md", {}).targets[0].name == "alp"


def test_its_scrape_configuration_is_yaml_and_scrapes_the_default_port() -> None:
    """Where `alpmon run` listens without being told."""
    [text] = [text for text in blocks("yaml") if text.startswith("# prometheus.yml")]
    [job] = yaml.safe_load(text)["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:9719"]


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, re.MULTILINE))
def test_each_make_target_exists(target: str) -> None:
    """In the Makefile."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("words", re.findall(r"^alpmon ([a-z]+(?: [a-z]+)?)", "".join(blocks("sh")), re.MULTILINE))
def test_each_command_exists(words: str) -> None:
    """The program knows it and has help for it."""
    result = CliRunner().invoke(main, [*words.split(), "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("path", re.findall(r"\]\(([\w./-]+)\)", README))
def test_each_file_that_it_links_to_exists(path: str) -> None:
    """Relative to the README."""
    assert (ROOT / path).exists()
