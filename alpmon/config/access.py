"""The web configuration file, in the format that Prometheus' exporters share (exporter-toolkit, web-configuration).

All its keys are known here and mean the same. What Python's TLS cannot do, and what those exporters would not take, is
refused with a line that says so, rather than ignored.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from alpmon.config.loader import parse_as, read_text
from alpmon.config.section import Section
from alpmon.config.tls import ClientAuth, TlsServer
from alpmon.config.values import Count, Fault, refusal

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_COSTS: Final = range(4, 17)
"""Each step doubles the time of a login, and 16 takes four seconds. bcrypt itself knows 4 to 31, which takes a day."""

_GO_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART: Final = rf"([0-9]{{1,9}}(?:\.[0-9]{{0,9}})?|\.[0-9]{{1,9}})({'|'.join(_GO_UNITS)})"


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise refusal(Fault("must be one line of printable characters"))
    return text


Line = Annotated[str, AfterValidator(_one_line)]


class FrameOptions(StrEnum):
    """What the exporter-toolkit lets X-Frame-Options be."""

    DENY = "deny"
    SAME_ORIGIN = "sameorigin"


class ContentTypeOptions(StrEnum):
    """What the exporter-toolkit lets X-Content-Type-Options be."""

    NO_SNIFF = "nosniff"


class Headers(Section):
    """Response headers that may be set; an empty text leaves one out."""

    content_security_policy: Line | None = Field(default=None, alias="Content-Security-Policy")
    x_frame_options: FrameOptions | None = Field(default=None, alias="X-Frame-Options")
    x_content_type_options: ContentTypeOptions | None = Field(default=None, alias="X-Content-Type-Options")
    x_xss_protection: Line | None = Field(default=None, alias="X-XSS-Protection")
    strict_transport_security: Line | None = Field(default=None, alias="Strict-Transport-Security")


class HttpServer(Section):
    """HTTP itself."""

    http2: bool = True
    """Known, and without effect: HTTP/1.1 is what is served."""
    headers: Headers = Headers()


def _absent_if_empty(section: object) -> object:
    """A section whose keys are all commented out is as good as absent, however it is written."""
    return None if section == {} else section


def _empty_if_absent(users: object) -> object:
    return {} if users is None else users


def _bcrypt_hashes(users: dict[str, str]) -> dict[str, str]:
    faults = [fault for user, digest in users.items() if (fault := _fault_of(digest, user)) is not None]
    if faults:
        raise refusal(*faults)
    return users


def _fault_of(digest: str, user: str) -> Fault | None:
    match = _BCRYPT.fullmatch(digest)
    if match is None:
        return Fault("must be a bcrypt hash", "make one with: htpasswd -nBC 10 USER", (user,))
    if int(match["cost"]) not in _COSTS:
        problem = f"a cost of {match['cost']} cannot be served, {_COSTS[0]} to {_COSTS[-1]} can"
        return Fault(problem, "make another with: htpasswd -nBC 10 USER", (user,))
    return None


def _go_seconds(value: object) -> object:
    """A duration as Go writes it, such as 1m30s or 1.5s; a bare 0 is one too."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str) or not (value == "0" or re.fullmatch(f"(?:{_GO_PART})+", value)):
        raise refusal(Fault("must be a duration with its unit", "such as 100ms or 1s; 0 is off"))
    return sum(float(amount) * _GO_UNITS[unit] for amount, unit in re.findall(_GO_PART, value))


class RateLimit(Section):
    """A bucket of `burst` requests, which gets one more each `interval` seconds; 0 is no limit."""

    interval: Annotated[float, BeforeValidator(_go_seconds)] = 0.0
    burst: Annotated[Count, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _lets_some_through(self) -> RateLimit:
        if self.interval and not self.burst:
            raise refusal(Fault("with 0 nothing would ever be answered", "write at least 1", ("burst",)))
        return self


class WebConfig(Section):
    """The whole file; an empty one guards nothing."""

    tls_server_config: Annotated[TlsServer | None, BeforeValidator(_absent_if_empty)] = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[dict[str, str], BeforeValidator(_empty_if_absent), AfterValidator(_bcrypt_hashes)] = (
        Field(default={}, repr=False)
    )
    rate_limit: RateLimit = RateLimit()

    @property
    def headers(self) -> dict[str, str]:
        """The response headers to set, by name."""
        return self.http_server_config.headers.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def guards(self) -> tuple[str, ...]:
        """The keys that keep somebody out; with none of them, anybody may read everything."""
        tls = self.tls_server_config
        present = {
            "basic_auth_users": bool(self.basic_auth_users),
            "client_auth_type": tls is not None and tls.client_auth_type is ClientAuth.REQUIRE_AND_VERIFY,
            "client_allowed_sans": tls is not None and bool(tls.client_allowed_sans),
        }
        return tuple(key for key, stands in present.items() if stands)


def load_access(path: Path) -> WebConfig:
    """Read a web configuration file; paths in it start from its folder.

    Raises:
        ConfigError: with every mistake found, or with the reason why the file cannot be read.
    """
    return parse_as(WebConfig, read_text(path), str(path))
