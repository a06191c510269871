"""Names of proofs: never another proof's, whatever the fingerprints do, in bounded memory."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.worlds import NOW, World, after
from wavemq.authz.admission import PERMISSION_PUBLISH, Admission
from wavemq.authz.proof_names import SAMPLES, ProofNames
from wavemq.authz.verdict_cache import Claim, Denied, Granted, VerdictCache
from wavemq.errors import ProofInvalidError


def sha256(proof: bytes) -> bytes:
    return hashlib.sha256(proof).digest()


def remembered(proof: bytes, *, bytes_max: int = 2**20) -> ProofNames:
    names = ProofNames(bytes_max)
    names.keep(proof, names.name(proof))
    return names


@pytest.mark.parametrize("size", [0, 1, SAMPLES - 1, SAMPLES, SAMPLES + 1, 100_000])
def test_name_is_the_same_before_and_after_a_proof_is_kept(size: int) -> None:
    proof = bytes(range(256)) * (size // 256 + 1)
    proof = proof[:size]
    assert ProofNames().name(proof) == sha256(proof)
    assert remembered(proof).name(bytes(bytearray(proof))) == sha256(proof)


def test_every_changed_copy_of_a_kept_proof_has_its_own_name() -> None:
    """Nearly all of these copies have the fingerprint of the kept proof."""
    proof = bytes(5000)
    names = remembered(proof)
    for place in range(0, len(proof), 7):
        changed = bytearray(proof)
        changed[place] ^= 1
        assert names.name(bytes(changed)) == sha256(bytes(changed)) != sha256(proof)
    assert names.name(proof + b"\0") == sha256(proof + b"\0")
    assert names.name(proof[:-1]) == sha256(proof[:-1])


def test_a_proof_with_the_same_fingerprint_takes_the_place_and_no_more() -> None:
    size = 50_000
    names = remembered(bytes(size))
    stride = size // SAMPLES + 1
    for place in range(stride):  # at most one place of each stride is sampled
        twin = bytearray(size)
        twin[place] = 1
        names.keep(bytes(twin), sha256(bytes(twin)))
        assert names.kept_bytes <= 2 * size
        assert names.name(bytes(twin)) == sha256(bytes(twin))
        assert names.name(bytes(size)) == sha256(bytes(size))


def test_memory_is_bounded_in_bytes_and_the_oldest_goes_first() -> None:
    proofs = [bytes((index,)) * 1000 for index in range(5)]
    names = ProofNames(3000)
    for proof in proofs[:3]:
        names.keep(proof, sha256(proof))
    assert names.kept_bytes == 3000
    assert names.name(proofs[0]) == sha256(proofs[0])  # now the youngest
    names.keep(proofs[3], sha256(proofs[3]))
    assert names.kept_bytes == 3000
    names.keep(bytes(3001), sha256(bytes(3001)))
    assert names.kept_bytes == 3000
    for proof in proofs:
        assert names.name(proof) == sha256(proof)


async def test_one_changed_byte_of_a_remembered_proof_has_no_verdict() -> None:
    world = await World.create("one")
    grant = await world.grant("namespace", "one", "publish", "plant/*")
    proof = world.proof(grant)
    claim = Claim(world.hash("namespace"), world.hash("one"), PERMISSION_PUBLISH, "plant/a")
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_claim(claim, proof, NOW)
        await admission.check_claim(claim, proof, NOW)
        for place in range(0, len(proof), 97):
            changed = bytearray(proof)
            changed[place] ^= 0x40
            if place in _unsigned(proof, world):
                continue
            with pytest.raises(ProofInvalidError):
                await admission.check_claim(claim, bytes(changed), NOW)
        await admission.aclose()


def _unsigned(proof: bytes, world: World) -> range:
    """Return the places of the reference's location, which nobody signs and nobody needs here."""
    start = proof.index(world.location.url.encode())
    return range(start, start + len(world.location.url))


async def test_each_input_of_a_verdict_is_part_of_its_key() -> None:
    world = await World.create("one", "two")
    cache = VerdictCache()
    claim = Claim(world.hash("namespace"), world.hash("one"), "publish", "a")
    proof = b"proof" * 1000
    granted = Granted(after(60), after(60), 0, world["one"].entity)
    cache.put(claim, proof, granted, now=NOW)
    assert cache.get(claim, bytes(bytearray(proof)), now=NOW) is granted
    others = (
        Claim(world.hash("two"), world.hash("one"), "publish", "a"),
        Claim(world.hash("namespace"), world.hash("two"), "publish", "a"),
        Claim(world.hash("namespace"), world.hash("one"), "subscribe", "a"),
        Claim(world.hash("namespace"), world.hash("one"), "publish", "a/b"),
    )
    for other in others:
        assert cache.get(other, proof, now=NOW) is None
    assert cache.get(claim, proof[:-1] + b"?", now=NOW) is None


async def test_denied_proofs_are_not_kept_for_comparison() -> None:
    """Or changed copies of somebody's proof could displace it."""
    world = await World.create("one")
    names = ProofNames()
    cache = VerdictCache(names=names)
    claim = Claim(world.hash("namespace"), world.hash("one"), "publish", "a")
    cache.put(claim, b"forged" * 100, Denied("no"), now=NOW)
    assert names.kept_bytes == 0
    assert isinstance(cache.get(claim, b"forged" * 100, now=NOW), Denied)
