"""Prover addendums: the decryption keys that travel inside attestations (wave.md 4.5, 4.6).

Owns label keys and key bundles and their encoding. Keys stay out of `repr`. An entry whose key has
the wrong length for its partition is dropped: that is how the original's corrupted deltas show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from wavemq.crypto import lqibe, wkdibe
from wavemq.errors import MalformedObjectError, MessageDecryptError, ObjectError
from wavemq.wave import der
from wavemq.wave.partition import SLOTS, Partition
from wavemq.wave.public_key import IBE_CHILD, Capability

LABEL_KEY: Final = (13, 6)
KEY_BUNDLE: Final = (13, 5)
_IBE_SECRET: Final = (14, 10)
BUNDLE_ENTRIES_MAX: Final = 2048
_TRIAL: Final = b"trial"
_TRIAL_SECRET_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class LabelKey:
    """A key of an entity's identity-based system, which opens envelopes for one namespace.

    Args:
        params: of the system, 192 bytes; their owner owns the key.
        identity_point: 48 bytes.
        identity: the label, for instance a namespace hash in text form.
        secret: 48 bytes.
    """

    params: bytes
    identity_point: bytes
    identity: bytes
    secret: bytes = field(repr=False)

    def to_der(self) -> bytes:
        """Return the addendum."""
        public = der.sequence(
            der.set_of_integers((Capability.ENCRYPTION,)),
            der.external(
                IBE_CHILD,
                der.sequence(
                    der.octets(self.params), der.octets(self.identity_point + self.identity)
                ),
            ),
        )
        entry = der.sequence(public, der.external(_IBE_SECRET, der.octets(self.secret)))
        return der.external(LABEL_KEY, entry)

    @classmethod
    def read(cls, value: der.Reader) -> LabelKey:
        """Read the value of a 13.6 addendum.

        Raises:
            MalformedObjectError: it holds another kind of key.
        """
        entry = value.sequence()
        value.finish()
        public = entry.sequence()
        public.integers()
        public_kind, child = public.external()
        public.finish()
        secret_kind, secret = entry.external()
        entry.finish()
        if public_kind != IBE_CHILD or secret_kind != _IBE_SECRET:
            raise MalformedObjectError("a label key is of another kind")
        body = child.sequence()
        child.finish()
        params, identity = body.octets(lqibe.PARAMS_BYTES), body.octets()
        body.finish()
        content = secret.octets(lqibe.POINT_BYTES)
        secret.finish()
        if len(identity) < lqibe.POINT_BYTES:
            raise MalformedObjectError("a label key's identity is too short")
        split = lqibe.POINT_BYTES
        return cls(params, identity[:split], identity[split:], content)

    @classmethod
    def extract(cls, params: bytes, master: lqibe.MasterKey, identity: bytes) -> LabelKey:
        """Return the key of `identity` in the owner's system."""
        point = lqibe.identity_point(identity)
        return cls(params, point, identity, master.extract(identity).to_bytes())

    def open(self, data: bytes) -> bytes:
        """Return the content of an IBE message to this identity.

        Raises:
            MessageDecryptError: it is to another.
        """
        return lqibe.decrypt(lqibe.SecretKey(self.secret), self.identity_point, data)


@dataclass(frozen=True, slots=True)
class ContentKey:
    """A key of an entity's attribute-based system for one pattern.

    Args:
        pattern: twenty slots, empty ones free.
        secret: the serialized key.
    """

    pattern: Partition
    secret: bytes = field(repr=False)

    def open(self, params: wkdibe.Params, partition: Partition, data: bytes) -> bytes:
        """Return the content of an OAQUE message for `partition`, which the pattern must match.

        Raises:
            MessageDecryptError: the key does not fit.
            MalformedObjectError: the key is unsound.
        """
        return wkdibe.decrypt(wkdibe.SecretKey(self.secret), params, partition, data)

    def is_genuine(self, params: wkdibe.Params) -> bool:
        """Whether it opens what is encrypted for its pattern, in every slot (about 5 ms)."""
        trial = tuple(slot or _TRIAL for slot in self.pattern)
        try:
            secret, ciphertext = wkdibe.encapsulate(params, trial, _TRIAL_SECRET_BYTES)
            holder = wkdibe.SecretKey(self.secret)
            return secret == wkdibe.decapsulate(
                holder, params, trial, ciphertext, _TRIAL_SECRET_BYTES
            )
        except (MessageDecryptError, ObjectError):
            return False


