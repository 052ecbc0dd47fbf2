"""What two real helms make of the chart."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator

from alpmon import __version__
from alpmon.config import parse
from tests.helm.chart import CHART, CI_VALUES, HELMS, Manifest, RefusedError, helm, render
from tests.tools import require_tool

if TYPE_CHECKING:
    from pathlib import Path

OLDEST, NEWEST = "1.25", kubernetes_validate.latest_version()
CRD_GROUP = "monitoring.coreos.com/"

every_values_file = pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem.removesuffix("-values"))


def unknown_keys(given: Any, understood: Any, path: str = "") -> list[str]:
    """The keys of an object that are lost on the way through a model."""
    lost = []
    if isinstance(given, dict):
        for key, value in given.items():
            if isinstance(understood, dict) and key in understood:
                lost += unknown_keys(value, understood[key], f"{path}.{key}")
            else:
                lost.append(f"{path}.{key}")
    elif isinstance(given, list):
        for index, (one, other) in enumerate(zip(given, understood, strict=True)):
            lost += unknown_keys(one, other, f"{path}[{index}]")
    return lost


@pytest.mark.parametrize("program", HELMS)
@every_values_file
def test_it_lints_strictly(program: str, values: Path) -> None:
    """Not a warning either."""
    said = helm(program, "lint", "--strict", str(CHART), "--values", str(values))
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


@every_values_file
def test_both_helms_render_the_same(values: Path) -> None:
    """The parsed objects agree."""
    four, three = (render(values, program) for program in HELMS)
    assert four.objects == three.objects
    assert four.all("StatefulSet")


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@every_values_file
def test_kubernetes_takes_every_object(values: Path, version: str) -> None:
    """By its own schemas, strictly: no unknown key."""
    native = [each for each in render(values).objects if not each["apiVersion"].startswith(CRD_GROUP)]
    assert native
    for each in native:
        kubernetes_validate.validate(each, version, strict=True)


def test_kubernetes_would_not_take_an_unknown_key() -> None:
    """The check above can fail."""
    broken = render().one("StatefulSet")
    broken["spec"]["template"]["spec"]["hostnam"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)


def operator_objects(values: Path) -> list[Manifest]:
    """The objects that are the Prometheus operator's."""
    return [each for each in render(values).objects if each["apiVersion"].startswith(CRD_GROUP)]


def test_every_kind_of_the_operator_is_tried() -> None:
    """By one of the files at least."""
    kinds = {each["kind"] for values in CI_VALUES for each in operator_objects(values)}
    assert kinds == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


@every_values_file
def test_the_operator_takes_its_objects(values: Path) -> None:
    """By its own models, and no key is lost in them."""
    for each in operator_objects(values):
        model = getattr(operator, each["kind"]).model_validate(each)
        assert unknown_keys(each, model.model_dump(by_alias=True, exclude_unset=True, mode="json")) == []


def test_the_operator_would_lose_an_unknown_key() -> None:
    """The check above can fail."""
    (monitor,) = operator_objects(CHART / "ci" / "servicemonitor-values.yaml")
    monitor["spec"]["endpoints"][0]["intervall"] = "1s"
    model = operator.ServiceMonitor.model_validate(monitor)
    understood = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert unknown_keys(monitor, understood) == [".spec.endpoints[0].intervall"]


@every_values_file
def test_alpmon_takes_the_configuration(values: Path) -> None:
    """Under the environment that the pods have."""
    rendered = render(values)
    given = {each["name"]: each.get("value") or "x" for each in rendered.container["env"]}
    for ordinal in range(rendered.one("StatefulSet")["spec"]["replicas"]):
        parse(rendered.config_text, env={**given, "ALPMON_SHARD_INDEX": f"feeds-alpmon-{ordinal}"})


