"""What objects refuse: the defects of wave.md 16.2 that belong to them, one test each."""

from __future__ import annotations

import pytest

from tests.support.vectors import b64, vectors
from wavemq.clock import Instant, instant_from_seconds
from wavemq.crypto import symmetric, wkdibe
from wavemq.errors import (
    BodySchemeError,
    InvalidE2EEGrantError,
    InvalidMultihashError,
    InvalidParameterError,
    InvalidSignatureError,
    KeyringDecryptError,
    MalformedDERError,
    MalformedObjectError,
    MalformedPartitionError,
    MessageDecryptError,
    ProofInvalidError,
    UnexpectedObjectError,
    WaveMQError,
)
from wavemq.limits import DER_DEPTH_MAX, KEYRING_ITERATIONS_MAX
from wavemq.wave import der
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_create import NamespaceKeys, create_attestation
from wavemq.wave.attestation_open import (
    check_signatures,
    open_plain,
    open_with_prover_key,
    open_with_verifier_key,
)
from wavemq.wave.bundle import ContentKey, KeyBundle
from wavemq.wave.encrypted import (
    EncryptedMessage,
    ReaderKeys,
    decrypt_message,
    encrypt_message,
)
from wavemq.wave.entity import Entity, parse_entity
from wavemq.wave.hashes import (
    WAVE_PERMISSION_SET,
    WAVEMQ_PERMISSION_SET,
    Hash,
)
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import e2ee_prefix, prefix
from wavemq.wave.pem import ENTITY_SECRET, decode_pem_or_der, encode_pem
from wavemq.wave.policy import (
    RTreePolicy,
    Statement,
    TrustLevelPolicy,
    check_policy,
    intersect,
    union,
)
from wavemq.wave.proof import AttestationReference, ExplicitProof
from wavemq.wave.revocation import RevocationOption

NOW = instant_from_seconds(1_795_000_000)
DAY = 86_400 * 10**9
PLACE = Location("http://127.0.0.1:8080/v1")


def later(days: float) -> Instant:
    return Instant(NOW + round(days * DAY))


def make() -> EntitySecret:
    return EntitySecret.create(not_before=NOW, not_after=later(900), revocation_location=PLACE)


NAMESPACE, ALICE, BOB = make(), make(), make()


def policy(*statements: Statement, indirections: int = 3) -> RTreePolicy:
    return RTreePolicy(NAMESPACE.entity.hash, PLACE, indirections, statements)


def publishing(resource: str = "a/*") -> RTreePolicy:
    return policy(Statement(WAVEMQ_PERMISSION_SET, ("publish",), resource))


def decrypting(resource: str = "a/*", permissions: tuple[str, ...] = ("decrypt",)) -> RTreePolicy:
    return policy(Statement(WAVE_PERMISSION_SET, permissions, resource))


def grant(
    granted: RTreePolicy | TrustLevelPolicy,
    *,
    attester: EntitySecret = NAMESPACE,
    subject: EntitySecret = ALICE,
    not_before: Instant = NOW,
    not_after: Instant | None = None,
    visibility: tuple[bytes, ...] = (),
    keys: NamespaceKeys | None = None,
    is_encrypted: bool = True,
) -> tuple[Attestation, bytes, bytes]:
    made = create_attestation(
        attester,
        PLACE,
        subject.entity,
        PLACE,
        granted,
        not_before=not_before,
        not_after=later(30) if not_after is None else not_after,
        visibility=visibility,
        namespace_keys=keys,
        is_encrypted=is_encrypted,
    )
    return made.attestation, made.verifier_key, made.prover_key


# --- DER ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "",
        "30",
        "3001",
        "308000",  # indefinite length
        "30810100",  # length not minimal
        "3082000100",
        "30850000000001",
        "02020001",  # integer not minimal
        "0200",
        "010101",  # boolean neither 00 nor ff
        "0c01ff",  # not UTF-8
        "170d3236313332333036303030305a",  # month 13
        "3000ff",
    ],
)
def test_der_that_is_not_canonical_is_refused(data: str) -> None:
    with pytest.raises(MalformedDERError):
        read_whole(bytes.fromhex(data))


