"""The status page as a person meets it: in a real Chromium, against simulated exchanges."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alpmon.config import parse
from alpmon.core.freshness import TopicState
from alpmon.exchange.faults import Close
from alpmon.service import Service
from alpmon.telemetry.history import STEP_SECONDS
from alpmon.telemetry.monitor import Monitor
from tests.integration.harness import configuration, monitoring, target, until
from tests.telemetry.records import STARTED_WALL, Clock, bring_up, connection, fresh_monitor
from tests.web.browser import Visitor, visiting
from tests.web.scenes import DESK, NOW, PHONE, a_thousand, every_state, frozen_record, of_many, served

if TYPE_CHECKING:
    from playwright.async_api import Route

    from tests.conftest import StartExchange


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    """A browser."""
    async with visiting() as found:
        yield found


# What is shown

LEGEND = (Path(__file__).parents[2] / "docs" / "status-page.md").read_text()

ALL_SIGNS = f"""(() => {{
    const pills = [...document.querySelectorAll('tbody [data-f=state]')];
    const signs = Object.fromEntries(pills.map((n) => [n.textContent, getComputedStyle(n, "::before").content]));
    return Object.keys(signs).length === {len(TopicState)} && signs;
}})()"""
"""The sign of each state, once all states are to be seen at the same time."""


async def test_every_state_of_a_topic_is_shown(visitor: Visitor) -> None:
    """Each by its word, its sign and its place in the verdict, on a desk by day and on a phone by night."""
    async with every_state() as url:
        desk = await visitor.open(url, color_scheme="light", **DESK)
        phone = await visitor.open(url, color_scheme="dark", **PHONE)
        for visit in (desk, phone):
            signs = await visit.until(ALL_SIGNS)
            assert set(signs) == set(TopicState)
            assert len(set(signs.values())) == len(signs), "no two share a sign"
            for state, content in signs.items():
                assert f"| {content[1]} | `{state}`" in LEGEND
            assert await visit.accessibility() == []
            assert await visit.complaints() == []
        findings = await desk.page.locator("#finding-list .what").all_inner_texts()
        assert "refusing 0-0 is down" in findings
        assert "market_depth.NOPE_USDT was rejected on test 0-0" in findings
        assert "diff.BTC_USDT has never delivered on test 0-0" in findings
        runbook = desk.page.get_by_role("link", name="AlpmonConnectionDown").first
        assert await runbook.get_attribute("href") == "https://wiki.test/alerts.md#alpmonconnectiondown"
        told = await desk.page.locator("#finding-list").inner_text()
        assert "The exchange: it refuses the upgrade (upgrade: HTTP 503 Service Unavailable)" in told


async def test_a_session_that_ends_is_told_while_one_looks(visitor: Visitor, start_exchange: StartExchange) -> None:
    """The end, its code and words, the new session, and a mark on the timeline."""
    exchange = await start_exchange(market=True, rate=20.0)
    async with monitoring(target(exchange.url, ["ticker.*"])) as monitored:
        visit = await visitor.open(monitored.service.url)
        await visit.until("document.querySelector('[data-f=timeline] rect.mark-u') !== null")
        await monitored.until_live()
        before = await visit.page.locator("[data-f=session]").first.inner_text()
        exchange.faults.add(Close(code=1012, reason="service restart"))
        await visit.page.get_by_text("by the server: close_frame, code 1012, saying “service restart”").wait_for()
        await visit.until(f"document.querySelector('#targets [data-f=session]').textContent.length === {len(before)}")
        assert await visit.page.locator("#targets [data-f=session]").first.inner_text() != before
        await visit.until("document.querySelector('rect.mark-e, rect.mark-d') !== null")
        label = await visit.page.locator("[data-f=timeline] svg").first.get_attribute("aria-label")
        assert label is not None
        assert re.search(r"1 short disconnect|down for", label)
        assert "M" in (await visit.page.locator("[data-f=spark] path").first.get_attribute("d") or "")
        assert await visit.complaints() == []


async def test_the_script_draws_what_the_server_drew(visitor: Visitor) -> None:
    """Word by word, but for what only the script can know; so nothing jumps when it takes over."""
    monitor = fresh_monitor(frozen_record(), connection("1-0"))
    async with served(monitor, "https://wiki.test/alerts") as url:
        bare = await visitor.open(url, java_script_enabled=False)
        live = await visitor.open(url)
        await live.until_live()
        assert await live.page.title() == await bare.page.title()
        assert "100 %" in await bare.page.get_by_role("row", name="trade.* live").inner_text()
        late = await live.page.get_by_role("row", name="diff.BTC_USDT stale").inner_text()
        assert "for 15 s, nothing yet" in late
        assert "2026-09-19 14:13:20" in late, "a time of another day says of which"
        for place in ("#verdict", "#findings", "#targets"):
            assert _words(await live.page.locator(place).inner_html()) == _words(
                await bare.page.locator(place).inner_html()
            )
        assert await live.complaints() == []


def _words(html: str) -> str:
    """Without what is drawn, and without what differs in how it is written only."""
    html = re.sub(r' (?:open|hidden)(?:="")?(?=[ >])', "", html)
    return re.sub(r"\s+", " ", re.sub(r'<span data-f="fared">[^<]*</span>', "", html))


async def test_a_rate_says_over_what_time_it_is(visitor: Visitor) -> None:
    """As a count: what came in the last minute, or in what there is of it; and none is shown for what is down."""
    up, down = connection("0-0", ["trade.*"]), connection("1-0", ["ticker.*"])
    bring_up(up, NOW)
    monitor = fresh_monitor(up, down)
    for step in range(1, 7):
        for record, topic in ((up, "trade.*"), (down, "ticker.*")):
            record.topics[topic].messages = 10 * step
        monitor.history.sample(monitor.targets.values(), NOW, STARTED_WALL + step * STEP_SECONDS)
    async with served(monitor) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        rates = visit.page.locator("#targets [data-f=rate]")
        assert await rates.all_inner_texts() == ["\N{EN DASH}", "60 in 30 s"]
        for step in range(7, 15):
            up.topics["trade.*"].messages = 10 * step
            monitor.history.sample(monitor.targets.values(), NOW, STARTED_WALL + step * STEP_SECONDS)
        await visit.page.reload()
        await visit.until_live()
        assert await rates.all_inner_texts() == ["\N{EN DASH}", "120 in 1 min"]


async def test_a_timeline_says_what_its_colours_mean_and_over_what_time(visitor: Visitor) -> None:
    """In words, without hovering: how long each lasted and when it was last; and the first minute is no quarter."""
    fresh, troubled = connection("0-0", ["trade.*"]), connection("1-0", ["ticker.*"])
    monitor = fresh_monitor(fresh, troubled)
    bring_up(troubled, NOW)
    for step, second in enumerate((0.0, 5.0, 15.0, 5.0, 5.0)):
        if step == 3:
            bring_up(troubled, NOW)
            troubled.disconnects["server", "1012", "close_frame"] += 1
        monitor.history.sample(monitor.targets.values(), NOW + second, STARTED_WALL + step * STEP_SECONDS)
    async with served(monitor) as url:
        for window in (DESK, PHONE):
            visit = await visitor.open(url, **window)
            await visit.until_live()
            keys = visit.page.locator("#targets .key")
            assert await keys.all_inner_texts() == [
                "down throughout the last 25 s",
                "up for 15 s",
                "topics in trouble for 5 s, last at 14:13:30",
                "1 short disconnect, last at 14:13:35",
            ]
            colours = await keys.evaluate_all("all => all.map((n) => getComputedStyle(n, '::before').backgroundColor)")
            assert colours[0] == colours[3] != colours[1] != colours[2]
            drawn = visit.page.locator("[data-f=timeline] rect.mark-t")
            assert await drawn.evaluate("(n) => getComputedStyle(n).fill") == colours[2]
            edges = visit.page.locator("#targets figcaption > span:not([data-f])")
            heights = await edges.evaluate_all("all => all.map((n) => n.getClientRects().length)")
            assert heights == [1] * 4, "no edge is broken into lines"


async def test_without_a_script_the_page_is_whole_and_loads_itself_anew(visitor: Visitor) -> None:
    """The filter is not even offered."""
    async with served(fresh_monitor(frozen_record())) as url:
        visit = await visitor.open(url, java_script_enabled=False)
        assert await visit.topics() == ["ticker.*", "diff.BTC_USDT", "trade.*"]
        assert not await visit.page.locator("#tools").is_visible()
        assert await visit.page.locator("meta[http-equiv=refresh]").get_attribute("content") == "5"


# Finding one's way


async def test_the_filter_narrows_and_stands_in_the_address(visitor: Visitor) -> None:
    """Every word must be found somewhere: in the topic, its state, its connection or its target."""
    async with served(of_many(2, 10)) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        assert await visit.rows().count() == 20
        await visit.page.keyboard.press("/")
        await visit.page.keyboard.type("1-0 b03")
        assert await visit.topics() == ["market_depth.A01B03_USDT"]
        assert await visit.page.locator("#matches").inner_text() == "1 of 20 topics"
        assert visit.page.url.endswith("#filter=1-0+b03")
        await visit.page.reload()
        await visit.until_live()
        assert await visit.topics() == ["market_depth.A01B03_USDT"]
        await visit.page.get_by_role("button", name="Clear").click()
        assert await visit.rows().count() == 20
        assert not visit.page.url.endswith("b03")


async def test_what_is_asked_for_and_not_there_is_said(visitor: Visitor) -> None:
    """An empty page would look like trouble."""
    async with served(of_many(1, 3)) as url:
        visit = await visitor.open(f"{url}/#filter=nope")
        await visit.page.get_by_text("No topic is as asked for. Clear the filter to see all.").wait_for()
        assert await visit.rows().count() == 0
        await visit.page.get_by_label("Filter").fill("")
        assert await visit.rows().count() == 3


async def test_the_topics_of_a_connection_that_is_down_are_in_trouble(visitor: Visitor) -> None:
    """In the figure, which stands beside the verdict, and for the filter."""
    up = connection("0-0", ["trade.*"])
    bring_up(up, NOW)
    async with served(fresh_monitor(up, connection("1-0", ["ticker.*", "diff.BTC_USDT"]))) as url:
        bare = await visitor.open(url, java_script_enabled=False)
        visit = await visitor.open(f"{url}/#state=trouble")
        await visit.until_live()
        assert await visit.topics() == ["ticker.*", "diff.BTC_USDT"]
        for each in (bare, visit):
            assert await each.page.locator("#figure-trouble").inner_text() == "2 of 3"
            assert await each.page.locator(".figures").get_by_text("topics in trouble or down").is_visible()


async def test_a_deep_link_opens_at_its_connection(visitor: Visitor) -> None:
    """Alone, marked and in sight; the finding's own link leads there as well."""
    monitor = of_many(20, 5)
    stale = monitor.targets["alp"].connections["7-0"].topics["market_depth.A07B02_USDT"]
    assert stale.freshness is not None
    stale.freshness.down(NOW - 20.0)
    stale.freshness.up(NOW - 20.0)
    stale.freshness.acknowledged(NOW - 20.0)
    async with served(monitor) as url:
        visit = await visitor.open(f"{url}/#target=alp&connection=7-0&state=trouble")
        await visit.until_live()
        assert await visit.topics() == ["market_depth.A07B02_USDT"]
        assert await visit.page.get_by_label("State").input_value() == "trouble"
        await visit.page.goto(f"{url}/")
        await visit.until_live()
        await visit.page.get_by_role("link", name="Show it").click()
        assert await visit.page.locator(".connection.wanted h3").inner_text() == "7-0"
        assert await visit.rows().count() == 5
        assert await visit.complaints() == []


