"""What a site demands of a designated router before it speaks HTTP/2, over real TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.support.object_stores import MemoryObjectStore
from tests.support.ports import ScriptedPeerPort
from tests.support.worlds import DAY_S, NOW, World, after, forge
from wavemq.authz.admission import Admission
from wavemq.clock import FixedClock, datetime_from_instant
from wavemq.errors import (
    InvalidSignatureError,
    ProofInvalidError,
    UnavailableError,
    WaveMQError,
)
from wavemq.net.addresses import Address, bound_address, listen
from wavemq.net.certificate import (
    COMMON_NAME,
    LIFETIME,
    ServerCertificate,
    make_server_certificate,
)
from wavemq.net.link import DialledLink, dial_link
from wavemq.net.peer_server import serve_peers
from wavemq.router.counts import DoorCounts
from wavemq.router.doorway import Doorway
from wavemq.router.driver import Driver
from wavemq.router.uplink_door import UplinkDoor
from wavemq.wave import signature
from wavemq.wire.handshake import RouterClaim


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return make_server_certificate(NOW)


@pytest.fixture(scope="module")
def copied(certificate: ServerCertificate) -> ServerCertificate:
    """A certificate with a key of its own and the signature field of `certificate`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    moment = datetime_from_instant(NOW)
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(moment)
        .not_valid_after(moment + LIFETIME)
        .sign(key, hashes.SHA256())
    )
    wire = own.public_bytes(serialization.Encoding.DER)
    assert wire.endswith(own.signature)
    forged = wire[: -len(own.signature)] + certificate.signature
    private = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return ServerCertificate(forged, private, certificate.signature)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A world, and a site that may meet designated routers of it."""

    world: World
    certificate: ServerCertificate

    async def claim(
        self,
        *,
        entity: str = "router",
        subject: str = "router",
        signer: str = "router",
        permissions: str = "route",
        resource: str = "*",
        namespace: str = "namespace",
    ) -> RouterClaim:
        """A good claim unless told otherwise."""
        grant = await self.world.grant(
            namespace, subject, permissions, resource, namespace=namespace
        )
        return self.claim_with(self.world.proof(grant), entity=entity, signer=signer)

    def claim_with(
        self, proof: bytes, *, entity: str = "router", signer: str = "router"
    ) -> RouterClaim:
        signed = signature.sign(self.world[signer], self.certificate.signature)
        return RouterClaim(self.world.hash(entity), signed, proof)

    @contextlib.asynccontextmanager
    async def meet(
        self, claim: RouterClaim, *, clock: FixedClock | None = None
    ) -> AsyncIterator[DialledLink]:
        """Dial a router that makes this claim; the link is there if the site believed it."""
        listening = listen(Address("127.0.0.1", 0))
        claims = {self.world.hash("namespace"): claim}
        async with (
            serve_peers(
                listening, ScriptedPeerPort(), certificate=self.certificate, claims=claims
            ) as listener,
            self.world.engine() as engine,
        ):
            serving = asyncio.ensure_future(listener.serve())
            # The check of routers asks no core and starts no task.
            no_core, group = cast("Driver", None), asyncio.TaskGroup()
            door = UplinkDoor(
                Doorway(no_core, Admission(engine), clock or FixedClock(NOW), group, DoorCounts())
            )
            namespace = self.world.hash("namespace")
            check = partial(door.check_router, namespace)
            try:
                async with dial_link(bound_address(listening), namespace, check) as link:
                    yield link
            finally:
                serving.cancel()
                await asyncio.wait({serving})
                listening.close()

    async def refusal(self, claim: RouterClaim, *, clock: FixedClock | None = None) -> WaveMQError:
        """Why the site does not believe this claim."""
        with pytest.raises(WaveMQError) as caught:
            async with self.meet(claim, clock=clock):
                pass
        return caught.value


@pytest.fixture
async def meeting(certificate: ServerCertificate) -> Meeting:
    world = await World.create("router", "other", "stranger", store=MemoryObjectStore())
    return Meeting(world, certificate)


async def test_router_that_may_route_is_believed(meeting: Meeting) -> None:
    async with meeting.meet(await meeting.claim()) as link:
        assert link.router == meeting.world.hash("router")


async def test_signature_by_another_key_is_refused(meeting: Meeting) -> None:
    claim = await meeting.claim(signer="other")
    assert isinstance(await meeting.refusal(claim), InvalidSignatureError)


async def test_signature_over_another_certificate_is_refused(meeting: Meeting) -> None:
    good = await meeting.claim()
    stolen = signature.sign(meeting.world["router"], make_server_certificate(NOW).signature)
    claim = RouterClaim(good.router, stolen, good.proof)
    assert isinstance(await meeting.refusal(claim), InvalidSignatureError)


async def test_signature_field_copied_into_another_certificate_is_refused(
    meeting: Meeting, copied: ServerCertificate
) -> None:
    """Who stands in between can show the router's claim, but not the router's key."""
    assert copied.signature == meeting.certificate.signature
    between = Meeting(meeting.world, copied)
    refused = await between.refusal(await meeting.claim())
    assert "not signed by its own key" in refused.reason


async def test_signature_that_is_none_is_refused(meeting: Meeting) -> None:
    good = await meeting.claim()
    refusal = await meeting.refusal(RouterClaim(good.router, b"\x30\x00", good.proof))
    assert isinstance(refusal, InvalidSignatureError | ProofInvalidError)


async def test_proof_of_another_entity_is_refused(meeting: Meeting) -> None:
    claim = await meeting.claim(subject="other")
    assert isinstance(await meeting.refusal(claim), ProofInvalidError)


async def test_router_in_the_name_of_another_is_refused(meeting: Meeting) -> None:
    claim = await meeting.claim(entity="other", subject="other")
    assert isinstance(await meeting.refusal(claim), InvalidSignatureError)


async def test_proof_for_another_namespace_is_refused(meeting: Meeting) -> None:
    claim = await meeting.claim(namespace="stranger")
    assert isinstance(await meeting.refusal(claim), ProofInvalidError)


async def test_proof_without_the_permission_to_route_is_refused(meeting: Meeting) -> None:
    claim = await meeting.claim(permissions="publish,subscribe,query")
    assert isinstance(await meeting.refusal(claim), ProofInvalidError)


async def test_proof_for_a_part_of_the_namespace_is_refused(meeting: Meeting) -> None:
    claim = await meeting.claim(resource="a/*")
    assert isinstance(await meeting.refusal(claim), ProofInvalidError)


async def test_expired_proof_is_refused(meeting: Meeting) -> None:
    clock = FixedClock(after(2 * 365 * DAY_S))
    refusal = await meeting.refusal(await meeting.claim(), clock=clock)
    assert isinstance(refusal, ProofInvalidError)


async def test_revoked_proof_is_refused(meeting: Meeting) -> None:
    claim = await meeting.claim()
    await meeting.world.revoke_entity("router")
    assert isinstance(await meeting.refusal(claim), ProofInvalidError)


async def test_chain_that_does_not_begin_at_the_namespace_is_refused(meeting: Meeting) -> None:
    """The attack that broke the original: anybody grants himself anything."""
    world = meeting.world
    forged = forge(world["router"], world["router"], world.policy("route", "*"))
    assert isinstance(
        await meeting.refusal(meeting.claim_with(world.proof(forged))), ProofInvalidError
    )


async def test_bytes_that_are_no_proof_are_refused(meeting: Meeting) -> None:
    refusal = await meeting.refusal(meeting.claim_with(b"nonsense"))
    assert not isinstance(refusal, UnavailableError)


async def test_router_that_cannot_be_checked_now_is_not_believed(meeting: Meeting) -> None:
    claim = await meeting.claim()
    meeting.world.store.is_away = True
    assert isinstance(await meeting.refusal(claim), UnavailableError)
