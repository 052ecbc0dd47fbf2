"""What is generated in the chart is what its sources say; needs no helm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator
from pydantic import BaseModel

from helm.source.__main__ import CHART, ROOT, generated, stale_files
from helm.source.values import documented, undocumented

if TYPE_CHECKING:
    from collections.abc import Iterator

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


FOREIGN = {f".definitions.{name}" for name in ("kubernetes", "texts", "quantities")} | {".properties.global"}


def test_no_object_takes_an_unknown_key() -> None:
    """But those that belong to Kubernetes, or whose keys are the user's own."""
    open_ones = {path for path, each in objects(schema()) if each.get("additionalProperties") is not False}
    assert open_ones == FOREIGN


def shapes(part: Any) -> Iterator[tuple[str, set[str]]]:
    """Every section of schema.yaml that has the keys of a foreign type, and which it has."""
    if isinstance(part, dict):
        if "x-like" in part:
            yield part["x-like"], set(part["properties"])
        for inner in part.values():
            yield from shapes(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from shapes(inner)


SHAPES = dict(shapes(yaml.safe_load((ROOT / "helm" / "source" / "schema.yaml").read_text())))
OF_THE_OPERATOR = {
    "TLSConfig": ("tls_config",),
    "SecretOrConfigMap": ("tls_config", "ca"),
    "RelabelConfig": ("relabelings",),
}


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The first model in a type."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(model_of, get_args(annotation))), None)


def operator_keys(kind: type[BaseModel], path: tuple[str, ...]) -> set[str]:
    """The keys of the model that a path leads to."""
    model: type[BaseModel] | None = kind
    for name in path:
        assert model is not None
        model = model_of(model.model_fields[name].annotation)
    assert model is not None
    return {field.alias or name for name, field in model.model_fields.items()}


def kubernetes_keys(name: str) -> set[str]:
    """The keys of a type of the newest Kubernetes that is checked."""
    version = f"v{kubernetes_validate.latest_version()}-local-strict"
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / version
    return set(json.loads((folder / f"{name.lower()}-v1.json").read_text())["properties"])


@pytest.mark.parametrize("name", SHAPES)
def test_a_section_that_is_like_a_foreign_type_has_its_keys(name: str) -> None:
    """All of them and no other: a typo is refused, and nothing is that the cluster would take."""
    path = OF_THE_OPERATOR.get(name)
    endpoint = ("spec", "endpoints", *(path or ()))
    assert SHAPES[name] == (operator_keys(operator.ServiceMonitor, endpoint) if path else kubernetes_keys(name))


def test_the_tls_settings_of_a_podmonitor_are_those_that_it_may_have() -> None:
    """Fewer than a ServiceMonitor's."""
    keys = set(schema()["properties"]["podMonitor"]["properties"]["tlsConfig"]["properties"])
    assert keys == operator_keys(operator.PodMonitor, ("spec", "pod_metrics_endpoints", "tls_config"))


def references(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema that refers to another one."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_nothing_that_matters_stands_beside_a_reference() -> None:
    """Draft 7 does not look at it: `{$ref: ..., minItems: 1}` would take an empty list."""
    found = list(references(schema()))
    assert len(found) > 50
    assert {key for each in found for key in each} <= {"$ref", "description", "default"}


def test_the_alerts_that_can_be_left_out_are_those_of_the_rules() -> None:
    """A name that is none would leave out nothing, and nobody would know."""
    groups = yaml.safe_load((CHART / "files" / "alpmon.rules.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert set(schema()["properties"]["prometheusRule"]["properties"]["disabled"]["items"]["enum"]) == alerts


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
