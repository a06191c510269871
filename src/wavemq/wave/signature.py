"""Message signatures in DER (wave.md 2.3)."""

from __future__ import annotations

from wavemq._kernel import MessageVerifier
from wavemq.crypto import signing
from wavemq.errors import InvalidSignatureError, MalformedDERError, ProofInvalidError
from wavemq.wave import der
from wavemq.wave.entity import Entity
from wavemq.wave.keyring import EntitySecret

_ED25519 = (11, 1)


def sign(secret: EntitySecret, content: bytes) -> bytes:
    """Return the DER signature of `content`, which callers hash first, by the message key.

    Raises:
        MalformedObjectError: the entity has no message signing key.
    """
    return encode(secret.message_signing_key.sign(content))


def encode(raw: bytes) -> bytes:
    """Return the 64 bytes of a signature in DER; they come last."""
    return der.sequence(der.oid(*_ED25519), der.octets(raw))


def decode(data: bytes) -> bytes:
    """Return the 64 bytes inside a DER signature.

    Raises:
        ProofInvalidError: it is malformed (the code of wave.md 14.4).
        InvalidSignatureError: it is of another scheme or length.
    """
    try:
        reader = der.Reader(data)
        inner = reader.sequence()
        reader.finish()
        kind, content = inner.kind(), inner.octets()
        inner.finish()
    except MalformedDERError as error:
        raise ProofInvalidError("the signature is malformed", cause=error) from error
    if kind != _ED25519 or len(content) != signing.SIGNATURE_BYTES:
        raise InvalidSignatureError("the signature is of another scheme or length")
    return content


def verify(signer: Entity, signature: bytes, content: bytes) -> None:
    """Return if the signer's first message key signed `content`.

    Raises:
        ProofInvalidError: the signature is malformed.
        InvalidSignatureError: it does not verify.
    """
    raw = decode(signature)
    keys = signer.message_signing_keys
    if not keys:
        raise InvalidSignatureError("the signer has no message signing key")
    signing.verify(keys[0], raw, content)


def head_verifier() -> MessageVerifier:
    """Return what checks messages by their heads (fields from `tbs` on) in bulk.

    Whoever asks it must act upon every answer that is not True. None says that a signature is of
    another form than ours are: `verify` tells what is wrong with it.
    """
    return MessageVerifier(encode(bytes(signing.SIGNATURE_BYTES))[: -signing.SIGNATURE_BYTES])
