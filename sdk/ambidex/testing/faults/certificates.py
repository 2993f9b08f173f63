"""Certificates for a server on loopback, good ones and ones that no client may trust; by trustme, made in memory."""

from __future__ import annotations

import datetime
import ssl
from functools import cached_property
from pathlib import Path
from typing import Any

from ambidex.errors import MissingExtra

from .fault import Door

NAMES = ("localhost", "127.0.0.1", "::1")


class Certificates:
    """Made when first asked for. Raises `MissingExtra` without trustme."""

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError:
            raise MissingExtra(
                "Faults of TLS need the package trustme, which makes certificates: pip install trustme."
            ) from None
        self._trustme: Any = trustme

    @cached_property
    def _authority(self) -> Any:
        return self._trustme.CA()

    def write_authority(self, file: Path) -> None:
        """The authority that a client has to trust, as PEM."""
        self._authority.cert_pem.write_to_path(file)

    def context(self, door: Door) -> ssl.SSLContext:
        """What the server shows at this door."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if door == "tls_self_signed":
            own = self._trustme.CA(organization_name="nobody")
            with own.cert_pem.tempfile() as certificate, own.private_key_pem.tempfile() as key:
                context.load_cert_chain(certificate, key)
            return context
        names: tuple[str, ...] = NAMES
        options: dict[str, Any] = {}
        if door == "tls_expired":
            options["not_after"] = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        if door == "tls_wrong_host":
            names = ("elsewhere.test",)
        authority = self._trustme.CA() if door == "tls_unknown_authority" else self._authority
        authority.issue_cert(*names, **options).configure_cert(context)
        return context
