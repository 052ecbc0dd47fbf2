"""The configuration as frozen models: parsed once, never written again. Field names are the YAML's keys."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from alpmon.config.freshness import Freshness
from alpmon.config.section import Section
from alpmon.config.values import (
    AutoDuration,
    Count,
    Duration,
    Factor,
    Fault,
    File,
    HttpUrl,
    Listen,
    Name,
    PositiveDuration,
    ShardIndex,
    WsUrl,
    refusal,
    split_listen,
)
from alpmon.core.events import Operation
from alpmon.core.protocol import request
from alpmon.core.topics import PUBLIC_CHANNELS, split_topic


class LogLevel(StrEnum):
    """How grave an event is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Who a log line is written for."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class Log(Section):
    """What alpmon says of itself, on stderr."""

    level: LogLevel = Field(default=LogLevel.INFO, description="The least grave events that are logged.")
    format: LogFormat = Field(
        default=LogFormat.AUTO, description="`auto` writes for a person on a terminal and JSON elsewhere."
    )


class Shard(Section):
    """Which part of the connections this process holds, of how many equal ones."""

    index: ShardIndex = Field(
        default=0,
        ge=0,
        description="This process's part, from 0; a StatefulSet pod name such as `alpmon-3` counts as its ordinal. "
        "`ALPMON_SHARD_INDEX` goes before it.",
    )
    count: Count = Field(
        default=1, ge=1, le=1000, description="How many parts there are. `ALPMON_SHARD_COUNT` goes before it."
    )
    replicas: Count = Field(
        default=1,
        ge=1,
        le=10,
        description="How many processes hold each part: indexes go on past `count` and round, so that of 4 parts held "
        "twice index 5 holds part 1 again. `ALPMON_SHARD_REPLICAS` goes before it.",
    )

    @property
    def part(self) -> int:
        """The part that this process holds, below `count`."""
        return self.index % self.count

    @model_validator(mode="after")
    def _index_below_count(self) -> Shard:
        if self.index >= self.count * self.replicas:
            bound = "shard.count" if self.replicas == 1 else "shard.count times shard.replicas"
            raise refusal(Fault(f"must be below {bound}, which is {self.count * self.replicas}", at=("index",)))
        return self


class Timeouts(Section):
    """How long each step may take before it counts as failed."""

    connect: PositiveDuration = Field(default=10.0, description="Resolve, TCP, TLS and upgrade together.")
    welcome: PositiveDuration = Field(default=10.0, description="The upgrade to the welcome frame.")
    ack: PositiveDuration = Field(default=5.0, description="A request to its acknowledgement.")
    silence: AutoDuration = Field(
        default=None,
        description="No frame at all for so long is a dead peer; `auto` is the interval plus the timeout that the "
        "welcome advertised.",
    )


class Reconnect(Section):
    """How long to wait before the next attempt; full jitter, so that many monitors never come back together."""

    initial: PositiveDuration = Field(
        default=1.0, description="The longest wait before the second retry; the first comes at once."
    )
    max: PositiveDuration = Field(default=60.0, description="The wait never grows beyond this.")
    factor: Factor = Field(
        default=1.6, ge=1, le=100, description="What each further failure multiplies the longest wait by."
    )

    @model_validator(mode="after")
    def _initial_within_max(self) -> Reconnect:
        if self.initial > self.max:
            raise refusal(Fault("must not be longer than max", at=("initial",)))
        return self


class Tls(Section):
    """How the server proves who it is; only for `wss://`."""

    ca_file: File | None = Field(default=None, description="PEM file of the CAs to trust instead of the system's.")
    insecure_skip_verify: bool = Field(default=False, description="Take any certificate. For tests only.")
    server_name: str | None = Field(
        default=None, min_length=1, description="The name to ask for and to verify instead of the URL's host."
    )


class Auth(Section):
    """Opens the private channels: a token, or the key and the secret that get one. Files are re-read on change."""

    token_file: File | None = Field(default=None, description="File with a ready JWT; excludes the two below.")
    key_file: File | None = Field(default=None, description="File with the API key; needs `secret_file`.")
    secret_file: File | None = Field(default=None, description="File with the API secret; needs `key_file`.")
    rest_url: HttpUrl = Field(
        default="https://www.alp.com/api/v3", description="REST base that trades key and secret for a token."
    )

    @property
    def enabled(self) -> bool:
        """Whether any credential is configured."""
        return self.token_file is not None or self.key_file is not None

    @model_validator(mode="after")
    def _one_way(self) -> Auth:
        if self.token_file and (self.key_file or self.secret_file):
            raise refusal(Fault("excludes key_file and secret_file", at=("token_file",)))
        if (self.key_file is None) != (self.secret_file is None):
            given, absent = ("key_file", "secret_file") if self.key_file else ("secret_file", "key_file")
            raise refusal(Fault(f"needs {absent} as well", at=(given,)))
        return self


class Reference(Section):
    """A second opinion: what REST shows and the stream does not."""

    url: HttpUrl | None = Field(
        default=None, description="REST base, such as `https://www.alp.com/api/v3`; null asks nobody."
    )
    interval: PositiveDuration = Field(default=30.0, description="Between two reads.")


