"""What strangers have us look up in storage is bounded, whatever their objects and proofs name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.support.object_stores import LOCATION
from tests.support.worlds import NOW, World
from wavemq.authz import verifier
from wavemq.authz.library import PLACES_MAX
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.errors import MalformedObjectError, ProofInvalidError
from wavemq.wave import der
from wavemq.wave.location import Location
from wavemq.wave.proof import ExplicitProof
from wavemq.wave.revocation import OPTIONS_MAX, RevocationOption, option_of_blob, read_options


def options(count: int) -> bytes:
    made = (option_of_blob(number.to_bytes(32, "big"), LOCATION) for number in range(count))
    return der.sequence(*(option.to_der() for option in made))


@pytest.mark.parametrize("count", [0, 1, OPTIONS_MAX - 1, OPTIONS_MAX])
def test_object_may_have_some(count: int) -> None:
    read = read_options(der.Reader(options(count)))
    assert len(read) == count
    assert all(isinstance(option, RevocationOption) for option in read)


@pytest.mark.parametrize("count", [OPTIONS_MAX + 1, 50_000])
def test_object_may_not_have_more(count: int) -> None:
    with pytest.raises(MalformedObjectError, match="revocation options"):
        read_options(der.Reader(options(count)))


async def test_proof_may_not_depend_on_more_than_one_for_each_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await World.create("alice")
    proof = world.proof(await world.grant("namespace", "alice", "publish", "a"))
    concerned = len(verify_proof(proof, ProofWorld(), now=NOW).revocations)
    monkeypatch.setattr(verifier, "REVOCATIONS_MAX", concerned)
    verify_proof(proof, ProofWorld(), now=NOW)
    monkeypatch.setattr(verifier, "REVOCATIONS_MAX", concerned - 1)
    with pytest.raises(ProofInvalidError, match="revocation options"):
        verify_proof(proof, ProofWorld(), now=NOW)


async def test_reference_may_name_any_number_of_places_and_few_are_tried() -> None:
    world = await World.create("alice")
    compact = ExplicitProof.from_bytes(
        world.proof(await world.grant("namespace", "alice", "publish", "a"))
    ).compact()
    places = [Location(f"http://127.0.0.1:1/{number}") for number in range(4000)]
    for tried, is_found in (([*places[:3], LOCATION], True), ([*places, LOCATION], False)):
        reference = replace(compact.attestations[0], locations=tuple(tried))
        proof = replace(compact, attestations=(reference,)).to_bytes()
        with capture_logs() as lines:
            async with world.engine() as engine:
                if is_found:
                    await engine.verify(proof, now=NOW)
                else:
                    with pytest.raises(ProofInvalidError):
                        await engine.verify(proof, now=NOW)
        skipped = [one for one in lines if one["event"] == "object_location_not_served"]
        assert 0 < len(skipped) <= PLACES_MAX
