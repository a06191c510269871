"""Fuzz targets: the verifier of proofs, the routers' certificates, and what one server is asked.

The verifier has a stronger property: whatever it accepts begins at the namespace, on every path,
by an independent reading of the same bytes.
"""

from __future__ import annotations

import base64
from typing import Final

from starlette.exceptions import HTTPException

from tests.fuzz import decoder_seeds as seeds
from tests.fuzz.fuzz_target import Target, expect
from tests.support.vectors import b64, vectors
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.clock import Instant
from wavemq.net import object_server
from wavemq.net.certificate import certificate_signature
from wavemq.wave.attestation import Attestation, PlainBody
from wavemq.wave.policy import RTreePolicy
from wavemq.wave.proof import ExplicitProof

_JANUARY_2027: Final = Instant(1_799_000_000_000_000_000)


_NO_OBJECTS: Final = ProofWorld()


def _verified_proof(given: bytes) -> None:
    verdict = verify_proof(given, _NO_OBJECTS, now=_JANUARY_2027)
    proof = ExplicitProof.from_bytes(given)
    expect(fact=len(proof.paths) > 0, otherwise="a proof without a path holds")
    for path in proof.paths:
        holder = verdict.policy.namespace
        for index in path:
            attestation = Attestation.from_bytes(proof.attestations[index].content or b"")
            expect(
                fact=attestation.hash == proof.attestations[index].hash,
                otherwise="a reference names another attestation",
            )
            assert isinstance(attestation.content, PlainBody)
            body = attestation.content.body
            expect(fact=body.attester == holder, otherwise="a path has a broken link")
            assert isinstance(body.policy, RTreePolicy)
            expect(
                fact=body.policy.namespace == verdict.policy.namespace,
                otherwise="a path leaves the namespace",
            )
            holder = attestation.subject
        expect(fact=holder == verdict.subject, otherwise="a path ends elsewhere")


def _certificate(given: bytes) -> None:
    signature = certificate_signature(given)
    expect(fact=given.endswith(signature), otherwise="another signature")


def _server_request(given: bytes) -> None:
    """Read a request to our storage server in every way that it reads one."""
    fields = object_server._json_fields(given)
    object_server._base64_field(fields, "der")
    object_server._keccak(object_server._base64_field(fields, "entryHash"))


def _requests() -> list[bytes]:
    entry = base64.b64encode(b"\x1b\x20" + bytes(32))
    odd = b'{"der":"QR==","entryHash":"\\ud800"}'
    return [b'{"der":"AAAA","entryHash":"' + entry + b'"}', odd, b"[" * 50_000]


TARGETS = (
    Target("verified_proof", _verified_proof, seeds.proofs, 250),
    Target(
        "certificate",
        _certificate,
        lambda: [b64(vectors("messages")["handshake"]["certificate_der"])],
        600,
    ),
    Target("storage_request", _server_request, _requests, 800, (HTTPException,)),
)
