"""TLS as the web configuration file asks for it."""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from aiohttp import web

from alpmon.config.mistakes import ConfigError, Mistake
from alpmon.config.tls import OPENSSL_CURVES, ClientAuth, TlsServer, TlsVersion

_VERSIONS: Final = {TlsVersion.TLS12: ssl.TLSVersion.TLSv1_2, TlsVersion.TLS13: ssl.TLSVersion.TLSv1_3}
_VERIFIES: Final = {
    ClientAuth.VERIFY_IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRE_AND_VERIFY: ssl.CERT_REQUIRED,
}


def server_context(tls: TlsServer, path: Path) -> ssl.SSLContext:
    """What to serve with; `path` is the web configuration file, for messages.

    Raises:
        ConfigError: a certificate or a key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[tls.lowest_version], _VERSIONS[tls.max_version]
    try:
        _load(context, tls)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or "not usable"
        files = (tls.cert_file or "cert", tls.key_file or "key", tls.client_ca_file or (tls.client_ca and "client_ca"))
        problem = f"a certificate or key cannot be used: {why} (among {', '.join(str(each) for each in files if each)})"
        raise ConfigError([Mistake(str(path), 0, 0, "tls_server_config", "", problem)]) from None
    context.verify_mode = _VERIFIES.get(tls.client_auth_type, ssl.CERT_NONE)
    if tls.openssl_suites:
        context.set_ciphers(":".join(tls.openssl_suites))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(OPENSSL_CURVES[curve])
    return context


def _load(context: ssl.SSLContext, tls: TlsServer) -> None:
    with _file_of(tls.cert, tls.cert_file) as cert, _file_of(tls.key, tls.key_file) as key:
        context.load_cert_chain(cert, key, password=lambda: "")
    if tls.client_ca_file is not None:
        context.load_verify_locations(tls.client_ca_file)
    if tls.client_ca is not None:
        # What is not ASCII is a remark between the certificates, and Python would not have it.
        context.load_verify_locations(cadata=tls.client_ca.encode("ascii", "ignore").decode())


@contextmanager
def _file_of(text: str | None, file: Path | None) -> Iterator[str]:
    """The file, or one that holds the text: OpenSSL takes a certificate's key from nothing else.

    On Linux it lies in memory, for a root file system may be read-only, and a key has no business on a disk.
    """
    if text is None:
        yield str(file)
    elif sys.platform == "linux":
        with os.fdopen(os.memfd_create("pem"), "w") as opened:
            opened.write(text)
            opened.flush()
            yield f"/proc/self/fd/{opened.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w") as opened:
            opened.write(text)
            opened.flush()
            yield opened.name


def client_allowed(request: web.Request, tls: TlsServer) -> bool:
    """Whether the client showed a certificate, where one must be, with one of the names that are let in.

    The handshake has seen to the certificate, unless the connection is older than the demand.
    """
    if tls.client_auth_type is not ClientAuth.REQUIRE_AND_VERIFY:
        return True
    connection = request.get_extra_info("ssl_object")
    certificate = connection.getpeercert() if connection is not None else None
    names = {_san(kind, value) for kind, value in (certificate or {}).get("subjectAltName", ())}
    return bool(certificate) and (not tls.client_allowed_sans or not names.isdisjoint(tls.client_allowed_sans))


def _san(kind: str, value: str) -> str:
    """A name as Go writes it: OpenSSL spells IPv6 addresses out."""
    return str(ip_address(value.strip())) if kind == "IP Address" else value
