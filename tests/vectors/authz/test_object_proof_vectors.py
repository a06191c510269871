"""objects.json: small proofs with the verdict that ours must give, forgeries above all."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from typing import Any

import pytest

from tests.support.object_stores import MemoryObjectStore
from tests.support.vector_worlds import hash_of, vectors
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.verdicts import MissingObjectsError
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.clock import Instant, instant_from_datetime
from wavemq.errors import ProofInvalidError
from wavemq.wave.location import Location

PROOFS: dict[str, dict[str, Any]] = vectors("objects")["proofs"]
GOOD = sorted(name for name in PROOFS if name.startswith("good"))
FORGED = sorted(name for name in PROOFS if name.startswith("MUST_FAIL"))
REFUSED = sorted(set(PROOFS) - set(GOOD) - set(FORGED) - {"compact"})
LOCATION = Location("http://127.0.0.1:17000/v1", 1)
JANUARY_2027 = Instant(1_799_000_000_000_000_000)


def store() -> MemoryObjectStore:
    """Return a storage that holds what the vectors publish."""
    contents = MemoryObjectStore(LOCATION)
    for entity in vectors("objects")["entities"].values():
        contents.objects[LOCATION][hash_of(entity["hash"])] = b64decode(entity["public"])
    for attestation in vectors("objects")["attestations"].values():
        contents.objects[LOCATION][hash_of(attestation["hash"])] = b64decode(attestation["der"])
    return contents


def der(name: str) -> bytes:
    return b64decode(PROOFS[name]["der"])


def test_every_proof_is_covered() -> None:
    assert len(FORGED) >= 5
    assert {*GOOD, *FORGED, *REFUSED, "compact"} == set(PROOFS)


@pytest.mark.parametrize("name", GOOD)
async def test_good_proof_holds_without_storage(name: str) -> None:
    async with Engine(MemoryObjectStore(LOCATION), None, EngineConfig(LOCATION)) as engine:
        verdict = await engine.verify(der(name), now=JANUARY_2027)
    subject, indirections, expires, statements = (
        part.split("=", 1)[1] for part in PROOFS[name]["go_verdict"].split(" ")[1:]
    )
    assert verdict.subject.to_text() == subject
    assert verdict.policy.indirections == int(indirections)
    assert len(verdict.policy.statements) == int(statements)
    assert verdict.expiry == instant_from_datetime(datetime.fromisoformat(expires))


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("has_storage", [True, False], ids=["storage", "no storage"])
async def test_forgery_that_the_original_accepts_is_refused(name: str, has_storage: bool) -> None:
    contents = store() if has_storage else MemoryObjectStore(LOCATION)
    async with Engine(contents, None, EngineConfig(LOCATION)) as engine:
        with pytest.raises(ProofInvalidError):
            await engine.verify(der(name), now=JANUARY_2027)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_the_original_refuses_is_refused(name: str) -> None:
    async with Engine(MemoryObjectStore(LOCATION), None, EngineConfig(LOCATION)) as engine:
        with pytest.raises(ProofInvalidError) as caught:
            await engine.verify(der(name), now=JANUARY_2027)
    assert caught.value.code == 912


async def test_proof_without_entities_holds_where_storage_has_them() -> None:
    async with Engine(store(), None, EngineConfig(LOCATION)) as engine:
        verdict = await engine.verify(der("entities_missing"), now=JANUARY_2027)
    assert verdict.paths == ((0,),)


async def test_compact_proof_is_completed_from_storage() -> None:
    async with Engine(store(), None, EngineConfig(LOCATION)) as engine:
        verdict = await engine.verify(der("compact"), now=JANUARY_2027)
    assert verdict.attestations == (
        hash_of(vectors("objects")["attestations"]["att_ns_alice"]["hash"]),
    )


def test_compact_proof_names_what_it_needs() -> None:
    with pytest.raises(MissingObjectsError) as caught:
        verify_proof(der("compact"), ProofWorld(), now=JANUARY_2027)
    needed = hash_of(vectors("objects")["attestations"]["att_ns_alice"]["hash"])
    assert {need.hash for need in caught.value.needs} == {needed}
    assert {place for need in caught.value.needs for place in need.locations} == {LOCATION}


@pytest.mark.parametrize("name", GOOD)
def test_good_proof_ends(name: str) -> None:
    end = verify_proof(der(name), ProofWorld(), now=JANUARY_2027).expiry
    verify_proof(der(name), ProofWorld(), now=end)
    for moment in (Instant(end + 1), Instant(JANUARY_2027 - 90 * 86_400 * 10**9)):
        with pytest.raises(ProofInvalidError):
            verify_proof(der(name), ProofWorld(), now=moment)


@pytest.mark.parametrize("name", GOOD)
def test_flipped_bit_is_never_another_proof(name: str) -> None:
    good = der(name)
    meaning = verify_proof(good, ProofWorld(), now=JANUARY_2027)
    for offset in range(0, len(good), 97):
        changed = bytearray(good)
        changed[offset] ^= 1 << offset % 8
        try:
            verdict = verify_proof(bytes(changed), ProofWorld(), now=JANUARY_2027)
        except (ProofInvalidError, MissingObjectsError):
            continue
        # Places and unread fields are not signed; what is granted to whom is.
        assert verdict.policy == meaning.policy
        assert verdict.subject == meaning.subject