async def test_a_thousand_topics_are_shown_worst_first_and_page_by_page(visitor: Visitor) -> None:
    """What is not asked for is not drawn; what is well is folded away until somebody opens it."""
    async with served(a_thousand()) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        assert (await visit.topics())[0] == "market_depth.A49B19_USDT"
        assert await visit.page.locator(".connection").count() == 12
        assert await visit.rows().count() == 20
        await visit.page.get_by_role("button", name="Show 12 more of 50 connections").click()
        assert await visit.page.locator(".connection").count() == 24
        await visit.page.locator("summary").nth(1).click()
        await visit.until("document.querySelectorAll('#targets tbody tr').length === 40")
        await visit.page.get_by_label("Filter").fill("a33b")
        assert await visit.rows().count() == 20
        assert await visit.accessibility() == []
        assert await visit.complaints() == []


async def test_a_phone_shows_the_topics_before_the_facts_of_the_session(visitor: Visitor) -> None:
    """They are what one looks for; on a desk both are in sight."""
    async with served(of_many(1, 3)) as url:
        for window, first in ((DESK, ".session"), (PHONE, "table")):
            visit = await visitor.open(url, **window)
            await visit.until_live()
            places = {
                place: await visit.page.locator(f"#targets {place}").bounding_box() for place in (".session", "table")
            }
            assert min(places, key=lambda place: (places[place] or {})["y"]) == first


