"""alpmon: a Prometheus-instrumented connection health monitor for the Alp Exchange WebSocket."""

from importlib.metadata import version

__version__ = version("alpmon")
