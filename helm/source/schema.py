"""values.schema.json: the shape in schema.yaml, the words of values.yaml, alpmon's own schema for `config`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any, Final, TypeAlias

import yaml

from alpmon.config import schema as alpmon_schema
from helm.source.values import Value

Schema: TypeAlias = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
SET_BY_THE_CHART: Final = ("listen", "shard", "state_file", "web_config_file")

_TELLING_QUERY: Final = "[?&][^=&#]*(token|secret|pass|auth|key|sig|jwt)[^=&#]*=[^$&#]"
"""What alpmon masks where it shows a URL; a variable of the environment may stand there."""
_NO_SECRET_IN: Final[dict[str, Schema]] = {"uri": {"not": {"pattern": _TELLING_QUERY}}, "path": {"pattern": "^/"}}

_SECTION_WORDS: Final = {
    "webConfig": "TLS and passwords for every path.",
    "state": "What freshness has learnt.",
    "state.persistence": "A volume of its own for it.",
    "image": "The image to run.",
    "probes": "How the kubelet asks whether alpmon lives and is ready.",
    "serviceAccount": "The pods' ServiceAccount.",
    "service": "The headless Service.",
    "serviceMonitor": "A ServiceMonitor for the Prometheus operator.",
    "podMonitor": "A PodMonitor for the Prometheus operator.",
    "prometheusRule": "A PrometheusRule for the Prometheus operator.",
    "dashboards": "Dashboards for Grafana's sidecar.",
    "networkPolicy": "A NetworkPolicy.",
    "podDisruptionBudget": "A PodDisruptionBudget.",
}


def values_schema(shape: str, values: list[Value], alerts: Iterable[str]) -> str:
    """The whole file; `alerts` are the names that `prometheusRule.disabled` may hold."""
    schema: Schema = {"$schema": DIALECT, "title": "alpmon chart values", **yaml.safe_load(shape)}
    schema["properties"]["config"] = _config(schema["definitions"])
    _inline_monitors(schema)
    _at(schema, ("prometheusRule", "disabled"))["items"] = {"enum": sorted(alerts)}
    for path, words in _SECTION_WORDS.items():
        _at(schema, tuple(path.split(".")))["description"] = words
    for value in values:
        _at(schema, value.path)["description"] = value.description
    _close(schema)
    return json.dumps(schema, indent=2) + "\n"


def _at(schema: Schema, path: tuple[str, ...]) -> Schema:
    for key in path:
        schema = schema["properties"][key]
    return schema


def _inline_monitors(schema: Schema) -> None:
    """Each monitor's keys carry descriptions of their own, so they cannot share one object.

    A PodMonitor may not name files on the disk of Prometheus.
    """
    shape = schema["definitions"].pop("monitor")
    for name in ("serviceMonitor", "podMonitor"):
        schema["properties"][name] = deepcopy(shape)
    tls = _at(schema, ("podMonitor", "tlsConfig"))["properties"]
    for key in ("caFile", "certFile", "keyFile"):
        del tls[key]


def _close(schema: Any) -> None:
    """No object takes a key that it does not name, unless it says so; foreign keys are described by whose they are."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        if "x-like" in schema:
            model = schema.pop("x-like")
            schema.setdefault("description", f"As in a {model}.")
            for key, each in schema["properties"].items():
                each.setdefault("description", f"`{key}` of a {model}.")
        for inner in schema.values():
            _close(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _close(inner)


def _config(definitions: Schema) -> Schema:
    """Alpmon's schema in the words of draft 7, without what the chart sets; its definitions join the chart's."""
    schema: Schema = _translated(alpmon_schema())
    definitions.update(schema.pop("definitions"))
    del schema["$schema"], schema["title"]
    for key in SET_BY_THE_CHART:
        del schema["properties"][key]
    return schema


def _translated(part: Any) -> Any:
    """Draft 2020-12 as pydantic writes it, to draft 7.

    Helm 3 takes its patterns for Go's, which cannot look ahead; the order of a duration's units is left to
    `alpmon config check`. A ConfigMap shows everything: a URL may carry no password, and the path of a secret's file
    is absolute, so that the secret itself, pasted there, is refused.
    """
    if isinstance(part, list):
        return [_translated(each) for each in part]
    if not isinstance(part, dict):
        return part
    translated = {("definitions" if key == "$defs" else key): _translated(value) for key, value in part.items()}
    reference, pattern = translated.get("$ref"), translated.get("pattern")
    if isinstance(reference, str):
        translated["$ref"] = reference.replace("#/$defs/", "#/definitions/")
    if isinstance(pattern, str):
        translated["pattern"] = _go_pattern(pattern)
    kind = translated.get("format")
    if isinstance(kind, str) and kind in _NO_SECRET_IN:
        del translated["format"]
        translated |= _NO_SECRET_IN[kind]
    return translated


def _go_pattern(pattern: str) -> str:
    if "://" in pattern:
        return pattern.replace("[^/]", "[^/@]+(/.*)?$")
    return pattern.replace("(?=[0-9])", "")
