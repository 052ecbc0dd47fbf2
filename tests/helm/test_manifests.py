"""What the rendered objects say, one case a feature: also what is not there when it is not asked for."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from alpmon import __version__
from alpmon.cli import main
from alpmon.config.document import MAX_FILE_BYTES
from alpmon.probe.supervisor import STOP_SECONDS
from tests.helm.chart import CHART, CI_VALUES, HELMS, NAMESPACE, RELEASE, Manifest, RefusedError, Rendered, helm, render

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def test_the_pages_of_package_indexes_are_told_the_truth() -> None:
    """By annotations of artifacthub.io: the licence is the package's, and every change is of a kind that it knows."""
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    told = {name.removeprefix("artifacthub.io/"): text for name, text in annotations.items()}
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    assert told["license"] == project["license"]
    assert told["category"] == "monitoring-logging"
    assert {told[name] for name in ("operator", "prerelease", "containsSecurityUpdates")} == {"false"}
    changes = yaml.safe_load(told["changes"])
    assert changes
    assert all(each["description"] for each in changes)
    assert {each["kind"] for each in changes} <= {"added", "changed", "deprecated", "removed", "fixed", "security"}


def test_an_image_has_its_registry_its_repository_and_its_tag() -> None:
    """And is pulled as asked."""
    container = ci("image").container
    assert container["image"] == "registry.example/tools/feeds/alpmon:0.1.0-rebuilt"
    assert container["imagePullPolicy"] == "Always"


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
        if spread["labelSelector"] != {"matchLabels": {"team": "market-data"}}:
            selectors.append(spread["labelSelector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= labels
        assert not selector.items() <= rendered.one("Pod")["metadata"]["labels"].items()
    assert stateful_set["spec"]["serviceName"] == rendered.one("Service")["metadata"]["name"]


def test_a_pod_learns_its_shard_from_its_name() -> None:
    """There are as many pods as shards and replicas together."""
    rendered = ci("shards")
    env = {each["name"]: each for each in rendered.container["env"]}
    assert rendered.one("StatefulSet")["spec"]["replicas"] == 16
    assert env["ALPMON_SHARD_INDEX"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert (env["ALPMON_SHARD_COUNT"]["value"], env["ALPMON_SHARD_REPLICAS"]["value"]) == ("8", "2")


def test_pods_start_together_and_are_replaced_one_at_a_time_and_given_time() -> None:
    """What the hand-over relies on."""
    spec = ci("shards").one("StatefulSet")["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["updateStrategy"] == {"type": "RollingUpdate"}
    assert spec["minReadySeconds"] == 10
    assert ci("shards").one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert ci("shards").pod["spec"]["terminationGracePeriodSeconds"] > STOP_SECONDS


def test_the_service_gives_each_pod_a_name_ready_or_not() -> None:
    """Each shows its own shard, so there is no address to balance over."""
    spec = render().one("Service")["spec"]
    assert (spec["type"], spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("ClusterIP", "None", True)
    assert spec["ports"] == [{"name": "metrics", "port": CONTAINER_PORT, "targetPort": "metrics", "protocol": "TCP"}]


def test_a_selector_of_ones_own_is_left_alone() -> None:
    """Where none is given, the release's pods are meant."""
    zone, host = ci("scheduling").pod["spec"]["topologySpreadConstraints"]
    assert zone["labelSelector"] == ci("scheduling").one("StatefulSet")["spec"]["selector"]
    assert host["labelSelector"] == {"matchLabels": {"team": "market-data"}}


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
    ingress = rendered.one("NetworkPolicy")["spec"]["ingress"][0]
    assert ingress["ports"] == [{"port": CONTAINER_PORT, "protocol": "TCP"}]
    assert rendered.container["ports"][0]["containerPort"] == CONTAINER_PORT
    assert yaml.safe_load(rendered.config_text)["listen"] == f":{CONTAINER_PORT}"


def test_the_network_policy_lets_in_who_scrapes_and_whom_else_one_adds() -> None:
    """Not everybody: a rule without peers would."""
    given = yaml.safe_load((CHART / "ci" / "networkpolicy-values.yaml").read_text())["networkPolicy"]["ingress"]
    scrape, *more = ci("networkpolicy").one("NetworkPolicy")["spec"]["ingress"]
    assert scrape["from"] == given["from"]
    assert more == given["extra"]
    (usual,) = render({"networkPolicy": {"enabled": True}}).one("NetworkPolicy")["spec"]["ingress"]
    assert usual["from"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}


def test_the_network_policy_lets_out_to_name_servers_and_the_targets_ports_only() -> None:
    """Each port once: from URLs with and without one, of REST where it is used, and those given by hand."""
    given = yaml.safe_load((CHART / "ci" / "networkpolicy-values.yaml").read_text())["networkPolicy"]["egress"]
    spec = ci("networkpolicy").one("NetworkPolicy")["spec"]
    dns, targets, *more = spec["egress"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [(each["port"], each["protocol"]) for each in dns["ports"]] == [(53, "UDP"), (53, "TCP")]
    assert dns["to"] == given["dns"]
    assert sorted(each["port"] for each in targets["ports"]) == [80, 443, 3128, 8080, 8443, 9443]
    assert targets["to"] == given["to"]
    assert more == given["extra"]
    usual, anywhere = render({"networkPolicy": {"enabled": True}}).one("NetworkPolicy")["spec"]["egress"]
    assert usual["to"][0]["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    assert "to" not in anywhere


def test_the_network_policy_lets_the_test_out_too() -> None:
    """It goes the same way."""
    rendered = ci("networkpolicy")
    selected = rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert selected <= rendered.one("Pod")["metadata"]["labels"].items()
    assert selected <= rendered.pod["metadata"]["labels"].items()


def mounts_of(spec: Manifest, claims: list[Manifest]) -> dict[str, Manifest]:
    """What a container finds at each mount path: the volume, with the mount's `readOnly`."""
    (container,) = spec["containers"]
    volumes = {each["name"]: each for each in spec["volumes"]}
    volumes |= {each["metadata"]["name"]: {"claim": each} for each in claims}
    mounts = container["volumeMounts"]
    assert {each["name"] for each in mounts} == set(volumes)
    return {each["mountPath"]: volumes[each["name"]] | {"readOnly": each.get("readOnly", False)} for each in mounts}


def files_of(part: Any) -> Iterator[str]:
    """Every absolute path in a configuration."""
    if isinstance(part, dict):
        for inner in part.values():
            yield from files_of(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from files_of(inner)
    elif isinstance(part, str) and part.startswith("/"):
        yield part


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem)
def test_every_file_that_is_named_is_mounted_and_only_the_state_can_be_written(values: Path) -> None:
    """By the arguments, by the configuration and by the probes; in the monitor's pod and in that of the test."""
    rendered = render(values)
    claims = rendered.one("StatefulSet")["spec"].get("volumeClaimTemplates", [])
    config = yaml.safe_load(rendered.config_text)
    state, web = config.pop("state_file", None), config.pop("web_config_file", None)
    mounts = mounts_of(rendered.pod["spec"], claims)
    assert rendered.container["args"][0] == "run"
    writable = {path for path, each in mounts.items() if not each["readOnly"]}
    assert writable == (set() if state is None else {str(PurePath(state).parent)})
    if web is not None:
        given = yaml.safe_load(values.read_text())["webConfig"]
        assert mounts[str(PurePath(web).parent)]["secret"] == {"secretName": given["existingSecret"]}
        assert PurePath(web).name == given.get("key", "web-config.yml")
    for spec in (rendered.pod["spec"], rendered.one("Pod")["spec"]):
        mounts = mounts_of(spec, claims if spec is rendered.pod["spec"] else [])
        (container,) = spec["containers"]
        (option,) = [word for word in container["args"] if word.startswith("--config=")]
        file = PurePath(option.removeprefix("--config="))
        source = mounts[str(file.parent)]["configMap"]["name"]
        assert file.name in rendered.named("ConfigMap", source)["data"]
        for path in files_of(config):
            kind, name = PurePath(path).parts[3:5]
            volume = mounts[str(PurePath(path).parent)]
            found = volume["secret"]["secretName"] if kind == "secrets" else volume["configMap"]["name"]
            assert found == name


def test_probes_ask_over_http() -> None:
    """Health and readiness by the named port, as often as asked."""
    container = ci("runtime").container
    timings = {"periodSeconds": 23, "timeoutSeconds": 12, "failureThreshold": 13}
    assert container["livenessProbe"] == {"httpGet": {"path": "/-/healthy", "port": "metrics"}, **timings}
    assert container["readinessProbe"] == {"httpGet": {"path": "/-/ready", "port": "metrics"}, **timings}


def test_probes_are_alpmons_own_where_every_path_is_guarded() -> None:
    """No password in a manifest: the readiness probe finds its in a Secret; the scrape is told to use TLS."""
    rendered = ci("web-config")
    alive, ready = (rendered.container[f"{name}Probe"] for name in ("liveness", "readiness"))
    assert alive["exec"]["command"] == ["alpmon", "health", f"https://127.0.0.1:{CONTAINER_PORT}/-/healthy"]
    *words, url = ready["exec"]["command"]
    assert url == f"https://127.0.0.1:{CONTAINER_PORT}/-/ready"
    assert "initialDelaySeconds" not in ready
    mounts = mounts_of(rendered.pod["spec"], [])
    for option, file in (word.split("=") for word in words[2:]):
        assert option == f"--{PurePath(file).name}-file"
        assert mounts[str(PurePath(file).parent)]["secret"] == {"secretName": "alpmon-probe"}
    assert CliRunner().invoke(main, [*words[1:], url]).exit_code == 1  # taken; nobody answers
    assert rendered.one("ServiceMonitor")["spec"]["endpoints"][0]["scheme"] == "https"


def test_a_guarded_monitor_that_the_probe_has_no_password_for_is_given_time_instead() -> None:
    """To be refused counts as an answer, at once."""
    guarded = render({"webConfig": {"existingSecret": "web"}, "minReadySeconds": 33}).container["readinessProbe"]
    assert guarded["exec"]["command"] == ["alpmon", "health", f"http://127.0.0.1:{CONTAINER_PORT}/-/ready"]
    assert guarded["initialDelaySeconds"] == 33


@pytest.mark.parametrize(
    ("kind", "endpoints"), [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")]
)
def test_a_monitor_is_selected_by_its_labels_and_selects_the_pods(kind: str, endpoints: str) -> None:
    """In the release's namespace, wherever it stands itself; its settings arrive as they are."""
    rendered = ci(kind.lower())
    key = kind[0].lower() + kind[1:]
    given = yaml.safe_load((CHART / "ci" / f"{kind.lower()}-values.yaml").read_text())[key]
    monitor = rendered.one(kind)
    assert monitor["metadata"]["namespace"] == "monitoring"
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}
    assert monitor["spec"]["sampleLimit"] == given["sampleLimit"]
    selected = rendered.one("Service") if kind == "ServiceMonitor" else rendered.pod
    assert monitor["spec"]["selector"]["matchLabels"].items() <= selected["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"][endpoints]
    assert endpoint["port"] == rendered.container["ports"][0]["name"]
    assert endpoint["relabelings"][1:] == given["relabelings"]
    for name in ("interval", "scrapeTimeout", "tlsConfig", "basicAuth", "metricRelabelings"):
        assert endpoint.get(name) == given.get(name)


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
@pytest.mark.parametrize("names", [{}, {"nameOverride": "feed-watch"}, {"fullnameOverride": "feed-watch"}])
def test_the_job_is_the_one_that_the_rules_look_for(kind: str, names: Manifest) -> None:
    """Whatever the chart's objects are called; else `AlpmonAbsent` would fire for ever."""
    jobs = set(re.findall(r'job="(\w+)"', (CHART / "files" / "alpmon.rules.yaml").read_text()))
    monitor = render({kind[0].lower() + kind[1:]: {"enabled": True}, **names}).one(kind)
    (endpoint,) = monitor["spec"]["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
    first = endpoint["relabelings"][0]
    assert jobs == {first["replacement"]}
    assert (first["action"], first["targetLabel"]) == ("replace", "job")


@pytest.mark.parametrize(("kind", "key"), [("ServiceMonitor", "targetLabels"), ("PodMonitor", "podTargetLabels")])
def test_the_series_of_two_releases_are_told_apart(kind: str, key: str) -> None:
    """By the release's name, which the alerts about shards keep; the Service and the pods carry it."""
    rendered = render({kind[0].lower() + kind[1:]: {"enabled": True}})
    (label,) = rendered.one(kind)["spec"][key]
    selected = rendered.one("Service") if kind == "ServiceMonitor" else rendered.pod
    assert selected["metadata"]["labels"][label] == RELEASE


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
    found = [each for each in ci("dashboards").all("ConfigMap") if "grafana_board" in each["metadata"]["labels"]]
    assert files
    assert {each["metadata"]["namespace"] for each in found} == {"monitoring"}
    assert [next(iter(each["data"])) for each in found] == [path.name for path in files]
    for path, each in zip(files, found, strict=True):
        assert each["metadata"]["labels"]["grafana_board"] == "market"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Market data"}
        assert json.loads(each["data"][path.name]) == json.loads(path.read_text())


def test_dashboards_have_names_of_their_own_and_the_usual_label() -> None:
    """Also where the release's name is as long as it may be."""
    names = {"fullnameOverride": "x" * 52, "dashboards": {"enabled": True}}
    found = [each["metadata"] for each in render(names).all("ConfigMap") if "dashboard" in each["metadata"]["name"]]
    assert len({each["name"] for each in found}) == len(found) == 4
    assert {each["labels"]["grafana_dashboard"] for each in found} == {"1"}
    assert {each["namespace"] for each in found} == {NAMESPACE}


def test_state_lives_with_the_pod_or_on_a_volume() -> None:
    """The only place that can be written to."""
    volumes = {each["name"]: each for each in render().pod["spec"]["volumes"]}
    assert volumes["state"] == {"name": "state", "emptyDir": {"sizeLimit": "64Mi"}}
    kept = ci("persistence")
    (claim,) = kept.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert "state" not in {each["name"] for each in kept.pod["spec"]["volumes"]}


def test_helm_test_checks_the_configuration_where_the_monitor_runs() -> None:
    """All targets in one container, with the same files, the same environment, on the same nodes."""
    rendered = ci("secrets")
    test = rendered.one("Pod")
    (container,) = test["spec"]["containers"]
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container["args"][0] == "check"
    assert CliRunner().invoke(main, [*container["args"], "--help"]).exit_code == 0
    own = [each for each in rendered.container["env"] if not each["name"].startswith("ALPMON_SHARD_")]
    assert container["env"] == own == yaml.safe_load((CHART / "ci" / "secrets-values.yaml").read_text())["env"]
    for name in ("image", "imagePullPolicy", "resources", "securityContext"):
        assert container[name] == rendered.container[name]


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem)
def test_the_pod_of_the_test_runs_as_and_where_the_monitors_do(values: Path) -> None:
    """A way that is closed to one is closed to the other."""
    rendered = render(values)
    same = ("serviceAccountName", "securityContext", "nodeSelector", "tolerations", "affinity", "priorityClassName")
    for name in (*same, "imagePullSecrets", "automountServiceAccountToken", "enableServiceLinks"):
        assert rendered.one("Pod")["spec"].get(name) == rendered.pod["spec"].get(name)
    assert rendered.pod["spec"]["enableServiceLinks"] is False


def test_extra_manifests_are_run_through_the_template_engine() -> None:
    """Objects and text alike."""
    rendered = ci("extra-manifests")
    assert rendered.named("ConfigMap", "feeds-extra")["data"] == {"shards": "1"}
    assert rendered.named("ConfigMap", "feeds-alpmon-text")


def test_a_long_name_leaves_room_for_the_pods() -> None:
    """A pod's name and its revision label are at most 63 characters long."""
    name = render({"fullnameOverride": "x" * 60}).one("StatefulSet")["metadata"]["name"]
    assert len(name) == 52


def test_labels_given_twice_are_there_once() -> None:
    """The nearer one goes before the one of all objects, and none before those that selectors go by."""
    common = {"team": "a", "release": "of-everybody", "app.kubernetes.io/name": "other", "helm.sh/chart": "other"}
    rendered = render(
        {
            "commonLabels": common,
            "podLabels": {"team": "b", "app.kubernetes.io/instance": "other"},
            "serviceMonitor": {"enabled": True, "labels": {"release": "stack"}},
        }
    )
    assert rendered.one("ServiceMonitor")["metadata"]["labels"]["release"] == "stack"
    assert rendered.one("Service")["metadata"]["labels"]["release"] == "of-everybody"
    assert rendered.pod["metadata"]["labels"]["release"] == "of-everybody"
    assert rendered.pod["metadata"]["labels"]["team"] == "b"
    for labels in (rendered.pod["metadata"]["labels"], rendered.one("Service")["metadata"]["labels"]):
        assert labels["app.kubernetes.io/name"] == "alpmon"
        assert labels["app.kubernetes.io/instance"] == RELEASE


def test_large_numbers_are_written_out() -> None:
    """1e+06 is no integer to Kubernetes."""
    text = render({"serviceMonitor": {"enabled": True, "sampleLimit": 12_000_000}, "minReadySeconds": 2_000_000}).text
    assert "sampleLimit: 12000000\n" in text
    assert "minReadySeconds: 2000000\n" in text


@pytest.mark.parametrize("program", HELMS)
def test_a_configuration_that_no_configmap_can_hold_is_refused(program: str) -> None:
    """By helm, instead of by the cluster or by every pod at its start; as long as alpmon takes and not a byte less."""
    limit = re.findall(r"gt \(len \$text\) (\d+)", (CHART / "templates" / "_helpers.tpl").read_text())
    assert limit == [str(MAX_FILE_BYTES)]
    topics = [f"market_depth.S{number}_USDT" for number in range(12)]
    targets = [{"name": f"t{number}", "url": f"wss://t{number}.example/ws", "topics": topics} for number in range(4000)]
    with pytest.raises(RefusedError, match="share the targets out to several releases"):
        render({"config": {"targets": targets}}, program)
    assert len(render({"config": {"targets": targets[:2500]}}, program).config_text) < MAX_FILE_BYTES


def test_the_notes_say_how_to_see_the_first_metric() -> None:
    """With commands that name the release's own objects."""
    notes = helm("helm4", "install", "feeds", str(CHART), "--dry-run=client", "--namespace", NAMESPACE)
    assert "kubectl --namespace market port-forward pod/feeds-alpmon-0 9719" in notes
    assert "kubectl --namespace market rollout status statefulset/feeds-alpmon" in notes
    assert "curl -s http://127.0.0.1:9719/metrics | grep alpmon_connection_up" in notes
    assert "helm test feeds --namespace market" in notes
