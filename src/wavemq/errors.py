"""One tree of exceptions, each with the code it has on the wire.

Owns the registry of codes (wave.md 12.1, wavemq.md 12) and the sentence form `(code: reason)`.
The family of an error says whose fault it is: `RequestError` the caller's, `ObjectError` and
`RemoteProtocolError` the sender's, `AuthorizationError` a verdict, `UnavailableError` nobody's
(a retry may help), `ConfigError` the operator's, `StorageFaultError` the disk's, `InternalError`
ours. Only `UnavailableError` may be retried, and it is never a verdict. Reasons are written for
a person and never hold secrets.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Code(IntEnum):
    """Numbers of the `Error.code` field.

    701 and 702 have a second meaning inside WAVE (wave.md 12.1); ours are the router's.
    """

    CONTEXT = 101
    UNKNOWN = 201
    INTERNAL = 202
    BODY_SCHEME = 203
    STORAGE = 204
    MISSING_PARAMETER = 301
    PASSPHRASE_REQUIRED = 302
    KEYRING_DECRYPT_FAILED = 303
    INVALID_PARAMETER = 304
    INVALID_MULTIHASH = 305
    UNSUBSCRIBED = 701
    SUBSCRIPTION_FAILED = 702
    NO_SUCH_SUBSCRIPTION = 703
    QUEUE_ERROR = 704
    DESIGNATED_ROUTER_LINK_DOWN = 705
    UPSTREAM_ERROR = 706
    UNSUPPORTED_HASH_SCHEME = 901
    UNSUPPORTED_KEY_SCHEME = 903
    MALFORMED_DER = 904
    UNEXPECTED_OBJECT = 905
    INVALID_SIGNATURE = 906
    MALFORMED_OBJECT = 907
    UNSUPPORTED_SIGNATURE_SCHEME = 908
    LOOKUP_FAILURE = 909
    UNSUPPORTED_LOCATION_SCHEME = 910
    NO_PROOF_FOUND = 911
    PROOF_INVALID = 912
    MESSAGE_DECRYPT_FAILED = 913
    MALFORMED_PARTITION = 914
    INVALID_E2EE_GRANT = 915
    PROOF_NOT_CACHED = 916
    INVALID_JEDI_GRANT = 917


class WaveMQError(Exception):
    """Base of every error this project raises on purpose.

    Args:
        reason: one sentence: what is wrong, and what to do where that is known.
        cause: an error whose text becomes part of the reason, as `outer (inner)` (wave.md 12.1).
    """

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(self, reason: str, *, cause: WaveMQError | None = None) -> None:
        self.reason = reason if cause is None else f"{reason} ({cause})"
        super().__init__(self.reason)

    def __str__(self) -> str:
        return f"({int(self.code)}: {self.reason})"


# --- the caller's fault ---------------------------------------------------------------------


class RequestError(WaveMQError):
    """The caller asked for something impossible or wrong."""

    code = Code.INVALID_PARAMETER


class InvalidParameterError(RequestError):
    """An argument is malformed or out of range."""


class MissingParameterError(RequestError):
    """A required argument is absent."""

    code = Code.MISSING_PARAMETER


class InvalidMultihashError(RequestError):
    """Bytes that should be a multihash are not."""

    code = Code.INVALID_MULTIHASH


class PassphraseRequiredError(RequestError):
    """The keyring is protected and no passphrase was given."""

    code = Code.PASSPHRASE_REQUIRED


class KeyringDecryptError(RequestError):
    """The passphrase is wrong, or the keyring holds keys of an unknown kind."""

    code = Code.KEYRING_DECRYPT_FAILED


class InvalidE2EEGrantError(RequestError):
    """A grant or resource of end-to-end encryption breaks the rules of wave.md 12.3."""

    code = Code.INVALID_E2EE_GRANT


class InvalidJEDIGrantError(RequestError):
    """A JEDI grant breaks the rules of wave.md 6.4."""

    code = Code.INVALID_JEDI_GRANT


class MalformedPartitionError(RequestError):
    """A partition has bad slots."""

    code = Code.MALFORMED_PARTITION


class UnsubscribedError(RequestError):
    """The subscription has ended."""

    code = Code.UNSUBSCRIBED


class SubscriptionFailedError(RequestError):
    """The subscription could not be made."""

    code = Code.SUBSCRIPTION_FAILED


class NoSuchSubscriptionError(RequestError):
    """The subscription is not known here."""

    code = Code.NO_SUCH_SUBSCRIPTION


# --- bad objects ------------------------------------------------------------------------------


class ObjectError(WaveMQError):
    """Bytes that claim to be a WAVE object are not a sound one."""

    code = Code.MALFORMED_OBJECT


class MalformedDERError(ObjectError):
    """The bytes are not canonical DER of the expected structure."""

    code = Code.MALFORMED_DER


class UnexpectedObjectError(ObjectError):
    """Sound DER of another kind of object."""

    code = Code.UNEXPECTED_OBJECT


class InvalidSignatureError(ObjectError):
    """A signature does not verify."""

    code = Code.INVALID_SIGNATURE


class MalformedObjectError(ObjectError):
    """The structure is sound, its content is not."""


class UnsupportedHashSchemeError(ObjectError):
    """A hash scheme that this implementation does not use."""

    code = Code.UNSUPPORTED_HASH_SCHEME


class UnsupportedKeySchemeError(ObjectError):
    """A key or keyring scheme that this implementation does not use."""

    code = Code.UNSUPPORTED_KEY_SCHEME


class UnsupportedSignatureSchemeError(ObjectError):
    """A signature scheme that this implementation does not use."""

    code = Code.UNSUPPORTED_SIGNATURE_SCHEME


class UnsupportedLocationSchemeError(ObjectError):
    """A location that no configured storage serves."""

    code = Code.UNSUPPORTED_LOCATION_SCHEME


class BodySchemeError(ObjectError):
    """An attestation body could not be made or opened."""

    code = Code.BODY_SCHEME


# --- verdicts ---------------------------------------------------------------------------------


class AuthorizationError(WaveMQError):
    """Authority is missing; asking again with the same inputs gives the same answer."""

    code = Code.PROOF_INVALID


class NoProofFoundError(AuthorizationError):
    """No chain of grants reaches the subject."""

    code = Code.NO_PROOF_FOUND


class ProofInvalidError(AuthorizationError):
    """A proof is malformed, expired, revoked, forged or insufficient."""


class MessageDecryptError(AuthorizationError):
    """The reader holds no key for an encrypted message."""

    code = Code.MESSAGE_DECRYPT_FAILED


class ProofNotCachedError(AuthorizationError):
    """A proof reference that this router does not know; send the full proof."""

    code = Code.PROOF_NOT_CACHED


# --- not now ----------------------------------------------------------------------------------


class UnavailableError(WaveMQError):
    """Something outside did not answer; a retry may help. Never a verdict, never cached as one."""

    code = Code.STORAGE


class StorageError(UnavailableError):
    """An object storage server failed, lied or did not answer."""


class LookupFailureError(UnavailableError):
    """An entity, attestation or name could not be found."""

    code = Code.LOOKUP_FAILURE


class DeadlineError(UnavailableError):
    """The caller's deadline passed or it cancelled."""

    code = Code.CONTEXT


