"""JEDI's rules for resources, times and grants, and keys as newer writers send them."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from wavemq.clock import Instant, instant_from_seconds
from wavemq.crypto import exchange, wkdibe
from wavemq.errors import (
    BodySchemeError,
    Code,
    InvalidE2EEGrantError,
    InvalidJEDIGrantError,
    MalformedObjectError,
    MessageDecryptError,
)
from wavemq.wave import der, jedi
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_create import NamespaceKeys, create_attestation
from wavemq.wave.attestation_open import (
    OpenedAttestation,
    delegated_keys,
    envelope_key_as_subject,
    open_with_prover_key,
    open_with_verifier_key,
)
from wavemq.wave.bundle import KEY_BUNDLE, ContentKey, KeyBundle
from wavemq.wave.hashes import (
    JEDI_PERMISSION_SET,
    WAVE_PERMISSION_SET,
    WAVEMQ_PERMISSION_SET,
)
from wavemq.wave.jedi_delegation import read_delegation
from wavemq.wave.jedi_time import time_of, time_prefixes
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import matches
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wave.validity import Validity

NOW = instant_from_seconds(1_795_000_000)
DAY = 86_400 * 10**9
PLACE = Location("http://127.0.0.1:8080/v1")


def later(days: float) -> Instant:
    return Instant(NOW + round(days * DAY))


def make() -> EntitySecret:
    return EntitySecret.create(not_before=NOW, not_after=later(900), revocation_location=PLACE)


NAMESPACE, ALICE, BOB = make(), make(), make()
MASTER = NamespaceKeys(NAMESPACE.entity, master=NAMESPACE)


def policy(*statements: Statement) -> RTreePolicy:
    return RTreePolicy(NAMESPACE.entity.hash, PLACE, 1, statements)


def jedi_policy(resource: str, permissions: tuple[str, ...] = ("decrypt",)) -> RTreePolicy:
    return policy(Statement(JEDI_PERMISSION_SET, permissions, resource))


def e2ee_policy(resource: str) -> RTreePolicy:
    return policy(Statement(WAVE_PERMISSION_SET, ("decrypt",), resource))


def grant(
    granted: RTreePolicy,
    *,
    keys: NamespaceKeys | None = MASTER,
    attester: EntitySecret = NAMESPACE,
    subject: EntitySecret = ALICE,
    begin: float = 0,
    end: float = 2,
    is_encrypted: bool = True,
) -> OpenedAttestation:
    made = create_attestation(
        attester,
        PLACE,
        subject.entity,
        PLACE,
        granted,
        not_before=later(begin),
        not_after=later(end),
        namespace_keys=keys,
        is_encrypted=is_encrypted,
    )
    return open_with_prover_key(made.attestation, made.prover_key)


def held_of(opened: OpenedAttestation, *, is_period_known: bool = True) -> NamespaceKeys:
    """Return what its subject holds when that grant is all that it has."""
    return NamespaceKeys(
        NAMESPACE.entity,
        opened.label_keys[1],
        opened.bundles[1].keys,
        periods=(opened.body.validity,) if is_period_known else (),
    )


# --- resources and times ------------------------------------------------------------------------


def test_levels_carry_their_place() -> None:
    assert jedi.uri_components("a/b/c") == (b"\x00a", b"\x01b", b"\x02c", b"\x03$")
    assert jedi.uri_components("a/b/*") == (b"\x00a", b"\x01b")
    assert jedi.uri_components("a/+/c") == (b"\x00a", b"", b"\x02c", b"\x03$")
    assert jedi.uri_components("*") == ()
    assert jedi.uri_components("//x//y/") == (b"\x00x", b"\x01y", b"\x02$")
    assert jedi.uri_components("") == (b"\x00$",)
    assert jedi.uri_components("$5/ü") == (b"\x00$5", b"\x01\xc3\xbc", b"\x02$")


@pytest.mark.parametrize(
    "uri", ["*/a", "a/*/b", "a/*/*", "$", "a/$", "a/$/*", "x/" * 13, "x/" * 14 + "*", "a/\ud800"]
)
def test_resources_that_jedi_cannot_express_are_refused(uri: str) -> None:
    with pytest.raises(InvalidJEDIGrantError) as caught:
        jedi.uri_components(uri)
    assert caught.value.code == Code.INVALID_JEDI_GRANT


def test_grants_have_less_room_than_messages() -> None:
    assert len(jedi.uri_components("x/" * 12)) == 13
    assert len(jedi.uri_components("x/" * 13 + "*")) == 13
    assert len(jedi.grant_components("x/" * 10)) == 11
    assert len(jedi.grant_components("x/" * 11 + "*")) == 11
    for resource in ("x/" * 11, "x/" * 12 + "*"):
        with pytest.raises(InvalidJEDIGrantError, match="11 components"):
            jedi.grant_components(resource)


def test_years_that_jedi_does_not_know_are_refused() -> None:
    first, end = 1_420_070_400, 2_556_144_000
    assert time_of(first) == (2015, 1, 1, 1, 1, 0)
    assert time_of(end - 1) == (2050, 12, 6, 31, 4, 23)
    for at_s in (first - 1, end, -(2**63), 2**63 - 1):
        with pytest.raises(InvalidJEDIGrantError):
            time_of(at_s)
    with pytest.raises(InvalidJEDIGrantError, match="before it begins"):
        time_prefixes(first + 1, first)


# --- grants -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "permissions", [("fly",), ("decrypt", "fly"), ("decrypt", "decrypt"), ("sign", "sign")]
)
def test_permissions_are_decrypt_and_sign_once_each(permissions: tuple[str, ...]) -> None:
    with pytest.raises(InvalidJEDIGrantError):
        grant(jedi_policy("a/*", permissions))


def test_jedi_is_not_mixed_with_anything() -> None:
    ours = Statement(JEDI_PERMISSION_SET, ("decrypt",), "a/*")
    theirs = Statement(WAVEMQ_PERMISSION_SET, ("publish",), "a/*")
    for statements in ((ours, theirs), (theirs, ours), (ours, ours)):
        with pytest.raises(InvalidJEDIGrantError, match="one statement"):
            grant(policy(*statements))
    both = Statement(WAVE_PERMISSION_SET, ("decrypt",), "a/*")
    for statements in ((ours, both), (both, ours)):
        with pytest.raises(InvalidE2EEGrantError):
            grant(policy(*statements))


def test_grants_of_keys_are_never_in_the_clear() -> None:
    with pytest.raises(InvalidJEDIGrantError, match="encrypted"):
        grant(jedi_policy("a/*"), is_encrypted=False)
    with pytest.raises(InvalidE2EEGrantError, match="encrypted"):
        grant(e2ee_policy("a/*"), is_encrypted=False)


def test_resource_takes_the_place_of_the_visibility() -> None:
    opened = grant(jedi_policy("a/+/c"))
    assert opened.partition is not None
    assert opened.partition[:6] == (b"\x00attestation", b"\x00a", b"", b"\x02c", b"\x03$", b"")


def test_keys_of_both_kinds_come_in_pairs_that_swap() -> None:
    validity = Validity(NOW, later(1))
    found = jedi.grant_patterns(jedi.grant_components("a/*"), ("sign", "decrypt"), validity)
    tags = [pattern[0] for pattern in found[:6]]
    decrypt, sign = jedi.DECRYPT_TAG, jedi.SIGN_TAG
    assert tags == [decrypt, sign, sign, decrypt, decrypt, sign]
    assert [one[14:] for one in found[::2]] == [one[14:] for one in found[1::2]]
    only = jedi.grant_patterns(jedi.grant_components("a/*"), ("sign",), validity)
    assert {pattern[0] for pattern in only} == {sign}


def test_grant_without_keys_of_the_namespace_is_refused() -> None:
    for keys in (None, NamespaceKeys(NAMESPACE.entity)):
        with pytest.raises(BodySchemeError, match="could find namespace visibility key"):
            grant(jedi_policy("a/*"), keys=keys, attester=ALICE, subject=BOB)


def test_delegate_hands_on_within_what_he_holds_and_nothing_else() -> None:
    held = held_of(grant(jedi_policy("a/*", ("decrypt", "sign"))))
    handed_on = grant(
        jedi_policy("a/b/*"), keys=held, attester=ALICE, subject=BOB, begin=0.3, end=1.5
    )
    wanted = jedi.message_pattern("a/b/c", later(1) // 10**9)
    (key,) = (key for key in handed_on.bundles[1].keys if matches(key.pattern, wanted))
    params = NAMESPACE.entity.oaque_params
    made = jedi.new_message_key(params, wanted)
    assert jedi.unlock(params, key, wanted, made.encrypted) == made.secret
    for resource, permissions, end in (
        ("b/*", ("decrypt",), 1.0),
        ("*", ("decrypt",), 1.0),
        ("a/*", ("decrypt",), 3.0),
    ):
        with pytest.raises(InvalidJEDIGrantError):
            grant(
                jedi_policy(resource, permissions),
                keys=held,
                attester=ALICE,
                subject=BOB,
                end=end,
            )
    only_decrypt = held_of(grant(jedi_policy("a/*")))
    with pytest.raises(InvalidJEDIGrantError):
        grant(
            jedi_policy("a/*", ("decrypt", "sign")),
            keys=only_decrypt,
            attester=ALICE,
            subject=BOB,
        )


def test_refusal_says_what_is_missing() -> None:
    held = held_of(grant(jedi_policy("a/*"), end=2))
    with pytest.raises(InvalidJEDIGrantError, match=r"are missing; .* was granted them from 2026-"):
        grant(jedi_policy("a/*"), keys=held, attester=ALICE, subject=BOB, end=40)


# --- wave:decrypt by a delegate (wave.md 4.5, 4.6) ----------------------------------------------


def test_decrypt_grant_of_a_delegate_is_lowered_to_his_own_at_both_ends() -> None:
    parent = grant(e2ee_policy("a/*"), begin=30, end=60)
    child = grant(
        e2ee_policy("a/b/*"), keys=held_of(parent), attester=ALICE, subject=BOB, begin=0, end=400
    )
    assert child.body.validity == parent.body.validity
    # As many keys as the namespace itself would have handed on: none was lost on the way.
    own = grant(e2ee_policy("a/b/*"), subject=BOB, begin=30, end=60)
    assert [key.pattern for key in child.bundles[1].keys] == [
        key.pattern for key in own.bundles[1].keys
    ]
    for key in child.bundles[1].keys:
        assert wkdibe.SecretKey(key.secret).decoded.to_bytes() == key.secret


def test_decrypt_grant_outside_of_the_delegate_s_own_period_says_so() -> None:
    parent = grant(e2ee_policy("a/*"), begin=300, end=320)
    with pytest.raises(InvalidE2EEGrantError, match="missing"):
        grant(e2ee_policy("a/*"), keys=held_of(parent), attester=ALICE, subject=BOB, end=90)
    unknown = held_of(grant(e2ee_policy("a/*"), end=30), is_period_known=False)
    with pytest.raises(InvalidE2EEGrantError, match="no grant of them"):
        grant(e2ee_policy("a/*"), keys=unknown, attester=ALICE, subject=BOB, end=400)


def test_keys_that_are_not_what_they_say_are_not_handed_on() -> None:
    """Somebody sent them; the errors would show at the next reader, who could not tell why."""
    genuine = held_of(grant(jedi_policy("a/*")))
    lying = tuple(replace(key, secret=_as_if_for(key.pattern)) for key in genuine.content_keys)
    with pytest.raises(InvalidJEDIGrantError, match="missing"):
        grant(
            jedi_policy("a/*"),
            keys=replace(genuine, content_keys=lying),
            attester=ALICE,
            subject=BOB,
        )
    both = replace(genuine, content_keys=(*lying, *genuine.content_keys))
    handed_on = grant(jedi_policy("a/*"), keys=both, attester=ALICE, subject=BOB)
    params = NAMESPACE.entity.oaque_params
    assert all(key.is_genuine(params) for key in handed_on.bundles[1].keys)


def _as_if_for(pattern: tuple[bytes, ...]) -> bytes:
    """Return a key of the right length from another system."""
    return ALICE.oaque_master.derive(ALICE.entity.oaque_params, pattern).to_bytes()


def test_bundle_that_the_original_corrupts_gives_no_key_of_a_wrong_pattern() -> None:
    """It drops entries after computing the differences (wave.md 4.6)."""
    keys = grant(e2ee_policy("a/*"), end=30).bundles[1].keys
    kept = [0, 1, 4, 5, 9, 12, len(keys) - 1]
    entries = []
    current: tuple[bytes, ...] = (b"",) * 20
    for index, key in enumerate(keys):
        changes = [
            der.sequence(der.integer(slot), der.octets(new))
            for slot, (old, new) in enumerate(zip(current, key.pattern, strict=True))
            if old != new
        ]
        current = key.pattern
        if index in kept:
            entries.append(der.sequence(der.sequence(*changes), der.octets(key.secret)))
    params = NAMESPACE.entity.oaque_params_bytes
    wire = der.external(KEY_BUNDLE, der.sequence(der.octets(params), der.sequence(*entries)))
    _, value = der.Reader(wire).external()
    read = KeyBundle.read(value)
    for key in read.keys:
        free = wkdibe.SecretKey(key.secret).decoded.free_slots
        assert len(free) == key.pattern.count(b"")
    assert len(read.keys) < len(kept)


# --- newer writers (wave.md 4.8) ----------------------------------------------------------------


def block(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def pattern_bytes(slots: tuple[bytes, ...]) -> bytes:
    past = max((index + 1 for index, slot in enumerate(slots) if slot), default=0)
    listed = [struct.pack("<I", index) + block(slot) for index, slot in enumerate(slots) if slot]
    return b"\x01" + struct.pack("<II", len(slots), past) + b"".join(listed)


def delegation_bytes(keys: tuple[ContentKey, ...]) -> bytes:
    listed = [block(pattern_bytes(key.pattern)) + block(key.secret) for key in keys]
    params = NAMESPACE.entity.oaque_params_bytes
    head = b"\x02" + block(NAMESPACE.entity.hash.to_bytes()) + block(params)
    return head + struct.pack("<I", len(keys)) + b"".join(listed)


def jedi_keys() -> tuple[ContentKey, ...]:
    patterns = jedi.grant_patterns((b"\x00a",), ("decrypt",), Validity(NOW, later(1)))
    return KeyBundle.derive(NAMESPACE.entity.oaque_params, NAMESPACE.oaque_master, patterns).keys


def with_delegation(delegation: bytes, *, length: int | None = None) -> Attestation:
    """Return a grant whose envelope key has a delegation behind it, as newer writers make it."""
    made = create_attestation(
        NAMESPACE,
        PLACE,
        ALICE.entity,
        PLACE,
        policy(Statement(WAVEMQ_PERMISSION_SET, ("publish",), "a/*")),
        not_before=NOW,
        not_after=later(1),
    ).attestation
    key = envelope_key_as_subject(made, ALICE.direct_secret)
    assert key is not None
    count = struct.pack("<I", len(delegation) if length is None else length)
    sealed = exchange.direct_encrypt(ALICE.entity.direct_key, key + count + delegation)
    content = made.content
    return replace(made, content=replace(content, envelope_key_subject=sealed))  # type: ignore[arg-type]  # it is encrypted


def test_keys_of_newer_writers_are_read_and_work() -> None:
    keys = jedi_keys()
    attestation = with_delegation(delegation_bytes(keys))
    assert envelope_key_as_subject(attestation, ALICE.direct_secret) is not None
    (bundle,) = delegated_keys(attestation, ALICE.direct_secret)
    assert bundle == KeyBundle(NAMESPACE.entity.oaque_params_bytes, keys)
    assert delegated_keys(attestation, BOB.direct_secret) == ()


def test_malformed_delegations_give_no_keys_and_leave_the_grant() -> None:
    good = delegation_bytes(jedi_keys()[:1])
    for bad in (b"", b"\x02", good[:-1], good + b"\x00", b"\x03" + good[1:], good[:40]):
        with pytest.raises((MalformedObjectError, MessageDecryptError)):
            read_delegation(bad)
        attestation = with_delegation(bad)
        assert delegated_keys(attestation, ALICE.direct_secret) == ()
        assert envelope_key_as_subject(attestation, ALICE.direct_secret) is not None
    with pytest.raises(MalformedObjectError):
        envelope_key_as_subject(with_delegation(good, length=1), ALICE.direct_secret)


def test_delegated_patterns_are_checked() -> None:
    key = jedi_keys()[0]
    params = NAMESPACE.entity.oaque_params_bytes
    head = b"\x02" + block(NAMESPACE.entity.hash.to_bytes()) + block(params)

    def delegation(pattern: bytes, secret: bytes = key.secret) -> bytes:
        return head + struct.pack("<I", 1) + block(pattern) + block(secret)

    for pattern in (
        b"\x01" + struct.pack("<II", 21, 0),
        b"\x01" + struct.pack("<II", 20, 21),
        b"\x01" + struct.pack("<II", 20, 1) + struct.pack("<I", 1) + block(b"x"),
        b"\x01" + struct.pack("<II", 20, 2) + (struct.pack("<I", 0) + block(b"x")) * 2,
        b"\x02" + pattern_bytes(key.pattern)[1:],
    ):
        with pytest.raises(MalformedObjectError):
            read_delegation(delegation(pattern))
    assert read_delegation(delegation(pattern_bytes(key.pattern), bytes(193))).bundle.keys == ()
    with pytest.raises(MalformedObjectError, match="more than"):
        read_delegation(head + struct.pack("<I", 10**6))


def test_visible_body_of_a_jedi_grant_is_the_policy() -> None:
    made = create_attestation(
        NAMESPACE,
        PLACE,
        ALICE.entity,
        PLACE,
        jedi_policy("a/*"),
        not_before=NOW,
        not_after=later(1),
        namespace_keys=MASTER,
    )
    body = open_with_verifier_key(made.attestation, made.verifier_key)
    assert body.policy == jedi_policy("a/*")
