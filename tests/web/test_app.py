"""The HTTP application, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from alpmon.telemetry.metrics import register
from alpmon.telemetry.monitor import Monitor
from alpmon.web.app import HEALTHY_WITHIN_SECONDS, create_app
from alpmon.web.assets import ASSETS
from alpmon.web.server import ListenError, serve
from tests.telemetry.records import STARTED_WALL, Clock, fresh_monitor

PATHS = (
    "/",
    "/runbook",
    "/metrics",
    "/api/v1/status",
    "/api/v1/history",
    "/api/v1/recordings",
    "/-/healthy",
    "/-/ready",
    "/config",
)


class Web:
    """A served monitor and a client to ask it."""

    def __init__(self, monitor: Monitor, clock: Clock, client: aiohttp.ClientSession, url: str) -> None:
        self.monitor = monitor
        self.clock = clock
        self.client = client
        self.url = url

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[aiohttp.ClientResponse, str]:
        async with self.client.request(method, self.url + path, headers=headers) as response:
            return response, await response.text()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    """A fresh monitor with one target, whose loop has just ticked."""
    monitor, clock, registry = fresh_monitor(), Clock(), CollectorRegistry()
    monitor.last_tick = clock.now
    register(registry, monitor, clock)
    app = create_app(monitor, registry, lambda: "listen: 127.0.0.1:0\n", clock, lambda: STARTED_WALL + 60.0)
    server = await serve(app, "127.0.0.1", 0)
    async with aiohttp.ClientSession() as client:
        yield Web(monitor, clock, client, server.url)
    await server.close()


async def test_metrics_are_prometheus_text_by_default(web: Web) -> None:
    """What a plain scraper understands."""
    response, text = await web.ask("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "alpmon_connection_up" in {family.name for family in parse_text(text)}


async def test_metrics_are_openmetrics_where_asked_for(web: Web) -> None:
    """With the header that Prometheus sends."""
    accept = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
    response, text = await web.ask("/metrics", Accept=accept)
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert "alpmon_connection_state" in {family.name for family in parse_openmetrics(text)}


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip", "gzip"), ("identity", None)])
async def test_metrics_are_compressed_where_accepted(web: Web, accepted: str, encoding: str | None) -> None:
    """Either way the client reads the same text."""
    response, text = await web.ask("/metrics", **{"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == encoding
    assert "# TYPE alpmon_connection_up gauge" in text


async def test_metrics_can_be_limited_by_name(web: Web) -> None:
    """As exporters do with `name[]`."""
    _, text = await web.ask("/metrics?name[]=alpmon_connection_up")
    assert [family.name for family in parse_text(text)] == ["alpmon_connection_up"]


async def test_many_scrapes_at_once_are_all_answered(web: Web) -> None:
    """They queue for the one thread."""
    answers = await asyncio.gather(*(web.ask("/metrics") for _ in range(8)))
    assert {response.status for response, _ in answers} == {200}


async def test_the_status_is_json_of_the_same_state(web: Web) -> None:
    """Targets, connections, topics."""
    response, _ = await web.ask("/api/v1/status")
    assert response.content_type == "application/json"
    told = await response.json()
    [target] = told["targets"]
    assert target["target"] == "alp"
    assert {topic["topic"] for topic in target["connections"][0]["topics"]} == {"trade.*", "ticker.*"}
    assert told["uptime_seconds"] == 60.0


async def test_the_history_is_json_of_what_came_after(web: Web) -> None:
    """Everything at first, then only the samples that are new."""
    for second in range(3):
        web.monitor.history.sample(web.monitor.targets.values(), web.clock.now + second, STARTED_WALL + second)
    _, text = await web.ask("/api/v1/history")
    assert json.loads(text)["targets"]["alp"]["0-0"]["marks"] == "ddd"
    _, text = await web.ask("/api/v1/history?after=2")
    assert json.loads(text)["targets"]["alp"]["0-0"]["marks"] == "d"
    response, text = await web.ask("/api/v1/history?after=<script>")
    assert (response.status, text) == (400, "400 Bad Request\n")


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip", "gzip"), ("identity", None)])
@pytest.mark.parametrize(("name", "kind"), [("page.css", "text/css"), ("page.js", "text/javascript")])
async def test_assets_are_for_ever(web: Web, name: str, kind: str, accepted: str, encoding: str | None) -> None:
    """Their address changes with their content; what is kept apart from what is compressed."""
    response, text = await web.ask(f"/{ASSETS[name].path}", **{"Accept-Encoding": accepted})
    assert (response.content_type, response.charset) == (kind, "utf-8")
    assert response.headers.get("Content-Encoding") == encoding
    assert "immutable" in response.headers["Cache-Control"]
    assert text == ASSETS[name].body.decode()


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/status", f"/{ASSETS['page.css'].path}"])
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("br, GZIP;q=0.5", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.000, identity", None),
        ("br;q=1, gzip ;Q=0.0", None),
        ("no-gzip", None),
        ("", None),
    ],
)
async def test_what_is_refused_is_not_sent(web: Web, path: str, accepted: str, encoding: str | None) -> None:
    """A weight of 0 refuses (RFC 9110, 12.4.2), on every path alike."""
    response, _ = await web.ask(path, **{"Accept-Encoding": accepted})
    assert response.status == 200
    assert response.headers.get("Content-Encoding") == encoding


@pytest.mark.parametrize("path", ["/assets/", "/assets/nope.css", "/assets/__init__.py", "/assets/..%2fapp.py"])
async def test_nothing_but_the_assets_is_served(web: Web, path: str) -> None:
    """They are looked up in a closed table, never in a folder."""
    response, _ = await web.ask(path)
    assert response.status == 404


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/api/v1/history"])
async def test_what_is_made_anew_is_never_kept(web: Web, path: str) -> None:
    """Nor is it sent larger than it must be."""
    response, _ = await web.ask(path, **{"Accept-Encoding": "gzip"})
    assert (response.headers["Cache-Control"], response.headers["Content-Encoding"]) == ("no-store", "gzip")


async def test_healthy_while_the_loop_ticks(web: Web) -> None:
    """And no longer once the last tick is too long ago."""
    response, text = await web.ask("/-/healthy")
    assert (response.status, text) == (200, "healthy\n")
    web.clock.now += HEALTHY_WITHIN_SECONDS + 0.1
    response, text = await web.ask("/-/healthy")
    assert (response.status, text) == (503, "not healthy\n")


async def test_ready_once_the_first_attempts_were_made(web: Web) -> None:
    """Whatever came of them: the exchange being down does not make the monitor unready."""
    response, text = await web.ask("/-/ready")
    assert (response.status, text) == (503, "not ready\n")
    web.monitor.first_attempts_made = True
    response, text = await web.ask("/-/ready")
    assert (response.status, text) == (200, "ready\n")


async def test_the_configuration_is_plain_text(web: Web) -> None:
    """As it was handed in, already masked."""
    response, text = await web.ask("/config")
    assert response.content_type == "text/plain"
    assert text == "listen: 127.0.0.1:0\n"


@pytest.mark.parametrize("path", PATHS)
async def test_head_answers_like_get_without_a_body(web: Web, path: str) -> None:
    """Same status, same type."""
    got, _ = await web.ask(path)
    head, text = await web.ask(path, "HEAD")
    assert (head.status, head.content_type, text) == (got.status, got.content_type, "")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_wrong_method_is_refused_and_the_right_one_named(web: Web, path: str, method: str) -> None:
    """Nothing here can be changed."""
    response, text = await web.ask(path, method)
    assert (response.status, text) == (405, "405 Method Not Allowed\n")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/nope", "/metrics/", "/-/", "/%3Cscript%3Ealert(1)%3C/script%3E"])
async def test_an_unknown_path_is_not_found_and_not_repeated(web: Web, path: str) -> None:
    """One plain line, the same for every path."""
    response, text = await web.ask(path)
    assert (response.status, text) == (404, "404 Not Found\n")
    assert response.content_type == "text/plain"


@pytest.mark.parametrize("path", [*PATHS, "/nope"])
async def test_every_answer_forbids_what_a_browser_could_do_with_it(web: Web, path: str) -> None:
    """No sniffing, no framing, nothing loaded, no version told."""
    response, _ = await web.ask(path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert response.headers["Server"] == "alpmon"


async def test_a_taken_port_is_told_plainly(web: Web) -> None:
    """The address and the system's reason, once."""
    port = int(web.url.rpartition(":")[2])
    with pytest.raises(ListenError) as caught:
        await serve(aiohttp.web.Application(), "127.0.0.1", port)
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


async def test_an_address_that_is_not_ours_is_told_plainly() -> None:
    """Documentation addresses belong to nobody."""
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign requested address"):
        await serve(aiohttp.web.Application(), "192.0.2.1", 0)


async def test_closing_frees_the_port() -> None:
    """The next start can have it at once."""
    server = await serve(aiohttp.web.Application(), "127.0.0.1", 0)
    port = int(server.url.rpartition(":")[2])
    await server.close()
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        pytest.fail("somebody still listens")
