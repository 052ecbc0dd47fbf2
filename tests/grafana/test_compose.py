"""Everything on one machine: that the parts of `grafana/compose.yaml` fit together. Nothing here needs Docker."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pytest
import yaml

from tests.grafana.reading import DASHBOARDS, GRAFANA
from tests.tools import require_tool

COMPOSE: Final[dict[str, Any]] = yaml.safe_load((GRAFANA / "compose.yaml").read_text())
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
BUILT_HERE: Final = "alpmon"


def _mounts(service: str) -> dict[PurePosixPath, str]:
    """What stands where in the container."""
    parts = (mount.split(":") for mount in SERVICES[service].get("volumes", []))
    return {PurePosixPath(target): source for source, target, *_ in parts}


def _in_the_repository(service: str, path: PurePosixPath) -> Path:
    """The file or folder that a container sees at a path."""
    [(target, source)] = [(t, s) for t, s in _mounts(service).items() if path.is_relative_to(t)]
    return GRAFANA / source / path.relative_to(target)


def _file(service: str, flag: str) -> Path:
    [value] = [word.removeprefix(flag) for word in SERVICES[service]["command"] if word.startswith(flag)]
    return _in_the_repository(service, PurePosixPath(value))


def test_there_are_the_four_services() -> None:
    """Each can be reached from this machine alone, and comes back after a reboot."""
    assert set(SERVICES) == {BUILT_HERE, "prometheus", "alertmanager", "grafana"}
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["restart"] == "unless-stopped"


def test_images_are_pinned_to_a_release() -> None:
    """The same file starts the same programs in a year's time; our own is built from this repository."""
    for name, service in SERVICES.items():
        if name != BUILT_HERE:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
    dockerfile = GRAFANA / SERVICES[BUILT_HERE]["build"]["context"] / "Dockerfile"
    assert 'ENTRYPOINT ["alpmon"]' in dockerfile.read_text().splitlines()  # the command is its arguments


@pytest.mark.parametrize("service", SERVICES)
def test_everything_mounted_exists(service: str) -> None:
    """Files of the repository, read only, or volumes that are declared."""
    for mount in SERVICES[service].get("volumes", []):
        source, _, *mode = mount.split(":")
        if source.startswith("."):
            assert (GRAFANA / source).exists()
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_prometheus_scrapes_the_monitor_where_it_listens() -> None:
    """Under the job that the rules know, at the port that the monitor is told."""
    prometheus = yaml.safe_load(_file("prometheus", "--config.file=").read_text())
    [job] = prometheus["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert job["job_name"] == "alpmon"
    assert host in SERVICES
    assert f"--listen 0.0.0.0:{port}" in SERVICES[host]["command"]
    assert f"127.0.0.1:{port}:{port}" in SERVICES[host]["ports"]


def test_prometheus_finds_the_rules_and_alertmanager() -> None:
    """The mounted folder holds what the configuration names."""
    prometheus = yaml.safe_load(_file("prometheus", "--config.file=").read_text())
    [pattern] = prometheus["rule_files"]
    folder = _in_the_repository("prometheus", PurePosixPath(pattern).parent)
    assert [path.name for path in folder.glob(PurePosixPath(pattern).name)] == ["alpmon.rules.yaml"]
    [manager] = prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert manager.split(":")[0] in SERVICES
    assert _file("alertmanager", "--config.file=").is_file()


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    """With the rules where the container has them."""
    text = (GRAFANA / "prometheus.yaml").read_text().replace("/etc/prometheus/rules", str(GRAFANA / "rules"))
    config = tmp_path / "prometheus.yml"
    config.write_text(text)
    check = [require_tool("promtool"), "check", "config", str(config)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_grafana_asks_prometheus_as_often_as_it_scrapes() -> None:
    """`$__rate_interval` comes from the data source's interval: too short a one leaves rates empty."""
    folder = _in_the_repository("grafana", PurePosixPath("/etc/grafana/provisioning/datasources"))
    sources = yaml.safe_load((folder / "prometheus.yaml").read_text())["datasources"]
    by_uid = {source["uid"]: source for source in sources}
    scraped = yaml.safe_load((GRAFANA / "prometheus.yaml").read_text())["global"]["scrape_interval"]
    assert by_uid["prometheus"]["jsonData"]["timeInterval"] == scraped
    assert by_uid["prometheus"]["jsonData"]["alertmanagerUid"] in by_uid
    assert [source["uid"] for source in sources if source.get("isDefault")] == ["prometheus"]
    for source in sources:
        host, port = re.fullmatch(r"http://([a-z]+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
        assert f"127.0.0.1:{port}:{port}" in SERVICES[host]["ports"]


def test_grafana_finds_the_dashboards() -> None:
    """The provider's folder holds the four, and the first page is one of them."""
    folder = _in_the_repository("grafana", PurePosixPath("/etc/grafana/provisioning/dashboards"))
    [provider] = yaml.safe_load((folder / "alpmon.yaml").read_text())["providers"]
    mounted = PurePosixPath(provider["options"]["path"])
    assert {path.stem for path in _in_the_repository("grafana", mounted).glob("*.json")} == set(DASHBOARDS)
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert _in_the_repository("grafana", PurePosixPath(home)).is_file()
    assert not provider["allowUiUpdates"]  # the dashboards say that they are not editable


def test_the_readme_names_every_file_to_import() -> None:
    """Who runs all of this already needs only the files."""
    readme = (GRAFANA / "README.md").read_text()
    for path in (*GRAFANA.glob("dashboards/*.json"), *GRAFANA.glob("rules/*.yaml"), *GRAFANA.glob("*.yaml")):
        assert path.name in readme
