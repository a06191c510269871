"""What a hostile attester can seal inside a body gives our errors or another body, never a crash.

Damage to an attestation as a whole is caught by its authenticated encryption. The one who made it
holds the keys, though, and can seal anything: so the plaintexts are changed here and sealed again.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.vectors import b64, vectors
from wavemq.crypto.symmetric import open_sealed, seal
from wavemq.errors import WaveMQError
from wavemq.wave.attestation import Attestation, Wr1Body
from wavemq.wave.attestation_open import open_with_prover_key, open_with_verifier_key

KNOWN = next(one for one in vectors("wave")["attestations"] if "der" in one)
ATTESTATION = Attestation.from_bytes(b64(KNOWN["der"]))
PROVER_KEY = b64(KNOWN["prover_key"])
VERIFIER_KEY = PROVER_KEY[56:]
FIELDS = {
    "envelope": PROVER_KEY[:28],
    "prover_body": PROVER_KEY[28:56],
    "verifier_body": VERIFIER_KEY,
}


def content() -> Wr1Body:
    assert isinstance(ATTESTATION.content, Wr1Body)
    return ATTESTATION.content


def resealed(field: str, plain: bytes) -> Attestation:
    """Return the attestation with `plain` sealed in one field."""
    sealed = seal(FIELDS[field], plain)
    return replace(ATTESTATION, content=replace(content(), **{field: sealed}))


def plaintext(field: str) -> bytes:
    return open_sealed(FIELDS[field], getattr(content(), field))


PLAINTEXTS = {field: plaintext(field) for field in FIELDS}
fields = st.sampled_from(sorted(FIELDS))


def read_all(attestation: Attestation) -> None:
    for read, key in ((open_with_prover_key, PROVER_KEY), (open_with_verifier_key, VERIFIER_KEY)):
        try:
            read(attestation, key)
        except WaveMQError:
            continue


def test_sealing_the_same_again_opens_the_same() -> None:
    expected = open_with_prover_key(ATTESTATION, PROVER_KEY)
    for field in FIELDS:
        again = resealed(field, PLAINTEXTS[field])
        assert open_with_prover_key(again, PROVER_KEY) == expected


@settings(deadline=None, max_examples=150)
@given(fields, st.data())
def test_changed_plaintexts_never_crash(field: str, data: st.DataObject) -> None:
    changed = bytearray(PLAINTEXTS[field])
    # Structure sits at the start; the rest of a prover body is mostly key material.
    span = st.integers(0, min(len(changed), 2000) - 1)
    for place in data.draw(st.lists(span, min_size=1, max_size=3)):
        changed[place] = data.draw(st.integers(0, 255))
    read_all(resealed(field, bytes(changed)))


@settings(deadline=None, max_examples=60)
@given(fields, st.data())
def test_cut_and_lengthened_plaintexts_are_refused(field: str, data: st.DataObject) -> None:
    plain = PLAINTEXTS[field]
    size = data.draw(st.integers(0, len(plain) - 1))
    for given_bytes in (plain[:size], plain + b"\0"):
        try:
            open_with_prover_key(resealed(field, given_bytes), PROVER_KEY)
        except WaveMQError:
            continue
        raise AssertionError("a plaintext of another length was accepted")


@settings(deadline=None, max_examples=60)
@given(fields, st.binary(max_size=200))
def test_any_plaintext_gives_our_error(field: str, plain: bytes) -> None:
    read_all(resealed(field, plain))
