"""The agent: every call of wave.md 14, answered.

Owns which code answers which call, and that an answer always comes: errors of ours stand in the
response, and a defect is an internal error there, never a broken connection. Refuses to know
transports. Fault model: callers may send anything, at any rate; the transports bound how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar, cast

import structlog
from google.protobuf.message import Message

from wavemq.agent import creating, proofs, reading
from wavemq.agent.answers import error_to_wire
from wavemq.agent.calls import Call
from wavemq.agent.desk import Desk, hash_of, object_bytes
from wavemq.agent.synchronizing import Synchronizing
from wavemq.authz.callers import Callers
from wavemq.errors import DeadlineError, InternalError, InvalidParameterError, WaveMQError
from wavemq.wire import wave_pb2 as pb

if TYPE_CHECKING:
    from wavemq.authz.engine import Engine
    from wavemq.clock import Clock
    from wavemq.net.objects import LocationRouter

_log = structlog.get_logger(__name__)

CALL_SECONDS_MAX: Final = 115.0
"""How long one call may take, a first synchronization included; less than clients wait."""

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class AgentService:
    """Answers calls; also an `Agent` for programs in the same process.

    Use it as an async context manager, or call `aclose`.

    Args:
        engine: authority; not closed here.
        storages: names of locations; not closed here.
        clock: what time it is.
    """

    def __init__(self, engine: Engine, storages: LocationRouter, clock: Clock) -> None:
        self._desk = Desk(engine, storages, clock, Callers(engine))
        self._synchronizing = Synchronizing(self._desk)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what runs in the background."""
        await self._synchronizing.aclose()

    # --- as an Agent ----------------------------------------------------------------------------

    async def call(self, call: Call[Q, A], request: Q, /) -> A:
        """Answer one call; see `Agent`."""
        method = getattr(self, call.attribute)
        return cast("A", await method(request))

    async def wait_for_sync(self, request: pb.SyncParams, /) -> AsyncIterator[pb.SyncResponse]:
        """Tell how a synchronization goes until it is over."""
        try:
            async for state in self._synchronizing.wait(request):
                yield state
        except WaveMQError as error:
            yield pb.SyncResponse(error=error_to_wire(error))
        except Exception as error:  # noqa: BLE001 - a defect ends one call
            yield pb.SyncResponse(error=error_to_wire(_defect("WaitForSyncComplete", error)))

    # --- calls ----------------------------------------------------------------------------------

    async def create_entity(self, request: pb.CreateEntityParams) -> pb.CreateEntityResponse:
        """Make an entity."""
        return await self._answer(creating.create_entity, request, pb.CreateEntityResponse)

    async def create_attestation(
        self, request: pb.CreateAttestationParams
    ) -> pb.CreateAttestationResponse:
        """Make a grant."""
        return await self._answer(
            creating.create_attestation, request, pb.CreateAttestationResponse
        )

    async def publish_entity(self, request: pb.PublishEntityParams) -> pb.PublishEntityResponse:
        """Store an entity."""
        return await self._answer(creating.publish_entity, request, pb.PublishEntityResponse)

    async def publish_attestation(
        self, request: pb.PublishAttestationParams
    ) -> pb.PublishAttestationResponse:
        """Store a grant and tell its subject's queue."""
        return await self._answer(
            creating.publish_attestation, request, pb.PublishAttestationResponse
        )

    async def add_attestation(self, request: pb.AddAttestationParams) -> pb.AddAttestationResponse:
        """Let a perspective know a grant that need not be in any queue."""
        return await self._answer(_add_attestation, request, pb.AddAttestationResponse)

    async def lookup_attestations(
        self, request: pb.LookupAttestationsParams
    ) -> pb.LookupAttestationsResponse:
        """Return the grants that a perspective knows."""
        return await self._answer(
            reading.lookup_attestations, request, pb.LookupAttestationsResponse
        )

    async def resync(
        self, request: pb.ResyncPerspectiveGraphParams
    ) -> pb.ResyncPerspectiveGraphResponse:
        """Begin a synchronization."""
        return await self._answer(
            lambda _, given: self._synchronizing.resync(given),
            request,
            pb.ResyncPerspectiveGraphResponse,
        )

    async def sync_status(self, request: pb.SyncParams) -> pb.SyncResponse:
        """Return how far synchronizations are."""
        return await self._answer(
            lambda _, given: self._synchronizing.status(given), request, pb.SyncResponse
        )

    async def build_rtree_proof(
        self, request: pb.BuildRTreeProofParams
    ) -> pb.BuildRTreeProofResponse:
        """Build a proof."""
        return await self._answer(proofs.build_rtree_proof, request, pb.BuildRTreeProofResponse)

    async def verify_proof(self, request: pb.VerifyProofParams) -> pb.VerifyProofResponse:
        """Check a proof."""
        return await self._answer(proofs.verify_proof, request, pb.VerifyProofResponse)

    async def compact_proof(self, request: pb.CompactProofParams) -> pb.CompactProofResponse:
        """Make a proof small."""
        return await self._answer(proofs.compact_proof, request, pb.CompactProofResponse)

    async def list_locations(self, request: pb.ListLocationsParams) -> pb.ListLocationsResponse:
        """Return the configured locations."""
        return await self._answer(reading.list_locations, request, pb.ListLocationsResponse)

    async def inspect(self, request: pb.InspectParams) -> pb.InspectResponse:
        """Show an object."""
        return await self._answer(reading.inspect, request, pb.InspectResponse)

    async def resolve_hash(self, request: pb.ResolveHashParams) -> pb.ResolveHashResponse:
        """Show what a hash stands for."""
        return await self._answer(reading.resolve_hash, request, pb.ResolveHashResponse)

    async def encrypt_message(self, request: pb.EncryptMessageParams) -> pb.EncryptMessageResponse:
        """Encrypt end to end."""
        return await self._answer(reading.encrypt_message, request, pb.EncryptMessageResponse)

    async def decrypt_message(self, request: pb.DecryptMessageParams) -> pb.DecryptMessageResponse:
        """Decrypt what was encrypted end to end."""
        return await self._answer(reading.decrypt_message, request, pb.DecryptMessageResponse)

    async def create_name(
        self, request: pb.CreateNameDeclarationParams
    ) -> pb.CreateNameDeclarationResponse:
        """Declare a name."""
        return await self._answer(creating.create_name, request, pb.CreateNameDeclarationResponse)

    async def resolve_name(self, request: pb.ResolveNameParams) -> pb.ResolveNameResponse:
        """Return what a name stands for."""
        return await self._answer(reading.resolve_name, request, pb.ResolveNameResponse)

    async def resolve_reverse_name(
        self, request: pb.ResolveReverseNameParams
    ) -> pb.ResolveReverseNameResponse:
        """Return the name of an object."""
        return await self._answer(
            reading.resolve_reverse_name, request, pb.ResolveReverseNameResponse
        )

    async def mark_interesting(
        self, request: pb.MarkEntityInterestingParams
    ) -> pb.MarkEntityInterestingResponse:
        """Have the queue of an entity read from now on."""
        return await self._answer(_mark_interesting, request, pb.MarkEntityInterestingResponse)

    async def revoke(self, request: pb.RevokeParams) -> pb.RevokeResponse:
        """Revoke what a perspective made, or the perspective."""
        return await self._answer(creating.revoke, request, pb.RevokeResponse)

    async def sign(self, request: pb.SignParams) -> pb.SignResponse:
        """Sign content."""
        return await self._answer(creating.sign, request, pb.SignResponse)

    async def verify_signature(
        self, request: pb.VerifySignatureParams
    ) -> pb.VerifySignatureResponse:
        """Check a signature."""
        return await self._answer(creating.verify_signature, request, pb.VerifySignatureResponse)

    async def _answer(
        self, work: Callable[[Desk, Q], Awaitable[A]], request: Q, response: type[A]
    ) -> A:
        """Return what `work` returns, or a response that holds its error."""
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                return await work(self._desk, request)
        except TimeoutError:
            failure: WaveMQError = DeadlineError(f"no answer within {CALL_SECONDS_MAX:g} s")
        except WaveMQError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a defect ends one call
            failure = _defect(type(request).__name__, error)
        answer = response()
        # Every response has this field; the generated types know no common base that says so.
        cast("pb.RevokeResponse", answer).error.CopyFrom(error_to_wire(failure))
        return answer


def _defect(what: str, error: Exception) -> InternalError:
    """Log a defect of ours and return what the caller is told."""
    _log.error("agent_call_failed", call=what, exception=type(error).__name__, exc_info=error)
    return InternalError(f"{type(error).__name__} while answering; please report this")


async def _add_attestation(
    desk: Desk, request: pb.AddAttestationParams
) -> pb.AddAttestationResponse:
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    await desk.engine.add_attestation(
        perspective, object_bytes(request.DER), request.proverKey, now=desk.now()
    )
    return pb.AddAttestationResponse()


async def _mark_interesting(
    desk: Desk, request: pb.MarkEntityInterestingParams
) -> pb.MarkEntityInterestingResponse:
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    if not request.HasField("entityLocation"):
        raise InvalidParameterError("missing location of the entity")
    entity, place = hash_of(request.entity, "entity"), desk.location(request.entityLocation)
    await desk.engine.mark_interesting(perspective, entity, place)
    return pb.MarkEntityInterestingResponse()
