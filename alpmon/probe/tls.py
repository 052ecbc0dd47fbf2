"""TLS as a probe needs it: contexts built once, and how long the certificates seen are still good."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def client_context(ca_file: Path | None, *, insecure_skip_verify: bool) -> ssl.SSLContext:
    """The context for a target, kept from one attempt to the next; a CA file that changed is read again.

    Raises:
        OSError: the CA file cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    changed_ns = ca_file.stat().st_mtime_ns if ca_file is not None else 0
    return _built(ca_file, changed_ns, insecure_skip_verify)


@lru_cache(maxsize=128)
def _built(ca_file: Path | None, changed_ns: int, insecure_skip_verify: bool) -> ssl.SSLContext:
    del changed_ns
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def not_after_wall(tls: ssl.SSLObject) -> float | None:
    """When the first certificate of the chain that the server showed runs out; None where Python does not tell.

    `getpeercert` knows the server's own certificate only, and nothing when it was not verified. The chain, decoded, is
    to be had from the wrapped object alone, up to Python 3.14 at least; without it the answer is the certificate's own.
    """
    shown = getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", None)
    chain: list[Mapping[str, Any]] = [certificate.get_info() for certificate in shown() or ()] if shown else []
    ends = [certificate["notAfter"] for certificate in chain or [tls.getpeercert() or {}] if "notAfter" in certificate]
    return min((float(ssl.cert_time_to_seconds(end)) for end in ends), default=None)
