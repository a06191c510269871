"""TLS of Python's own `ssl`, for peers of other makes in tests.

Owns both contexts. Refuses to know handshakes. Fault model: none; nothing here is part of a router.
"""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from wavemq.net.certificate import ServerCertificate


def server_context(certificate: ServerCertificate) -> ssl.SSLContext:
    """Return TLS for accepting with a certificate; sessions are not resumed."""
    context = _bare_context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    # The ssl module reads keys from files only; this one lives as long as the next few lines.
    with tempfile.TemporaryDirectory(prefix="wavemq-") as folder:
        path = Path(folder) / "certificate.pem"
        path.touch(mode=0o600)
        path.write_text(
            ssl.DER_cert_to_PEM_cert(certificate.content) + _key_to_pem(certificate.key)
        )
        context.load_cert_chain(path)
    return context


def client_context() -> ssl.SSLContext:
    """Return TLS for dialling: it trusts any certificate, the handshake inside decides."""
    context = _bare_context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _key_to_pem(key: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(key).replace("CERTIFICATE", "PRIVATE KEY")


def _bare_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
