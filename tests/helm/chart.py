"""The chart, rendered by a real helm."""

from __future__ import annotations

import json
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.tools import require_tool

Manifest: TypeAlias = dict[str, Any]

CHART = Path(__file__).resolve().parents[2] / "helm" / "alpmon"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
HELMS = ("helm4", "helm3")
RELEASE = "feeds"
NAMESPACE = "market"


class RefusedError(Exception):
    """Helm would not render; its own words."""


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Manifest] = [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]

    def all(self, kind: str) -> list[Manifest]:
        """The objects of a kind, those of the tests included."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> Manifest:
        """The only object of a kind."""
        (found,) = self.all(kind)
        return found

    def named(self, kind: str, name: str) -> Manifest:
        """The object of a kind that has this name."""
        (found,) = [each for each in self.all(kind) if each["metadata"]["name"] == name]
        return found

    @property
    def pod(self) -> Manifest:
        """The pod template of the StatefulSet."""
        template: Manifest = self.one("StatefulSet")["spec"]["template"]
        return template

    @property
    def container(self) -> Manifest:
        """Alpmon's container."""
        (container,) = self.pod["spec"]["containers"]
        found: Manifest = container
        return found

    @property
    def config_text(self) -> str:
        """What is mounted as alpmon.yaml."""
        found: str = self.named("ConfigMap", self.one("StatefulSet")["metadata"]["name"])["data"]["alpmon.yaml"]
        return found


@lru_cache
def helm(program: str, *arguments: str, stdin: str | None = None) -> str:
    """Run helm; what it says on stdout."""
    done = subprocess.run([require_tool(program), *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stdout + done.stderr)
    return done.stdout


def render(values: Path | Manifest | None = None, program: str = HELMS[0], *arguments: str) -> Rendered:
    """The chart with a values file or with values; JSON is YAML."""
    if isinstance(values, Path):
        given, stdin = ["--values", str(values)], None
    else:
        given, stdin = ["--values", "-"], json.dumps(values or {})
    common = ["--namespace", NAMESPACE, "--api-versions", "monitoring.coreos.com/v1"]
    return Rendered(helm(program, "template", RELEASE, str(CHART), *common, *given, *arguments, stdin=stdin))