class AgentUnreachableError(UnavailableError):
    """There is no WAVE agent where one should be, or it does not answer."""

    code = Code.CONTEXT


class QueueError(UnavailableError):
    """A queue cannot take the message now."""

    code = Code.QUEUE_ERROR


class DesignatedRouterLinkDownError(UnavailableError):
    """There is no link to the designated router of the namespace."""

    code = Code.DESIGNATED_ROUTER_LINK_DOWN


class UpstreamError(UnavailableError):
    """The designated router answered with a failure."""

    code = Code.UPSTREAM_ERROR


# --- peers, operators, disks, us --------------------------------------------------------------


class RemoteProtocolError(WaveMQError):
    """A peer broke the protocol."""

    code = Code.UPSTREAM_ERROR


class HandshakeError(RemoteProtocolError):
    """The peering handshake failed; the link is closed."""


class ConfigError(WaveMQError):
    """The configuration is wrong; the reason names key, value and what is allowed."""

    code = Code.INVALID_PARAMETER


class StorageFaultError(WaveMQError):
    """The local disk failed."""

    code = Code.INTERNAL


class CorruptRecordError(StorageFaultError):
    """A record on the local disk fails its check."""


class InternalError(WaveMQError):
    """An invariant of ours is broken."""

    code = Code.INTERNAL


def _by_code() -> dict[int, type[WaveMQError]]:
    """Map each code to the class named after it, else to the first class that declares it.

    Families have the code of their commonest member, so that the order of declaration alone would
    give the family: 912 is `ProofInvalidError`, not `AuthorizationError`.
    """
    found: dict[int, type[WaveMQError]] = {}
    pending: list[type[WaveMQError]] = [WaveMQError]
    while pending:
        current = pending.pop(0)
        pending.extend(current.__subclasses__())
        named = current.code.name.removesuffix("_ERROR").replace("_", "").lower()
        if current.__name__.removesuffix("Error").lower() == named:
            found[int(current.code)] = current
        elif "code" in vars(current):
            found.setdefault(int(current.code), current)
    return found


_CLASSES = _by_code()


def error_from_wire(code: int, message: str) -> WaveMQError:
    """Return the exception for an in-band `Error` that a peer sent.

    Args:
        code: the number as received; unknown ones become plain `WaveMQError`.
        message: the text as received, with or without its `(code: ...)` wrapping.
    """
    prefix = f"({code}: "
    is_wrapped = message.startswith(prefix) and message.endswith(")")
    reason = message[len(prefix) : -1] if is_wrapped else message
    return _CLASSES.get(code, WaveMQError)(reason)


def is_verdict(error: WaveMQError) -> bool:
    """Return whether an error judges a message itself: sent again, it would be refused again.

    All others tell of the moment: storage that is silent, a disk that is full, a defect.
    """
    if isinstance(error, ProofNotCachedError):
        return False
    return isinstance(error, RequestError | ObjectError | AuthorizationError)
