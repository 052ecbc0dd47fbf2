"""The commands as processes: exit codes, and what a user is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from alpmon import __version__
from alpmon.cli import main
from alpmon.exchange.scenario import names
from tests.integration.prometheus import free_port
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 30.0
TARGETS = ("observed", "documented")
HEAVY = {"pydantic", "aiohttp", "websockets", "structlog", "prometheus_client"}


HANGING_RESOLVER = """
import socket, time
answers = socket.getaddrinfo
def hangs(host, *arguments, **options):
    if str(host).endswith(".test"):
        time.sleep(600)
    return answers(host, *arguments, **options)
socket.getaddrinfo = hangs
from alpmon.cli import main
main()
"""


class Running:
    """`alpmon ...` in a process of its own; what it writes to stderr is kept line by line."""

    def __init__(self, *arguments: str, code: str = "from alpmon.cli import main; main()") -> None:
        command = [sys.executable, "-c", code, *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []

    def until_says(self, words: str) -> str:
        """Read its stderr up to a line with these words."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"ended without saying {words!r}: {''.join(self.lines)}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=START_SECONDS)
        self.lines.append(rest)
        return self.process.returncode


@pytest.fixture
def start() -> Iterator[type[Running]]:
    """Starts commands that do not outlive the test."""
    started: list[Running] = []

    class Kept(Running):
        def __init__(self, *arguments: str, **options: str) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    yield Kept
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


def get(url: str) -> str:
    """One HTTP GET on loopback."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()  # type: ignore[no-any-return]


def test_the_version_is_that_of_the_package() -> None:
    """`python -m alpmon` and `alpmon` are the same program."""
    said = subprocess.run([sys.executable, "-m", "alpmon", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"alpmon, version {__version__}\n"


def test_help_does_not_import_what_it_does_not_need() -> None:
    """A second of imports for a page of text is a second too much."""
    code = "import sys; from alpmon.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(said.stdout.split())
    for command in ("run", "demo", "simulate", "config"):
        assert command in said.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_serves_until_a_signal_and_exits_with_0(
    start: type[Running], tmp_path: Path, number: signal.Signals
) -> None:
    """Also while the target refuses: readiness does not depend on the exchange."""
    port = free_port()
    config = tmp_path / "alpmon.yaml"
    target = {"name": "t", "url": f"ws://127.0.0.1:{free_port()}/ws", "topics": ["trade.*"]}
    config.write_text(json.dumps({"listen": f"127.0.0.1:{port}", "targets": [target]}))
    running = start("run", "--config", str(config))
    running.until_says('"started"')
    running.until_says("connection attempt failed")
    assert get(f"http://127.0.0.1:{port}/-/ready") == "ready\n"
    assert get(f"http://127.0.0.1:{port}/-/healthy") == "healthy\n"
    refused = 'alpmon_connection_failures_total{connection="0-0",reason="refused",target="t"}'
    assert refused in get(f"http://127.0.0.1:{port}/metrics")
    assert running.end(number) == 0
    assert '"stopped"' in running.lines[-1]
    for line in "".join(running.lines).splitlines():
        assert json.loads(line)["level"] in ("info", "warning")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_simulate_serves_until_a_signal_and_exits_with_0(start: type[Running], number: signal.Signals) -> None:
    """Also while a client is connected, who is told that the exchange goes away."""
    address = f"127.0.0.1:{free_port()}"
    running = start("simulate", "--listen", address)
    running.until_says("simulated exchange")
    with connect(f"ws://{address}/ws") as client:
        assert json.loads(client.recv(START_SECONDS))[0] == "welcome"
        running.process.send_signal(number)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(START_SECONDS)
    assert running.process.wait(START_SECONDS) == 0
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


def test_a_resolver_that_hangs_holds_up_neither_an_address_nor_the_end(start: type[Running], tmp_path: Path) -> None:
    """More names hang, REST's among them, than there are threads to wait in; it ends long before they do."""
    names = [{"name": f"t{n}", "url": f"ws://n{n}.test/ws", "topics": ["trade.*"]} for n in range(20)]
    for file in ("key", "secret"):
        (tmp_path / file).write_text(file)
    auth = {file + "_file": str(tmp_path / file) for file in ("key", "secret")}
    names[0]["auth"] = {**auth, "rest_url": "http://rest.test/api/v3"}
    address = {"name": "address", "url": f"ws://127.0.0.1:{free_port()}/ws", "topics": ["trade.*"]}
    config = {"listen": "127.0.0.1:0", "state_file": str(tmp_path / "state"), "targets": [*names, address]}
    (tmp_path / "alpmon.yaml").write_text(json.dumps(config))
    running = start("run", "--config", str(tmp_path / "alpmon.yaml"), code=HANGING_RESOLVER)
    told = json.loads(running.until_says("connection attempt failed"))
    assert (told["target"], told["reason"]) == ("address", "refused")
    assert running.end(signal.SIGTERM) == 0
    assert (tmp_path / "state").exists()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no device that is always full")