def test_alpmon_itself_checks_the_configuration(tmp_path: Path) -> None:
    """`alpmon config check`, as a person would."""
    file = tmp_path / "alpmon.yaml"
    file.write_text(render(CHART / "ci" / "shards-values.yaml").config_text)
    command = [sys.executable, "-m", "alpmon", "config", "check", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert "good; targets: 1, topics: 3" in said.stdout


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    """The spec of a PrometheusRule is a rule file."""
    spec = render(CHART / "ci" / "prometheusrule-values.yaml").one("PrometheusRule")["spec"]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps(spec))
    said = subprocess.run(
        [require_tool("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert "SUCCESS" in said.stdout


README = (CHART / "README.md").read_text()
YAML_BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    "block", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL), ids=lambda text: text.split(":")[0]
)
def test_the_values_in_the_readme_render(block: str) -> None:
    """As a reader would paste them."""
    rendered = render(yaml.safe_load(block))
    parse(rendered.config_text, env={})


def test_the_commands_in_the_readme_name_what_there_is() -> None:
    """The version, the script and the folder; every value that is set is one."""
    (block,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    root = CHART.parents[1]
    assert set(re.findall(r"/alpmon:([\w.]+)", block)) == {__version__}
    assert (root / re.findall(r"^(image/\S+)", block, re.MULTILINE)[0]).exists()
    (folder,) = re.findall(r"^helm install alpmon (\S+)", block, re.MULTILINE)
    assert root / folder == CHART
    given = re.findall(r'--set "([\w.]+)=\$registry"', block)
    assert render({"image": {"registry": "r.example"}}).container["image"] == f"r.example/alpmon:{__version__}"
    assert given == ["image.registry"]


TARGET = {"name": "t", "url": "wss://x/ws", "topics": ["trade.*"]}
BAD_VALUES = [
    ({"shards": 0}, "shards"),
    ({"shards": "two"}, "shards"),
    ({"replicasPerShard": 11}, "replicasPerShard"),
    ({"shard": 1}, "shard"),
    ({"image": {"tagg": "1"}}, "tagg"),
    ({"image": {"digest": "sha256:1"}}, "digest"),
    ({"config": {"targets": []}}, "targets"),
    ({"config": {"targets": [TARGET], "listen": ":1"}}, "listen"),
    ({"config": {"targets": [TARGET | {"url": "http://x"}]}}, "url"),
    ({"config": {"targets": [TARGET | {"url": "wss://user:secret@x/ws"}]}}, "url"),
    ({"config": {"targets": [TARGET | {"auth": {"token": "secret"}}]}}, "token"),
    ({"config": {"targets": [TARGET | {"timeouts": {"ack": 5}}]}}, "ack"),
    ({"config": {"targets": [TARGET | {"timeouts": {"conect": "5s"}}]}}, "conect"),
    ({"webConfig": {"existingSecret": "Not A Name"}}, "existingSecret"),
    ({"webConfig": {"basic_auth_users": {"a": "b"}}}, "basic_auth_users"),
    ({"service": {"port": 0}}, "port"),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable"),
    ({"serviceMonitor": {"interval": "often"}}, "interval"),
    ({"serviceMonitor": {"basicAuth": {"password": "secret"}}}, "password"),
    ({"serviceMonitor": {"tlsConfig": {"insecureSkipVerifi": True}}}, "insecureSkipVerifi"),
    ({"podMonitor": {"tlsConfig": {"caFile": "/ca"}}}, "caFile"),
    ({"podMonitor": {"relabelings": [{"action": "drpo"}]}}, "action"),
    ({"podMonitor": {"metricRelabelings": [{"sourceLabel": ["a"]}]}}, "sourceLabel"),
    ({"resources": {"limit": {"memory": "1Gi"}}}, "limit"),
    ({"podSecurityContext": {"runAsNonroot": True}}, "runAsNonroot"),
    ({"securityContext": {"readOnlyRootFileSystem": True}}, "readOnlyRootFileSystem"),
    ({"securityContext": {"capabilities": {"dropp": ["ALL"]}}}, "dropp"),
    ({"tolerations": [{"efect": "NoSchedule"}]}, "efect"),
    ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologyKey"),
    ({"prometheusRule": {"disabled": ["AlpmonFeedSlow"]}}, "disabled"),
    ({"networkPolicy": {"enabled": True, "ingress": {"from": []}}}, "from"),
    ({"networkPolicy": {"enabled": True, "ingress": {"from": None}}}, "from"),
    ({"config": {"targets": [TARGET | {"url": "wss://x/ws?token=abc"}]}}, "url"),
    ({"config": {"targets": [TARGET | {"reference": {"url": "https://u:p@x/api"}}]}}, "url"),
    ({"config": {"targets": [TARGET | {"auth": {"token_file": "eyJhbGciOi.JIUzI1NiIs.InR5c"}}]}}, "token_file"),
    ({"config": {"targets": [TARGET | {"auth": {"key_file": "0123abcd", "secret_file": "/s"}}]}}, "key_file"),
]


@pytest.mark.parametrize("program", HELMS)
@pytest.mark.parametrize(("values", "key"), BAD_VALUES, ids=lambda case: case if isinstance(case, str) else "")
def test_bad_values_are_refused_by_name(program: str, values: Manifest, key: str) -> None:
    """By the schema, before anything is rendered."""
    with pytest.raises(RefusedError, match=r"don't meet the specifications of the schema") as refusal:
        render(values, program)
    assert key in str(refusal.value)


@pytest.mark.parametrize("program", HELMS)
def test_both_monitors_at_once_are_refused(program: str) -> None:
    """Every pod would be scraped twice."""
    with pytest.raises(RefusedError, match="choose one"):
        render({"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}, program)


@pytest.mark.parametrize("program", HELMS)
def test_an_old_kubernetes_is_refused(program: str) -> None:
    """The chart's kubeVersion begins with the oldest that is checked."""
    with pytest.raises(RefusedError, match="incompatible with Kubernetes"):
        render({}, program, "--kube-version", "1.24.0")
    assert render({}, program, "--kube-version", OLDEST).objects
