"""The monitor as one process: workers, HTTP, signals; put together here and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import structlog
from prometheus_client import CollectorRegistry

from alpmon import logs
from alpmon.background import in_background
from alpmon.config import ConfigError, show
from alpmon.config.values import Fault
from alpmon.probe.supervisor import Supervisor
from alpmon.probe.taped import learnt_by, stood_by
from alpmon.telemetry import lately
from alpmon.telemetry.history import keep
from alpmon.telemetry.lookout import watch_troubles
from alpmon.telemetry.looplag import watch_loop
from alpmon.telemetry.memory import Memory
from alpmon.telemetry.metrics import register
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.rates import watch_rates
from alpmon.telemetry.tape import keep_flushed
from alpmon.web.access import Access
from alpmon.web.app import create_app
from alpmon.web.reload import NOTHING_TO_RELOAD
from alpmon.web.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from types import TracebackType

    from alpmon.config import Config
    from alpmon.config.loader import Further
    from alpmon.telemetry.tape import Tape

Source: TypeAlias = Callable[["Further"], "Config"]
"""Reads the configuration anew, unless there is something further wrong with it; raises `ConfigError`."""

FIXED_KEYS: Final = ("listen", "web_config_file", "shard", "state_file")
"""What is taken up at the start only."""

SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How long the scrape's thread may keep the interpreter from the event loop's; Python's default is ten times this."""


class Service:
    """One monitor, from the first connection attempt to the last goodbye; use it as an async context manager.

    Args:
        config: what to hold.
        rng: the jitter of the reconnects.
        tape: where everything received is written, if it shall be.
        source: where the configuration can be read anew; without one there is nothing to reload.

    Attributes:
        monitor: what has been seen.
        url: where HTTP is served.
    """

    def __init__(
        self, config: Config, rng: Random | None = None, tape: Tape | None = None, source: Source | None = None
    ) -> None:
        self.config = config
        self._source = source
        self._memory = None if config.state_file is None else Memory(config.state_file)
        self.monitor = Monitor(started_wall=time.time(), tape=tape)
        self.monitor.reload_success_wall = self.monitor.started_wall
        self.registry = CollectorRegistry()
        if tape is not None:
            tape.learning = lambda now, wall: learnt_by(self.monitor, now, wall)
            tape.standing = lambda now, wall: stood_by(self.monitor, now, wall)
        self._supervisor = Supervisor(config, self.monitor, rng or Random(), self._memory)
        self._exits = contextlib.AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> Self:
        """Serve HTTP, then connect.

        Raises:
            ListenError: the address to listen on cannot be had.
            ConfigError: the web configuration file is bad.
        """
        async with self._exits:
            await self._start()
            self._exits = self._exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every session with 1001, then HTTP, so that the last scrape can see it."""
        await self._exits.aclose()

    async def _start(self) -> None:
        self.monitor.last_tick = time.monotonic()
        register(self.registry, self.monitor)
        await self._serve()
        self._watch("event loop lag", lambda: watch_loop(self.monitor))
        self._watch("history", lambda: keep(self.monitor.history, self.monitor.targets))
        self._watch("counts", lambda: lately.keep(self.monitor))
        self._watch("troubles", lambda: watch_troubles(self.monitor, time.monotonic, time.time))
        self._watch("rates", lambda: watch_rates(self.monitor))
        tape = self.monitor.tape
        if tape is not None:
            self._watch("recording", lambda: keep_flushed(tape))
        self._remember()
        self._exits.push_async_callback(self._supervisor.stop)
        self._supervisor.start()

    async def _serve(self) -> None:
        host, port = self.config.address
        path = self.config.web_config_file
        access = None if path is None else Access(path, self.monitor)
        if (access is None or access.is_open) and not _is_loopback(host):
            structlog.get_logger("alpmon").warning(
                "anybody who reaches this address can read everything", listen=self.config.listen, key="web_config_file"
            )
        app = create_app(
            self.monitor,
            self.registry,
            lambda: show(self.config),
            access=access,
            runbook_url=lambda: self.config.runbook_url,
            reload=None if self._source is None else self.reload,
        )
        server = await serve(app, host, port, None if access is None else access.ssl_context)
        self._exits.push_async_callback(server.close)
        self.url = server.url
        if access is not None:
            self._watch("web configuration", lambda: access.watch(server))

    def reload(self) -> list[str]:
        """Take up the configuration as its source has it now; the old one stays in force on any mistake.

        Returns:
            Every mistake, one line each; none if the new configuration is in force.
        """
        log = structlog.get_logger("alpmon")
        if self._source is None:
            log.warning("not reloaded", why=NOTHING_TO_RELOAD)
            return [NOTHING_TO_RELOAD]
        mistakes = self._take_up(self._source)
        self.monitor.reload_successful = not mistakes
        if mistakes:
            log.error("configuration not reloaded", mistakes=mistakes)
        else:
            self.monitor.reload_success_wall = time.time()
            log.info("configuration reloaded", targets=len(self.config.targets))
        return mistakes

    def _take_up(self, source: Source) -> list[str]:
        try:
            config = source(self._changes_of_fixed_keys)
        except ConfigError as error:
            return str(error).splitlines()
        self.config = config
        logs.configure(config.log.level, config.log.format)
        now = time.monotonic()
        if self.monitor.tape is not None:
            self.monitor.tape.reloaded(show(config), now, time.time())
        self._supervisor.change(config, now)
        return []

    def _changes_of_fixed_keys(self, config: Config) -> Iterator[Fault]:
        for key in FIXED_KEYS:
            if getattr(config, key) != getattr(self.config, key):
                yield Fault("cannot change while alpmon runs", "restart it", (key,))

    def _remember(self) -> None:
        """Save what is learnt now and then, and once more when nothing changes any longer."""
        memory = self._memory
        if memory is not None:
            self._exits.push_async_callback(memory.save, self.monitor)
            self._watch("state file", lambda: memory.keep(self.monitor))

    def _watch(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._exits.callback(in_background(name, run).cancel)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def run(
    config: Config,
    around: Callable[[Service], Awaitable[None]] | None = None,
    tape: Tape | None = None,
    source: Source | None = None,
) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads the configuration.

    Args:
        config: what to hold.
        around: called once when everything is up.
        tape: where everything received is written, if it shall be.
        source: where the configuration can be read anew.
    """
    log = structlog.get_logger("alpmon")
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    async with stop_signals() as stop, Service(config, tape=tape, source=source) as service:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.reload)
        log.info("started", url=service.url, targets=len(config.targets))
        _spare_the_collector()
        if around is not None:
            await around(service)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


def _spare_the_collector() -> None:
    """What was built at the start stays for ever: a full collection need not look at it again, and stall the loop."""
    gc.collect()
    gc.freeze()


@contextlib.asynccontextmanager
async def stop_signals() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set, for as long as the context lasts."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