async def test_what_is_out_of_sight_is_filled_when_it_changes_or_comes_into_sight(visitor: Visitor) -> None:
    """Its seconds are not counted meanwhile, which nobody sees and the browser would have to draw."""
    monitor, clock = of_many(3, 20), Clock()
    last = monitor.targets["alp"].connections["2-0"].topics["market_depth.A02B19_USDT"]
    assert last.freshness is not None
    async with served(monitor, clock=clock) as url:
        visit = await visitor.open(url, **DESK)
        await visit.until_live()
        ages = visit.page.locator("#targets [data-f=age]")
        clock.now += 4.0
        await visit.until("document.querySelector('#targets [data-f=age]').textContent === '4 s'")
        assert await ages.last.text_content() == "0 s"
        last.freshness.down(clock.now)
        last.freshness.up(clock.now)
        await visit.until("document.querySelectorAll('#targets tr[data-state=pending]').length === 1")
        assert await ages.last.text_content() == "4 s"
        clock.now += 1.0
        await visit.until("document.querySelector('#targets [data-f=age]').textContent === '5 s'")
        await ages.last.scroll_into_view_if_needed()
        await visit.until("[...document.querySelectorAll('#targets [data-f=age]')].at(-1).textContent === '5 s'")


async def test_many_topics_of_one_connection_come_page_by_page(visitor: Visitor) -> None:
    """As on a server that knows no limit."""
    async with served(of_many(1, 300)) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        assert await visit.rows().count() == 25
        await visit.page.get_by_role("button", name="Show 100 more of 300 topics").click()
        assert await visit.rows().count() == 125


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [DESK, PHONE], ids=["desk", "phone"])
async def test_the_name_of_an_alert_leads_to_what_to_do(visitor: Visitor, scheme: Any, window: dict[str, Any]) -> None:
    """In the monitor's own runbook, which needs no network, and back."""
    async with served(fresh_monitor(frozen_record())) as url:
        visit = await visitor.open(url, color_scheme=scheme, **window)
        await visit.until_live()
        await visit.page.get_by_role("link", name="AlpmonFeedStale").click()
        await visit.page.wait_for_url(f"{url}/runbook#alpmonfeedstale")
        heading = visit.page.get_by_role("heading", name="AlpmonFeedStale")
        box = await heading.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < window["viewport"]["height"] / 2, "in sight"
        assert await visit.accessibility() == []
        assert await visit.complaints() == []
        await visit.page.get_by_role("link", name="Status page").click()
        await visit.until_live()


