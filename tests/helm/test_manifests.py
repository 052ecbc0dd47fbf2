"""What the rendered objects say, one case a feature: also what is not there when it is not asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from alpmon import __version__
from tests.helm.chart import CHART, CI_VALUES, NAMESPACE, Manifest, Rendered, helm, render

if TYPE_CHECKING:
    from pathlib import Path

CONTAINER_PORT = 9719
EVERYTHING_OFF = CHART / "ci" / "minimal-values.yaml"


def ci(name: str) -> Rendered:
    """One of the chart's own values files, rendered."""
    return render(CHART / "ci" / f"{name}-values.yaml")


def test_the_chart_runs_this_version() -> None:
    """Its appVersion is the package's, and so is the image's tag."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert render().container["image"] == f"alpmon:{__version__}"
    assert render({"image": {"tag": "7"}}).container["image"] == "alpmon:7"


def test_a_digest_goes_before_the_tag() -> None:
    """With the registry in front."""
    image = ci("scheduling").container["image"]
    assert image == "registry.example/tools/alpmon@sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("ServiceMonitor", {"serviceMonitor": {"enabled": True}}),
        ("PodMonitor", {"podMonitor": {"enabled": True}}),
        ("PrometheusRule", {"prometheusRule": {"enabled": True}}),
        ("NetworkPolicy", {"networkPolicy": {"enabled": True}}),
    ],
)
def test_it_is_there_when_enabled_and_not_otherwise(kind: str, values: Manifest) -> None:
    """Nothing that needs a CRD or a network plugin comes by itself."""
    assert render().all(kind) == []
    assert len(render(values).all(kind)) == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("PodDisruptionBudget", {"podDisruptionBudget": {"enabled": False}}),
        ("ServiceAccount", {"serviceAccount": {"create": False}}),
    ],
)
def test_it_is_not_there_when_disabled(kind: str, values: Manifest) -> None:
    """These come by themselves."""
    assert len(render().all(kind)) == 1
    assert render(values).all(kind) == []


def test_with_everything_off_only_what_must_be_is_there() -> None:
    """Configuration, Service, StatefulSet, and the pod of `helm test`."""
    rendered = render(EVERYTHING_OFF)
    assert sorted(each["kind"] for each in rendered.objects) == ["ConfigMap", "Pod", "Service", "StatefulSet"]
    assert rendered.pod["spec"]["serviceAccountName"] == "default"
    assert "state_file" not in rendered.config_text
    assert [each["name"] for each in rendered.pod["spec"]["volumes"]] == ["config"]


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem)
def test_no_manifest_is_or_holds_a_secret(values: Path) -> None:
    """Secrets are named, never made; the pods get no token."""
    rendered = render(values)
    assert rendered.all("Secret") == []
    assert rendered.pod["spec"]["automountServiceAccountToken"] is False
    for account in rendered.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem)
def test_every_pod_meets_the_restricted_standard(values: Path) -> None:
    """The monitor's and those of the test: no root, no capability, no writable root, the runtime's seccomp profile."""
    rendered = render(values)
    for spec in [rendered.pod["spec"], *(pod["spec"] for pod in rendered.all("Pod"))]:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
        assert {kind for volume in spec.get("volumes", []) for kind in volume} <= {
            *("name", "configMap", "secret", "emptyDir")
        }


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem)
def test_names_and_selectors_fit_together(values: Path) -> None:
    """Each selector finds the monitor's pods, and not those of the test."""
    rendered = render(values)
    stateful_set = rendered.one("StatefulSet")
    labels = rendered.pod["metadata"]["labels"].items()
    selectors = [stateful_set["spec"]["selector"]["matchLabels"], rendered.one("Service")["spec"]["selector"]]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in rendered.all("PodDisruptionBudget")]
    for spread in rendered.pod["spec"].get("topologySpreadConstraints", []):
        selectors.append(spread["labelSelector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= labels
        assert not selector.items() <= rendered.one("Pod")["metadata"]["labels"].items()
    assert stateful_set["spec"]["serviceName"] == rendered.one("Service")["metadata"]["name"]
    mounted = {each["name"] for each in rendered.container["volumeMounts"]}
    claims = {each["metadata"]["name"] for each in stateful_set["spec"].get("volumeClaimTemplates", [])}
    assert mounted == {each["name"] for each in rendered.pod["spec"]["volumes"]} | claims


def test_a_pod_learns_its_shard_from_its_name() -> None:
    """There are as many pods as shards and replicas together."""
    rendered = ci("shards")
    env = {each["name"]: each for each in rendered.container["env"]}
    assert rendered.one("StatefulSet")["spec"]["replicas"] == 16
    assert env["ALPMON_SHARD_INDEX"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert (env["ALPMON_SHARD_COUNT"]["value"], env["ALPMON_SHARD_REPLICAS"]["value"]) == ("8", "2")


def test_pods_are_replaced_one_at_a_time_and_given_time() -> None:
    """What the hand-over relies on."""
    spec = ci("shards").one("StatefulSet")["spec"]
    assert spec["updateStrategy"] == {"type": "RollingUpdate"}
    assert spec["minReadySeconds"] == 10
    assert ci("shards").one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_a_changed_configuration_replaces_the_pods_and_nothing_else_does() -> None:
    """By the checksum; a new port of the Service leaves them alone."""
    one = render()
    target = {"name": "alp", "url": "wss://www.alp.com/ws", "topics": ["trade.*"]}
    assert render({"config": {"targets": [target]}}).pod != one.pod
    assert render({"service": {"port": 80}}).pod == one.pod


def test_the_network_policy_uses_the_containers_port() -> None:
    """Whatever the Service's is."""
    rendered = ci("networkpolicy")
    assert rendered.one("Service")["spec"]["ports"][0]["port"] == 80
    (ingress,) = rendered.one("NetworkPolicy")["spec"]["ingress"]
    assert ingress["ports"] == [{"port": CONTAINER_PORT, "protocol": "TCP"}]
    assert rendered.container["ports"][0]["containerPort"] == CONTAINER_PORT
    assert yaml.safe_load(rendered.config_text)["listen"] == f":{CONTAINER_PORT}"


def test_the_network_policy_lets_out_to_name_servers_and_the_targets_ports_only() -> None:
    """Each port once: from URLs with and without one, of REST where it is used, and those given by hand."""
    spec = ci("networkpolicy").one("NetworkPolicy")["spec"]
    dns, targets = spec["egress"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [(each["port"], each["protocol"]) for each in dns["ports"]] == [(53, "UDP"), (53, "TCP")]
    assert sorted(each["port"] for each in targets["ports"]) == [80, 443, 3128, 8080, 8443, 9443]
    assert targets["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]


def test_the_network_policy_lets_the_test_out_too() -> None:
    """It goes the same way."""
    rendered = ci("networkpolicy")
    selected = rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert selected <= rendered.one("Pod")["metadata"]["labels"].items()
    assert selected <= rendered.pod["metadata"]["labels"].items()


def test_secrets_are_mounted_where_the_configuration_names_them() -> None:
    """By name only, read-only."""
    rendered = ci("secrets")
    mounts = {each["mountPath"]: each for each in rendered.container["volumeMounts"]}
    volumes = {each["name"]: each for each in rendered.pod["spec"]["volumes"]}
    for name in ("alp-api", "exchange-ca"):
        mount = mounts[f"/etc/alpmon/secrets/{name}"]
        assert mount["readOnly"] is True
        assert volumes[mount["name"]]["secret"] == {"secretName": name}
        assert f"/etc/alpmon/secrets/{name}/" in rendered.config_text


def test_probes_ask_over_http() -> None:
    """Health and readiness by the named port."""
    container = render().container
    assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "metrics"}


def test_probes_are_alpmons_own_where_every_path_is_guarded() -> None:
    """No password in a manifest; the scrape is told to use TLS."""
    rendered = ci("web-config")
    command = ["alpmon", "health", f"https://127.0.0.1:{CONTAINER_PORT}/-/healthy"]
    assert rendered.container["livenessProbe"]["exec"]["command"] == command
    assert rendered.one("ServiceMonitor")["spec"]["endpoints"][0]["scheme"] == "https"
    assert yaml.safe_load(rendered.config_text)["web_config_file"] == "/etc/alpmon/web/web-config.yml"


@pytest.mark.parametrize(
    ("kind", "endpoints"), [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")]
)
def test_a_monitor_is_selected_by_its_labels_and_selects_the_pods(kind: str, endpoints: str) -> None:
    """The job is named alpmon, as the rules expect it."""
    rendered = ci(kind.lower())
    monitor = rendered.one(kind)
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}
    selected = rendered.one("Service") if kind == "ServiceMonitor" else rendered.pod
    assert monitor["spec"]["selector"]["matchLabels"].items() <= selected["metadata"]["labels"].items()
    assert selected["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "alpmon"
    (endpoint,) = monitor["spec"][endpoints]
    assert endpoint["port"] == rendered.container["ports"][0]["name"]
    assert endpoint["interval"] == "15s"


def test_the_rules_are_those_of_the_repository() -> None:
    """Unchanged unless asked for."""
    shipped = yaml.safe_load((CHART / "files" / "alpmon.rules.yaml").read_text())
    assert render({"prometheusRule": {"enabled": True}}).one("PrometheusRule")["spec"] == shipped


def test_rules_take_labels_addresses_and_omissions() -> None:
    """Severity stays; recording rules get no alert's label."""
    rule = ci("prometheusrule").one("PrometheusRule")
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    alerts = [each for each in rules if "alert" in each]
    assert rule["metadata"]["namespace"] == "monitoring"
    assert len(alerts) > 10
    assert not {"AlpmonClockOffset", "AlpmonFeedThin"} & {each["alert"] for each in alerts}
    for each in alerts:
        assert each["labels"]["team"] == "market-data"
        assert each["labels"]["severity"] in ("critical", "warning")
        assert each["annotations"]["runbook_url"].startswith("https://wiki.example/alpmon#")
        assert each["annotations"]["dashboard_url"].startswith("https://grafana.example/")
    assert not any("team" in each.get("labels", {}) for each in rules if "record" in each)


def test_dashboards_are_found_by_the_sidecar() -> None:
    """One ConfigMap each, whole, under its label, in a folder."""
    files = sorted((CHART / "files" / "dashboards").glob("*.json"))
    found = [each for each in ci("dashboards").all("ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
    assert files
    assert [next(iter(each["data"])) for each in found] == [path.name for path in files]
    for path, each in zip(files, found, strict=True):
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Market data"}
        assert json.loads(each["data"][path.name]) == json.loads(path.read_text())


def test_state_lives_with_the_pod_or_on_a_volume() -> None:
    """The only place that can be written to."""
    volumes = {each["name"]: each for each in render().pod["spec"]["volumes"]}
    assert volumes["state"] == {"name": "state", "emptyDir": {"sizeLimit": "64Mi"}}
    kept = ci("persistence")
    (claim,) = kept.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert "state" not in {each["name"] for each in kept.pod["spec"]["volumes"]}


def test_helm_test_checks_each_target() -> None:
    """As alpmon itself would connect."""
    values = {
        "config": {
            "targets": [
                {"name": "a", "url": "wss://a/ws", "topics": ["trade.*"], "tls": {"ca_file": "/ca"}},
                {"name": "b", "url": "wss://b/ws", "topics": ["ticker.*"], "tls": {"insecure_skip_verify": True}},
            ]
        }
    }
    pod = render(values).one("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    common = ["--messages=0", "--timeout=30s"]
    assert [each["args"] for each in pod["spec"]["containers"]] == [
        ["check", "wss://a/ws", "--topic=trade.*", *common, "--ca=/ca"],
        ["check", "wss://b/ws", "--topic=ticker.*", *common, "--insecure"],
    ]


def test_extra_manifests_are_run_through_the_template_engine() -> None:
    """Objects and text alike."""
    rendered = ci("extra-manifests")
    assert rendered.named("ConfigMap", "feeds-extra")["data"] == {"shards": "1"}
    assert rendered.named("ConfigMap", "feeds-alpmon-text")


def test_a_long_name_leaves_room_for_the_pods() -> None:
    """A pod's name and its revision label are at most 63 characters long."""
    name = render({"fullnameOverride": "x" * 60}).one("StatefulSet")["metadata"]["name"]
    assert len(name) == 52


def test_the_notes_say_how_to_see_the_first_metric() -> None:
    """With commands that name the release's own objects."""
    notes = helm("helm4", "install", "feeds", str(CHART), "--dry-run=client", "--namespace", NAMESPACE)
    assert "kubectl --namespace market port-forward pod/feeds-alpmon-0 9719" in notes
    assert "grep alpmon_connection_up" in notes