def read_whole(raw: bytes) -> None:
    readers = {0x02: "integer", 0x01: "boolean", 0x0C: "text", 0x17: "moment"}
    reader = der.Reader(raw)
    getattr(reader, readers.get(raw[0] if raw else 0, "sequence"))()
    reader.finish()


def test_nesting_is_bounded() -> None:
    data = b""
    for _ in range(DER_DEPTH_MAX + 8):
        data = der.sequence(data)
    with pytest.raises(MalformedDERError, match="nested"):
        descend(der.Reader(data))


def descend(reader: der.Reader) -> None:
    while True:
        reader = reader.sequence()


@pytest.mark.parametrize(
    ("encoded", "seconds"),
    [
        ("180f32303530303130313030303030305a", 2_524_608_000),
        ("17113439313233313136303030302d30383030", 2_524_608_000),  # 2049 there, 2050 in UTC
        ("181332303536303130313139303430352d30383030", 2_714_007_845),
        ("170b323631313233303630305a", 1_795_413_600),  # without seconds
    ],
)
def test_times_around_the_turn_of_forms_are_read(encoded: str, seconds: int) -> None:
    found = der.Reader(bytes.fromhex(encoded)).moment()
    assert found == seconds * 10**9
    again = der.moment(found)
    assert der.Reader(again).moment() == found
    assert again.endswith(b"Z")


def test_years_from_2050_on_are_written_in_full() -> None:
    edge = instant_from_seconds(2_524_608_000)
    assert der.moment(edge)[:1] == b"\x18"
    assert der.moment(Instant(edge - 10**9))[:1] == b"\x17"


def test_integers_keep_to_64_bits() -> None:
    for value in (0, 1, -1, 127, 128, -128, -129, 2**63 - 1, -(2**63)):
        assert der.Reader(der.integer(value)).integer() == value
    with pytest.raises(MalformedDERError):
        der.Reader(der.integer(2**63)).integer()


# --- hashes, PEM --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [b"", b"\x1b\x20", b"\x1b\x21" + bytes(32), b"\x99\x20" + bytes(32), bytes(34)]
)
def test_what_is_no_multihash_is_refused(given: bytes) -> None:
    with pytest.raises(InvalidMultihashError):
        Hash.parse(given)


def test_both_forms_of_a_hash_are_taken() -> None:
    name = NAMESPACE.entity.hash
    assert Hash.parse(name.to_bytes()) == Hash.parse(name.to_text().encode()) == name
    with pytest.raises(InvalidMultihashError):
        Hash.from_text(name.to_text()[:-1] + "A")


def test_pem_of_any_line_length_is_read_and_damage_refused() -> None:
    wire = NAMESPACE.to_bytes()
    written = encode_pem(ENTITY_SECRET, wire)
    assert decode_pem_or_der(written) == wire
    assert max(map(len, written.splitlines())) == 64
    with pytest.raises(MalformedDERError):
        decode_pem_or_der(written.replace(b"\nA", b"\n!").replace(b"\nK", b"\n!"))


# --- entities -----------------------------------------------------------------------------------


def test_public_entities_are_accepted_where_an_entity_is_wanted() -> None:
    assert parse_entity(NAMESPACE.entity.wire) == NAMESPACE.entity
    assert parse_entity(NAMESPACE.to_bytes()) == NAMESPACE.entity
    with pytest.raises(UnexpectedObjectError):
        EntitySecret.from_bytes(NAMESPACE.entity.wire)


def test_secret_of_another_entity_is_refused() -> None:
    _, value = der.Reader(ALICE.to_bytes()).external()
    body = value.sequence()
    body.element(der.SEQUENCE)
    mixed = der.external((2, 4), der.sequence(NAMESPACE.entity.inner, body.element()))
    with pytest.raises(KeyringDecryptError):
        EntitySecret.from_bytes(mixed)


def test_a_keyring_that_asks_for_absurd_work_is_refused() -> None:
    with pytest.raises(KeyringDecryptError, match="iterations"):
        symmetric.keyring_open(b"x", bytes(16), bytes(64), iterations=KEYRING_ITERATIONS_MAX + 1)


