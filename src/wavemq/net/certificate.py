"""The TLS certificate of a designated router.

Owns the self-signed certificate of wavemq.md 3, and the certificate's *signature field*, over which
the router's entity signs in the handshake. Refuses to know the handshake. Fault model: TLS alone
proves nothing here, since nobody vouches for the certificate; what binds it to a namespace is the
handshake inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from wavemq.clock import Instant, datetime_from_instant
from wavemq.errors import HandshakeError

COMMON_NAME: Final = "wavemq-dr"
KEY_BITS: Final = 2048
PUBLIC_EXPONENT: Final = 65537
"""Part of the wire contract, as is RSA (wavemq.md 3)."""
LIFETIME: Final = timedelta(days=3650)
"""Longer than any process that makes one; peers do not look at it."""
CLOCK_SKEW: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate with its key.

    Attributes:
        content: the certificate, DER.
        key: its key, PKCS #8, DER.
        signature: the certificate's signature field, which the router's entity signs.
    """

    content: bytes
    key: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def make_server_certificate(now: Instant) -> ServerCertificate:
    """Make a fresh RSA-2048 certificate signed by itself; takes some 0.1 s of computing.

    Args:
        now: the beginning of its validity, less a day for clocks that are wrong.
    """
    key = rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    moment = datetime_from_instant(now).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - CLOCK_SKEW)
        .not_valid_after(moment + LIFETIME)
        .sign(key, hashes.SHA256())
    )
    return ServerCertificate(
        content=certificate.public_bytes(serialization.Encoding.DER),
        key=key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        signature=certificate.signature,
    )


def certificate_signature(certificate: bytes | None) -> bytes:
    """Return the signature field of a certificate (DER) that a peer showed in TLS.

    The router's entity signs this field and nothing else of the certificate. TLS does not look at
    it, so anybody could copy it into a certificate of his own, and stand between site and router.
    Therefore the field must be the certificate's own RSA signature: then it binds the key that TLS
    used. (That a signature fits a second key of an enemy's making is excluded by the key being
    part of what is signed, and by the fixed exponent.)

    Raises:
        HandshakeError: there is none, it is not a certificate, or it is not signed by its own key.
    """
    if certificate is None:
        raise HandshakeError("the router showed no TLS certificate")
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise HandshakeError(f"the router's TLS certificate is malformed: {error}") from error
    is_wire_contract = (
        isinstance(key, rsa.RSAPublicKey)
        and key.key_size >= KEY_BITS
        and key.public_numbers().e == PUBLIC_EXPONENT
    )
    if not is_wire_contract:
        raise HandshakeError(
            f"the router's TLS certificate has no RSA key of {KEY_BITS} bits and exponent "
            f"{PUBLIC_EXPONENT}"
        )
    try:
        parsed.verify_directly_issued_by(parsed)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise HandshakeError("the router's TLS certificate is not signed by its own key") from error
    return parsed.signature