@dataclass(frozen=True, slots=True)
class KeyBundle:
    """Keys of one system.

    Args:
        params: of the system, 1297 bytes; their owner owns the keys.
        keys: in order.
    """

    params: bytes
    keys: tuple[ContentKey, ...]

    def to_der(self) -> bytes:
        """Return the addendum, each partition as its difference from the one before."""
        entries = []
        current: Sequence[bytes] = (b"",) * SLOTS
        for key in self.keys:
            changes = [
                der.sequence(der.integer(slot), der.octets(new))
                for slot, (old, new) in enumerate(zip(current, key.pattern, strict=True))
                if old != new
            ]
            entries.append(der.sequence(der.sequence(*changes), der.octets(key.secret)))
            current = key.pattern
        value = der.sequence(der.octets(self.params), der.sequence(*entries))
        return der.external(KEY_BUNDLE, value)

    @classmethod
    def read(cls, value: der.Reader) -> KeyBundle:
        """Read the value of a 13.5 addendum.

        Raises:
            MalformedObjectError: a slot is out of range, or there are too many entries.
        """
        inner = value.sequence()
        value.finish()
        params = inner.octets(wkdibe.PARAMS_BYTES)
        listed = inner.sequence()
        inner.finish()
        current = [b""] * SLOTS
        keys = []
        count = 0
        while not listed.is_at_end:
            count += 1
            if count > BUNDLE_ENTRIES_MAX:
                raise MalformedObjectError(f"a bundle has more than {BUNDLE_ENTRIES_MAX} entries")
            entry = listed.sequence()
            changes = entry.sequence()
            secret = entry.octets()
            entry.finish()
            while not changes.is_at_end:
                change = changes.sequence()
                slot, content = change.integer(), change.octets()
                change.finish()
                if not 0 <= slot < SLOTS:
                    raise MalformedObjectError(f"a bundle changes slot {slot}")
                current[slot] = content
            pattern = tuple(current)
            if len(secret) == wkdibe.secret_key_length(pattern.count(b"")):
                keys.append(ContentKey(pattern, secret))
        return cls(params, tuple(keys))

    @classmethod
    def derive(
        cls,
        params: wkdibe.Params,
        holder: wkdibe.MasterKey | wkdibe.SecretKey,
        patterns: Sequence[Partition],
    ) -> KeyBundle:
        """Return fresh keys for `patterns`, all derived from one holder's key."""
        secrets = wkdibe.derive_many(params, holder, patterns)
        keys = (ContentKey(pattern, key) for pattern, key in zip(patterns, secrets, strict=True))
        return cls(params.to_bytes(), tuple(keys))


Addendum = LabelKey | KeyBundle


def read_addendums(reader: der.Reader) -> tuple[Addendum, ...]:
    """Read a SEQUENCE OF addendums; kinds that carry nothing for us are passed over."""
    listed = reader.sequence()
    found: list[Addendum] = []
    while not listed.is_at_end:
        kind, value = listed.external()
        if kind == LABEL_KEY:
            found.append(LabelKey.read(value))
        elif kind == KEY_BUNDLE:
            found.append(KeyBundle.read(value))
    return tuple(found)


def label_keys(addendums: Iterable[Addendum]) -> tuple[LabelKey, ...]:
    """Return the label keys among addendums."""
    return tuple(one for one in addendums if isinstance(one, LabelKey))


def key_bundles(addendums: Iterable[Addendum]) -> tuple[KeyBundle, ...]:
    """Return the bundles among addendums."""
    return tuple(one for one in addendums if isinstance(one, KeyBundle))
