"""The `tls_server_config` of the web configuration file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from alpmon.config.section import Section
from alpmon.config.values import Fault, File, refusal

TLS13_SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""May be named, and are on in any case, as with Go's TLS."""
OPENSSL_NAMES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
"""The TLS 1.2 suites of Go's tls.CipherSuites(), which are what the file may name, as OpenSSL calls them."""
OPENSSL_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


class ClientAuth(StrEnum):
    """Whether a client has to show a certificate, in the words of Go's TLS."""

    NONE = "NoClientCert"
    REQUEST = "RequestClientCert"
    REQUIRE_ANY = "RequireAnyClientCert"
    REQUIRE = "RequireClientCert"
    """An old name of the same."""
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRE_AND_VERIFY = "RequireAndVerifyClientCert"


_VERIFYING: Final = (ClientAuth.VERIFY_IF_GIVEN, ClientAuth.REQUIRE_AND_VERIFY)
_UNVERIFIED: Final = (ClientAuth.REQUEST, ClientAuth.REQUIRE_ANY, ClientAuth.REQUIRE)


class TlsVersion(StrEnum):
    """A version of TLS; older ones than 1.2 are not served."""

    TLS12 = "TLS12"
    TLS13 = "TLS13"


def _known(what: str, names: Mapping[str, object]) -> AfterValidator:
    def check(given: tuple[str, ...]) -> tuple[str, ...]:
        faults = [
            Fault(f"is no {what} that can be served", _nearest(name, names), (index,))
            for index, name in enumerate(given)
            if name not in names
        ]
        if faults:
            raise refusal(*faults)
        return given

    return AfterValidator(check)


def _nearest(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else "leave it out: sound ones are chosen"


class TlsServer(Section):
    """The certificate to serve, and what is asked of clients; each certificate and key is a file or its text."""

    cert: str | None = None
    key: str | None = Field(default=None, repr=False)
    client_ca: str | None = None
    cert_file: File | None = None
    key_file: File | None = None
    client_ca_file: File | None = None
    client_auth_type: ClientAuth = ClientAuth.NONE
    client_allowed_sans: tuple[str, ...] = ()
    min_version: TlsVersion = TlsVersion.TLS12
    max_version: TlsVersion = TlsVersion.TLS13
    cipher_suites: Annotated[
        tuple[str, ...], _known("cipher suite", {**OPENSSL_NAMES, **dict.fromkeys(TLS13_SUITES)})
    ] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[tuple[str, ...], _known("curve", OPENSSL_CURVES)] = ()

    @property
    def openssl_suites(self) -> tuple[str, ...]:
        """The suites for TLS 1.2; none where none are named, or only those of TLS 1.3."""
        return tuple(OPENSSL_NAMES[name] for name in self.cipher_suites if name in OPENSSL_NAMES)

    @property
    def lowest_version(self) -> TlsVersion:
        """What is served at least: without a suite for it, TLS 1.2 is not."""
        return TlsVersion.TLS13 if self.cipher_suites and not self.openssl_suites else self.min_version

    @model_validator(mode="after")
    def _makes_sense(self) -> TlsServer:
        faults = [*self._faults_of_files(), *self._faults_of_clients(), *self._faults_of_tls()]
        if faults:
            raise refusal(*faults)
        return self

    def _faults_of_files(self) -> Iterator[Fault]:
        for name, needed in (("cert", True), ("key", True), ("client_ca", False)):
            text, file = getattr(self, name), getattr(self, f"{name}_file")
            if text is not None and file is not None:
                yield Fault(f"stands beside {name}_file", "give one of the two", (name,))
            if text is None and file is None and needed:
                yield Fault("missing", f"or give its text as {name}", (f"{name}_file",))

    def _faults_of_clients(self) -> Iterator[Fault]:
        kind = self.client_auth_type
        authority = "client_ca" if self.client_ca is not None else "client_ca_file"
        if kind in _VERIFYING and self.client_ca is None and self.client_ca_file is None:
            yield Fault(f"{kind} needs client_ca_file", at=("client_auth_type",))
        if kind is ClientAuth.NONE and (self.client_ca is not None or self.client_ca_file is not None):
            hint = "add client_auth_type: RequireAndVerifyClientCert"
            yield Fault("has no effect without client_auth_type", hint, (authority,))
        if kind in _UNVERIFIED:
            hint = "use VerifyClientCertIfGiven or RequireAndVerifyClientCert with client_ca_file"
            yield Fault("a certificate that nobody verifies is not supported", hint, ("client_auth_type",))
        if self.client_allowed_sans and kind is not ClientAuth.REQUIRE_AND_VERIFY:
            hint = "add client_auth_type: RequireAndVerifyClientCert"
            yield Fault("needs verified client certificates", hint, ("client_allowed_sans",))

    def _faults_of_tls(self) -> Iterator[Fault]:
        if self.min_version > self.max_version:
            yield Fault("must not be above max_version", at=("min_version",))
        elif self.lowest_version > self.max_version:
            yield Fault("holds no suite of TLS 1.2", "add one, or let max_version be TLS13", ("cipher_suites",))
        if len(self.curve_preferences) > 1:
            yield Fault("only one curve can be set here", "name one, or leave it out", ("curve_preferences",))