# When there is nothing, not yet, or no longer


async def test_before_the_first_answer_the_page_says_as_of_when_it_is(visitor: Visitor) -> None:
    """What the server drew is there to be read meanwhile."""
    async with served(fresh_monitor(frozen_record())) as url:
        visit = await visitor.open("about:blank")
        await visit.page.route("**/api/v1/status", lambda route: None)
        await visit.page.goto(url)
        assert await visit.page.locator("#link").get_attribute("data-link") == "loading"
        assert (await visit.page.locator("#link").inner_text()).startswith("as of 20")
        assert await visit.rows().count() == 3
        await visit.page.unroute_all(behavior="ignoreErrors")


async def test_a_monitor_without_connections_says_why(visitor: Visitor) -> None:
    """Not all is well, and not all is lost."""
    async with served(Monitor(started_wall=STARTED_WALL)) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        assert await visit.page.locator("h1").inner_text() == "This monitor holds no connection"
        assert await visit.page.get_by_text("with more shards than connections").is_visible()
        assert await visit.accessibility() == []
        assert await visit.complaints() == []


async def test_a_monitor_that_goes_is_told_and_one_that_comes_back_is_taken_up(
    visitor: Visitor, start_exchange: StartExchange
) -> None:
    """Reconnecting, then unreachable with the age of what is shown, then live again with a history of its own."""
    exchange = await start_exchange(market=True)
    text = configuration(target(exchange.url, ["ticker.*"]))
    async with AsyncExitStack() as first:
        service = await first.enter_async_context(Service(parse(text, "test.yaml", {})))
        port = service.url.rpartition(":")[2]
        visit = await visitor.open(service.url)
        await visit.until_live()
    await visit.page.locator("#link[data-link=reconnecting]").wait_for()
    assert not await visit.page.get_by_role("alert").is_visible()
    await visit.page.get_by_role("alert").wait_for()
    assert "The monitor does not answer" in await visit.page.get_by_role("alert").inner_text()
    assert re.match(r"unreachable since \d\d:\d\d:\d\d UTC", await visit.page.locator("#link").inner_text())
    assert await visit.page.title() == "monitor unreachable · alpmon"
    assert await visit.topics() == ["ticker.*"]
    assert await visit.accessibility() == []
    again = text.replace("127.0.0.1:0", f"127.0.0.1:{port}")
    async with Service(parse(again, "test.yaml", {})):
        await visit.until_live()
        assert not await visit.page.get_by_role("alert").is_visible()
        await visit.until("!document.title.startsWith('monitor unreachable')")


