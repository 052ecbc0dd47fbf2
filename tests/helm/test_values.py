"""Every value that is documented is tried: some file of ci/ sets it, and what it says is found in the objects."""

from __future__ import annotations

import copy
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from helm.source.values import KeyPath, Value, documented
from tests.helm.chart import CHART, CI_VALUES, Manifest, Rendered, render

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = list(documented((CHART / "values.yaml").read_text()))
LEFT_OUT = {("prometheusRule", "disabled")}
"""What is named there is what is not found."""

TEMPLATES = {("extraManifests",)}
"""What stands there is not what comes of it; test_manifests says what does."""

every_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: ".".join(value.path))


@cache
def ci_values() -> list[Manifest]:
    """The contents of the files of ci/."""
    return [yaml.safe_load(path.read_text()) or {} for path in CI_VALUES]


def at(values: Any, path: KeyPath) -> Any:
    """What stands at a path; None where nothing does."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def setting(value: Value) -> Manifest:
    """The file that sets a key to something else than its default."""
    found = [each for each in ci_values() if at(each, value.path) not in (None, value.default)]
    assert found, f"no file of ci/ sets {'.'.join(value.path)}"
    return found[0]


def without(values: Manifest, path: KeyPath) -> Manifest:
    """The same values without one key."""
    less = copy.deepcopy(values)
    del at(less, path[:-1])[path[-1]]
    return less


def leaves(part: Any) -> Iterator[str]:
    """Every text and number, and every key of a mapping, as text; whether something is on is no text."""
    if isinstance(part, dict):
        for key, inner in part.items():
            yield key
            yield from leaves(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from leaves(inner)
    elif not isinstance(part, bool) and part is not None:
        yield str(part)


@cache
def said(index: int) -> set[str]:
    """Every word of the objects that a file of ci/ makes; the texts in ConfigMaps that are YAML are read as well."""
    return set(words(render(ci_values()[index])))


def words(rendered: Rendered) -> Iterator[str]:
    """The leaves of all objects, and of the configuration inside one."""
    yield from leaves(rendered.objects)
    yield from leaves(yaml.safe_load(rendered.config_text))


@every_value
def test_some_file_of_ci_sets_it_and_without_it_the_objects_are_others(value: Value) -> None:
    """A value that changes nothing is a template that forgot it."""
    values = setting(value)
    assert render(values).objects != render(without(values, value.path)).objects


@pytest.mark.parametrize(
    "value", [value for value in VALUES if value.path not in TEMPLATES], ids=lambda value: ".".join(value.path)
)
def test_what_it_says_is_found_in_the_objects(value: Value) -> None:
    """Whole: a part of it that was lost on the way would be missed."""
    values = setting(value)
    found = said(ci_values().index(values))
    missing = [leaf for leaf in leaves(at(values, value.path)) if not any(leaf in word for word in found)]
    expected = list(leaves(at(values, value.path))) if value.path in LEFT_OUT else []
    assert missing == expected


CANARY = "hunter2-hunter2"
EVERY_REFERENCE: Manifest = {
    "secrets": ["alp-api"],
    "imagePullSecrets": [{"name": "registry"}],
    "webConfig": {"existingSecret": "web", "tls": True, "probeSecret": "probe"},
    "env": [{"name": "CANARY", "valueFrom": {"secretKeyRef": {"name": "canary", "key": "value"}}}],
    "podAnnotations": {"note": "${CANARY}"},
    "serviceMonitor": {
        "enabled": True,
        "tlsConfig": {"keySecret": {"name": "web", "key": "tls.key"}},
        "basicAuth": {"username": {"name": "scrape", "key": "u"}, "password": {"name": "scrape", "key": "p"}},
    },
    "dashboards": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "extraManifests": ["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside}\ndata: {note: '${CANARY}'}"],
    "config": {
        "targets": [
            {
                "name": "private",
                "url": "wss://${CANARY}/ws?token=${CANARY}",
                "topics": ["ticker.*"],
                "tls": {"ca_file": "/etc/alpmon/secrets/alp-api/${CANARY}"},
                "auth": {
                    "key_file": "/etc/alpmon/secrets/alp-api/key",
                    "secret_file": "/etc/alpmon/secrets/alp-api/secret",
                },
            }
        ]
    },
}


@pytest.mark.parametrize("program", ["helm4", "helm3"])
def test_a_secret_is_named_everywhere_and_said_nowhere(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the environment of whoever installs holds it; nor is anything looked up in the cluster."""
    monkeypatch.setitem(os.environ, "CANARY", CANARY)
    rendered = render(EVERY_REFERENCE, program)
    assert "${CANARY}" in rendered.config_text
    assert CANARY not in rendered.text
    for name in ("alp-api", "registry", "web", "probe", "canary", "scrape"):
        assert name in set(words(rendered))
    templates = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    assert "lookup" not in templates


@pytest.mark.parametrize("values", [*CI_VALUES, EVERY_REFERENCE], ids=lambda path: getattr(path, "stem", "all at once"))
def test_a_configmap_holds_the_configuration_or_a_dashboard_and_nothing_beside(values: Any) -> None:
    """And there is no Secret, because the chart makes none."""
    rendered = render(values)
    own = [
        each
        for each in rendered.all("ConfigMap")
        if "app.kubernetes.io/managed-by" in each["metadata"].get("labels", {})
    ]
    config = rendered.one("StatefulSet")["metadata"]["name"]
    for each in own:
        (key,) = each["data"]
        assert set(each) == {"apiVersion", "kind", "metadata", "data"}
        assert (key == "alpmon.yaml") if each["metadata"]["name"] == config else key.endswith(".json")
    assert rendered.all("Secret") == []
