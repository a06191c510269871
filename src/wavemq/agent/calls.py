"""The calls of the agent's interface, each with its types (wave.md 14.3).

Owns the list that the gRPC server, the HTTP gateway and all clients go by, and the Protocol through
which a program uses an agent, wherever it runs. Refuses to know what the calls do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from wavemq.wire import wave_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

SERVICES: Final = ("pb.WAVE", "mqpb.WAVE")
"""gRPC services under which the calls are answered; the first is the original's."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, A]):
    """One call.

    Attributes:
        name: of the gRPC method.
        request: its type.
        response: its type.
        path: of the HTTP gateway; empty where there is none.
    """

    name: str
    request: type[Q]
    response: type[A]
    path: str

    @property
    def attribute(self) -> str:
        """The name of the service's method, such as `build_rtree_proof`."""
        return _ATTRIBUTES[self.name]


def _call(name: str, request: type[Q], response: type[A], path: str | None = None) -> Call[Q, A]:
    return Call(name, request, response, f"/v1/{name}" if path is None else path)


CREATE_ENTITY: Final = _call("CreateEntity", pb.CreateEntityParams, pb.CreateEntityResponse)
CREATE_ATTESTATION: Final = _call(
    "CreateAttestation", pb.CreateAttestationParams, pb.CreateAttestationResponse
)
PUBLISH_ENTITY: Final = _call("PublishEntity", pb.PublishEntityParams, pb.PublishEntityResponse)
PUBLISH_ATTESTATION: Final = _call(
    "PublishAttestation", pb.PublishAttestationParams, pb.PublishAttestationResponse
)
ADD_ATTESTATION: Final = _call("AddAttestation", pb.AddAttestationParams, pb.AddAttestationResponse)
LOOKUP_ATTESTATIONS: Final = _call(
    "LookupAttestations",
    pb.LookupAttestationsParams,
    pb.LookupAttestationsResponse,
    "/v1/LookupAttestation",
)
RESYNC: Final = _call(
    "ResyncPerspectiveGraph",
    pb.ResyncPerspectiveGraphParams,
    pb.ResyncPerspectiveGraphResponse,
)
SYNC_STATUS: Final = _call("SyncStatus", pb.SyncParams, pb.SyncResponse)
WAIT_FOR_SYNC: Final = _call("WaitForSyncComplete", pb.SyncParams, pb.SyncResponse, "")
"""The only one that streams."""
BUILD_RTREE_PROOF: Final = _call(
    "BuildRTreeProof", pb.BuildRTreeProofParams, pb.BuildRTreeProofResponse
)
VERIFY_PROOF: Final = _call("VerifyProof", pb.VerifyProofParams, pb.VerifyProofResponse)
COMPACT_PROOF: Final = _call("CompactProof", pb.CompactProofParams, pb.CompactProofResponse)
LIST_LOCATIONS: Final = _call("ListLocations", pb.ListLocationsParams, pb.ListLocationsResponse)
INSPECT: Final = _call("Inspect", pb.InspectParams, pb.InspectResponse)
RESOLVE_HASH: Final = _call("ResolveHash", pb.ResolveHashParams, pb.ResolveHashResponse)
ENCRYPT_MESSAGE: Final = _call("EncryptMessage", pb.EncryptMessageParams, pb.EncryptMessageResponse)
DECRYPT_MESSAGE: Final = _call("DecryptMessage", pb.DecryptMessageParams, pb.DecryptMessageResponse)
CREATE_NAME: Final = _call(
    "CreateNameDeclaration", pb.CreateNameDeclarationParams, pb.CreateNameDeclarationResponse
)
RESOLVE_NAME: Final = _call("ResolveName", pb.ResolveNameParams, pb.ResolveNameResponse)
RESOLVE_REVERSE_NAME: Final = _call(
    "ResolveReverseName", pb.ResolveReverseNameParams, pb.ResolveReverseNameResponse
)
MARK_INTERESTING: Final = _call(
    "MarkEntityInteresting", pb.MarkEntityInterestingParams, pb.MarkEntityInterestingResponse
)
REVOKE: Final = _call("Revoke", pb.RevokeParams, pb.RevokeResponse)
SIGN: Final = _call("Sign", pb.SignParams, pb.SignResponse)
VERIFY_SIGNATURE: Final = _call(
    "VerifySignature", pb.VerifySignatureParams, pb.VerifySignatureResponse
)

_ATTRIBUTES: Final = {
    "CreateEntity": "create_entity",
    "CreateAttestation": "create_attestation",
    "PublishEntity": "publish_entity",
    "PublishAttestation": "publish_attestation",
    "AddAttestation": "add_attestation",
    "LookupAttestations": "lookup_attestations",
    "ResyncPerspectiveGraph": "resync",
    "SyncStatus": "sync_status",
    "WaitForSyncComplete": "wait_for_sync",
    "BuildRTreeProof": "build_rtree_proof",
    "VerifyProof": "verify_proof",
    "CompactProof": "compact_proof",
    "ListLocations": "list_locations",
    "Inspect": "inspect",
    "ResolveHash": "resolve_hash",
    "EncryptMessage": "encrypt_message",
    "DecryptMessage": "decrypt_message",
    "CreateNameDeclaration": "create_name",
    "ResolveName": "resolve_name",
    "ResolveReverseName": "resolve_reverse_name",
    "MarkEntityInteresting": "mark_interesting",
    "Revoke": "revoke",
    "Sign": "sign",
    "VerifySignature": "verify_signature",
}

UNARY: Final[tuple[Call[Message, Message], ...]] = (
    CREATE_ENTITY,
    CREATE_ATTESTATION,
    PUBLISH_ENTITY,
    PUBLISH_ATTESTATION,
    ADD_ATTESTATION,
    LOOKUP_ATTESTATIONS,
    RESYNC,
    SYNC_STATUS,
    BUILD_RTREE_PROOF,
    VERIFY_PROOF,
    COMPACT_PROOF,
    LIST_LOCATIONS,
    INSPECT,
    RESOLVE_HASH,
    ENCRYPT_MESSAGE,
    DECRYPT_MESSAGE,
    CREATE_NAME,
    RESOLVE_NAME,
    RESOLVE_REVERSE_NAME,
    MARK_INTERESTING,
    REVOKE,
    SIGN,
    VERIFY_SIGNATURE,
)  # type: ignore[assignment]  # a list of all kinds of calls: each has its own types


class Agent(Protocol):
    """An agent to talk to: in this process, or a daemon's.

    Application errors are inside the responses, in their field `error`.
    """

    async def call(self, call: Call[Q, A], request: Q, /) -> A:
        """Return the response.

        Raises:
            AgentUnreachableError: there is no agent there, or it does not answer.
        """
        ...

    def wait_for_sync(self, request: pb.SyncParams, /) -> AsyncIterator[pb.SyncResponse]:
        """Return the states of a synchronization as they come; the last one is complete."""
        ...