def test_a_recording_that_stops_is_told_when_it_does_and_by_the_exit_code(start: type[Running], tmp_path: Path) -> None:
    """The monitor goes on without it."""
    target = {"name": "t", "url": f"ws://127.0.0.1:{free_port()}/ws", "topics": ["trade.*"]}
    config = {"listen": f"127.0.0.1:{free_port()}", "targets": [target]}
    (tmp_path / "alpmon.yaml").write_text(json.dumps(config))
    running = start("record", "/dev/full", "--config", str(tmp_path / "alpmon.yaml"))
    told = json.loads(running.until_says("recording stopped"))
    assert (told["level"], told["file"], told["reason"]) == ("error", "/dev/full", "No space left on device")
    assert get(f"http://{config['listen']}/-/healthy") == "healthy\n"
    assert running.end(signal.SIGTERM) == 1
    assert running.lines[-1].endswith("cannot write /dev/full: No space left on device\n")


def test_a_hangup_takes_up_the_changed_file_and_a_mistake_in_it_changes_nothing(
    start: type[Running], tmp_path: Path
) -> None:
    """SIGHUP, as `kill -HUP` sends it: the process lives, and says what came of it."""
    listen, config = f"127.0.0.1:{free_port()}", tmp_path / "alpmon.yaml"

    def write(*names: str) -> None:
        url = f"ws://127.0.0.1:{free_port()}/ws"
        targets = [{"name": name, "url": url, "topics": ["trade.*"]} for name in names]
        config.write_text(json.dumps({"listen": listen, "targets": targets}))

    write("first")
    running = start("run", "--config", str(config))
    running.until_says('"started"')
    write("first", "second")
    running.process.send_signal(signal.SIGHUP)
    assert '"targets":2' in running.until_says('"configuration reloaded"').replace(" ", "")
    assert "second" in get(f"http://{listen}/config")
    write("no name")
    running.process.send_signal(signal.SIGHUP)
    assert "targets[0].name" in running.until_says('"configuration not reloaded"')
    assert "second" in get(f"http://{listen}/config")
    assert running.end(signal.SIGTERM) == 0


def test_a_hangup_without_a_file_is_told_and_ends_nothing(start: type[Running]) -> None:
    """A terminal that is closed sends one too; there is nothing to take up, and so nothing wrong."""
    address = f"127.0.0.1:{free_port()}"
    running = start("demo", "--listen", address, "--scenario", "healthy")
    running.until_says("metrics       ")
    running.process.send_signal(signal.SIGHUP)
    assert "there is no configuration file to reload" in running.until_says('"not reloaded"')
    assert "alpmon_config_last_reload_successful 1.0" in get(f"http://{address}/metrics")
    assert running.end(signal.SIGTERM) == 0


def test_a_bad_configuration_ends_with_2_and_every_mistake(tmp_path: Path) -> None:
    """Each with its line."""
    config = tmp_path / "bad.yaml"
    config.write_text("lisen: x\ntargets:\n  - name: t\n    url: http://x\n    topics: [trade.*]\n")
    said = CliRunner().invoke(main, ["run", "--config", str(config)])
    assert said.exit_code == 2
    assert "bad.yaml:1: lisen: unknown key" in said.output
    assert "did you mean 'listen'?" in said.output
    assert "bad.yaml:4: targets[0].url" in said.output


