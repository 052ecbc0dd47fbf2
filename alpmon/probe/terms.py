"""A target's configuration in the terms of those who act on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alpmon.core.backoff import Backoff
from alpmon.core.freshness import Mode, Rule
from alpmon.core.session import Settings
from alpmon.probe.connector import ConnectRequest

if TYPE_CHECKING:
    from random import Random

    from alpmon.config import Target


def rule_of(target: Target, topic: str) -> Rule:
    """How the configuration wants a topic judged."""
    rule = target.freshness.rule_for(topic)
    return Rule(Mode(rule.mode), rule.floor, rule.ceiling, rule.silent_after, rule.after or rule.ceiling)


def request_of(target: Target) -> ConnectRequest:
    """Where and how to connect to a target."""
    return ConnectRequest(
        target.url,
        ca_file=target.tls.ca_file,
        insecure_skip_verify=target.tls.insecure_skip_verify,
        server_name=target.tls.server_name,
        connect_timeout_seconds=target.timeouts.connect,
    )


def settings_of(target: Target) -> Settings:
    """What a target's sessions are held by."""
    timeouts = target.timeouts
    return Settings(
        welcome_timeout=timeouts.welcome,
        ack_timeout=timeouts.ack,
        silence=timeouts.silence,
        rtt_interval=target.rtt_interval,
        ack_probe_interval=target.ack_probe_interval,
        max_frame_bytes=target.max_frame_bytes,
    )


def backoff_of(target: Target, rng: Random) -> Backoff:
    """The delays between a connection's attempts, from the first on."""
    return Backoff(target.reconnect.initial, target.reconnect.max, target.reconnect.factor, rng)
