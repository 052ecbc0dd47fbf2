"""The web configuration file, in the format that Prometheus' exporters share (exporter-toolkit, web-configuration).

The same file works with any of them, so every key of theirs is known here; what Python's TLS cannot do is refused
with a line that says so, rather than ignored.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from alpmon.config.loader import parse_as, read_text
from alpmon.config.section import Section
from alpmon.config.values import Fault, File, refusal

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_COSTS: Final = range(4, 17)
"""Each step doubles the time of a login, and 16 takes four seconds. bcrypt itself knows 4 to 31, which takes a day."""

OPENSSL_NAMES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""The TLS 1.2 suites that are still thought sound (RFC 9325), as the file and as OpenSSL call them; those of TLS 1.3
are always on."""


class ClientAuth(StrEnum):
    """Whether a client has to show a certificate, in the words of Go's TLS."""

    NONE = "NoClientCert"
    REQUEST = "RequestClientCert"
    REQUIRE_ANY = "RequireAnyClientCert"
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRE_AND_VERIFY = "RequireAndVerifyClientCert"


class TlsVersion(StrEnum):
    """A version of TLS; older ones than 1.2 are not served."""

    TLS12 = "TLS12"
    TLS13 = "TLS13"


def _known_suites(names: tuple[str, ...]) -> tuple[str, ...]:
    faults = [
        Fault("is no TLS 1.2 cipher suite that is served here", f"known are {', '.join(OPENSSL_NAMES)}", (index,))
        for index, name in enumerate(names)
        if name not in OPENSSL_NAMES
    ]
    if faults:
        raise refusal(*faults)
    return names


class TlsServer(Section):
    """The certificate to serve, and what is asked of clients."""

    cert_file: File
    key_file: File
    client_ca_file: File | None = None
    client_auth_type: ClientAuth = ClientAuth.NONE
    client_allowed_sans: tuple[str, ...] = ()
    min_version: TlsVersion = TlsVersion.TLS12
    max_version: TlsVersion = TlsVersion.TLS13
    cipher_suites: Annotated[tuple[str, ...], AfterValidator(_known_suites)] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> TlsServer:
        verifies = self.client_auth_type in (ClientAuth.VERIFY_IF_GIVEN, ClientAuth.REQUIRE_AND_VERIFY)
        faults = []
        if verifies and self.client_ca_file is None:
            faults.append(Fault(f"{self.client_auth_type} needs client_ca_file", at=("client_auth_type",)))
        if self.client_ca_file is not None and self.client_auth_type is ClientAuth.NONE:
            hint = "add client_auth_type: RequireAndVerifyClientCert"
            faults.append(Fault("has no effect without client_auth_type", hint, ("client_ca_file",)))
        if self.client_auth_type in (ClientAuth.REQUEST, ClientAuth.REQUIRE_ANY):
            hint = "use VerifyClientCertIfGiven or RequireAndVerifyClientCert with client_ca_file"
            faults.append(Fault("a certificate that nobody verifies is not supported", hint, ("client_auth_type",)))
        if self.client_allowed_sans and self.client_auth_type is not ClientAuth.REQUIRE_AND_VERIFY:
            hint = "add client_auth_type: RequireAndVerifyClientCert"
            faults.append(Fault("needs verified client certificates", hint, ("client_allowed_sans",)))
        if self.curve_preferences:
            faults.append(Fault("cannot be set here", "leave it out: OpenSSL's own are used", ("curve_preferences",)))
        if self.min_version > self.max_version:
            faults.append(Fault("must not be above max_version", at=("min_version",)))
        if faults:
            raise refusal(*faults)
        return self


class Headers(Section):
    """Response headers that may be set; an empty text leaves one out."""

    content_security_policy: str | None = Field(default=None, alias="Content-Security-Policy")
    x_frame_options: str | None = Field(default=None, alias="X-Frame-Options")
    x_content_type_options: str | None = Field(default=None, alias="X-Content-Type-Options")
    x_xss_protection: str | None = Field(default=None, alias="X-XSS-Protection")
    strict_transport_security: str | None = Field(default=None, alias="Strict-Transport-Security")


class HttpServer(Section):
    """HTTP itself."""

    http2: bool = True
    """Known, and without effect: HTTP/1.1 is what is served."""
    headers: Headers = Headers()


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


class WebConfig(Section):
    """The whole file; an empty one guards nothing."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[dict[str, str], AfterValidator(_bcrypt_hashes)] = Field(default={})

    @property
    def headers(self) -> dict[str, str]:
        """The response headers to set, by name."""
        return self.http_server_config.headers.model_dump(by_alias=True, exclude_none=True)

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