def test_an_address_that_is_taken_ends_with_2_and_says_which(start: type[Running], tmp_path: Path) -> None:
    """Nothing of a traceback."""
    address = f"127.0.0.1:{free_port()}"
    start("simulate", "--listen", address).until_says("simulated exchange")
    said = subprocess.run(
        [sys.executable, "-m", "alpmon", "demo", "--listen", address], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert said.stderr == f"cannot listen on {address}: Address already in use\n"
    again = subprocess.run(
        [sys.executable, "-m", "alpmon", "simulate", "--listen", address], capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert "Traceback" not in again.stderr
    assert address in again.stderr


@pytest.mark.parametrize("listen", ["9719", "localhost", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_a_usage_error(listen: str) -> None:
    """Before anything is started."""
    said = CliRunner().invoke(main, ["run", "--listen", listen])
    assert said.exit_code == 2
    assert "ADDR:PORT" in said.output


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_an_unknown_scenario_ends_with_2_and_names_the_nearest(command: str) -> None:
    """By name or by file."""
    said = CliRunner().invoke(main, [command, "--scenario", "flakey"])
    assert said.exit_code == 2
    assert "did you mean flaky?" in said.output


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_the_help_names_every_scenario(command: str) -> None:
    """And none that is not there."""
    said = CliRunner().invoke(main, [command, "--help"]).output
    listed = said.partition("Built-in scenarios:")[2]
    assert sorted(line.split()[0] for line in listed.splitlines() if line.strip()) == sorted(names())


@pytest.mark.parametrize("group", [[], ["config"]])
def test_every_command_is_summed_up_in_one_whole_line(group: list[str]) -> None:
    """On a terminal of eighty columns nothing is cut."""
    said = CliRunner().invoke(main, [*group, "--help"], terminal_width=80).output
    commands = main.commands if not group else main.commands["config"].commands
    lines = said.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == sorted(commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines), said


def completed(words: list[str], incomplete: str) -> list[tuple[str, str]]:
    """What click would offer the shell: type and text of each."""
    completion = ShellComplete(main, {}, "alpmon", "_ALPMON_COMPLETE")
    return [(item.type, item.value) for item in completion.get_completions(words, incomplete)]


@pytest.mark.parametrize("words", [[], ["config"]])
def test_fish_shows_what_a_command_does_up_to_a_comma(words: list[str]) -> None:
    """All behind the first one it drops, so there is none."""
    asked = ShellComplete(main, {}, "alpmon", "_ALPMON_COMPLETE").get_completions(words, "")
    assert asked
    assert not [item.help for item in asked if "," in (item.help or ",")]


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_scenarios_are_completed_by_name_and_by_file(command: str) -> None:
    """All that are built in, and files where none of those fits."""
    assert completed([command, "--scenario"], "") == [("plain", name) for name in sorted(names())]
    assert completed([command, "--scenario"], "fl") == [("plain", "flaky")]
    assert completed([command, "--scenario"], "./my") == [("file", "./my")]


def test_topics_are_completed_with_the_public_channels() -> None:
    """A pair's name only its user knows; behind an option that does not hold, completion goes on."""
    channels = ["ticker.*", "trade.*", "rates.*", "diff.*", "market_depth.*"]
    assert completed(["check", "--topic"], "") == [("plain", topic) for topic in channels]
    assert completed(["check", "--timeout", "soon", "http://x", "--topic"], "m") == [("plain", "market_depth.*")]
    assert completed(["check", "--topic"], "wallet") == []
    assert ("plain", "--scenario") in completed(["demo"], "--s")


def test_completion_does_not_import_what_it_does_not_need() -> None:
    """Whoever presses the key waits."""
    code = (
        "import sys; from click.shell_completion import ShellComplete; from alpmon.cli import main\n"
        "asked = ShellComplete(main, {}, 'alpmon', '_ALPMON_COMPLETE')\n"
        "assert asked.get_completions(['demo', '--scenario'], 'f')\n"
        "assert asked.get_completions(['check', 'wss://x/ws', '--timeout', '1s', '--topic'], 't')\n"
        "print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(said.stdout.split())


def test_bash_completes_as_the_help_says(tmp_path: Path) -> None:
    """The line of the help, in a real bash: what pressing the key would offer."""
    offered = {"demo --scenario fl": ["flaky"], "check --topic tr": ["trade.*"], "''": sorted(main.commands)}
    line = next(line for line in CliRunner().invoke(main, ["--help"]).output.splitlines() if "bash_source" in line)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for typed, expected in offered.items():
        words = ["alpmon", *typed.split()]
        asked = [
            line.strip(),
            "compopt() { :; }",  # it works while bash itself completes, and not in a script
            f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}",
            "_alpmon_completion alpmon",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        ]
        done = subprocess.run(
            [require_tool("bash"), "--norc", "-c", "\n".join(asked)],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
        )
        assert done.stdout.split() == expected, done.stderr


def test_the_demo_says_where_to_look_and_serves_it(start: type[Running]) -> None:
    """The pages that it names are there, and both dialects are watched."""
    address = f"127.0.0.1:{free_port()}"
    running = start("demo", "--listen", address, "--scenario", "healthy")
    running.until_says(f"metrics       http://{address}/metrics")

    async def both_up() -> None:
        async with asyncio.timeout(START_SECONDS):
            while True:
                metrics = await asyncio.to_thread(get, f"http://{address}/metrics")
                if all(f'alpmon_connection_up{{connection="0-0",target="{t}"}} 1.0' in metrics for t in TARGETS):
                    return
                await asyncio.sleep(0.1)

    asyncio.run(both_up())
    for path in ("/", "/api/v1/status", "/config"):
        assert "observed" in get(f"http://{address}{path}")
    assert running.end(signal.SIGTERM) == 0
