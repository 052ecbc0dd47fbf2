"""Label values that telemetry itself names: ways to fail, to ask and to end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PingKind(StrEnum):
    """How the server asks whether we live: the documented text frame, or the WebSocket protocol's own."""

    TEXT = "text"
    PROTOCOL = "protocol"


class Phase(StrEnum):
    """A step of getting connected; the `phase` label."""

    RESOLVE = "resolve"
    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    WELCOME = "welcome"


class FailureReason(StrEnum):
    """Why an attempt never reached the welcome."""

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS = "tls"
    HTTP_STATUS = "http_status"
    HANDSHAKE = "handshake"
    WELCOME_TIMEOUT = "welcome_timeout"
    AUTH = "auth"
    OTHER = "other"


class WebRefusal(StrEnum):
    """Why an HTTP request to the monitor was turned away with 429."""

    LOGINS = "logins"
    RATE = "rate_limit"


class Initiator(StrEnum):
    """Who ended a session."""

    SERVER = "server"
    CLIENT = "client"
    NETWORK = "network"


SHUTDOWN: Final = "shutdown"
RELOAD: Final = "reload"
OWN_ENDS: Final = (SHUTDOWN, RELOAD)
"""Why we end a session on purpose: nothing is wrong."""
