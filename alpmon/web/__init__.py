"""HTTP: the metrics, the status page and its JSON, health, readiness."""

from alpmon.web.server import ListenError

__all__ = ["ListenError"]