async def test_a_monitor_that_wants_a_login_is_not_called_dead(visitor: Visitor) -> None:
    """The page was loaded with one that is no longer good."""
    async with served(fresh_monitor(frozen_record())) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        await visit.page.route("**/api/v1/status", lambda route: route.fulfill(status=401))
        await visit.page.get_by_text("The monitor asks for a login.").wait_for()
        assert await visit.page.locator("#link").inner_text() == "login needed"


async def test_another_version_is_loaded_once_and_not_for_ever(visitor: Visitor) -> None:
    """An upgrade brings its own page; two versions that answer in turn behind a balancer do not reload it endlessly."""
    async with served(fresh_monitor(frozen_record())) as url:
        visit = await visitor.open("about:blank")
        asked = {"page": 0, "status": 0}

        async def answer(route: Route) -> None:
            asked["status"] += 1
            response = await route.fetch()
            await route.fulfill(response=response, json={**await response.json(), "version": "9.9.9"})

        async def count(route: Route) -> None:
            asked["page"] += 1
            await route.continue_()

        await visit.page.route("**/api/v1/status", answer)
        await visit.page.route(f"{url}/", count)
        await visit.page.goto(url)
        await until(lambda: asked["status"] >= 5)
        assert asked["page"] == 2
        assert "version 9.9.9 answers" in await visit.page.locator("#link").inner_text()
        await visit.page.unroute_all(behavior="ignoreErrors")
        assert await visit.complaints() == []


# For everybody, and against nobody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [DESK, PHONE], ids=["desk", "phone"])
async def test_nothing_stands_in_anybodys_way(visitor: Visitor, scheme: Any, window: dict[str, Any]) -> None:
    """Names, roles, headings, contrast, the size of what is pressed; with all that a page can hold."""
    monitor = fresh_monitor(frozen_record(), connection("1-0"))
    for step in range(30):
        monitor.history.sample(monitor.targets.values(), NOW, STARTED_WALL + step * STEP_SECONDS)
    async with served(monitor, "https://wiki.test/alerts") as url:
        visit = await visitor.open(url, color_scheme=scheme, **window)
        await visit.until_live()
        assert await visit.accessibility() == []
        tree = await visit.page.locator("main").aria_snapshot()
        assert re.search(r'rowheader "trade\.\*"', tree), "a table, even where it is not drawn as one"
        assert re.search(r'heading "[^"]+" \[level=1\]', tree)
        assert re.search(r'img "Last 15 minutes: [^"]+"', tree)


