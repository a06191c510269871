"""The door: whose requests pass, what is remembered about them, and what never is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.admission import Admission
from wavemq.authz.verdict_cache import (
    DENIED_SECONDS_MAX,
    GRANTED_SECONDS_MAX,
    Claim,
    Denied,
    VerdictCache,
)
from wavemq.clock import Instant
from wavemq.errors import (
    InvalidSignatureError,
    ProofInvalidError,
    StorageError,
    UnavailableError,
    WaveMQError,
)
from wavemq.messages.message import (
    Message,
    PayloadObject,
    QueryRequest,
    SubscriptionRequest,
    message_digest,
    query_digest,
    subscription_digest,
)
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.messages.verified import Verified
from wavemq.wave import signature
from wavemq.wire.encoding import head_of


def message(
    world: World, source: str, topic: str, proof: bytes, *, signer: str | None = None
) -> Message:
    unsigned = Message(
        source=world.hash(source),
        source_location=world.location,
        namespace=world.hash("namespace"),
        topic=Topic(topic),
        payload=(PayloadObject("text", b"21.5"),),
        origin_router="site",
        jedi_timestamp=None,
        proof=proof,
        signature=b"",
        encryption_partition=(),
        timestamps=(),
        drops=(),
        is_persisted=False,
    )
    signed = signature.sign(world[signer or source], message_digest(unsigned))
    return replace(unsigned, signature=signed)


def subscription(world: World, source: str, topic_filter: str, proof: bytes) -> SubscriptionRequest:
    unsigned = SubscriptionRequest(
        source=world.hash(source),
        source_location=None,
        namespace=world.hash("namespace"),
        topic_filter=TopicFilter(topic_filter),
        identifier="id",
        router_id="site",
        expiry_s=60,
        absolute_expiry=None,
        proof=proof,
        signature=b"",
    )
    return replace(unsigned, signature=signature.sign(world[source], subscription_digest(unsigned)))


def query(world: World, source: str, topic_filter: str, proof: bytes) -> QueryRequest:
    unsigned = QueryRequest(
        source=world.hash(source),
        namespace=world.hash("namespace"),
        topic_filter=TopicFilter(topic_filter),
        proof=proof,
        signature=b"",
    )
    return replace(unsigned, signature=signature.sign(world[source], query_digest(unsigned)))


@pytest.fixture
async def world() -> World:
    return await World.create("alice", "bob", "mallory")


@pytest.fixture
async def proof(world: World) -> bytes:
    """Alice may do everything below a/, until half an hour past six hours from now."""
    grant = await world.grant(
        "namespace",
        "alice",
        "publish,subscribe,query",
        "a/*",
        not_after=after(GRANTED_SECONDS_MAX + 1800),
    )
    return world.proof(grant, entities=["namespace", "alice"])


async def test_granted_message_passes_until_its_proof_ends(world: World, proof: bytes) -> None:
    async with world.engine() as engine:
        sent = message(world, "alice", "a/b", proof)
        verified = await Admission(engine).check_message(sent, NOW)
    assert verified == Verified(sent, after(GRANTED_SECONDS_MAX + 1800))


@pytest.mark.parametrize(
    ("source", "topic", "signer", "error"),
    [
        ("alice", "b", None, ProofInvalidError),
        ("alice", "a/b", "bob", InvalidSignatureError),
        ("bob", "a/b", None, ProofInvalidError),
        ("bob", "a/b", "alice", WaveMQError),
    ],
    ids=["other topic", "signed by another", "proof of another", "posing as another"],
)
async def test_message_without_authority_is_refused(
    world: World,
    proof: bytes,
    source: str,
    topic: str,
    signer: str | None,
    error: type[WaveMQError],
) -> None:
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_message(message(world, "alice", "a/b", proof), NOW)
        sent = message(world, source, topic, proof, signer=signer)
        for _ in range(2):
            with pytest.raises(error):
                await admission.check_message(sent, NOW)


async def test_forged_proof_is_refused_at_every_check(world: World) -> None:
    forged = world.proof(
        await world.grant("mallory", "mallory", "publish,subscribe,query,route", "*")
    )
    async with world.engine() as engine:
        admission = Admission(engine)
        with pytest.raises(ProofInvalidError, match="namespace"):
            await admission.check_message(message(world, "mallory", "a", forged), NOW)
        with pytest.raises(ProofInvalidError, match="namespace"):
            await admission.check_subscription(subscription(world, "mallory", "*", forged), NOW)
        with pytest.raises(ProofInvalidError, match="namespace"):
            await admission.check_query(query(world, "mallory", "*", forged), NOW)
        with pytest.raises(ProofInvalidError, match="namespace"):
            await admission.check_designated_router(
                namespace=world.hash("namespace"),
                router=world.hash("mallory"),
                proof=forged,
                certificate_signature=b"certificate",
                signature=signature.sign(world["mallory"], b"certificate"),
                now=NOW,
            )
        with pytest.raises(ProofInvalidError, match="namespace"):
            await admission.check_designation(forged, router=world.hash("mallory"), now=NOW)
        assert admission.statistics().admitted == 0


async def test_proof_of_the_own_namespace_does_not_open_another(world: World) -> None:
    own = world.proof(await world.grant("mallory", "mallory", "publish", "*", namespace="mallory"))
    async with world.engine() as engine:
        with pytest.raises(ProofInvalidError):
            await Admission(engine).check_message(message(world, "mallory", "a", own), NOW)


@pytest.mark.parametrize("topic_filter", ["*", "+/b", "b/*"])
async def test_filter_wider_than_granted_is_refused(
    world: World, proof: bytes, topic_filter: str
) -> None:
    async with world.engine() as engine:
        admission = Admission(engine)
        with pytest.raises(ProofInvalidError):
            await admission.check_subscription(
                subscription(world, "alice", topic_filter, proof), NOW
            )
        with pytest.raises(ProofInvalidError):
            await admission.check_query(query(world, "alice", topic_filter, proof), NOW)


async def test_one_permission_is_not_another(world: World) -> None:
    only_query = world.proof(await world.grant("namespace", "alice", "query", "*"))
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_query(query(world, "alice", "*", only_query), NOW)
        with pytest.raises(ProofInvalidError):
            await admission.check_message(message(world, "alice", "a", only_query), NOW)
        with pytest.raises(ProofInvalidError):
            await admission.check_subscription(subscription(world, "alice", "*", only_query), NOW)


async def test_proof_of_one_entity_does_not_answer_for_a_query_of_another(
    world: World, proof: bytes
) -> None:
    # The digest of a query does not name who asks, and the original forgot it in its cache key.
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_query(query(world, "alice", "a/*", proof), NOW)
        with pytest.raises(ProofInvalidError):
            await admission.check_query(query(world, "bob", "a/*", proof), NOW)
        with pytest.raises(ProofInvalidError):
            await admission.check_subscription(subscription(world, "bob", "a/*", proof), NOW)


# --- what is remembered -----------------------------------------------------------------------


async def test_second_message_needs_no_verification(world: World, proof: bytes) -> None:
    async with world.engine() as engine:
        admission = Admission(engine)
        for topic in ("a/b", "a/b", "a/c"):
            await admission.check_message(message(world, "alice", topic, proof), NOW)
        assert engine.statistics().proofs_verified == 1
        assert admission.statistics().verdicts.hits == 1


@pytest.mark.parametrize("seconds", [GRANTED_SECONDS_MAX - 1, GRANTED_SECONDS_MAX])
async def test_granted_verdict_lives_six_hours(world: World, proof: bytes, seconds: float) -> None:
    async with world.engine(revocation_ttl_s=1e6) as engine:
        admission = Admission(engine)
        sent = message(world, "alice", "a/b", proof)
        await admission.check_message(sent, NOW)
        before = admission.statistics().proofs.hits + admission.statistics().proofs.misses
        await admission.check_message(sent, after(seconds))
        asked = admission.statistics().proofs.hits + admission.statistics().proofs.misses
        assert (asked > before) == (seconds >= GRANTED_SECONDS_MAX)


async def test_granted_verdict_never_outlives_the_proof(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*", not_after=after(60))
    sent = message(world, "alice", "a", world.proof(grant))
    async with world.engine() as engine:
        admission = Admission(engine)
        assert (await admission.check_message(sent, NOW)).granted_until == after(60)
        await admission.check_message(sent, after(60))
        with pytest.raises(ProofInvalidError):
            await admission.check_message(sent, Instant(after(60) + 1))
        with pytest.raises(ProofInvalidError):
            await admission.check_message(sent, after(61))


async def test_verdict_of_the_future_does_not_count_when_the_clock_is_set_back(
    world: World,
) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*", not_before=after(0))
    sent = message(world, "alice", "a", world.proof(grant))
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_message(sent, NOW)
        with pytest.raises(ProofInvalidError):
            await admission.check_message(sent, after(-61))


async def test_denied_verdict_lives_five_minutes(world: World, proof: bytes) -> None:
    claim = Claim(world.hash("namespace"), world.hash("alice"), "publish", "b")
    verdicts = VerdictCache()
    verdicts.put(claim, proof, Denied("no"), now=NOW)
    assert verdicts.get(claim, proof, now=after(DENIED_SECONDS_MAX - 1)) == Denied("no")
    assert verdicts.get(claim, proof, now=after(DENIED_SECONDS_MAX)) is None


async def test_proof_that_begins_later_is_not_remembered_as_denied(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*", not_before=after(62))
    sent = message(world, "alice", "a", world.proof(grant))
    async with world.engine() as engine:
        admission = Admission(engine)
        with pytest.raises(ProofInvalidError, match="in 62 s; if that is not meant, a clock is"):
            await admission.check_message(sent, NOW)
        await admission.check_message(sent, after(2))


async def test_denial_of_one_claim_is_no_denial_of_another(world: World, proof: bytes) -> None:
    async with world.engine() as engine:
        admission = Admission(engine)
        with pytest.raises(ProofInvalidError):
            await admission.check_message(message(world, "alice", "b", proof), NOW)
        await admission.check_message(message(world, "alice", "a", proof), NOW)


async def test_unavailable_storage_is_never_remembered_as_invalid(
    world: World, proof: bytes
) -> None:
    sent = message(world, "alice", "a/b", proof)
    async with world.engine() as engine:
        admission = Admission(engine)
        world.store.is_away = True
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await admission.check_message(sent, NOW)
        world.store.is_away = False
        await admission.check_message(sent, NOW)
        assert admission.statistics().undecided == 2


async def test_object_not_yet_in_storage_is_never_remembered_as_invalid(world: World) -> None:
    late = await world.add("late", is_published=False)
    grant = await world.grant("namespace", "late", "publish", "*")
    sent = message(world, "late", "a", world.proof(grant, entities=["namespace"]))
    async with world.engine() as engine:
        admission = Admission(engine)
        with pytest.raises(ProofInvalidError, match="could not resolve"):
            await admission.check_message(sent, NOW)
        await world.store.put(world.location, late.entity.wire)
        await admission.check_message(sent, NOW)


async def test_lying_storage_decides_nothing(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    sent = message(world, "alice", "a", world.proof(grant, entities=["namespace"]))
    world.store.substitutes[world.hash("alice")] = world["bob"].entity.wire
    async with world.engine() as engine:
        admission = Admission(engine)
        with pytest.raises(StorageError):
            await admission.check_message(sent, NOW)
        world.store.substitutes.clear()
        await admission.check_message(sent, NOW)


async def test_site_goes_on_without_storage_where_the_operator_says_so(
    world: World, proof: bytes
) -> None:
    world.store.is_away = True
    async with world.engine(default_to_unrevoked=True) as engine:
        await Admission(engine).check_message(message(world, "alice", "a/b", proof), NOW)


# --- revocation -------------------------------------------------------------------------------


@pytest.mark.parametrize("revoked", ["alice", "namespace", "grant"])
async def test_revocation_stops_messages_within_the_time_to_live(
    world: World, revoked: str
) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    sent = message(world, "alice", "a", world.proof(grant))
    async with world.engine(revocation_ttl_s=600) as engine:
        admission = Admission(engine)
        await admission.check_message(sent, NOW)
        if revoked == "grant":
            await world.revoke_grant("namespace", grant)
        else:
            await world.revoke_entity(revoked)
        await admission.check_message(sent, after(599))
        with pytest.raises(ProofInvalidError):
            await admission.check_message(sent, after(600))
        with pytest.raises(ProofInvalidError):
            await admission.check_message(sent, after(DAY_S))


async def test_asking_again_without_an_answer_is_no_verdict(world: World, proof: bytes) -> None:
    sent = message(world, "alice", "a/b", proof)
    async with world.engine(revocation_ttl_s=600) as engine:
        admission = Admission(engine)
        await admission.check_message(sent, NOW)
        world.store.is_away = True
        with pytest.raises(StorageError):
            await admission.check_message(sent, after(600))
        world.store.is_away = False
        await admission.check_message(sent, after(601))


# --- batches and bounds -----------------------------------------------------------------------


async def test_batch_answers_in_order_with_refusals_in_their_places(
    world: World, proof: bytes
) -> None:
    async with world.engine() as engine:
        admission = Admission(engine)
        batch = [
            message(world, "alice", "a/1", proof),
            message(world, "alice", "b", proof),
            message(world, "alice", "a/1", proof, signer="bob"),
            message(world, "alice", "a/2", proof),
        ]
        for _ in range(2):
            answers = await admission.check_messages(batch, NOW)
            assert [type(answer) for answer in answers] == [
                Verified,
                ProofInvalidError,
                InvalidSignatureError,
                Verified,
            ]
        assert admission.statistics().admitted == 4
        assert admission.statistics().refused_signatures == 2


async def test_memory_of_verdicts_is_bounded(world: World, proof: bytes) -> None:
    async with world.engine() as engine:
        admission = Admission(engine, verdicts_max=4)
        for n in range(20):
            await admission.check_message(message(world, "alice", f"a/{n}", proof), NOW)
        assert admission.statistics().verdicts.entries == 4
        assert engine.statistics().proofs_verified == 1


async def test_signature_by_a_key_that_may_not_sign_messages_is_refused(
    world: World, proof: bytes
) -> None:
    sent = message(world, "alice", "a/b", proof)
    raw = world["alice"].signing_key.sign(message_digest(sent))
    forged = replace(sent, signature=sent.signature[:-64] + raw)
    async with world.engine() as engine:
        with pytest.raises(InvalidSignatureError):
            await Admission(engine).check_message(forged, NOW)


# --- routers ----------------------------------------------------------------------------------


async def test_own_designation_must_route_everything_for_this_router(world: World) -> None:
    good = world.proof(await world.grant("namespace", "alice", "route", "*"))
    narrow = world.proof(await world.grant("namespace", "alice", "route", "a/*"))
    other = world.proof(await world.grant("namespace", "alice", "publish", "*"))
    async with world.engine() as engine:
        admission = Admission(engine)
        verdict = await admission.check_designation(good, router=world.hash("alice"), now=NOW)
        assert verdict.policy.namespace == world.hash("namespace")
        for proof, router in ((good, "bob"), (narrow, "alice"), (other, "alice")):
            with pytest.raises(ProofInvalidError):
                await admission.check_designation(proof, router=world.hash(router), now=NOW)


async def test_batch_of_messages_with_heads_gets_the_answers_of_single_checks(
    world: World, proof: bytes
) -> None:
    good = message(world, "alice", "a/b", proof)
    forged = replace(good, signature=message(world, "alice", "a/c", proof).signature)
    malformed = replace(good, signature=b"\x30\x00")
    unknown = message(world, "alice", "a/unknown", proof)
    batch = [good, forged, malformed, unknown, good]
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_message(good, NOW)
        for are_encoded in (False, True):
            if are_encoded:
                for one in batch:
                    head_of(one)
            before = admission.statistics()
            answers = admission.known_messages(batch, NOW)
            assert [type(one) for one in answers] == [
                Verified,
                InvalidSignatureError,
                ProofInvalidError,
                type(None),
                Verified,
            ]
            counts = admission.statistics()
            assert counts.admitted - before.admitted == 2
            assert counts.refused_signatures - before.refused_signatures == 1
            assert counts.refused_proofs - before.refused_proofs == 1
        assert admission.known_messages([], NOW) == []
