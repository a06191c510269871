"""Fuzz targets: the objects of WAVE, and what is sealed inside them.

What is signed is signed again after the change, and what is sealed is sealed again: so the bytes
reach the code behind the check, as those of a hostile signer would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Protocol, TypeVar

from tests.fuzz import decoder_seeds as seeds
from tests.fuzz.fuzz_target import Target, each, expect
from tests.support.vectors import b64, vectors
from wavemq.crypto import exchange, lqibe, wkdibe
from wavemq.crypto.encapsulation import Openers
from wavemq.crypto.symmetric import open_sealed, seal
from wavemq.errors import WaveMQError
from wavemq.wave import attestation_open, der, signature
from wavemq.wave.attestation import Attestation, PlainBody, Wr1Body
from wavemq.wave.bundle import ContentKey, KeyBundle, LabelKey, read_addendums
from wavemq.wave.encrypted import EncryptedMessage, ReaderKeys, decrypt_message
from wavemq.wave.encrypted_bulk import Opening, decrypt_messages
from wavemq.wave.entity import Entity, parse_entity
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret, is_protected
from wavemq.wave.location import Location
from wavemq.wave.pem import decode_pem, decode_pem_or_der, encode_pem
from wavemq.wave.policy import RTreePolicy as RTree
from wavemq.wave.policy import check_policy, intersect, is_subset, read_policy, union
from wavemq.wave.proof import ExplicitProof
from wavemq.wave.public_key import PublicKey
from wavemq.wave.revocation import RevocationOption, read_options
from wavemq.wave.validity import Validity

V = TypeVar("V", covariant=True)


class _Encodable(Protocol):
    def to_der(self) -> bytes: ...


def _whole(read: Callable[[der.Reader], V], given: bytes) -> V:
    reader = der.Reader(given)
    value = read(reader)
    reader.finish()
    return value


def exact(read: Callable[[der.Reader], _Encodable]) -> Callable[[bytes], None]:
    """Return a decoder whose values must encode to the very bytes they came from."""

    def decode(given: bytes) -> None:
        expect(fact=_whole(read, given).to_der() == given, otherwise="encodes again to other bytes")

    return decode


def stable(read: Callable[[der.Reader], _Encodable]) -> Callable[[bytes], None]:
    """Return a decoder whose values must encode to bytes that decode to an equal value.

    For parts of which we keep less than was there: what it was signed with is checked over the
    bytes as received, and our own encoding is never put in their place.
    """

    def decode(given: bytes) -> None:
        value = _whole(read, given)
        expect(fact=_whole(read, value.to_der()) == value, otherwise="does not survive encoding")

    return decode


# --- small elements -----------------------------------------------------------------------------


def _any_der(given: bytes) -> None:
    """Read any element through the reader and write it again."""
    reader = der.Reader(given)
    expect(fact=_copy(reader) == given, otherwise="the copy differs")


def _copy(reader: der.Reader) -> bytes:
    copied = []
    while not reader.is_at_end:
        tag = reader.peek()
        match tag:
            case der.INTEGER:
                copied.append(der.integer(reader.integer()))
            case der.OCTETS:
                copied.append(der.octets(reader.octets()))
            case der.UTF8:
                copied.append(der.text(reader.text()))
            case der.BOOLEAN:
                copied.append(der.boolean(value=reader.boolean()))
            case None:
                break
            case _ if tag & 0x20:
                copied.append(der.encode(tag, _copy(reader.enter(tag))))
            case _:
                copied.append(reader.element())
    return b"".join(copied)


def _signature(given: bytes) -> None:
    raw = signature.decode(given)
    again = der.sequence(der.oid(11, 1), der.octets(raw))
    expect(fact=again == given, otherwise="another signature")


def _pem(given: bytes) -> None:
    decode_pem_or_der(given)
    found = decode_pem(given)
    if found is not None:
        expect(fact=decode_pem(encode_pem(*found)) == found, otherwise="another block")


def _hash_forms(given: bytes) -> None:
    found = Hash.parse(given)
    forms = (found.to_bytes(), found.to_text().encode())
    expect(fact=given in forms, otherwise="the hash has another form")


def _policy(given: bytes) -> None:
    policy = _whole(read_policy, given)
    expect(fact=policy.to_der() == given, otherwise="encodes again to other bytes")
    if isinstance(policy, RTree):
        each(
            lambda: check_policy(policy),
            lambda: is_subset(union(policy, policy), policy),
            lambda: is_subset(intersect(policy, policy), policy),
        )
    else:
        check_policy(policy)


# --- entities -----------------------------------------------------------------------------------


def _entity(given: bytes) -> None:
    entity = Entity.from_bytes(given)
    expect(fact=der.external((2, 2), entity.inner) == given, otherwise="another wire object")
    expect(fact=entity.hash == Hash.of(given), otherwise="another hash")
    expect(fact=parse_entity(given) == entity, otherwise="two decoders differ")


def _resigned_entity(given: bytes) -> None:
    """Decode an entity whose signed content, after its own key, is `given`."""
    secret = seeds.secret_of("ns")
    primary = secret.entries[0].public.to_der()
    tbs = der.sequence(primary, given)
    inner = der.sequence(tbs, der.octets(secret.signing_key.sign(tbs)))
    entity = Entity.from_inner(inner)
    keys = der.sequence(*(key.to_der() for key in entity.keys))
    options = der.sequence(*(option.to_der() for option in entity.revocations))
    expect(fact=given.startswith(keys), otherwise="the keys encode to other bytes")
    expect(fact=options in given, otherwise="the revocations encode to other bytes")
    _use_keys(entity)


def _use_keys(entity: Entity) -> None:
    _ = (entity.direct_key, entity.message_signing_keys)
    entity.ibe_params.check()
    entity.oaque_params.check()


def _signed_contents() -> list[bytes]:
    found = []
    for wire in seeds.entities():
        _, value = der.Reader(wire).external()
        tbs = value.sequence().sequence()
        tbs.element()
        rest = b""
        while not tbs.is_at_end:
            rest += tbs.element()
        found.append(rest)
    return found


def _entity_secret(given: bytes) -> None:
    # What a protected keyring asks for is bounded, but a billion hashes are slow: not opened here.
    secret = EntitySecret.from_bytes(given)
    if b"-----BEGIN" not in given:
        expect(fact=secret.to_bytes() == given, otherwise="encodes again to other bytes")


def _is_protected(given: bytes) -> None:
    is_protected(given)
    parse_entity(given)


def _keyring(given: bytes) -> None:
    """Open a secret whose keyring is `given`."""
    ring = der.external((15, 1), given)
    inner = seeds.entity_of("ns").inner
    secret = EntitySecret.from_bytes(der.external((2, 4), der.sequence(inner, ring)))
    _ = (secret.message_signing_key, secret.revocation_blob)


def _keyrings() -> list[bytes]:
    secret = seeds.secret_of("ns")
    return [der.sequence(der.sequence(*(entry.to_der() for entry in secret.entries)))]


# --- attestations -------------------------------------------------------------------------------


@cache
def _sealed_attestation() -> tuple[Attestation, bytes]:
    known = vectors("objects")["attestations"]["att_alice_bob"]
    return Attestation.from_bytes(b64(known["der"])), b64(known["prover_key"])


def _wr1(attestation: Attestation) -> Wr1Body:
    assert isinstance(attestation.content, Wr1Body)
    return attestation.content


def _attestation(given: bytes) -> None:
    attestation = Attestation.from_bytes(given)
    if b"-----BEGIN" not in given:
        expect(fact=attestation.wire == given, otherwise="another wire object")
    head = attestation.subject.to_der() + attestation.subject_location.to_der()
    head += der.sequence(*(option.to_der() for option in attestation.revocations))
    expect(fact=head in attestation.tbs, otherwise="the head encodes to other bytes")
    if isinstance(attestation.content, PlainBody):
        body = attestation_open.open_with_prover_key(attestation, b"").body
        for name in ("ns", "alice"):
            _verdict(
                partial(attestation_open.check_signatures, attestation, body, seeds.entity_of(name))
            )
    _verdict(lambda: attestation_open.check_outer_signature(attestation))


def _verdict(check: Callable[[], None]) -> None:
    """Let a check accept or refuse what is sound as an object."""
    each(check, lambda: None)


def _small_attestations() -> list[bytes]:
    large = [one for one in seeds.attestations() if len(one) > seeds.LARGE_BYTES]
    small = [one for one in seeds.attestations() if len(one) <= seeds.LARGE_BYTES]
    roomless = Attestation.from_bytes(large[0])
    _, value = der.Reader(roomless.wire).external()
    body = value.sequence()
    body.element()
    outer = body.element()
    tbs = der.Reader(roomless.tbs).sequence()
    parts = [tbs.element() for _ in range(4)]
    content = _wr1(roomless)
    fields = (
        content.verifier_body,
        content.prover_body[:64],
        content.envelope[:64],
        content.envelope_key_ibe,
        content.envelope_key_subject,
        content.envelope_key_attester,
    )
    sealed = der.external((3, 2), der.sequence(*(der.octets(one) for one in fields)))
    inner = der.sequence(der.sequence(*parts, sealed), outer)
    return [*small, der.external((2, 1), inner)]


def _field(field: str, key: bytes) -> bytes:
    attestation, _ = _sealed_attestation()
    return open_sealed(key, getattr(_wr1(attestation), field))


def _resealed(field: str, key: bytes, plain: bytes) -> Attestation:
    attestation, _ = _sealed_attestation()
    content = replace(_wr1(attestation), **{field: seal(key, plain)})
    return replace(attestation, content=content)


def _verifier_body(given: bytes) -> None:
    _, prover_key = _sealed_attestation()
    attestation = _resealed("verifier_body", prover_key[56:], given)
    body = attestation_open.open_with_verifier_key(attestation, prover_key[56:])
    again = der.sequence(body.to_der())
    changed = _resealed("verifier_body", prover_key[56:], again)
    expect(
        fact=attestation_open.open_with_verifier_key(changed, prover_key[56:]) == body,
        otherwise="does not survive encoding",
    )
    _verdict(lambda: attestation_open.check_signatures(attestation, body, seeds.entity_of("alice")))


def _envelope(given: bytes) -> None:
    _, prover_key = _sealed_attestation()
    attestation = _resealed("envelope", prover_key[:28], given)
    envelope = attestation_open.read_envelope(attestation, prover_key[:28])
    subject = seeds.secret_of("bob")
    key = attestation_open.body_key_with_master(envelope, subject.entity, subject.oaque_master)
    if key is not None:
        attestation_open.open_body(attestation, envelope, key)


def _envelope_key(given: bytes) -> None:
    """Open the attestation with what the subject's and the attester's direct messages hold."""
    subject = seeds.secret_of("bob")
    sealed = exchange.direct_encrypt(subject.entity.direct_key, given)
    attestation, _ = _sealed_attestation()
    content = replace(_wr1(attestation), envelope_key_subject=sealed, envelope_key_attester=sealed)
    changed = replace(attestation, content=content)
    each(
        lambda: attestation_open.keys_as_attester(changed, subject.direct_secret),
        lambda: attestation_open.envelope_key_as_subject(changed, subject.direct_secret),
    )


def _prover_body(given: bytes) -> None:
    reader = der.Reader(given)
    inner = reader.sequence()
    reader.finish()
    addendums = read_addendums(inner)
    for one in addendums:
        kind, value = der.Reader(one.to_der()).external()
        again = (LabelKey if kind == (13, 6) else KeyBundle).read(value)
        expect(fact=again == one, otherwise="an addendum does not survive encoding")
    attestation, _ = _sealed_attestation()
    _use_addendums(addendums, attestation)


def _use_addendums(addendums: Sequence[LabelKey | KeyBundle], attestation: Attestation) -> None:
    """Use the first key of each kind, as discovery would."""
    subject = seeds.entity_of("bob")
    _, prover_key = _sealed_attestation()
    envelope = attestation_open.read_envelope(attestation, prover_key[:28])
    for one in addendums[:2]:
        if isinstance(one, LabelKey):
            attestation_open.envelope_key_with_label(attestation, one)
        elif one.keys:
            attestation_open.body_key_with_content_key(envelope, subject, one.keys[0])


def _prover_bodies() -> list[bytes]:
    """Return prover bodies as honest attesters make them, with few keys."""
    _, prover_key = _sealed_attestation()
    plain = _field("prover_body", prover_key[28:56])
    reader = der.Reader(plain).sequence()
    small = [
        one if isinstance(one, LabelKey) else KeyBundle(one.params, one.keys[:3])
        for one in read_addendums(reader)
    ]
    return [der.sequence(der.sequence(*(one.to_der() for one in small)), der.sequence())]


# --- proofs and messages ------------------------------------------------------------------------


def _proof(given: bytes) -> None:
    proof = ExplicitProof.from_bytes(given)
    expect(fact=ExplicitProof.from_bytes(proof.to_bytes()) == proof, otherwise="another proof")
    compact = proof.compact()
    expect(fact=ExplicitProof.from_bytes(compact.to_bytes()) == compact, otherwise="another form")


def _encrypted_message(given: bytes) -> None:
    EncryptedMessage.from_bytes(given)
    for name in ("bob", "ns"):
        _verdict(partial(_read, given, seeds.secret_of(name), None))


def _read(message: bytes, reader: EntitySecret, held: ReaderKeys | None) -> None:
    (in_bulk,) = decrypt_messages([Opening(message, reader, lambda _: held)], _OPENERS)
    try:
        content = decrypt_message(message, reader, lambda _: held)
    except WaveMQError as error:
        expect(fact=in_bulk is None or type(in_bulk) is type(error), otherwise="in bulk it opens")
        raise
    expect(fact=in_bulk in (None, content), otherwise="in bulk it opens to something else")


@cache
def _namespace_envelope_key() -> tuple[bytes, bytes]:
    key = bytes(range(28))
    namespace = seeds.entity_of("ns")
    identity = namespace.hash.to_text().encode()
    return key, lqibe.encrypt(namespace.ibe_params, identity, key)


def _message_envelope(given: bytes) -> None:
    """Decrypt a message to a namespace whose envelope is `given`, as the namespace and a reader."""
    key, wrapped = _namespace_envelope_key()
    namespace = seeds.entity_of("ns")
    value = der.sequence(
        der.octets(seal(key, given)),
        der.octets(wrapped),
        namespace.hash.to_der(),
        Location("http://localhost/v1").to_der(),
    )
    inner = der.sequence(
        der.octets(seal(_CONTENT_KEY, b"content")),
        der.sequence(der.external((16, 2), value)),
        der.sequence(),
    )
    message = der.external((2, 5), inner)
    owner = seeds.secret_of("ns")
    label = LabelKey.extract(
        namespace.ibe_params_bytes, owner.ibe_master, namespace.hash.to_text().encode()
    )
    held = ReaderKeys(namespace, (label,), lambda _: (ContentKey(_OPEN_PATTERN, _held_key()),))
    each(
        lambda: _read(message, owner, held),
        lambda: _read(message, seeds.secret_of("bob"), held),
    )


_OPEN_PATTERN = (b"\x00e2ee", *(b"",) * 19)


@cache
def _held_key() -> bytes:
    owner = seeds.secret_of("ns")
    key = owner.oaque_master.derive(owner.entity.oaque_params, _OPEN_PATTERN)
    return key.to_bytes()


def _message_envelopes() -> list[bytes]:
    slots = (b"\x00e2ee", b"a", *(b"\x00",) * 10, *(b"\x00\x2e",) * 8)
    sealed = wkdibe.encrypt(seeds.entity_of("ns").oaque_params, slots, _CONTENT_KEY)
    return [der.sequence(der.sequence(*(der.octets(one) for one in slots)), der.octets(sealed))]


_OPENERS = Openers()
_CONTENT_KEY = bytes(28)


def _elements(wires: Sequence[bytes], tag: int, kind: bytes = b"") -> list[bytes]:
    """Return a few elements of a kind out of whole objects."""
    found: dict[bytes, None] = {}
    for wire in wires:
        if len(wire) <= seeds.LARGE_BYTES:
            for part in seeds.parts_of(wire, tag):
                if kind in part[:24]:
                    found.setdefault(part)
    return list(found)[:12]


def _oid(arc: int) -> bytes:
    return der.ARC + bytes((arc,))


def _small(wires: Sequence[bytes]) -> list[bytes]:
    return [wire for wire in wires if len(wire) <= seeds.LARGE_BYTES]


def _policies() -> list[bytes]:
    return _elements(seeds.attestations(), der.EXTERNAL, _oid(12))


def _verifier_bodies() -> list[bytes]:
    _, prover_key = _sealed_attestation()
    return [_field("verifier_body", prover_key[56:])]


def _pems() -> list[bytes]:
    return [
        encode_pem("WAVE ENTITY", seeds.entities()[0]),
        b"-----BEGIN A-----\nAAAA\n-----END A-----\n",
        b"-----BEGIN A-----\nA===\n-----END A-----\n",
        b"-----BEGIN A-----\n-----END B-----\n" * 20,
    ]


@dataclass(frozen=True)
class _Options:
    """A list of options as one element."""

    options: tuple[RevocationOption, ...]

    @classmethod
    def read(cls, reader: der.Reader) -> _Options:
        return cls(read_options(reader))

    def to_der(self) -> bytes:
        return der.sequence(*(option.to_der() for option in self.options))


def _revocation_lists() -> list[bytes]:
    found = []
    for wire in seeds.entities():
        options = Entity.from_bytes(wire).revocations
        found.append(_Options(options).to_der())
    return found


TARGETS = (
    Target("der", _any_der, lambda: _small([*seeds.entities(), *seeds.proofs()]), runs=1500),
    Target("pem", _pem, _pems, runs=1500),
    Target("hash_forms", _hash_forms, lambda: [Hash(bytes(32)).to_bytes(), b"Gy" + b"A" * 46]),
    Target("hash", exact(Hash.read), lambda: [Hash(bytes(32)).to_der()], runs=800),
    Target(
        "location", exact(Location.read), lambda: [Location("http://localhost/v1").to_der()], 800
    ),
    Target("public_key", exact(PublicKey.read), lambda: _public_keys(), 800),
    Target("revocation_options", exact(_Options.read), _revocation_lists, 800),
    Target("validity", stable(Validity.read), lambda: _validities(), 1500),
    Target("policy", _policy, _policies, 1500),
    Target("signature", _signature, seeds.signatures, 800),
    Target("entity", _entity, seeds.entities),
    Target("entity_signed_again", _resigned_entity, _signed_contents),
    Target("entity_secret", _entity_secret, seeds.entity_secrets, 200),
    Target("entity_secret_public_part", _is_protected, seeds.entity_secrets),
    Target("keyring", _keyring, _keyrings, 200),
    Target("attestation", _attestation, _small_attestations, 800),
    Target("attestation_verifier_body", _verifier_body, _verifier_bodies, 800),
    Target("attestation_envelope", _envelope, lambda: _envelopes(), 120),
    Target("attestation_envelope_key", _envelope_key, lambda: [bytes(28), bytes(32)], 300),
    Target("attestation_prover_body", _prover_body, _prover_bodies, 120),
    Target("proof", _proof, lambda: _small(seeds.proofs()), 800),
    Target("encrypted_message", _encrypted_message, lambda: _small(seeds.encrypted_messages()), 80),
    Target("encrypted_message_envelope", _message_envelope, _message_envelopes, 60),
)


def _public_keys() -> list[bytes]:
    entity = seeds.entity_of("ns")
    return [key.to_der() for key in entity.keys]


def _validities() -> list[bytes]:
    times = (b"261101000000Z", b"2611010000Z", b"261101000000+0130")
    late = (b"20560101190405-0800", b"20560101190405Z", b"99991231235959Z")
    return [der.sequence(*(der.encode(der.UTC_TIME, one) for one in times[:2]))] + [
        der.sequence(der.encode(der.UTC_TIME, times[2]), der.encode(der.GENERALIZED_TIME, one))
        for one in late
    ]


def _envelopes() -> list[bytes]:
    _, prover_key = _sealed_attestation()
    return [_field("envelope", prover_key[:28])]