class Limits(Section):
    """What bounds the number of series."""

    max_symbols: Count = Field(
        default=500,
        ge=0,
        le=100_000,
        description="Distinct symbols a target may create series for; the rest count as `other`.",
    )


def _topic_fault(index: int, topic: str) -> Fault | None:
    """What is wrong with one topic; names the nearest channel, never the text, which may come from the environment."""
    try:
        split_topic(topic)
    except ValueError:
        channel, _, _ = topic.partition(".")
        if channel in PUBLIC_CHANNELS:
            return Fault("names no pair", f"write {channel}.* or a pair such as {channel}.BTC_USDT", (index,))
        near = get_close_matches(channel, list(map(str, PUBLIC_CHANNELS)), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the channels are {', '.join(PUBLIC_CHANNELS)}"
        return Fault("names no public channel", hint, (index,))
    return None


def _sound_topics(topics: tuple[str, ...]) -> tuple[str, ...]:
    first: dict[str, int] = {}
    faults = []
    for index, topic in enumerate(topics):
        if first.setdefault(topic, index) != index:
            faults.append(Fault(f"the same topic as topics[{first[topic]}]", at=(index,)))
        elif fault := _topic_fault(index, topic):
            faults.append(fault)
    if faults:
        raise refusal(*faults)
    return topics


class Target(Section):
    """One WebSocket endpoint and what to watch there."""

    name: Name = Field(description="The `target` label; unique.", examples=["alp"])
    url: WsUrl = Field(description="`ws://` or `wss://`.", examples=["wss://www.alp.com/ws"])
    topics: Annotated[tuple[str, ...], AfterValidator(_sound_topics)] = Field(
        min_length=1,
        description="`CHANNEL.*` or `CHANNEL.PAIR`; the channels are "
        + ", ".join(f"`{c}`" for c in PUBLIC_CHANNELS)
        + ".",
        examples=[["ticker.*", "trade.*", "market_depth.BTC_USDT"]],
    )
    redundancy: Count = Field(default=1, ge=1, le=10, description="Parallel connections that carry the same topics.")
    max_topics_per_connection: Count = Field(
        default=20, ge=1, le=10_000, description="More topics than this are spread over more connections."
    )
    max_frame_bytes: Count = Field(default=800, ge=32, le=1_048_576, description="The longest request frame.")
    ack_probe_interval: Duration = Field(
        default=60.0, description="Re-subscribe one topic so often to keep measuring the acknowledgement; `0s` = off."
    )
    rtt_interval: Duration = Field(default=20.0, description="Send a WebSocket ping so often; `0s` = off.")
    timeouts: Timeouts = Field(default=Timeouts(), description="How long each step may take.")
    reconnect: Reconnect = Field(default=Reconnect(), description="How long to wait before the next attempt.")
    tls: Tls = Field(default=Tls(), description="How the server proves who it is.")
    auth: Auth = Field(default=Auth(), description="What opens the private channels.")
    freshness: Freshness = Field(default=Freshness(), description="When the silence of a topic is a fault.")
    reference: Reference = Field(default=Reference(), description="What REST says of the same topics.")

    @model_validator(mode="after")
    def _topics_fit_a_frame(self) -> Target:
        limit = self.max_frame_bytes
        faults = [
            Fault(
                f"its longest request frame is {size} bytes long, over max_frame_bytes: {limit}", at=("topics", index)
            )
            for index, topic in enumerate(self.topics)
            if (size := len(request(Operation.UNSUBSCRIBE, [topic]))) > limit
        ]
        if faults:
            raise refusal(*faults)
        return self


def repeated_names(names: Iterable[object]) -> list[Fault]:
    """The names that an earlier target has, found under the list of targets."""
    first: dict[object, int] = {}
    return [
        Fault(f"the same name as targets[{first[name]}]", at=(index, "name"))
        for index, name in enumerate(names)
        if first.setdefault(name, index) != index
    ]


def _unique_names(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    faults = repeated_names(target.name for target in targets)
    if faults:
        raise refusal(*faults)
    return targets


class Config(Section):
    """The whole file."""

    listen: Listen = Field(
        default="127.0.0.1:9719", description="ADDR:PORT of /metrics and the rest; without ADDR every interface."
    )
    web_config_file: File | None = Field(
        default=None, description="TLS and basic auth for every path, in the exporter-toolkit format."
    )
    log: Log = Field(default=Log(), description="What alpmon says of itself.")
    shard: Shard = Field(default=Shard(), description="Which part of the connections this process holds.")
    targets: Annotated[tuple[Target, ...], AfterValidator(_unique_names)] = Field(
        min_length=1, description="What to watch."
    )
    state_file: File | None = Field(
        default=None, description="Keeps what freshness has learnt over restarts; replaced atomically."
    )
    runbook_url: HttpUrl | None = Field(
        default=None,
        description="Where you keep docs/alerts.md; the status page leads there, and to its own /runbook without it.",
        examples=["https://wiki.example/alpmon/alerts.md"],
    )
    limits: Limits = Field(default=Limits(), description="Bounds that the exchange cannot push us over.")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on; an empty host means every interface."""
        return split_listen(self.listen)
