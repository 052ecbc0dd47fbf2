"""What is generated in the chart is what its sources say; needs no helm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from helm.source.__main__ import CHART, ROOT, generated, stale_files
from helm.source.values import documented, undocumented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HINT = "run `make docs`"


@pytest.mark.parametrize("path", sorted(generated()), ids=lambda path: path.name)
def test_a_generated_file_has_not_drifted(path: Path) -> None:
    """Byte for byte."""
    assert path.read_bytes() == generated()[path].encode(), HINT


def test_the_chart_ships_every_rule_and_dashboard_and_nothing_else() -> None:
    """Byte-equal to grafana/."""
    originals = [*(ROOT / "grafana" / "rules").glob("*.rules.yaml"), *(ROOT / "grafana" / "dashboards").glob("*.json")]
    copies = [path for path in (CHART / "files").rglob("*") if path.is_file()]
    assert originals
    assert {path.name: path.read_bytes() for path in copies} == {path.name: path.read_bytes() for path in originals}, (
        HINT
    )
    assert stale_files() == set()


def test_every_value_is_described() -> None:
    """In values.yaml itself, where people look."""
    text = (CHART / "values.yaml").read_text()
    assert undocumented(text) == []
    assert len(list(documented(text))) > 50


def test_a_value_without_a_description_is_noticed() -> None:
    """Also below a section."""
    text = "# -- said\na: 1\nb:\n  # a remark\n  c: 2\n  # -- said\n  # twice\n  d: {}\n"
    assert undocumented(text) == ["b.c"]
    assert [(value.path, value.description, value.default) for value in documented(text)] == [
        (("a",), "said", 1),
        (("b", "d"), "said twice", {}),
    ]


def schema() -> dict[str, Any]:
    """values.schema.json."""
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return found


def objects(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object, and where it stands."""
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield path, part
        for key, inner in part.items():
            yield from objects(inner, f"{path}.{key}")
    elif isinstance(part, list):
        for index, inner in enumerate(part):
            yield from objects(inner, f"{path}[{index}]")


FOREIGN = {".definitions.kubernetes", ".definitions.texts", ".properties.global"}


def test_no_object_takes_an_unknown_key() -> None:
    """But those that belong to Kubernetes, or whose keys are the user's own."""
    open_ones = {path for path, each in objects(schema()) if each.get("additionalProperties") is not False}
    assert open_ones == FOREIGN


def test_every_key_of_the_schema_is_described() -> None:
    """Those of alpmon's configuration included."""
    keys = [
        (path, key, each) for path, section in objects(schema()) for key, each in section.get("properties", {}).items()
    ]
    assert len(keys) > 120
    assert [f"{path}.{key}" for path, key, each in keys if not each.get("description")] == []


def test_the_addresses_that_the_chart_replaces_are_in_the_rules() -> None:
    """Else `runbookBase` and `dashboardsBase` would do nothing."""
    template = (CHART / "templates" / "prometheusrule.yaml").read_text()
    rules = (CHART / "files" / "alpmon.rules.yaml").read_text()
    for address in ("https://alpmon.example/docs/alerts.md", "http://localhost:3000"):
        assert f'"{address}"' in template
        assert address in rules
