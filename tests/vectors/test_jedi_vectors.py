"""The JEDI entries of crypto.json: patterns, time ranges, messages and a grant, both ways."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.support.jedi_original import hours, original_prefixes
from tests.support.vectors import vectors
from wavemq.clock import instant_from_seconds
from wavemq.crypto import wkdibe
from wavemq.errors import MessageDecryptError
from wavemq.wave import jedi
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_create import NamespaceKeys, create_attestation
from wavemq.wave.attestation_open import OpenedAttestation, open_with_prover_key
from wavemq.wave.bundle import ContentKey, KeyBundle
from wavemq.wave.hashes import JEDI_PERMISSION_SET
from wavemq.wave.jedi_time import TimePrefix, time_components, time_prefixes
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import matches
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wave.validity import Validity

WAVE: dict[str, Any] = vectors("crypto")["wave"]
PATTERNS_AT_S = 1_795_000_000
"""As the notes of the file say."""
TOPIC = "a/b/c"
MESSAGES = [
    ("jedi_msg", "jedi_ts", b"jedi message"),
    ("jedi_msg2", "jedi_ts", b"jedi message 2"),
    ("jedi_msg3", "jedi_ts3", b"jedi message 3"),
]
GRANTED = Validity(instant_from_seconds(1_798_668_000), instant_from_seconds(1_798_779_600))
"""2026-12-30T22:00Z to 2027-01-01T05:00Z, as the notes say."""
PLACE = Location("http://127.0.0.1:8080/v1")


@cache
def namespace() -> EntitySecret:
    return EntitySecret.from_bytes(bytes.fromhex(WAVE["entity_secret"]))


@cache
def granted() -> OpenedAttestation:
    attestation = Attestation.from_bytes(bytes.fromhex(WAVE["jedi_att"]))
    return open_with_prover_key(attestation, bytes.fromhex(WAVE["att_proverkey_jedi"]))


def params() -> wkdibe.Params:
    return namespace().entity.oaque_params


def parsed(prefixes: list[str]) -> list[TimePrefix]:
    return [tuple(map(int, prefix.split("/"))) for prefix in prefixes]


def cut(name: str) -> tuple[bytes, bytes]:
    message = bytes.fromhex(WAVE[name])
    return message[: jedi.ENCRYPTED_KEY_BYTES], message[jedi.ENCRYPTED_KEY_BYTES :]


@pytest.mark.parametrize("uri", WAVE["jedi_patterns"])
def test_topic_and_time_become_the_pattern(uri: str) -> None:
    found = jedi.message_pattern(uri, PATTERNS_AT_S)
    assert [slot.hex() for slot in found] == WAVE["jedi_patterns"][uri]


@pytest.mark.parametrize("period", WAVE["jedi_ranges"])
def test_range_of_time_becomes_the_prefixes(period: str) -> None:
    """Where the original grants more than the range, ours grants exactly the range."""
    first_s, last_s = map(int, period.split("-"))
    theirs = parsed(WAVE["jedi_ranges"][period])
    assert original_prefixes(first_s, last_s) == theirs
    ours = time_prefixes(first_s, last_s)
    wanted = set(range(first_s // 3600, last_s // 3600 + 1))
    assert sorted(hour for prefix in ours for hour in hours(prefix)) == sorted(wanted)
    if {hour for prefix in theirs for hour in hours(prefix)} == wanted:
        assert ours == theirs


@pytest.mark.parametrize(("name", "time", "content"), MESSAGES)
def test_message_of_the_original_opens_for_the_namespace(
    name: str, time: str, content: bytes
) -> None:
    encrypted_key, sealed = cut(name)
    wanted = jedi.message_pattern(TOPIC, WAVE[time])
    key = jedi.unlock_with_master(params(), namespace().oaque_master, wanted, encrypted_key)
    assert jedi.open_with(key, sealed) == content


@pytest.mark.parametrize(("name", "time", "content"), MESSAGES)
def test_message_of_the_original_opens_with_the_granted_keys(
    name: str, time: str, content: bytes
) -> None:
    encrypted_key, sealed = cut(name)
    wanted = jedi.message_pattern(TOPIC, WAVE[time])
    fitting = [key for key in granted().bundles[1].keys if matches(key.pattern, wanted)]
    assert fitting
    for held in fitting:
        key = jedi.unlock(params(), held, wanted, encrypted_key)
        assert jedi.open_with(key, sealed) == content


def test_messages_of_one_hour_share_their_encrypted_key() -> None:
    (first, _), (second, _), (third, _) = (cut(name) for name, _, _ in MESSAGES)
    assert first == second != third


def test_our_message_opens_with_the_granted_keys_and_for_the_namespace() -> None:
    wanted = jedi.message_pattern("a/b/d/e", WAVE["jedi_ts"])
    made = jedi.new_message_key(params(), wanted)
    assert len(made.encrypted) == jedi.ENCRYPTED_KEY_BYTES
    sealed = jedi.seal_with(made.secret, b"ours")
    (held,) = (key for key in granted().bundles[1].keys if matches(key.pattern, wanted))
    for key in (
        jedi.unlock(params(), held, wanted, made.encrypted),
        jedi.unlock_with_master(params(), namespace().oaque_master, wanted, made.encrypted),
    ):
        assert jedi.open_with(key, sealed) == b"ours"


def test_granted_keys_are_for_nothing_else() -> None:
    for topic, at_s in (("a/c", WAVE["jedi_ts"]), ("a/b", 1_798_779_600 + 3600), ("a", 0)):
        if at_s:
            wanted = jedi.message_pattern(topic, at_s)
            assert not any(matches(key.pattern, wanted) for key in granted().bundles[1].keys)
    # A key whose pattern was rewritten to fit is found out.
    wanted = jedi.message_pattern("a/c", WAVE["jedi_ts"])
    made = jedi.new_message_key(params(), wanted)
    inside = jedi.message_pattern(TOPIC, WAVE["jedi_ts"])
    (held,) = (key for key in granted().bundles[1].keys if matches(key.pattern, inside))
    lying = tuple(slot if slot != b"\x01b" else b"\x01c" for slot in held.pattern)
    with pytest.raises(MessageDecryptError):
        jedi.unlock(params(), ContentKey(lying, held.secret), wanted, made.encrypted)


def test_our_grant_hands_on_the_same_patterns_in_the_same_order() -> None:
    opened = granted()
    assert opened.body.validity == GRANTED
    theirs = [key.pattern for key in opened.bundles[1].keys]
    components = jedi.grant_components("a/b/*")
    ours = jedi.grant_patterns(components, ("decrypt", "sign"), GRANTED)
    first_s, last_s = 1_798_668_000, 1_798_779_600
    if original_prefixes(first_s, last_s) == time_prefixes(first_s, last_s):
        assert ours == theirs
    assert ours[:3] == theirs[:3]
    made = create_attestation(
        namespace(),
        PLACE,
        EntitySecret.from_bytes(bytes.fromhex(WAVE["alice_secret"])).entity,
        PLACE,
        RTreePolicy(
            namespace().entity.hash,
            PLACE,
            0,
            (Statement(JEDI_PERMISSION_SET, ("decrypt", "sign"), "a/b/*"),),
        ),
        not_before=GRANTED.not_before,
        not_after=GRANTED.not_after,
        namespace_keys=NamespaceKeys(namespace().entity, master=namespace()),
    )
    mine = open_with_prover_key(made.attestation, made.prover_key)
    assert mine.partition == opened.partition
    assert [type(one) for one in mine.addendums] == [type(one) for one in opened.addendums]
    assert [key.pattern for key in mine.bundles[1].keys] == ours
    assert mine.label_keys == opened.label_keys  # extraction draws nothing
    assert isinstance(mine.addendums[2], KeyBundle)
    wanted = jedi.message_pattern(TOPIC, WAVE["jedi_ts"])
    (held,) = (key for key in mine.bundles[1].keys if matches(key.pattern, wanted))
    encrypted_key, sealed = cut("jedi_msg")
    assert (
        jedi.open_with(jedi.unlock(params(), held, wanted, encrypted_key), sealed)
        == b"jedi message"
    )


def test_time_components_end_where_the_prefix_ends() -> None:
    assert time_components((2026, 11)) == (b"\x00\xea\x07", b"\x01\x0b\x00", b"", b"", b"", b"")