def test_secrets_stay_out_of_every_representation() -> None:
    attestation, verifier_key, prover_key = grant(publishing())
    opened = open_with_prover_key(attestation, prover_key)
    shown = repr([NAMESPACE, NAMESPACE.entries, opened, opened.addendums, NAMESPACE.signing_key])
    hidden = [NAMESPACE.secret64, NAMESPACE.direct_secret, verifier_key, prover_key]
    hidden += [key.secret for key in opened.bundles[0].keys]
    for secret in hidden:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


# --- policies -----------------------------------------------------------------------------------


def test_policy_limits_hold_at_their_bounds() -> None:
    one = Statement(WAVEMQ_PERMISSION_SET, ("publish",), "a")
    check_policy(policy(*[one] * 10))
    check_policy(policy(Statement(WAVEMQ_PERMISSION_SET, ("p",) * 64, "a")))
    check_policy(policy())
    for bad in (
        policy(*[one] * 11),
        policy(Statement(WAVEMQ_PERMISSION_SET, ("p",) * 65, "a")),
        policy(Statement(WAVEMQ_PERMISSION_SET, ("p",), "a//b")),
        policy(Statement(WAVEMQ_PERMISSION_SET, ("p",), "*/a/*")),
        TrustLevelPolicy(0),
        TrustLevelPolicy(5),
    ):
        with pytest.raises(InvalidParameterError, match="policy is invalid"):
            check_policy(bad)


def test_hops_and_namespaces_bound_a_chain() -> None:
    assert intersect(publishing(), publishing("a/b")).statements[0].resource == "a/b"
    with pytest.raises(InvalidParameterError, match="indirections"):
        intersect(policy(indirections=0), policy())
    foreign = RTreePolicy(ALICE.entity.hash, PLACE, 3, ())
    for combine in (intersect, union):
        with pytest.raises(InvalidParameterError, match="domain"):
            combine(policy(), foreign)


def test_negative_hops_are_malformed() -> None:
    from wavemq.wave.policy import read_policy

    with pytest.raises(MalformedObjectError):
        read_policy(der.Reader(policy(indirections=-1).to_der()))


# --- attestations -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 27, 29, 84])
def test_verifier_key_of_another_length_is_refused(size: int) -> None:
    attestation, _, _ = grant(publishing())
    with pytest.raises(BodySchemeError):
        open_with_verifier_key(attestation, bytes(size))
    with pytest.raises(MalformedObjectError):
        open_with_verifier_key(attestation, bytes(28))


def test_binding_to_another_outer_key_is_refused() -> None:
    attestation, key, _ = grant(publishing(), is_encrypted=False)
    other, _, _ = grant(publishing(), is_encrypted=False)
    body = open_plain(other).body
    with pytest.raises(InvalidSignatureError, match="outer key"):
        check_signatures(attestation, body, NAMESPACE.entity)
    with pytest.raises(InvalidSignatureError, match="another entity"):
        check_signatures(attestation, open_plain(attestation).body, ALICE.entity)
    assert key == b""


def test_periods_are_clipped_and_checked_again() -> None:
    attestation, key, _ = grant(publishing(), not_after=later(1000))
    body = open_with_verifier_key(attestation, key)
    assert body.validity.not_after == NAMESPACE.entity.validity.not_after
    for begin, end in ((later(2), later(1)), (NOW, later(3 * 365 + 1)), (later(901), later(902))):
        with pytest.raises(InvalidParameterError, match="valid"):
            grant(publishing(), not_before=begin, not_after=end)


def test_visibility_of_too_many_components_is_refused() -> None:
    grant(publishing(), visibility=(b"x",) * 11)
    with pytest.raises(MalformedPartitionError):
        grant(publishing(), visibility=(b"x",) * 12)


@pytest.mark.parametrize(
    "granted",
    [
        decrypting(permissions=()),
        decrypting(permissions=("decrypt", "decrypt")),
        decrypting(permissions=("read",)),
        policy(*decrypting().statements, *publishing().statements),
        decrypting("a/" * 11 + "b"),
        decrypting("*/a"),
    ],
)
def test_malformed_decryption_grants_are_refused(granted: RTreePolicy) -> None:
    with pytest.raises((InvalidE2EEGrantError, InvalidParameterError)):
        grant(granted, keys=NamespaceKeys(NAMESPACE.entity, master=NAMESPACE))