async def test_a_picture_of_nothing_says_so(visitor: Visitor) -> None:
    """A reader who cannot see it hears no figure where there was none to measure."""
    monitor = fresh_monitor(frozen_record())
    for step in range(4):
        monitor.history.sample(monitor.targets.values(), NOW, STARTED_WALL + step * STEP_SECONDS)
    async with served(monitor) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        labels = await visit.page.locator("tbody svg[role=img]").evaluate_all(
            "all => all.map((each) => each.ariaLabel)"
        )
        nothing = "no messages in the last 20 s"
        assert labels == [nothing, nothing, "1,234 messages in the last 20 s, at most 1,234 in 15 s"]
        latencies = visit.page.locator(".latencies svg").evaluate_all("all => all.map((each) => each.ariaLabel)")
        assert await latencies == ["nothing measured in the last 20 s"] * 3


async def test_the_checks_find_what_they_look_for(visitor: Visitor) -> None:
    """A check that never fails proves nothing: neither of the policy, nor of names, nor of contrast."""
    async with served(fresh_monitor(frozen_record())) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        await visit.page.evaluate(
            """() => {
                const button = document.createElement("button");
                document.querySelector("main").append(button);
                document.querySelector("h1").style.color = "#ddd";
                document.querySelector("h3").replaceWith(document.createElement("h5"));
                document.querySelector("main").setAttribute("style", "outline: 0");
            }"""
        )
        found = await visit.accessibility()
        assert any(each.startswith("no name: button") for each in found)
        assert any(re.match(r"contrast 1\.\d\d: h1", each) for each in found)
        assert any(each.startswith("style-src") for each in await visit.complaints())
        with pytest.raises(Exception, match="TrustedHTML"):
            await visit.page.evaluate("document.body.innerHTML = '<b>no</b>'")


async def test_a_reader_is_told_of_a_change_once(visitor: Visitor) -> None:
    """The announcement changes with the verdict, never with the seconds."""
    monitor = fresh_monitor(frozen_record())
    async with served(monitor) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        said = visit.page.get_by_role("status").first
        before = await said.inner_text()
        because = "The exchange: the connection is alive, and this feed is not"
        assert before == f"ticker.* and diff.BTC_USDT are stale on alp 0-0. {because}"
        assert not re.search(r"\d s|UTC", before)
        for topic in monitor.targets["alp"].connections["0-0"].topics.values():
            assert topic.freshness is not None
            topic.freshness.message(NOW)
        await visit.until(f"document.getElementById('announcement').textContent !== {before!r}")
        assert await said.inner_text() == "All is well: 3 topics on 1 connection"


async def test_what_comes_from_outside_stays_text(visitor: Visitor) -> None:
    """Whoever names a session, closes it or answers an attempt cannot write the page."""
    hostile = "<img src=x onerror=alert(1)>"
    record = frozen_record()
    record.client_id = hostile
    record.last_failure, record.last_failure_wall = f"dns: {hostile}", STARTED_WALL + 50.0
    async with served(fresh_monitor(record, url=f"wss://exchange.test/{hostile}")) as url:
        visit = await visitor.open(url)
        await visit.until_live()
        assert await visit.page.locator("#targets [data-f=session]").inner_text() == hostile
        assert await visit.page.locator("img").count() == 0
        assert await visit.complaints() == []


async def test_the_page_and_its_files_are_below_60_kb(visitor: Visitor) -> None:
    """As they are; compressed it is a quarter. And nothing is asked for anywhere else."""
    async with served(of_many(2, 6)) as url:
        visit = await visitor.open("about:blank")
        sizes: dict[str, int] = {}

        async def weigh(response: Any) -> None:
            if "/api/" not in response.url:
                sizes[response.url] = len(await response.body())

        visit.page.on("response", weigh)
        await visit.page.goto(url)
        await visit.until_live()
        assert {address[: len(url)] for address in sizes} == {url}
        assert {"page.css", "page.js"} <= {address.partition("?")[0].rpartition("/")[2] for address in sizes}
        assert sum(sizes.values()) < 60_000, sizes
