"""The whole life of grants, names and messages, through each of the agent's doors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.agent_rig import (
    Doors,
    Person,
    ask,
    make_person,
    opened_doors,
    policy,
    refusal,
    synchronize,
)
from tests.support.worlds import DAY_S, after
from wavemq.agent import calls
from wavemq.clock import milliseconds_from_instant
from wavemq.wave.hashes import WAVE_PERMISSION_SET, WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.pem import encode_pem
from wavemq.wave.proof import ExplicitProof
from wavemq.wire import wave_pb2 as pb

MQ = WAVEMQ_PERMISSION_SET.to_bytes()
NOW_MS = milliseconds_from_instant(after(0))
DAY_MS = DAY_S * 1000


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    async with opened_doors(tmp_path) as opened:
        yield opened


@pytest.fixture(params=["within", "grpc", "http"])
def agent(doors: Doors, request: pytest.FixtureRequest) -> calls.Agent:
    return doors.through(request.param)


async def grant(
    agent: calls.Agent, attester: Person, subject: Person, given: pb.RTreePolicy, scheme: str = ""
) -> pb.CreateAttestationResponse:
    return await ask(
        agent,
        calls.CREATE_ATTESTATION,
        pb.CreateAttestationParams(
            perspective=attester.perspective,
            bodyScheme=scheme,
            subjectHash=subject.hash,
            policy=pb.Policy(rTreePolicy=given),
            publish=True,
        ),
    )


def wish(namespace: Person, *permissions: str, resource: str = "a/b") -> pb.RTreePolicy:
    return pb.RTreePolicy(
        namespace=namespace.hash,
        statements=[
            pb.RTreePolicyStatement(permissionSet=MQ, permissions=[one], resource=resource)
            for one in permissions
        ],
    )


async def test_grants_are_made_found_proved_and_verified(agent: calls.Agent) -> None:
    namespace, alice = await make_person(agent), await make_person(agent)
    bob = await make_person(agent, passphrase="crocodile")
    first = await grant(agent, namespace, alice, policy(namespace, permission_set=MQ))
    second = await grant(
        agent, alice, bob, policy(namespace, resource="a/b", permission_set=MQ, indirections=0)
    )
    assert (len(first.verifierKey), len(first.proverKey)) == (28, 84)
    state = await synchronize(agent, bob)
    assert state.completedSyncs == state.totalSyncRequests > 0
    assert {name: one.operational for name, one in state.storageStatus.items()} == {
        "default": True,
        "other": True,
    }
    built = await ask(
        agent,
        calls.BUILD_RTREE_PROOF,
        pb.BuildRTreeProofParams(
            perspective=bob.perspective,
            namespace=namespace.hash,
            statements=wish(namespace, "publish", "subscribe").statements,
            resyncFirst=True,
        ),
    )
    order = [one.hash.to_bytes() for one in ExplicitProof.from_bytes(built.proofDER).attestations]
    assert [one.hash for one in built.result.elements] == order
    assert sorted(order) == sorted((first.hash, second.hash))
    assert [order[index] for index in built.result.paths[0].elements] == [first.hash, second.hash]
    assert built.result.subject == b""
    assert not built.result.HasField("subjectLocation")
    assert built.result.expiry == NOW_MS + 30 * DAY_MS
    verified = pb.VerifyProofResponse()
    for proof in (built.proofDER, encode_pem("WAVE EXPLICIT PROOF", built.proofDER)):
        verified = await ask(
            agent,
            calls.VERIFY_PROOF,
            pb.VerifyProofParams(
                proofDER=proof,
                subject=bob.hash,
                requiredRTreePolicy=wish(namespace, "publish", "subscribe"),
            ),
        )
        assert [one.hash for one in verified.result.elements] == order
        assert verified.result.subject == bob.hash
        assert verified.result.subjectLocation.agentLocation == "default"
        assert verified.result.policy.rTreePolicy.statements[0].resource == "a/b"
    compact = await ask(agent, calls.COMPACT_PROOF, pb.CompactProofParams(DER=built.proofDER))
    assert len(compact.proofDER) < len(built.proofDER) / 10
    again = await ask(agent, calls.VERIFY_PROOF, pb.VerifyProofParams(proofDER=compact.proofDER))
    assert again.result == verified.result


async def test_proof_for_too_much_or_somebody_else_is_refused(agent: calls.Agent) -> None:
    namespace, alice = await make_person(agent), await make_person(agent)
    await grant(agent, namespace, alice, policy(namespace, "publish", permission_set=MQ))
    request = pb.BuildRTreeProofParams(
        perspective=alice.perspective,
        namespace=namespace.hash,
        statements=wish(namespace, "publish").statements,
        resyncFirst=True,
    )
    built = await ask(agent, calls.BUILD_RTREE_PROOF, request)
    proof = pb.VerifyProofParams(proofDER=built.proofDER, subject=namespace.hash)
    error = await refusal(agent, calls.VERIFY_PROOF, proof)
    assert error.code == 912
    assert "the subject does not match" in error.message
    proof = pb.VerifyProofParams(
        proofDER=built.proofDER, requiredRTreePolicy=wish(namespace, "subscribe")
    )
    error = await refusal(agent, calls.VERIFY_PROOF, proof)
    assert error.message == ("(912: proof is well formed but grants insufficient permissions)")
    proof.requiredRTreePolicy.namespace = Hash.of(b"nowhere").to_bytes()
    error = await refusal(agent, calls.VERIFY_PROOF, proof)
    assert error.message.startswith("(912: could not parse required rtree policy")
    del request.statements[:]
    request.statements.extend(wish(namespace, "query").statements)
    error = await refusal(agent, calls.BUILD_RTREE_PROOF, request)
    assert error.message == "(911: couldn't find a proof)"
    assert (await refusal(agent, calls.COMPACT_PROOF, pb.CompactProofParams())).code == 912


async def test_objects_are_shown_by_content_and_by_hash(agent: calls.Agent) -> None:
    namespace, alice = await make_person(agent), await make_person(agent, passphrase="secret")
    made = await grant(agent, namespace, alice, policy(namespace, permission_set=MQ))
    for content in (alice.public, alice.secret, encode_pem("WAVE ENTITY SECRET", alice.secret)):
        shown = (await ask(agent, calls.INSPECT, pb.InspectParams(content=content))).entity
        assert shown.hash == alice.hash
        assert (shown.validFrom, shown.validUntil) == (NOW_MS, NOW_MS + 30 * DAY_MS)
        assert shown.validity == pb.EntityValidity(valid=True)
    closed = (await ask(agent, calls.INSPECT, pb.InspectParams(content=made.DER))).attestation
    assert closed.hash == made.hash
    assert closed.validity.notDecrypted
    assert not closed.HasField("body")
    for key in ({"verifierKey": made.verifierKey}, {"proverKey": made.proverKey}):
        request = pb.InspectParams(content=made.DER, **key)
        opened = (await ask(agent, calls.INSPECT, request)).attestation
        assert opened.validity == pb.AttestationValidity(valid=True)
        assert opened.body.attesterHash == namespace.hash
        assert opened.body.policy.rTreePolicy.indirections == 2
        assert opened.subjectLocation.agentLocation == "default"
    found = await ask(agent, calls.RESOLVE_HASH, pb.ResolveHashParams(hash=alice.hash))
    assert found.entity.hash == alice.hash
    assert found.location.agentLocation == "default"
    found = await ask(agent, calls.RESOLVE_HASH, pb.ResolveHashParams(hash=made.hash))
    assert found.attestation.validity.notDecrypted
    request_by_reader = pb.ResolveHashParams(hash=made.hash, perspective=alice.perspective)
    found = await ask(agent, calls.RESOLVE_HASH, request_by_reader)
    assert found.attestation.body.attesterHash == namespace.hash
    unknown = pb.ResolveHashParams(hash=Hash.of(b"unknown").to_bytes())
    assert (await refusal(agent, calls.RESOLVE_HASH, unknown)).code == 909
    assert (await refusal(agent, calls.RESOLVE_HASH, pb.ResolveHashParams(hash=b"x"))).code == 304


async def test_grants_are_looked_up_from_and_to_an_entity(agent: calls.Agent) -> None:
    namespace, alice = await make_person(agent), await make_person(agent)
    made = await grant(agent, namespace, alice, policy(namespace, permission_set=MQ), "plaintext")
    await synchronize(agent, alice)
    for fields in ({"fromEntity": namespace.hash}, {"toEntity": alice.hash}):
        request = pb.LookupAttestationsParams(perspective=alice.perspective, **fields)
        found = await ask(agent, calls.LOOKUP_ATTESTATIONS, request)
        assert [one.hash for one in found.results] == [made.hash]
        assert found.results[0].validity.valid
    request = pb.LookupAttestationsParams(perspective=alice.perspective, fromEntity=alice.hash)
    assert not (await ask(agent, calls.LOOKUP_ATTESTATIONS, request)).results
    request = pb.LookupAttestationsParams(perspective=alice.perspective, fromEntity=b"bad")
    assert (await refusal(agent, calls.LOOKUP_ATTESTATIONS, request)).code == 305


async def test_unpublished_grant_can_be_added_twice(agent: calls.Agent) -> None:
    namespace, alice = await make_person(agent), await make_person(agent)
    made = await ask(
        agent,
        calls.CREATE_ATTESTATION,
        pb.CreateAttestationParams(
            perspective=namespace.perspective,
            subjectHash=alice.hash,
            policy=pb.Policy(rTreePolicy=policy(namespace, permission_set=MQ)),
        ),
    )
    request = pb.AddAttestationParams(
        perspective=alice.perspective, DER=made.DER, proverKey=made.proverKey
    )
    await ask(agent, calls.ADD_ATTESTATION, request)
    await ask(agent, calls.ADD_ATTESTATION, request)
    await synchronize(agent, alice)
    lookup = pb.LookupAttestationsParams(perspective=alice.perspective, toEntity=alice.hash)
    found = await ask(agent, calls.LOOKUP_ATTESTATIONS, lookup)
    assert [one.hash for one in found.results] == [made.hash]
    request.DER = b"garbage"
    await refusal(agent, calls.ADD_ATTESTATION, request)
    stored = await ask(agent, calls.PUBLISH_ATTESTATION, pb.PublishAttestationParams(DER=made.DER))
    assert stored.hash == made.hash


async def test_messages_are_encrypted_for_an_entity_and_for_readers(agent: calls.Agent) -> None:
    namespace, alice, bob = [await make_person(agent) for _ in range(3)]
    reading = pb.RTreePolicy(
        namespace=namespace.hash,
        statements=[
            pb.RTreePolicyStatement(
                permissionSet=WAVE_PERMISSION_SET.to_bytes(),
                permissions=["decrypt"],
                resource="a/*",
            )
        ],
    )
    await grant(agent, namespace, alice, reading)
    for fields in (
        {"subjectHash": alice.hash},
        {"namespace": namespace.hash, "resource": "a/b"},
    ):
        request = pb.EncryptMessageParams(content=b"content", **fields)
        sealed = await ask(agent, calls.ENCRYPT_MESSAGE, request)
        opening = pb.DecryptMessageParams(
            perspective=alice.perspective, ciphertext=sealed.ciphertext, resyncFirst=True
        )
        assert (await ask(agent, calls.DECRYPT_MESSAGE, opening)).content == b"content"
        opening.perspective.CopyFrom(bob.perspective)
        error = await refusal(agent, calls.DECRYPT_MESSAGE, opening)
        assert error.message == "(913: could not decrypt message)"
    opening = pb.DecryptMessageParams(perspective=alice.perspective, ciphertext=b"\x28\x00")
    assert (await refusal(agent, calls.DECRYPT_MESSAGE, opening)).code == 304
    unknown = pb.EncryptMessageParams(content=b"c", subjectHash=Hash.of(b"nobody").to_bytes())
    assert (await refusal(agent, calls.ENCRYPT_MESSAGE, unknown)).code == 909


async def test_names_are_declared_resolved_and_known_in_reverse(agent: calls.Agent) -> None:
    alice, bob = await make_person(agent), await make_person(agent)
    made = await ask(
        agent,
        calls.CREATE_NAME,
        pb.CreateNameDeclarationParams(
            perspective=alice.perspective, name="friend", subject=bob.hash
        ),
    )
    await synchronize(agent, alice)
    request = pb.ResolveNameParams(perspective=alice.perspective, name="friend")
    found = await ask(agent, calls.RESOLVE_NAME, request)
    assert found.entity.hash == bob.hash
    assert found.location.agentLocation == "default"
    assert [one.hash for one in found.derivation] == [made.hash]
    assert found.derivation[0].validUntil == NOW_MS + 3 * 365 * DAY_MS
    reverse = pb.ResolveReverseNameParams(perspective=alice.perspective, hash=bob.hash)
    assert (await ask(agent, calls.RESOLVE_REVERSE_NAME, reverse)).name == "friend"
    request.name = "fri"
    assert (await refusal(agent, calls.RESOLVE_NAME, request)).code == 909
    mark = pb.MarkEntityInterestingParams(
        perspective=bob.perspective,
        entity=alice.hash,
        entityLocation=pb.Location(agentLocation="default"),
    )
    await ask(agent, calls.MARK_INTERESTING, mark)
    await synchronize(agent, bob)
    by_bob = pb.ResolveNameParams(
        perspective=bob.perspective, name="friend", topLevelAttester=alice.hash
    )
    assert (await ask(agent, calls.RESOLVE_NAME, by_bob)).entity.hash == bob.hash
    revoking = pb.RevokeParams(perspective=alice.perspective, nameDeclarationHash=made.hash)
    await ask(agent, calls.REVOKE, revoking)
    request.name = "friend"
    assert (await refusal(agent, calls.RESOLVE_NAME, request)).code == 909


async def test_what_was_revoked_counts_no_more(agent: calls.Agent) -> None:
    namespace, alice = await make_person(agent), await make_person(agent)
    made = await grant(agent, namespace, alice, policy(namespace, permission_set=MQ))
    await synchronize(agent, alice)
    foreign = pb.RevokeParams(perspective=alice.perspective, attestationHash=made.hash)
    error = await refusal(agent, calls.REVOKE, foreign)
    assert error.message == "(304: attestation was not created by the given entity)"
    await ask(agent, calls.REVOKE, pb.RevokeParams(perspective=namespace.perspective))
    revoking = pb.RevokeParams(perspective=namespace.perspective, attestationHash=made.hash)
    await ask(agent, calls.REVOKE, revoking)
    found = await ask(agent, calls.RESOLVE_HASH, pb.ResolveHashParams(hash=made.hash))
    assert found.attestation.validity.revoked
    await ask(
        agent, calls.REVOKE, pb.RevokeParams(perspective=alice.perspective, revokePerspective=True)
    )
    error = await refusal(
        agent, calls.SIGN, pb.SignParams(perspective=alice.perspective, content=b"content")
    )
    assert error.code == 304
    assert "perspective entity is invalid: Entity has been revoked" in error.message


async def test_signatures_are_made_and_checked(agent: calls.Agent) -> None:
    alice, bob = await make_person(agent), await make_person(agent)
    signed = await ask(
        agent, calls.SIGN, pb.SignParams(perspective=alice.perspective, content=b"content")
    )
    request = pb.VerifySignatureParams(
        signer=alice.hash, signature=signed.signature, content=b"content"
    )
    await ask(agent, calls.VERIFY_SIGNATURE, request)
    request.signer = bob.hash
    assert (await refusal(agent, calls.VERIFY_SIGNATURE, request)).code == 906
    request.signature = b"\x30"
    assert (await refusal(agent, calls.VERIFY_SIGNATURE, request)).code == 912
    request.signer = Hash.of(b"nobody").to_bytes()
    assert (await refusal(agent, calls.VERIFY_SIGNATURE, request)).code == 909


async def test_locations_are_listed_with_both_of_their_forms(agent: calls.Agent) -> None:
    listed = await ask(agent, calls.LIST_LOCATIONS, pb.ListLocationsParams())
    assert sorted(listed.agentLocations) == ["default", "other"]
    for name, location in listed.agentLocations.items():
        assert location.agentLocation == name
        assert location.locationURI.URI.startswith("local:")
        assert location.locationURI.version == 1


async def test_location_that_is_not_configured_has_code_910(agent: calls.Agent) -> None:
    alice = await make_person(agent)
    nowhere = pb.Location(agentLocation="nowhere")
    request = pb.PublishEntityParams(DER=alice.public, location=nowhere)
    assert (await refusal(agent, calls.PUBLISH_ENTITY, request)).code == 910
    elsewhere = pb.Location(locationURI=pb.LocationURI(URI="http://elsewhere/v1", version=1))
    request = pb.PublishEntityParams(DER=alice.public, location=elsewhere)
    assert (await refusal(agent, calls.PUBLISH_ENTITY, request)).code == 910


async def test_multi_location_lookups_do_not_end_at_the_first_miss(agent: calls.Agent) -> None:
    """wave.md 16.2, defect 17."""
    namespace, alice = [await make_person(agent, place="other") for _ in range(2)]
    found = await ask(agent, calls.RESOLVE_HASH, pb.ResolveHashParams(hash=alice.hash))
    assert found.location.agentLocation == "other"
    made = await ask(
        agent,
        calls.CREATE_ATTESTATION,
        pb.CreateAttestationParams(
            perspective=namespace.perspective,
            subjectHash=alice.hash,
            subjectLocation=pb.Location(agentLocation="other"),
            policy=pb.Policy(rTreePolicy=policy(namespace, permission_set=MQ)),
            publish=True,
        ),
    )
    revoking = pb.RevokeParams(perspective=namespace.perspective, attestationHash=made.hash)
    await ask(agent, calls.REVOKE, revoking)
    gone = await ask(agent, calls.RESOLVE_HASH, pb.ResolveHashParams(hash=made.hash))
    assert gone.attestation.validity.revoked


async def test_validity_bypass_and_passphrase_bypass_are_closed(
    doors: Doors, agent: calls.Agent
) -> None:
    """wave.md 16.2, defect 4: both were looked at on the first use of a secret only."""
    alice = await make_person(agent, passphrase="right")
    pem = encode_pem("WAVE ENTITY SECRET", alice.secret)
    for der in (alice.secret, pem):
        for passphrase, is_right in ((b"wrong", False), (b"right", True), (b"", False)):
            secret = pb.EntitySecret(DER=der, passphrase=passphrase)
            request = pb.SignParams(perspective=pb.Perspective(entitySecret=secret), content=b"x")
            if is_right:
                await ask(agent, calls.SIGN, request)
                continue
            error = await refusal(agent, calls.SIGN, request)
            assert error.message.startswith("(304: could not create perspective ((303: ")
    request = pb.SignParams(perspective=alice.perspective, content=b"x")
    doors.clock.instant = after(31 * DAY_S)
    error = await refusal(agent, calls.SIGN, request)
    assert "perspective entity is invalid: Entity expired" in error.message