def test_decryption_grant_with_a_partition_is_refused() -> None:
    with pytest.raises(InvalidE2EEGrantError, match="no partition"):
        grant(
            decrypting(),
            visibility=(b"private",),
            keys=NamespaceKeys(NAMESPACE.entity, master=NAMESPACE),
        )


def test_decryption_grant_without_keys_fails_instead_of_granting_less() -> None:
    with pytest.raises(BodySchemeError, match="915: could find namespace visibility key"):
        grant(decrypting(), attester=ALICE, subject=BOB)
    master = NamespaceKeys(NAMESPACE.entity, master=NAMESPACE)
    attestation, _, prover_key = grant(decrypting("a/b/*"), keys=master)
    opened = open_with_prover_key(attestation, prover_key)
    held = NamespaceKeys(
        NAMESPACE.entity, label_key=opened.label_keys[1], content_keys=opened.bundles[1].keys
    )
    with pytest.raises(InvalidE2EEGrantError, match="none of the decryption keys"):
        grant(decrypting("c/*"), attester=ALICE, subject=BOB, keys=held)
    grant(decrypting("a/b/c"), attester=ALICE, subject=BOB, keys=held)


def test_bundle_deltas_are_over_the_entries_that_are_sent() -> None:
    def at(first: bytes) -> tuple[bytes, ...]:
        return (first, *(b"x",) * 19)

    secret = bytes(wkdibe.secret_key_length(0))
    keys = tuple(ContentKey(at(bytes((number,))), secret) for number in range(1, 6))
    kept = KeyBundle(bytes(1297), keys[:1] + keys[3:])
    _, value = der.Reader(kept.to_der()).external()
    assert KeyBundle.read(value) == kept


def bundle_with(slot: int, secret: bytes) -> der.Reader:
    change = der.sequence(der.integer(slot), der.octets(b"x"))
    entry = der.sequence(der.sequence(change), der.octets(secret))
    return der.Reader(der.sequence(der.octets(bytes(1297)), der.sequence(entry)))


def test_bundle_entries_are_checked() -> None:
    good = bytes(wkdibe.secret_key_length(19))
    assert len(KeyBundle.read(bundle_with(19, good)).keys) == 1
    assert KeyBundle.read(bundle_with(19, good + bytes(52))).keys == ()
    for slot in (-1, 20, 2**40):
        with pytest.raises(MalformedObjectError):
            KeyBundle.read(bundle_with(slot, good))


def test_unknown_revocation_schemes_are_kept_and_re_encode() -> None:
    scheme = der.external((10, 9), der.sequence(der.octets(b"new")))
    foreign_place = der.external(
        (10, 1),
        der.sequence(NAMESPACE.entity.hash.to_der(), der.external((8, 2), der.sequence())),
    )
    for raw in (scheme, foreign_place):
        encoded = der.sequence(der.boolean(value=True), raw)
        option = RevocationOption.read(der.Reader(encoded))
        assert (option.hash, option.location, option.is_critical) == (None, None, True)
        assert option.to_der() == encoded


# --- proofs and messages --------------------------------------------------------------------------


def test_verifier_keys_in_proofs_have_28_bytes() -> None:
    attestation, _, _ = grant(publishing())
    for size in (0, 27, 29):
        bad = ExplicitProof(
            (AttestationReference(attestation.hash, None, (PLACE,), bytes(size)),), ((0,),), ()
        )
        with pytest.raises(ProofInvalidError):
            ExplicitProof.from_bytes(bad.to_bytes())


def test_messages_that_nobody_could_read_are_not_made() -> None:
    with pytest.raises(InvalidParameterError):
        encrypt_message(b"x")
    with pytest.raises(InvalidParameterError):
        encrypt_message(b"", recipient=ALICE.entity)
    for begin, end in ((later(1), NOW), (NOW, later(3 * 365 + 1))):
        with pytest.raises(InvalidParameterError):
            encrypt_message(
                b"x",
                namespace=NAMESPACE.entity,
                namespace_location=PLACE,
                resource="a",
                not_before=begin,
                not_after=end,
            )


