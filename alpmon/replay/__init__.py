"""A recording told again to the core, without a socket and without a clock."""


class ReplayError(Exception):
    """The recording cannot be told, or not by this configuration; says why."""
