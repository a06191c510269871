"""The objects in objects.json, wave.json and routing.json: decoded, opened, re-encoded, broken."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.vectors import b64, vectors
from wavemq.clock import instant_from_milliseconds, instant_from_seconds
from wavemq.crypto.hashing import keccak256
from wavemq.errors import (
    InvalidSignatureError,
    KeyringDecryptError,
    MalformedDERError,
    MessageDecryptError,
    PassphraseRequiredError,
    UnexpectedObjectError,
    WaveMQError,
)
from wavemq.wave import hashes, pattern, signature
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_create import create_attestation, visibility_label
from wavemq.wave.attestation_open import (
    OpenedAttestation,
    body_key_with_content_key,
    body_key_with_master,
    check_signatures,
    envelope_key_as_subject,
    envelope_key_with_label,
    envelope_key_with_master,
    keys_as_attester,
    open_body,
    open_plain,
    open_with_prover_key,
    open_with_verifier_key,
    read_envelope,
)
from wavemq.wave.encrypted import decrypt_message, encrypt_message
from wavemq.wave.entity import Entity, parse_entity
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret, is_protected
from wavemq.wave.location import Location
from wavemq.wave.partition import bundle_partitions, wr1_partition
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wave.proof import ExplicitProof
from wavemq.wave.revocation import attestation_revocation_blob, entity_revocation_blob

OBJECTS = vectors("objects")
WORLD = vectors("wave")
ROUTING = vectors("routing")
OBJECTS_PASSPHRASE = b"correct horse"
GRANTS = [grant for grant in WORLD["attestations"] if "der" in grant]


def name_of_grant(grant: dict[str, Any]) -> str:
    return f"{grant['attester']}-{grant['subject']}-{grant['statements'][0][2]}"


def secret_of(name: str) -> EntitySecret:
    known = WORLD["entities"][name]
    return EntitySecret.from_bytes(b64(known["secret_der"]), known["passphrase"].encode())


def object_secret(name: str) -> EntitySecret:
    return EntitySecret.from_bytes(b64(OBJECTS["entities"][name]["secret"]), OBJECTS_PASSPHRASE)


def test_every_key_of_the_files_is_known_here_or_in_the_tests_of_authority() -> None:
    elsewhere = {"proofs", "name_declarations"}
    assert set(OBJECTS) == {
        "_about",
        "entities",
        "attestations",
        "messages",
        "restrict_by",
        "resource_valid",
        "constants",
    } | (elsewhere & set(OBJECTS))


# --- entities -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBJECTS["entities"])
def test_entities_of_objects(name: str) -> None:
    known = OBJECTS["entities"][name]
    entity = Entity.from_bytes(b64(known["public"]))
    assert entity.hash.to_text() == known["hash"]
    assert parse_entity(b64(known["secret"])) == entity
    secret = object_secret(name)
    assert secret.entity.wire == b64(known["public"])
    assert entity_revocation_blob(secret.secret64) == b64(known["revocation_blob"])
    options = [option for option in entity.revocations if option.hash is not None]
    assert len(options) == (0 if name in ("norev", "far_la") else 1)
    for option in options:
        assert option.hash == Hash(keccak256(b64(known["revocation_blob"])))


@pytest.mark.parametrize("name", WORLD["entities"])
def test_entities_of_wave(name: str) -> None:
    known = WORLD["entities"][name]
    entity = Entity.from_bytes(b64(known["public_der"]))
    assert entity.hash.to_text() == known["hash"]
    assert entity.validity.not_before // 10**9 == known["valid_from_ms"] // 1000
    assert entity.validity.not_after // 10**9 == known["valid_until_ms"] // 1000
    secret = secret_of(name)
    assert secret.entity == entity
    if not known["passphrase"]:
        assert secret.to_bytes() == b64(known["secret_der"])
    assert is_protected(b64(known["secret_der"])) == bool(known["passphrase"])


def test_a_protected_secret_opens_with_its_passphrase_only() -> None:
    data = b64(WORLD["entities"]["locked"]["secret_der"])
    with pytest.raises(PassphraseRequiredError):
        EntitySecret.from_bytes(data)
    for wrong in (b"", b"no", WORLD["entities"]["locked"]["passphrase"].encode() + b" "):
        with pytest.raises(KeyringDecryptError):
            EntitySecret.from_bytes(data, wrong)


# --- attestations -------------------------------------------------------------------------------


def test_every_grant_is_either_opened_or_was_refused_by_the_original() -> None:
    refused = [grant["error"]["code"] for grant in WORLD["attestations"] if "der" not in grant]
    assert len(GRANTS) == 15
    assert sorted(refused) == [301, 915]


@pytest.mark.parametrize("grant", GRANTS, ids=name_of_grant)
def test_a_grant_opens_by_every_way_in(grant: dict[str, Any]) -> None:
    attestation = Attestation.from_bytes(b64(grant["der"]))
    attester, subject = secret_of(grant["attester"]), secret_of(grant["subject"])
    prover_key, verifier_key = b64(grant["prover_key"]), b64(grant["verifier_key"])
    assert attestation.hash.to_text() == grant["hash"]
    assert attestation.subject == subject.entity.hash

    body = open_with_verifier_key(attestation, verifier_key)
    check_signatures(attestation, body, attester.entity)
    opened = open_with_prover_key(attestation, prover_key)
    assert (opened.body, opened.verifier_key) == (body, verifier_key)

    assert keys_as_attester(attestation, attester.direct_secret) == prover_key
    assert keys_as_attester(attestation, subject.direct_secret) is None
    key = envelope_key_as_subject(attestation, subject.direct_secret)
    assert key == prover_key[:28]
    assert envelope_key_as_subject(attestation, attester.direct_secret) is None
    envelope = read_envelope(attestation, key)
    body_key = body_key_with_master(envelope, subject.entity, subject.oaque_master)
    assert body_key == prover_key[28:]
    assert open_body(attestation, envelope, body_key) == opened
    label = visibility_label(body.policy)
    assert envelope_key_with_master(attestation, subject.entity, subject.ibe_master, label) == key


@pytest.mark.parametrize("grant", GRANTS, ids=name_of_grant)
def test_a_grant_says_what_was_granted(grant: dict[str, Any]) -> None:
    attestation = Attestation.from_bytes(b64(grant["der"]))
    body = open_with_verifier_key(attestation, b64(grant["verifier_key"]))
    policy = body.policy
    assert isinstance(policy, RTreePolicy)
    assert policy.namespace.to_text() == WORLD["entities"][grant["namespace"]]["hash"]
    assert policy.indirections == grant["indirections"]
    names = {
        hashes.WAVE_PERMISSION_SET: "wave",
        hashes.WAVEMQ_PERMISSION_SET: "wavemq",
    }
    assert [
        [names[one.permission_set], ",".join(one.permissions), one.resource]
        for one in policy.statements
    ] == grant["statements"]
    assert body.attester.to_text() == WORLD["entities"][grant["attester"]]["hash"]
    assert body.to_der() == rebuilt_body(attestation, b64(grant["verifier_key"]))
    assert [option.to_der() for option in attestation.revocations] == [
        option.to_der()
        for option in attestation.revocations
        if option.hash
        == Hash(
            keccak256(
                attestation_revocation_blob(
                    secret_of(grant["attester"]).secret64, attestation.ephemeral_key
                )
            )
        )
    ]


def rebuilt_body(attestation: Attestation, verifier_key: bytes) -> bytes:
    """Return the verifier body as it stands in the ciphertext."""
    from wavemq.crypto.symmetric import open_sealed
    from wavemq.wave import der
    from wavemq.wave.attestation import Wr1Body

    assert isinstance(attestation.content, Wr1Body)
    plain = open_sealed(verifier_key, attestation.content.verifier_body)
    return der.Reader(plain).sequence().element()


def opened(attester: str, subject: str) -> tuple[dict[str, Any], OpenedAttestation]:
    grant = next(g for g in GRANTS if (g["attester"], g["subject"]) == (attester, subject))
    attestation = Attestation.from_bytes(b64(grant["der"]))
    return grant, open_with_prover_key(attestation, b64(grant["prover_key"]))


def test_keys_inside_a_grant_open_the_grants_of_its_attester() -> None:
    _, bobs = opened("alice", "bob")
    upper, _ = opened("namespace", "alice")
    attestation = Attestation.from_bytes(b64(upper["der"]))
    alice = secret_of("alice").entity
    (label,) = bobs.label_keys
    key = envelope_key_with_label(attestation, label)
    assert key == b64(upper["prover_key"])[:28]
    envelope = read_envelope(attestation, key)
    (bundle,) = bobs.bundles
    assert bundle.params == alice.oaque_params_bytes
    fitting = [one for one in bundle.keys if fits(one.pattern, envelope.partition)]
    assert fitting
    for content_key in fitting[:2]:
        found = body_key_with_content_key(envelope, alice, content_key)
        assert found == b64(upper["prover_key"])[28:]
    stranger = next(one for one in bundle.keys if one not in fitting)
    assert body_key_with_content_key(envelope, alice, stranger) is None


def fits(held: tuple[bytes, ...], wanted: tuple[bytes, ...]) -> bool:
    return all(not mine or mine == theirs for mine, theirs in zip(held, wanted, strict=True))


@pytest.mark.parametrize("grant", GRANTS, ids=name_of_grant)
def test_bundles_hold_exactly_the_partitions_of_the_specification(grant: dict[str, Any]) -> None:
    attestation = Attestation.from_bytes(b64(grant["der"]))
    found = open_with_prover_key(attestation, b64(grant["prover_key"]))
    assert found.partition is not None
    begin = instant_from_milliseconds(grant["valid_from_ms"])
    end = instant_from_milliseconds(grant["valid_until_ms"])
    lives = [WORLD["entities"][grant[who]]["valid_until_ms"] for who in ("attester", "subject")]
    end = min(end, *(instant_from_milliseconds(life) for life in lives))
    start = found.partition[:12]
    assert wr1_partition(start, begin, end) == found.partition
    expected = bundle_partitions(start, begin, end)
    assert [key.pattern for key in found.bundles[0].keys] == expected
    for addendum in found.addendums:
        from wavemq.wave import der
        from wavemq.wave.bundle import read_addendums

        encoded = der.sequence(addendum.to_der())
        assert read_addendums(der.Reader(encoded)) == (addendum,)


@pytest.mark.parametrize("name", OBJECTS["attestations"])
def test_attestations_of_objects(name: str) -> None:
    known = OBJECTS["attestations"][name]
    attestation = Attestation.from_bytes(b64(known["der"]))
    assert attestation.hash.to_text() == known["hash"]
    secrets = {secret.entity.hash: secret for secret in map(object_secret, OBJECTS["entities"])}
    if "verifier_key" in known:
        body = open_with_verifier_key(attestation, b64(known["verifier_key"]))
        assert open_with_prover_key(attestation, b64(known["prover_key"])).body == body
    else:
        body = open_plain(attestation).body
    attester = secrets[body.attester]
    check_signatures(attestation, body, attester.entity)
    blob = attestation_revocation_blob(attester.secret64, attestation.ephemeral_key)
    assert blob == b64(known["revocation_blob"])
    assert [option.hash for option in attestation.revocations] == [Hash(keccak256(blob))]


@pytest.mark.parametrize("revoked", WORLD["revocations"], ids=lambda revoked: revoked["label"])
def test_published_revocations_are_the_blobs_that_we_derive(revoked: dict[str, Any]) -> None:
    by = secret_of(revoked["by"])
    if revoked["entity"]:
        blob, options = entity_revocation_blob(by.secret64), by.entity.revocations
    else:
        grant = next(grant for grant in GRANTS if grant["hash"] == revoked["attestation"])
        attestation = Attestation.from_bytes(b64(grant["der"]))
        blob = attestation_revocation_blob(by.secret64, attestation.ephemeral_key)
        options = attestation.revocations
    assert revoked["name"] is None
    address = Hash.of(blob)
    assert [option.hash for option in options] == [address]
    assert address.to_text() not in WORLD["storage_before_revocations"]["objects"]
    assert b64(WORLD["storage_after_revocations"]["objects"][address.to_text()]) == blob


MESSAGES = vectors("messages")
MADE = [grant for grant in MESSAGES["grants"] if "hash" in grant]


def test_grant_that_the_original_refuses_to_make_is_refused_with_its_code() -> None:
    (refused,) = (grant for grant in MESSAGES["grants"] if "error" in grant)
    who = {
        name: EntitySecret.from_bytes(b64(known["secret_der"]))
        for name, known in MESSAGES["entities"].items()
    }
    now = instant_from_milliseconds(MESSAGES["generated_ms"])
    place = Location(MESSAGES["location"]["uri"], MESSAGES["location"]["version"])
    statement = Statement(
        Hash.from_bytes(bytes.fromhex(refused["permission_set"])),
        tuple(refused["permissions"]),
        refused["resource"],
    )
    with pytest.raises(WaveMQError) as caught:
        create_attestation(
            who["namespace"],
            place,
            who[refused["subject"]].entity,
            place,
            RTreePolicy(who["namespace"].entity.hash, place, 0, (statement,)),
            not_before=now,
            not_after=now,
        )
    assert caught.value.code == refused["error"]["code"]
    assert str(caught.value) == refused["error"]["message"]


@pytest.mark.parametrize(
    "grant", MADE, ids=lambda grant: f"{grant['subject']}-{grant['permissions'][0]}"
)
def test_grants_behind_the_router_messages_open_for_their_subjects(grant: dict[str, Any]) -> None:
    attestation = Attestation.from_bytes(b64(MESSAGES["storage"]["objects"][grant["hash"]]))
    assert attestation.hash.to_text() == grant["hash"]
    subject = EntitySecret.from_bytes(b64(MESSAGES["entities"][grant["subject"]]["secret_der"]))
    assert attestation.subject == subject.entity.hash
    key = envelope_key_as_subject(attestation, subject.direct_secret)
    assert key is not None
    envelope = read_envelope(attestation, key)
    body_key = body_key_with_master(envelope, subject.entity, subject.oaque_master)
    assert body_key is not None
    body = open_body(attestation, envelope, body_key).body
    namespace = EntitySecret.from_bytes(b64(MESSAGES["entities"]["namespace"]["secret_der"]))
    check_signatures(attestation, body, namespace.entity)
    assert isinstance(body.policy, RTreePolicy)
    (statement,) = body.policy.statements
    assert statement.permission_set == Hash.from_bytes(bytes.fromhex(grant["permission_set"]))
    assert list(statement.permissions) == grant["permissions"]
    assert statement.resource == grant["resource"]


# --- messages, signatures, algebra, constants -----------------------------------------------------


@pytest.mark.parametrize("name", OBJECTS["messages"])
def test_messages_of_objects(name: str) -> None:
    known = OBJECTS["messages"][name]
    readers = {"direct_to_alice": ["alice"], "direct_to_bob_and_namespace_ns": ["bob", "ns"]}[name]
    for reader in OBJECTS["entities"]:
        if reader in readers:
            content = decrypt_message(b64(known["der"]), object_secret(reader), lambda _: None)
            assert content == known["plaintext"].encode()
        else:
            with pytest.raises(MessageDecryptError):
                decrypt_message(b64(known["der"]), object_secret(reader), lambda _: None)


@pytest.mark.parametrize("index", range(len(WORLD["encrypted"])))
def test_messages_of_wave_with_the_keys_of_one_entity(index: int) -> None:
    known = WORLD["encrypted"][index]
    if "error" in known:
        with pytest.raises(WaveMQError) as caught:
            encrypt_message(
                b64(known["plaintext"]),
                namespace=secret_of(known["namespace"]).entity,
                namespace_location=Location("http://127.0.0.1:8080/v1"),
                resource=known["resource"],
            )
        assert caught.value.code == known["error"]["code"]
        return
    recipients = [who for who in (known["subject"], known["namespace"]) if who]
    for reader in recipients:
        content = decrypt_message(b64(known["ciphertext"]), secret_of(reader), lambda _: None)
        assert content == b64(known["plaintext"])


@pytest.mark.parametrize("index", range(len(WORLD["signatures"])))
def test_signatures_of_wave(index: int) -> None:
    known = WORLD["signatures"][index]
    signer, content = secret_of(known["signer"]), b64(known["content"])
    signature.verify(signer.entity, b64(known["signature"]), content)
    assert signature.sign(signer, content) == b64(known["signature"])
    with pytest.raises(InvalidSignatureError):
        signature.verify(secret_of("carol").entity, b64(known["signature"]), content)
    with pytest.raises(InvalidSignatureError):
        signature.verify(signer.entity, b64(known["signature"]), content + b"\0")


@pytest.mark.parametrize("index", range(len(WORLD["inspect"])))
def test_inspected_contents_decode_as_what_they_are(index: int) -> None:
    known = WORLD["inspect"][index]
    content = b64(known["content"])
    if "attestation" in known:
        attestation = Attestation.from_bytes(content)
        assert attestation.hash.to_text() == known["attestation"]["hash"]
        assert attestation.subject.to_text() == known["attestation"]["subject"]
        assert attestation.is_encrypted
    elif known["label"] == "garbage":
        for read in (parse_entity, Attestation.from_bytes, ExplicitProof.from_bytes):
            with pytest.raises((MalformedDERError, UnexpectedObjectError)):
                read(content)
    else:  # public entities too, which the original could not show
        entity = parse_entity(content)
        owner = WORLD["entities"][known["label"].split()[0]]
        assert entity.hash.to_text() == owner["hash"]
        if "entity" in known:
            assert known["entity"]["hash"] == owner["hash"]


def test_intersections_of_patterns() -> None:
    for left, right, expected in ROUTING["restrict_by"] + OBJECTS["restrict_by"]:
        assert pattern.restrict(left, right) == expected, (left, right)


def test_validity_of_resources() -> None:
    for resource, is_valid in OBJECTS["resource_valid"]:
        assert pattern.is_valid_resource(resource) == is_valid, resource
    for resource, is_valid, _, _ in ROUTING["analyze_suffix_valid_star_plus"]:
        assert pattern.is_valid_resource(resource) == is_valid, resource


@pytest.mark.parametrize("index", range(len(ROUTING["wr1_partitions"])))
def test_partitions(index: int) -> None:
    known = ROUTING["wr1_partitions"][index]
    start = tuple(bytes.fromhex(part) for part in known["prefix"])
    start += (b"",) * (12 - len(start))
    begin, end = (instant_from_seconds(known[when]) for when in ("start", "end"))

    def slots(given: list[str | None]) -> tuple[bytes, ...]:
        return tuple(bytes.fromhex(part) if part else b"" for part in given)

    assert wr1_partition(start, begin, end) == slots(known["partition"])
    made = bundle_partitions(start, begin, end)
    assert len(made) == known["bundle_size"]
    if "bundle" in known:
        assert made == [slots(one) for one in known["bundle"]]


def test_constants() -> None:
    constants = OBJECTS["constants"]
    assert hashes.WAVE_PERMISSION_SET.to_text() == constants["wave_pset"]
    assert hashes.WAVEMQ_PERMISSION_SET.to_text() == constants["wavemq_pset"]
    assert hashes.JEDI_PERMISSION_SET.to_text() == constants["jedi_pset"]
    assert WORLD["permission_sets"] == {
        "wave": hashes.WAVE_PERMISSION_SET.to_text(),
        "wavemq": hashes.WAVEMQ_PERMISSION_SET.to_text(),
        "jedi": hashes.JEDI_PERMISSION_SET.to_text(),
    }
    assert Hash.of(b"$GLOBAL").to_text() == constants["global_ns"]
    assert Hash.of(b"wavebuiltin") == hashes.WAVE_PERMISSION_SET


# --- re-encoding and damage -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b64(proof["der"]) for proof in OBJECTS["proofs"].values()]
    + [b64(proof["der"]) for proof in WORLD["proofs"] if proof.get("der")],
    ids=lambda data: f"{len(data)}-{keccak256(data)[:3].hex()}",
)
def test_proofs_re_encode_to_their_bytes(data: bytes) -> None:
    try:
        decoded = ExplicitProof.from_bytes(data)
    except WaveMQError:
        return  # not a proof at all; the verification table has the verdict
    assert decoded.to_bytes() == data


SAMPLES: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "entity": (Entity.from_bytes, b64(OBJECTS["entities"]["ns"]["public"])),
    "secret": (EntitySecret.from_bytes, b64(OBJECTS["entities"]["ns"]["secret"])),
    "plain attestation": (Attestation.from_bytes, b64(OBJECTS["attestations"]["att_plain"]["der"])),
    "proof": (ExplicitProof.from_bytes, b64(OBJECTS["proofs"]["good_2hop"]["der"])),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_truncated_objects_are_refused_at_every_length(kind: str) -> None:
    read, data = SAMPLES[kind]
    for size in range(len(data)):
        with pytest.raises(WaveMQError):
            read(data[:size])
    with pytest.raises(WaveMQError):
        read(data + b"\0")


@pytest.mark.parametrize("kind", SAMPLES)
def test_changed_objects_give_our_errors_or_another_object(kind: str) -> None:
    read, data = SAMPLES[kind]
    dice = random.Random(7)
    for _ in range(400):
        changed = bytearray(data)
        changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        try:
            found = read(bytes(changed))
        except WaveMQError:
            continue
        if isinstance(found, Entity):
            pytest.fail("a changed entity was accepted")
        if isinstance(found, ExplicitProof):
            assert found.to_bytes() == bytes(changed)
