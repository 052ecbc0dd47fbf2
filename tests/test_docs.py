"""The documentation tells no tales: its links, metrics, queries, configurations and commands are the program's."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
import typing
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml
from prometheus_client import CollectorRegistry

from alpmon.cli import main
from alpmon.config import parse
from alpmon.config.access import load_access
from alpmon.exchange import Exchange, Settings, control, faults, scenario
from alpmon.telemetry.families import FAMILIES
from alpmon.telemetry.monitor import Monitor
from alpmon.web.app import create_app
from tests.grafana import shipped

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [ROOT / "README.md", ROOT / "grafana" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""What is written by hand or generated for people; the chart's README has tests of its own."""
CHART: Final = ROOT / "helm" / "alpmon" / "README.md"
SIMULATE: Final = ROOT / "docs" / "simulate.md"
DOCS: Final = [page for page in PAGES if page.parent.name == "docs"]

PROCESS: Final = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
HASH: Final = "$2y$10$" + "a" * 53
KINDS: Final[tuple[type[faults.Fault], ...]] = typing.get_args(typing.get_args(faults.AnyFault)[0])
WHOLE_TARGET: Final = {"name": "alp", "url": "wss://www.alp.com/ws", "topics": ["ticker.*"]}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, without the indentation that a list gives them."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


def everywhere(language: str, *more: Path) -> list[Any]:
    found = [(page, n, text) for page in (*PAGES, *more) for n, text in enumerate(blocks(page, language))]
    return [pytest.param(text, id=f"{page.name}-{n}") for page, n, text in found]


def anchors(page: Path) -> set[str]:
    """What its headings can be linked to by, as the places that show Markdown make it."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the project, and to a heading in it where it names one; other sites are nobody's to test."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            aim = (page.parent / path).resolve() if path else page
            assert aim.exists(), link
            assert not anchor or anchor in anchors(aim), link


def test_every_picture_is_shown_and_small_and_told_to_who_cannot_see_it() -> None:
    """Taken anew by `python -m tests.web.screenshots`."""
    shown = {}
    for page in PAGES:
        text = page.read_text()
        found = [(path, told) for told, path in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", text)]
        found += re.findall(r'<img src="([^"]+)"[^>]* alt="([^"]*)">', text)
        shown |= {(page.parent / path).resolve(): told for path, told in found}
    assert set(shown) == set((ROOT / "docs" / "images").iterdir())
    assert all(path.stat().st_size < 100_000 for path in shown)
    assert all(shown.values())


def test_every_page_is_in_the_index() -> None:
    """Whoever opens the folder finds all of it."""
    index = (ROOT / "docs" / "README.md").read_text()
    others = {path.name for path in (ROOT / "docs").iterdir() if path.is_file()} - {"README.md"}
    assert others <= set(re.findall(r"\]\(([\w.-]+)\)", index))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_metric_that_is_named_exists(page: Path) -> None:
    """As a family, a sample of one, or the beginning of several."""
    samples = shipped.exported()
    known = samples | {family.name for family in FAMILIES} | {"alpmon_venv"}
    for name in set(re.findall(r"(?<![\w:/.$-])alpmon_\w+", page.read_text())):
        begins = name.endswith("_") and any(sample.startswith(name) for sample in samples)
        assert name in known or begins, name


@pytest.mark.parametrize("query", everywhere("promql"))
def test_every_query_is_promql_about_metrics_that_exist(query: str) -> None:
    """It can be pasted."""
    names = {selector.name for selector in shipped.selectors(query)}
    assert names
    assert names <= shipped.exported() | shipped.recorded() | shipped.PROMETHEUS_OWN | PROCESS


def configuration(block: dict[str, Any]) -> dict[str, Any] | None:
    """What a block says as a whole configuration; None where it is about something else."""
    if "targets" in block:
        return block
    if set(block) <= {"freshness", "auth", "reference", "timeouts", "tls"}:
        return {"targets": [WHOLE_TARGET | block]}
    return {**block, "targets": [WHOLE_TARGET]} if "web_config_file" in block else None


@pytest.mark.parametrize("text", everywhere("yaml"))
def test_every_configuration_loads(text: str, tmp_path: Path) -> None:
    """Whole ones, sections of a target, and those of the monitor's own pages."""
    block = yaml.safe_load(text)
    assert block
    if "basic_auth_users" in block:
        (tmp_path / "web.yaml").write_text(text.replace("$2y$10$...", HASH))
        load_access(tmp_path / "web.yaml")
    elif "steps" in block:
        scenario.parse(text)
    elif isinstance(block, dict) and (whole := configuration(block)) is not None:
        parse(yaml.safe_dump(whole), "alpmon.yaml", {})