@pytest.mark.parametrize("resource", ["", "a//b", "a/+", "a/*", "/a", "a/" * 11 + "b"])
def test_resources_of_messages_have_no_wildcards_and_eleven_elements(resource: str) -> None:
    with pytest.raises(InvalidE2EEGrantError):
        e2ee_prefix(resource, is_message=True)


def test_a_closed_resource_is_terminated_and_an_open_one_is_not() -> None:
    tag = b"\x00e2ee"
    assert e2ee_prefix("a/b", is_message=False) == (tag, b"a", b"b", *(b"\x00",) * 9)
    assert e2ee_prefix("a/*", is_message=False) == prefix(tag, (b"a",))
    assert e2ee_prefix("+/b", is_message=False)[1:3] == (b"", b"b")


def direct_message(key: bytes, contents: bytes = bytes(16)) -> bytes:
    listed = der.external((16, 1), der.sequence(der.octets(key)))
    value = der.sequence(der.octets(contents), der.sequence(listed), der.sequence())
    return der.external((2, 5), value)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 47])
def test_short_ciphertexts_are_no_crash(size: int) -> None:
    with pytest.raises(MessageDecryptError):
        decrypt_message(direct_message(bytes(size)), ALICE, lambda _: None)
    assert len(EncryptedMessage.from_bytes(direct_message(bytes(size))).keys) == 1


def test_wrong_lengths_behind_a_key_that_opens_are_malformed() -> None:
    from wavemq.crypto.exchange import direct_encrypt

    for key, contents in ((bytes(27), bytes(16)), (bytes(28), bytes(15)), (bytes(28), bytes(32))):
        sealed = direct_encrypt(ALICE.entity.direct_key, key)
        with pytest.raises(MalformedObjectError):
            decrypt_message(direct_message(sealed, contents), ALICE, lambda _: None)


def test_damage_to_a_message_for_a_namespace_never_gives_content() -> None:
    message = encrypt_message(
        b"content",
        namespace=NAMESPACE.entity,
        namespace_location=PLACE,
        resource="a/b",
        not_before=NOW,
        not_after=NOW,
    )
    assert decrypt_message(message, NAMESPACE, lambda _: None) == b"content"
    for place in range(0, len(message), 61):
        changed = bytearray(message)
        changed[place] ^= 4
        try:
            found = decrypt_message(bytes(changed), NAMESPACE, lambda _: None)
        except WaveMQError:
            continue
        assert found == b"content"  # the location and such are not under the seal


def test_a_reader_with_the_wrong_keys_reads_nothing() -> None:
    message = encrypt_message(
        b"content",
        namespace=NAMESPACE.entity,
        namespace_location=PLACE,
        resource="a/b",
        not_before=NOW,
        not_after=NOW,
    )
    master = NamespaceKeys(NAMESPACE.entity, master=NAMESPACE)
    attestation, _, prover_key = grant(decrypting("a/c"), keys=master)
    opened = open_with_prover_key(attestation, prover_key)
    keys = ReaderKeys(NAMESPACE.entity, opened.label_keys[1:], lambda _: opened.bundles[1].keys)
    with pytest.raises(MessageDecryptError):
        decrypt_message(message, ALICE, lambda _: keys)
    nothing = ReaderKeys(NAMESPACE.entity, opened.label_keys[:1], lambda _: ())
    with pytest.raises(MessageDecryptError):
        decrypt_message(message, ALICE, lambda _: nothing)


def test_objects_of_other_kinds_are_named_as_such() -> None:
    for read in (Entity.from_bytes, Attestation.from_bytes, ExplicitProof.from_bytes):
        with pytest.raises(UnexpectedObjectError):
            read(der.external((2, 6), der.sequence()))
    with pytest.raises(InvalidParameterError):
        EncryptedMessage.from_bytes(b64(vectors("objects")["entities"]["ns"]["public"]))
