"""A site router process refuses every designated router that cannot prove what it says.

One server here speaks TLS and answers each namespace with another claim; one site router process
is told to peer with it for all of them. Its log says why it refused. The sound claim is refused
nowhere: it shows that the others fail for their own fault only.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.tier import Ground
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant, SystemClock
from wavemq.net.certificate import ServerCertificate, make_server_certificate
from wavemq.testing import RouterProcess, RouterSettings
from wavemq.testing.forgery import forge_proof
from wavemq.testing.tls import server_context
from wavemq.wave import signature
from wavemq.wave.attestation_create import create_attestation
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wave.proof import AttestationReference, ExplicitProof

HASH_BYTES = 34
DAY = 86_400 * NANOSECONDS_PER_SECOND
MIB = 1024 * 1024
STALL = "a router that stalls"
SOUND = "a sound claim"
ANSWER_SECONDS_MAX = 30.0
HTTP2_PREFACE = b"PRI * HTTP/2.0"
REASONS = {
    "another namespace": "insufficient permissions",
    "signature by another key": "signature does not verify",
    "proof of another entity": "subject does not match",
    "expired proof": "expired",
    "no route permission": "insufficient permissions",
    "chain that begins elsewhere": "does not begin at the namespace",
    "11 MiB proof": "announced a proof of 11534336 bytes",
    STALL: "time limit",
}


@dataclass(frozen=True, slots=True)
class Authority:
    """Makes namespaces and claims about them."""

    certificate: ServerCertificate
    location: Location
    now: Instant

    def entity(self) -> EntitySecret:
        return EntitySecret.create(
            not_before=Instant(self.now - 30 * DAY),
            not_after=Instant(self.now + 30 * DAY),
            revocation_location=None,
        )

    def proof(
        self,
        namespace: EntitySecret,
        subject: EntitySecret,
        *,
        permission: str = "route",
        begins: int = -DAY,
        ends: int = DAY,
    ) -> bytes:
        policy = RTreePolicy(
            namespace.entity.hash,
            self.location,
            0,
            (Statement(WAVEMQ_PERMISSION_SET, (permission,), "*"),),
        )
        created = create_attestation(
            namespace,
            self.location,
            subject.entity,
            self.location,
            policy,
            not_before=Instant(self.now + begins),
            not_after=Instant(self.now + ends),
        )
        reference = AttestationReference(
            created.attestation.hash,
            created.attestation.wire,
            (self.location,),
            created.verifier_key,
        )
        entities = (namespace.entity.wire, subject.entity.wire)
        return ExplicitProof((reference,), ((0,),), entities).to_bytes()

    def claim(self, router: EntitySecret, signer: EntitySecret, proof: bytes) -> bytes:
        signed = signature.sign(signer, self.certificate.signature)
        return (
            router.entity.hash.to_bytes()
            + struct.pack("<H", len(signed))
            + signed
            + struct.pack("<I", len(proof))
            + proof
        )

    def claims(self) -> dict[Hash, tuple[str, bytes]]:
        """Return for each of several namespaces what is wrong with its claim, and the claim."""
        router, other = self.entity(), self.entity()
        found: dict[Hash, tuple[str, bytes]] = {}

        def add(
            what: str, proof: bytes, *, namespace: EntitySecret, signer: EntitySecret = router
        ) -> None:
            found[namespace.entity.hash] = (what, self.claim(router, signer, proof))

        one = self.entity()
        add(SOUND, self.proof(one, router), namespace=one)
        one = self.entity()
        add("another namespace", self.proof(self.entity(), router), namespace=one)
        one = self.entity()
        add("signature by another key", self.proof(one, router), namespace=one, signer=other)
        one = self.entity()
        add("proof of another entity", self.proof(one, other), namespace=one)
        one = self.entity()
        expired = self.proof(one, router, begins=-2 * DAY, ends=-DAY)
        add("expired proof", expired, namespace=one)
        one = self.entity()
        add("no route permission", self.proof(one, router, permission="publish"), namespace=one)
        one = self.entity()
        forged = forge_proof(
            router.to_bytes(),
            namespace=one.entity.hash,
            resource="*",
            permission="route",
            now=self.now,
        )
        add("chain that begins elsewhere", forged.der, namespace=one)
        one = self.entity()
        add("11 MiB proof", bytes(11 * MIB), namespace=one)
        one = self.entity()
        found[one.entity.hash] = (STALL, b"")
        return found


@dataclass(slots=True)
class FalseRouter:
    """Answers each namespace with its claim, and keeps what came back."""

    claims: dict[Hash, tuple[str, bytes]]
    answers: dict[str, bytes]
    has_ended: dict[str, asyncio.Event]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        what = ""
        try:
            opening = await reader.readexactly(HASH_BYTES)
            what, claim = self.claims[Hash.from_bytes(opening)]
            writer.write(claim)
            answer = b""
            while part := await reader.read(65536):
                answer += part
                if answer.startswith(HTTP2_PREFACE):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            answer = b""
        finally:
            writer.transport.abort()
        if what:
            self.answers.setdefault(what, answer)
            self.has_ended[what].set()


@asynccontextmanager
async def serving(
    claims: dict[Hash, tuple[str, bytes]], tls: ServerCertificate
) -> AsyncIterator[tuple[FalseRouter, str]]:
    false = FalseRouter(claims, {}, {what: asyncio.Event() for what, _ in claims.values()})
    server = await asyncio.start_server(false.serve, "127.0.0.1", 0, ssl=server_context(tls))
    async with server:
        yield false, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_site_goes_on_to_http2_with_the_router_that_proves_itself_only(
    ground: Ground, tmp_path: Path
) -> None:
    now = SystemClock().now()
    certificate = make_server_certificate(now)
    location = Location(ground.cloud_storage.location["url"])
    claims = Authority(certificate, location, now).claims()
    async with serving(claims, certificate) as (false, address):
        settings = RouterSettings(
            directory=tmp_path / "site",
            storage={"default": ground.cloud_storage.location},
            uplinks={namespace.to_text(): address for namespace in claims},
        )
        site = RouterProcess(settings, name="site")
        try:
            await asyncio.to_thread(site.start)
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                for event in false.has_ended.values():
                    await event.wait()
        finally:
            await asyncio.to_thread(site.kill)
    accepted = {what for what, answer in false.answers.items() if answer}
    assert accepted == {SOUND}, site.log
    assert false.answers[SOUND].startswith(HTTP2_PREFACE)
    found = refusals(site.log)
    reasons = {what: found.get(name.to_text(), "") for name, (what, _) in claims.items()}
    assert reasons.keys() == REASONS.keys() | {SOUND}
    assert [what for what, reason in REASONS.items() if reason not in reasons[what]] == []


def refusals(log: str) -> dict[str, str]:
    """Return the reasons that the log gives, by namespace."""
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return {
        event["namespace"]: event["reason"]
        for event in events
        if "reason" in event and "namespace" in event
    }