def commands(text: str) -> list[list[str]]:
    """The calls of alpmon in a shell block, as words; what is piped or redirected stands after the call."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("alpmon ")]
    return [re.split(r" [|>] ", " ".join(line))[0].split()[1:] for line in words]


CALLS: Final = sorted({tuple(call) for page in PAGES for text in blocks(page, "sh") for call in commands(text)})


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_every_command_is_taken(call: tuple[str, ...]) -> None:
    """Its options exist and their values are good; nothing is run."""
    command: click.Command = main
    words = list(call)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    command.make_context("alpmon", words)


def unquoted(text: str) -> str:
    """What a shell reads of a block without quotes: no text in quotes, no comment, nothing that is fed to a command."""
    fed = re.sub(r"<<(\w+)\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|(?<!\S)#.*""", "", fed)


@pytest.mark.parametrize("text", everywhere("sh", CHART))
def test_no_shell_takes_a_topic_for_files(text: str) -> None:
    """A pattern without quotes ends the line in zsh and fish, and in bash it is whatever file is called so."""
    assert not re.search(r"[*?]|\[(?=\S)", unquoted(text)), unquoted(text)


def test_every_fault_is_one_of_the_simulated_exchange() -> None:
    """As a reader would post it."""
    posted = [
        json.loads(body)
        for page in PAGES
        for text in blocks(page, "sh")
        for body in re.findall(r"/control/faults -d '([^']+)'", text)
    ]
    assert len(posted) > 2
    for body in posted:
        faults.parse(body)


def rows(text: str) -> dict[str, list[str]]:
    """The rows of tables whose first cell is code: the other cells by it."""
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {first.strip(" `"): [cell.strip() for cell in rest] for first, *rest in cells}


def choices(kind: type[faults.Fault]) -> set[str]:
    """The fields of a fault that may be one thing or another."""
    fields = {name: typing.get_args(field.annotation) for name, field in kind.model_fields.items()}
    return {name for name, values in fields.items() if len(values) != 1}


def test_every_fault_is_told_with_its_fields() -> None:
    """And no other; `connections`, which most of them have, is told in the text."""
    text = SIMULATE.read_text().partition("## Faults")[2].partition("## Scenarios")[0]
    told = {name: set(re.findall(r"\w+", fields)) for name, (fields, _) in rows(text).items()}
    kinds = {kind.model_fields["fault"].default: choices(kind) for kind in KINDS}
    assert told == {name: fields - {"connections"} for name, fields in kinds.items()}
    spare = {name for name, fields in kinds.items() if "connections" not in fields}
    assert re.findall(r"Each fault but `(\w+)` and `(\w+)` also takes `connections`", text) == [tuple(sorted(spare))]


def test_every_path_of_the_control_is_told() -> None:
    """And no other."""
    served = {f"{route.method} {re.sub('{id.*}', 'ID', route.path)}" for route in control.routes(Exchange())}
    assert set(re.findall(r"`((?:GET|POST|DELETE) /control/[^`]+)`", SIMULATE.read_text())) == served


def test_every_scenario_is_told() -> None:
    """And no other."""
    text = SIMULATE.read_text().partition("## Scenarios")[2].partition("## An account")[0]
    assert set(rows(text)) == set(scenario.names())


def test_the_account_to_practise_with_is_one() -> None:
    """And so is the token that is refused."""
    text = SIMULATE.read_text().partition("## An account")[2]
    assert re.findall(r"^echo (\S+) > alp-", text, re.MULTILINE) == [*next(iter(Settings().api_keys.items()))]
    assert re.findall(r"taken but\s`(\w+)`", text) == [*Settings().refused_tokens]


def test_every_path_that_is_served_is_told() -> None:
    """And none that is not."""
    app = create_app(Monitor(started_wall=0.0), CollectorRegistry(), str)
    served = {f"{route.method} {route.resource.canonical}" for route in app.router.routes() if route.resource}
    told = set(re.findall(r"^\| `((?:GET|POST) [^`]+)` \|", (ROOT / "docs" / "http.md").read_text(), re.MULTILINE))
    assert told == {route for route in served if not route.startswith("HEAD")} - {"GET /assets/{name}"}
